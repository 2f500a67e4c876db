"""The window's only way to the engine: published state in, commands out."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

from bci_music.status import Command, Health, Snapshot, SoundStatus, StreamStatus

if TYPE_CHECKING:
    from bci_music.eeg.montage import Montage
    from bci_music.streaming.ring import Cursor

OPENING = "opening the window"
VOLUME_DB = (-40.0, 0.0)  # range of the slider


class EngineView(Protocol):
    """What the window needs of an engine."""

    @property
    def montage(self) -> Montage | None:
        """Electrodes of quality and attention."""

    def snapshot(self) -> Snapshot:
        """All published state, at once."""

    def trace_cursor(self) -> Cursor | None:
        """Return a new cursor on the raw ring, None while there is no stream."""

    def send(self, command: Command) -> None:
        """Queue a command."""


class Starting:
    """Stands where the engine will stand, while that is built. `do` may be called from any thread."""

    montage: Montage | None = None

    def __init__(self, first: str = OPENING) -> None:
        self._lock = threading.Lock()
        self._steps = [first]

    def do(self, step: str) -> None:
        """Say what is done now. Steps that count, "warming up, 2 of 3", replace each other."""
        with self._lock:
            if self._steps[-1].partition(",")[0] == step.partition(",")[0]:
                self._steps.pop()
            self._steps.append(step)

    def snapshot(self) -> Snapshot:
        """Return nothing but the steps."""
        with self._lock:
            steps = tuple(self._steps)
        now = time.monotonic()
        return Snapshot(now, now, StreamStatus(text=""), Health(), SoundStatus(), device="", starting=steps)

    def trace_cursor(self) -> Cursor | None:
        """There are no signals."""
        return None

    def send(self, command: Command) -> None:
        """Nothing can be done yet."""


class Bridge:
    """Hold the newest snapshot and the cursor of the traces."""

    def __init__(self, engine: EngineView):
        self._engine = engine
        self._cursor: Cursor | None = None
        self.paused = False  # the operator pressed stop
        self.muted = False  # the operator's wish; a pause is silent too, but not muted
        self._volume_db: float | None = None  # what was asked for
        self.snapshot = engine.snapshot()

    def connect(self, engine: EngineView) -> None:
        """Show another engine from now on; what the operator's hand did to the sound holds for it too."""
        self._engine = engine
        self.drop_cursor()
        if not self.refresh().sound.generator:
            return
        if self._volume_db is not None:
            self.set_volume(self._volume_db)
        if self.muted:
            self.set_muted(True)
        if self.paused:
            self.set_running(False)

    def refresh(self) -> Snapshot:
        """Take a new snapshot."""
        before = self.snapshot
        self.snapshot = self._engine.snapshot()
        chosen = before.stream.info is not None and self.snapshot.stream.info is None
        if chosen or _passes(before) != _passes(self.snapshot):  # another stream or place has a ring of its own
            self.drop_cursor()
        return self.snapshot

    @property
    def montage(self) -> Montage | None:
        """Electrodes of quality and attention."""
        return self._engine.montage

    def cursor(self) -> Cursor | None:
        """Return the cursor of the traces; asks for one while there is none."""
        if self._cursor is None:
            self._cursor = self._engine.trace_cursor()
        return self._cursor

    def drop_cursor(self) -> None:
        """Ask for a new cursor next time: the stream has changed."""
        self._cursor = None

    def set_volume(self, decibels: float) -> None:
        """Ask for a volume in dB, kept inside the slider's range."""
        low, high = VOLUME_DB
        self._volume_db = min(max(decibels, low), high)
        self._engine.send(Command("volume", self._volume_db))

    def set_muted(self, muted: bool) -> None:
        """Ask for silence or sound."""
        self.muted = muted
        self._engine.send(Command("mute", float(muted)))

    def set_prompt(self, text: str) -> None:
        """Ask for music by words; "" for the EEG alone."""
        self._engine.send(Command("prompt", text=text))

    def set_prompt_weight(self, weight: float) -> None:
        """Ask for another share of the words: 0, brain only, to 1."""
        self._engine.send(Command("prompt_weight", min(max(weight, 0.0), 1.0)))

    def set_running(self, running: bool) -> None:
        """Ask to start or stop the music."""
        self.paused = not running
        self._engine.send(Command("start" if running else "stop"))

    def seek(self, seconds: float) -> None:
        """Ask the replay to go to a place."""
        self._engine.send(Command("seek", seconds))

    def set_speed(self, speed: float) -> None:
        """Ask for another speed of the replay, 0 to hold it."""
        self._engine.send(Command("speed", speed))

    def set_sham(self, mode: str) -> None:
        """Ask for "off", "sham" or "blind"."""
        self._engine.send(Command("sham", text=mode))

    def set_way(self, way: str) -> None:
        """Ask for another of the two ways from EEG to music."""
        self._engine.send(Command("way", text=way))

    def record(self, consent: str) -> None:
        """Ask for a recording under this consent, "" to end it."""
        self._engine.send(Command("record", text=consent))

    def export(self, kind: str, folder: str) -> None:
        """Ask for a session in another format."""
        self._engine.send(Command("export", text=f"{kind} {folder}"))

    def ask(self, command: Command) -> None:
        """Ask for what a view made a command of."""
        self._engine.send(command)

    def open_session(self, folder: str) -> None:
        """Ask for a replay of a recorded session in place of this run."""
        self._engine.send(Command("open", text=folder))

    def go_back(self) -> None:
        """Ask for the run that this window began with."""
        self._engine.send(Command("back"))

    def look_at_shelf(self, wanted: bool) -> None:
        """Ask for what lies on disk, or say that nobody looks at it any more."""
        self._engine.send(Command("shelf", float(wanted)))

    def look_for_devices(self, wanted: bool) -> None:
        """Ask for the list of sound devices, or say that nobody looks at it any more."""
        self._engine.send(Command("look_devices", float(wanted)))

    def choose_device(self, key: str) -> None:
        """Ask for another sound device."""
        self._engine.send(Command("device", text=key))

    def look_for_packs(self, wanted: bool) -> None:
        """Ask for the list of packs, or say that nobody looks at it any more."""
        self._engine.send(Command("look_packs", float(wanted)))

    def choose_pack(self, folder: str) -> None:
        """Ask for the same run with another pack."""
        self._engine.send(Command("pack", text=folder))

    def look_for_streams(self, wanted: bool) -> None:
        """Ask for the list of the streams there are, or say that nobody looks at it any more."""
        self._engine.send(Command("look", float(wanted)))

    def choose_stream(self, uid: str) -> None:
        """Ask for another stream."""
        self._engine.send(Command("choose", text=uid))


def _passes(snapshot: Snapshot) -> int:
    return snapshot.replay.passes if snapshot.replay is not None else 0
