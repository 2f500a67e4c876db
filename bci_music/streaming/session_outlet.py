"""A recording as real LSL outlets, paced in real time, for this program and others."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from types import FrameType

import numpy as np
import pylsl

from bci_music.data.formats import open_session
from bci_music.data.session import AS_IT_IS, UNKNOWN_BREAK_S, Reading, Session, parse_song_marker, song_marker
from bci_music.messages import Log, UserError
from bci_music.streaming.discovery import liblsl
from bci_music.streaming.outlets import eeg_stream_info, text_outlet
from bci_music.streaming.replay import CHUNK_S
from bci_music.timing.stamps import on_lattice

_BUFFER_S = 60  # what liblsl keeps for a consumer that is slow
_MARKER_GRACE_S = 2.0  # a consumer of the EEG gets this long to open the markers, too


@dataclass(frozen=True)
class _Due:
    """A marker and where it goes."""

    time_s: float
    text: str
    music: bool


class SessionOutlet:
    """Push a `Session` and its markers as LSL streams.

    The EEG goes out in chunks of about 20 ms with one exact stamp per sample; the schedule is counted from
    sample 0, so that lateness of one chunk does not add up. Song markers go to ``"<name> music"``, all other
    events to ``"<name> events"``. At another speed than 1 the stream is a time lapse: rate and stamps are
    those of real time, multiplied and divided by the speed.

    Parameters
    ----------
    name, source_id : str, optional
        As the network sees them; by default made from the session's name.
    loop : bool
        Start over at the end; the break is a gap of 0.3 s in the stamps.
    start_s : float
        Seconds into the session to begin at.
    """

    def __init__(
        self, session: Session, *, name: str | None = None, source_id: str | None = None, speed: float = 1.0,
        loop: bool = False, start_s: float = 0.0,
    ):
        if not 0.1 <= speed <= 20:
            raise UserError(f"A stream cannot run at {speed:g} times real time: give a speed from 0.1 to 20.")
        self.session, self.speed, self.loop = session, speed, loop
        self.name = name or session.name
        self.source_id = source_id or f"bci-music-replay-{self.name}"
        self._first = session.first_row(start_s)
        self._times = np.maximum.accumulate(on_lattice(session.times_s))
        self._offsets = (self._times - self._times[self._first]) / speed  # seconds after sample 0, never falling
        self._markers = self._schedule()
        info = eeg_stream_info(
            self.name, session.labels, session.sfreq_hz * speed, self.source_id,
            positions_m=session.positions_m, simulated=session.simulated,
        )  # fmt: skip
        self._eeg: pylsl.StreamOutlet | None = pylsl.StreamOutlet(info, max_buffered=_BUFFER_S)
        self._music = text_outlet(
            f"{self.name} music", "Markers", f"{self.source_id}-music", simulated=session.simulated
        )
        others = any(not m.music for m in self._markers)
        self._events = text_outlet(f"{self.name} events", "Markers", f"{self.source_id}-events") if others else None
        self._row, self._marker = self._first, 0
        self._base_s: float | None = None
        self.pushed = 0

    @property
    def stamp_of_first_s(self) -> float | None:
        """LSL time of sample 0 of this pass, None before it went out."""
        return self._base_s

    def wait_for_consumer(self, timeout_s: float = float("inf"), stop: threading.Event | None = None) -> bool:
        """Wait until somebody takes the EEG (and, for a short while, the markers); False on timeout or stop."""
        assert self._eeg is not None
        stop = stop or threading.Event()
        deadline = pylsl.local_clock() + timeout_s
        while not self._eeg.have_consumers():
            if stop.wait(0.02) or pylsl.local_clock() > deadline:
                return False
        grace = pylsl.local_clock() + (_MARKER_GRACE_S if self._markers else 0.0)
        while not self._music.have_consumers() and pylsl.local_clock() < grace:
            if stop.wait(0.02):
                return False
        return True

    def step(self, now: float) -> bool:
        """Push what is due at LSL time `now`; returns False when everything has gone out."""
        if self._eeg is None:
            return False
        if self._base_s is None:
            self._base_s = now
        if self._row >= len(self._offsets):
            if not self.loop:
                return False
            self._base_s += float(self._offsets[-1]) + UNKNOWN_BREAK_S / self.speed
            self._row, self._marker = self._first, 0
        due_s = now - self._base_s
        stop = int(np.searchsorted(self._offsets, due_s, side="right"))
        self._push_markers(due_s)
        if stop > self._row:
            stamps = self._base_s + self._offsets[self._row : stop]
            self._eeg.push_chunk(self.session.samples_uv[self._row : stop], stamps.tolist())
            self.pushed += stop - self._row
            self._row = stop
        return True

    def run(self, stop: threading.Event, *, seconds: float = float("inf")) -> None:
        """Push in real time until the end, `seconds` have passed, or `stop` is set."""
        begun = pylsl.local_clock()
        beat = 0
        while self.step(pylsl.local_clock()):
            beat += 1
            wait_s = begun + beat * CHUNK_S - pylsl.local_clock()
            if stop.wait(max(0.0, wait_s)) or pylsl.local_clock() - begun >= seconds:
                return

    def describe(self) -> str:
        """Describe in one line what is streamed."""
        s = self.session
        what = "simulated EEG" if s.simulated else "EEG"
        more = f", {len(s.heard())} songs with markers" if s.heard() else ""
        pace = "" if self.speed == 1 else f" at {self.speed:g} times real time"
        return (
            f"streaming {what} {self.name!r} (source id {self.source_id!r}): {s.n_channels} channels, "
            f"{s.sfreq_hz:g} Hz, {s.duration_s:.1f} s{more}{pace}"
        )

    def close(self) -> None:
        """Take the streams off the network."""
        self._eeg = None
        del self._music, self._events

    def _push_markers(self, due_s: float) -> None:
        assert self._base_s is not None
        while self._marker < len(self._markers) and self._markers[self._marker].time_s <= due_s:
            marker = self._markers[self._marker]
            outlet = self._music if marker.music else self._events
            assert outlet is not None
            outlet.push_sample([marker.text], self._base_s + marker.time_s)
            self._marker += 1

    def _schedule(self) -> list[_Due]:
        """All markers by seconds after sample 0; a song that already plays there is announced where it stands."""
        begin_s, end_s = float(self._times[self._first]), float(self._times[-1])
        due: list[_Due] = []
        spans = self.session.heard()
        for span, following in zip_longest(spans, spans[1:]):
            start_s = max(span.start_s, begin_s)
            if span.stop_s <= begin_s or start_s > end_s:
                continue
            text = song_marker(span.song, span.title, span.song_position_s(start_s))
            due.append(_Due((start_s - begin_s) / self.speed, text, True))
            if following is None or following.start_s > span.stop_s:
                due.append(_Due((min(span.stop_s, end_s) - begin_s) / self.speed, song_marker(None), True))
        inside = (e for e in self.session.events if begin_s <= e.time_s <= end_s)
        others = (e for e in inside if parse_song_marker(e.text) is None)
        due.extend(_Due((e.time_s - begin_s) / self.speed, e.text, False) for e in others)
        return sorted(due, key=lambda d: d.time_s)


def stream_file(
    file: Path, *, reading: Reading = AS_IT_IS, name: str | None = None, source_id: str | None = None,
    speed: float = 1.0, loop: bool = False, start_s: float = 0.0, wait: bool = False, seconds: float | None = None,
    log: Log = print,
) -> None:
    """Stream `file` until its end, `seconds`, SIGTERM or SIGINT; logs in one line what it streams."""
    liblsl()  # a sentence when it is missing, and no chatter of its own on the terminal
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        session = open_session(file, reading)
        outlet = SessionOutlet(session, name=name, source_id=source_id, speed=speed, loop=loop, start_s=start_s)
        try:
            log(outlet.describe() + (", waiting for a consumer" if wait else ""))
            if not wait or outlet.wait_for_consumer(stop=stop):
                outlet.run(stop, seconds=float("inf") if seconds is None else seconds)
                stop.wait(0.5)  # liblsl sends from a thread of its own: let it empty its buffer
        finally:
            outlet.close()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
