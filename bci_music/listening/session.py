"""A session of songs: they are played, their EEG is looked at as it comes, and what was not heard well comes again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bci_music.eeg.montage import map_channels
from bci_music.files import shown
from bci_music.listening.folder import EEG_SHARE, played
from bci_music.listening.gate import Gate, clock
from bci_music.listening.playback import Heard, Playback
from bci_music.messages import BREAK, NOT_DATA, ChannelState, Quality, StreamInfo, StreamState, UserError
from bci_music.sound.sink import AWAY

if TYPE_CHECKING:
    from bci_music.eeg.montage import Montage
    from bci_music.engine.engine import Engine
    from bci_music.listening.songs import Excerpt
    from bci_music.sound.player import Player
    from bci_music.streaming.ring import Cursor, RingSlice

SETTLE_S = 1.0  # EEG comes later than the sound it answers
KEPT_S = 5.0  # of EEG while nothing plays
NAMED = 6  # electrodes in one message


class Electrodes:
    """What the verdicts on the stream's channels mean for a pack that reads some of them.

    Raises
    ------
    UserError
        If the stream has too few of the electrodes that the pack reads.
    """

    def __init__(self, info: StreamInfo, montage: Montage, least: int):
        found = map_channels(info.labels, montage, info.positions_m, least)
        self._least = least
        self._read = [info.labels[k] for k in found.source_index.tolist() if k >= 0]
        self._labels = info.labels

    def refuse(self, quality: Quality | None) -> None:
        """Raise where too few electrodes are usable."""
        if quality is None:
            raise UserError("No verdict on the electrodes was reached: the stream sends too little, see `monitor`.")
        bad = [c for c in quality.channels if c.name in self._read and c.state is ChannelState.BAD]
        usable = len(self._read) - len(bad)
        if usable < self._least:
            first = "; ".join(_sentence(c.name, c.reasons) for c in bad[:3])
            raise UserError(
                f"Only {usable} of the {len(self._read)} electrodes that the pack reads are usable, at least "
                f"{self._least} are needed: fix them ({first}), look at all with `bci-music monitor`, and try again."
            )

    def warnings(self, quality: Quality) -> list[str]:
        """Say which electrodes are not good, why, and what to do: the bad ones first."""
        order = (ChannelState.BAD, ChannelState.DOUBTFUL)
        there = [c for state in order for c in quality.channels if c.state is state]
        lines = [f"{c.state.value}: {_sentence(c.name, c.reasons)}" for c in there[:NAMED]]
        if len(there) > NAMED:
            lines.append(f"and {len(there) - NAMED} more: `bci-music monitor` shows them all")
        return lines

    def line(self, quality: Quality | None) -> str:
        """Say in a few words how the electrodes are."""
        if quality is None:
            return "electrodes not assessed yet"
        bad = [c.name for c in quality.channels if c.state is ChannelState.BAD]
        if not bad:
            return f"no electrode of {len(quality.channels)} is bad"
        return f"bad: {shown(', '.join(bad[:NAMED]))}" + (f" and {len(bad) - NAMED} more" if len(bad) > NAMED else "")

    def used(self, quality: Quality | None) -> np.ndarray:
        """(n_channels,) which channels of the stream can be trusted."""
        bad = set() if quality is None else {c.name for c in quality.channels if c.state is ChannelState.BAD}
        return np.array([label not in bad for label in self._labels])


class SongSession:
    """Everything that goes on while a listener hears the songs; `step` it from one thread.

    Parameters
    ----------
    engine : Engine
        Acquires and assesses; its stream is known.
    excerpts : sequence of Excerpt
        What is still to be heard.
    mark : callable
        Sends a song marker and the time it is true of.
    gate : Gate
        Stepped by somebody else.
    tell : callable
        Takes a line for the listener.
    """

    def __init__(
        self, engine: Engine, player: Player, excerpts: Sequence[Excerpt], electrodes: Electrodes, gate: Gate, *,
        mark: Callable[[str, float], None], tell: Callable[[str], None], rest_s: float, silence_s: float,
    ):
        self._engine, self._electrodes, self._gate, self._tell = engine, electrodes, gate, tell
        self._cursor: Cursor | None = engine.trace_cursor()
        self._rows: deque[RingSlice] = deque()
        self._done: deque[Heard] = deque()
        self._again: set[Excerpt] = set()
        self.wanted = len(excerpts)
        self._player, self._live, self._silent = player, True, False
        self.heard: list[Excerpt] = []
        self.playback = Playback(
            player, excerpts, played, mark=mark, on_heard=self._done.append, rest_s=rest_s, silence_s=silence_s
        )

    def step(self, now: float) -> None:
        """Go on: sound, markers, EEG."""
        self._look_at_the_device()
        live = self._engine.state is StreamState.LIVE
        if live is not self._live:
            self._live = live
            self._tell("EEG comes again: the songs go on." if live else "No EEG comes: the next song waits for it.")
        self.playback.held = not live or self._silent
        self.playback.step(now)
        self._collect(now)
        while self._done and now >= self._done[0].stop_s + SETTLE_S:
            self._assess(self._done.popleft())

    def over(self, now: float) -> bool:
        """Whether all was heard and looked at."""
        return not self._done and self.playback.over(now)

    def line(self, now: float) -> str:
        """Describe in one line where the session is."""
        playing, quality = self.playback.playing, self._engine.decode.quality.get()
        number = len(self.heard) + len(self._done)
        where = f"{number} of {self.wanted} heard, silence"
        if playing is not None:
            at, of = clock(self.playback.position_s(now)), clock(playing.seconds)
            where = f"{number + 1} of {self.wanted}: {shown(playing.title)[:40]} {at} / {of}"
        return f"{where}  ·  {self._electrodes.line(quality)}  ·  {self._gate.status.words()}"

    def _look_at_the_device(self) -> None:
        """What is played while the sound device is gone is not heard."""
        while self._player.changes:
            text = self._player.changes.popleft()
            self._tell(text)
            self._silent = AWAY in text
            if self._silent:
                self.playback.spoil()

    def _collect(self, now: float) -> None:
        if self._cursor is None:
            self._cursor = self._engine.trace_cursor()
            return
        if len(rows := self._cursor.pull()):
            self._rows.append(rows)
        starts = [h.start_s for h in self._done]
        keep_from = min([now - KEPT_S, *starts])
        if self.playback.playing is not None:
            keep_from = min(keep_from, now - self.playback.position_s(now) - KEPT_S)
        while self._rows and self._rows[0].times[-1] < keep_from:
            self._rows.popleft()

    def _assess(self, heard: Heard) -> None:
        """Take an excerpt that was heard, or have it played again where sound or EEG had gaps."""
        excerpt, info = heard.excerpt, self._engine.info
        assert info is not None
        samples = np.concatenate([rows.samples for rows in self._rows]) if self._rows else np.zeros((0, 1))
        times = np.concatenate([rows.times for rows in self._rows]) if self._rows else np.zeros(0)
        flags = np.concatenate([rows.flags for rows in self._rows]) if self._rows else np.zeros(0, np.uint8)
        own = (times >= heard.start_s) & (times < heard.stop_s)
        share = ((flags[own] & NOT_DATA) == 0).sum() / max(1.0, (heard.stop_s - heard.start_s) * info.sfreq_hz)
        broken = bool((flags[own] & BREAK)[1:].any())
        if heard.whole and share >= EEG_SHARE and not broken:
            self.heard.append(excerpt)
            self._tell(f"{len(self.heard)} of {self.wanted} heard: {shown(excerpt.title)}")
            first = float(times[own][0])
            late = round((first - heard.start_s) * info.sfreq_hz)
            eeg = np.concatenate([np.repeat(samples[own][:1], late, axis=0), samples[own]]) if late else samples[own]
            self._gate.add(excerpt, eeg, info.sfreq_hz, self._electrodes.used(self._engine.decode.quality.get()))
            return
        why = "the sound stumbled" if not heard.whole else f"{100 * (1 - min(1.0, share)):.0f} % of its EEG is missing"
        why = "the EEG broke off in it" if heard.whole and broken else why
        if excerpt in self._again:
            self._tell(f"{shown(excerpt.title)} was not heard well again ({why}): it stays missing.")
            return
        self._again.add(excerpt)
        self.playback.waiting.append(excerpt)
        self._tell(f"{shown(excerpt.title)} is played again at the end: {why}.")


def _sentence(name: str, reasons: Sequence[str]) -> str:
    """Name with the first two reasons, each with its remedy; `monitor` has them all."""
    return f"{name[:40]}: {shown('; '.join(reasons[:2]))}" if reasons else name[:40]
