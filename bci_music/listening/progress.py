"""How a calibration stands: in place of the display for what calibrates, and in place of an engine for a window."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from bci_music.messages import Log, UserError
from bci_music.status import (
    FOLLOWS,
    CalibrationStatus,
    Command,
    GateLook,
    Health,
    Snapshot,
    SoundStatus,
    StreamStatus,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bci_music.eeg.montage import Montage
    from bci_music.engine.ending import Ending
    from bci_music.engine.engine import Engine
    from bci_music.listening.gate import GateStatus
    from bci_music.listening.session import SongSession
    from bci_music.packing.listener import ListenerPack
    from bci_music.streaming.ring import Cursor

LINES = 40  # lines that are kept
GO_ON = "Press Start once the electrodes are as good as they get."


class Display(Protocol):
    """Where a calibration shows itself."""

    chooses: bool  # whether its operator says when to go on
    followed_by: Command | None  # what its operator wants after it

    def ending(self) -> AbstractContextManager[Ending]:
        """Return how it is asked to end."""

    def busy(self, text: str) -> AbstractContextManager[Log]:
        """Show `text` while inside, or what is given to what this yields."""

    def log(self, text: str, style: str = "") -> None:
        """Write a line."""

    def watch(self, progress: Progress) -> None:
        """Show it from now on, where there is a window."""

    def stay(self, progress: Progress) -> None:
        """Where there is a window, show how it ended until the operator has seen it."""


class Progress:
    """Passes on what is said, notes it, and takes the operator's commands.

    The first group of methods is for what calibrates, the second for the window, which takes it for an engine.

    Parameters
    ----------
    display : Display
    again : str
        What "calibrate" needs to go on with this one.
    """

    def __init__(self, display: Display, again: str = ""):
        self._display = display
        self._engine: Engine | None = None
        self._lines: deque[str] = deque(maxlen=LINES)
        self._status = CalibrationStatus("electrodes", again=again)
        self._started, self._stopped = threading.Event(), threading.Event()
        self.others: tuple[str, ...] = ()
        self.next: Command | None = None  # what is to follow

    # for what calibrates

    @property
    def guided(self) -> bool:
        """Whether an operator says when to go on."""
        return self._display.chooses

    @property
    def stopped(self) -> bool:
        """Whether the operator wants to stop listening."""
        return self._stopped.is_set()

    def ending(self) -> AbstractContextManager[Ending]:
        """Return how it is asked to end."""
        return self._display.ending()

    @contextmanager
    def busy(self, text: str) -> Iterator[Log]:
        """Show `text` while inside, or what is given to what this yields."""
        with self._display.busy(text) as tell:

            def both(text: str) -> None:
                self._note(doing=text)
                tell(text)

            self._note(doing=text)
            yield both

    def log(self, text: str, style: str = "") -> None:
        """Write a line."""
        self._lines.append(text)
        self._note(lines=tuple(self._lines))
        self._display.log(text, style)

    def show(self, engine: Engine) -> None:
        """Show the stream of this engine."""
        self._engine = engine

    def may_listen(self, electrodes: str, refuse: Callable[[], None]) -> bool:
        """Whether to go on from the electrodes: at once, or when the operator says so and they do for the pack."""
        self._note(electrodes=electrodes, waits=self.guided)
        if not self.guided:
            return True
        if not self._started.is_set():
            self._note(doing=GO_ON)
            return False
        try:
            refuse()
        except UserError as error:
            self._started.clear()
            self.log(str(error), "yellow")
            return False
        return True

    def listen(self, session: SongSession, gate: Sequence[GateStatus], electrodes: str, now: float) -> None:
        """Say what is heard, and how the gate stands: every look so far, and last what holds now."""
        playing = session.playback.playing
        newest = gate[-1]
        self._note(
            step="songs", waits=False, electrodes=electrodes, title=playing.title if playing else "",
            position_s=session.playback.position_s(now) if playing else 0.0,
            length_s=playing.seconds if playing else 0.0, heard=len(session.heard), wanted=session.wanted,
            left_s=session.playback.left_s(now), gate=newest.words(),
            looks=tuple(GateLook(g.seconds, g.r, g.largest, g.since_s is not None) for g in gate if g.looks),
        )  # fmt: skip

    def fit(self) -> None:
        """All is heard: a pack is fitted."""
        self._note(step="fit", title="", left_s=0.0)

    def done(self, made: ListenerPack, out: str) -> None:
        """Say what came of it."""
        compared = tuple(
            (c.question, (c.before.value, *c.before.ci95), (c.after.value, *c.after.ci95))
            for c in made.calibrated.comparisons if c.before.ci95 is not None and c.after.ci95 is not None
        )
        self._note(step="done", doing="", results=tuple(made.words()), compared=compared, out=out)
        self._display.stay(self)

    def ended(self, why: str) -> None:
        """Say why it ended early."""
        self._note(step="ended", doing=why, title="", waits=False)
        self._display.stay(self)

    def _note(self, **changes: Any) -> None:
        self._status = replace(self._status, **changes)

    # for the window

    @property
    def montage(self) -> Montage | None:
        """Electrodes of the stream."""
        return self._engine.montage if self._engine is not None else None

    def trace_cursor(self) -> Cursor | None:
        """Return a new cursor on the raw EEG."""
        return self._engine.trace_cursor() if self._engine is not None else None

    def snapshot(self) -> Snapshot:
        """Return the stream, its electrodes, and how the calibration stands."""
        engine, status = self._engine, self._status
        if engine is None:
            now = time.monotonic()
            shown = Snapshot(now, now, StreamStatus(text=status.doing), Health(), SoundStatus(), device="")
        else:
            shown = engine.snapshot()
        streams = shown.streams if shown.stream.info is None else None  # who has begun stays with a stream
        return replace(shown, calibration=status, others=self.others, streams=streams)

    def send(self, command: Command) -> None:
        """Take a command: "start" goes on, "stop" ends the listening for now."""
        if command.name in FOLLOWS:
            if command.name in self.others:
                self.next = command
        elif command.name == "start":
            self._started.set()
        elif command.name == "stop":
            self._stopped.set()
        elif self._engine is not None and command.name in ("look", "choose"):
            self._engine.send(command)
