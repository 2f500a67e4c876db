"""From recorded sessions to segments and windows: the same signal chain as live, run over a whole recording."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bci_music.data.session import Session
from bci_music.eeg.chain import SignalChain, SignalConfig
from bci_music.eeg.montage import Montage, map_channels
from bci_music.messages import BREAK, NOT_DATA, UserError, Window
from bci_music.timing.rows import grid_rows
from bci_music.training.eeg.corpus import Segment

_EPS = 1e-6


def session_windows(session: Session, signal: SignalConfig, montage: Montage) -> list[Window]:
    """All windows of a session on the chain's hop grid, decodable or not."""
    return list(_windows(session, signal, montage))


def _windows(session: Session, signal: SignalConfig, montage: Montage) -> Iterator[Window]:
    channels = map_channels(session.labels, montage, session.positions_m)
    chain = SignalChain(signal, montage, channels, session.sfreq_hz)
    for rows in session.grid_rows():
        out = chain.process(rows.samples, rows.times, rows.flags, rows.first_index)
        yield from (item for item in out if isinstance(item, Window))


@dataclass(frozen=True)
class Excerpt:
    """Prepared EEG without a break: (n_channels, n_times) float16 from `start_s` of the session's clock on."""

    eeg: NDArray[np.float16]
    used: NDArray[np.bool_]
    start_s: float


def excerpts_of(session: Session, signal: SignalConfig, montage: Montage) -> Iterator[Excerpt]:
    """Decodable windows of a session, joined: each begins where the one before ends, the last may begin earlier.

    Where a window is not decodable the excerpt ends.
    """
    hop_s = min(signal.window.hop_s, signal.window.seconds)
    signal = signal.model_copy(update={"window": signal.window.model_copy(update={"hop_s": hop_s})})
    rate = signal.preprocess.sfreq_hz
    run = _Run(hop_s * rate, round(signal.window.seconds * rate))
    for window in _windows(session, signal, montage):
        if window.decodable:
            run.add(window)
        elif run:
            yield run.end(rate)
    if run:
        yield run.end(rate)


class _Run:
    """Windows that overlap or touch, of which as few are kept as hold all rows."""

    def __init__(self, hop: float, n_times: int):
        self._hop, self._n_times = hop, n_times
        self._clear()

    def _clear(self) -> None:
        self._pieces: list[NDArray[np.float16]] = []
        self._used: list[NDArray[np.bool_]] = []
        self._first: Window | None = None
        self._waiting: Window | None = None
        self._stop = 0  # row after the last one kept

    def __bool__(self) -> bool:
        return self._first is not None

    def add(self, window: Window) -> None:
        """Take the next window; the one before it is kept if this one would leave a gap without it."""
        if self._first is None or self._row(window) > self._stop:
            self._keep(self._waiting or window)
        self._first = self._first or window
        self._waiting = window

    def end(self, sfreq_hz: float) -> Excerpt:
        """Join what was kept, and start again."""
        if self._first is None or self._waiting is None:
            raise ValueError("a run without windows has no end")
        self._keep(self._waiting)
        used = np.mean(self._used, axis=0) >= 0.5
        made = Excerpt(np.concatenate(self._pieces, axis=1), used, window_start_s(self._first, sfreq_hz))
        self._clear()
        return made

    def _row(self, window: Window) -> int:
        return int(np.floor(window.index * self._hop + 1e-9))

    def _keep(self, window: Window) -> None:
        """Append those rows of a window that are not there yet."""
        row = self._row(window)
        first = self._stop - row if self._pieces else 0
        if first < self._n_times:
            self._pieces.append(window.samples[:, first:].astype(np.float16))
            self._used.append(window.used)
            self._stop = row + self._n_times


def segments_of(
    session: Session, signal: SignalConfig, montage: Montage, listener: str, recording: str, repeat: str = ""
) -> list[Segment]:
    """Continuous excerpts of prepared EEG, one or more per song heard, each at least one window long."""
    rate, shortest = signal.preprocess.sfreq_hz, signal.window.seconds * signal.preprocess.sfreq_hz
    segments: list[Segment] = []
    spans, begin_s = session.heard(), _begin_s(session)
    for excerpt in excerpts_of(session, signal, montage):
        for span in spans:
            first = max(0, int(np.ceil((span.start_s - excerpt.start_s) * rate - 1e-6)))
            last = min(excerpt.eeg.shape[1], int((span.stop_s - excerpt.start_s) * rate + 1e-6))
            if last - first >= shortest:
                at_s = excerpt.start_s + first / rate
                segments.append(Segment(
                    excerpt.eeg[:, first:last], excerpt.used, span.song, span.song_start_s + at_s - span.start_s,
                    listener, recording, at_s - begin_s, repeat,
                ))  # fmt: skip
    return segments


def unheard_segments(
    session: Session, signal: SignalConfig, montage: Montage, listener: str, recording: str, repeat: str = ""
) -> list[Segment]:
    """All prepared EEG of a session in which no music was heard, as segments of the song ``""``."""
    shortest, begin_s = signal.window.seconds * signal.preprocess.sfreq_hz, _begin_s(session)
    return [
        Segment(s.eeg, s.used, "", 0.0, listener, recording, s.start_s - begin_s, repeat)
        for s in excerpts_of(session, signal, montage) if s.eeg.shape[1] >= shortest
    ]


def whole_segments(
    session: Session, signal: SignalConfig, montage: Montage, listener: str, recording: str, repeat: str = "", *,
    heard: bool = True,
) -> list[Segment]:
    """Clean EEG as it is, z-scored per channel over the whole session (this looks ahead); holes and breaks cut it."""
    rate, shortest = signal.preprocess.sfreq_hz, signal.window.seconds * signal.preprocess.sfreq_hz
    if session.sfreq_hz != rate:
        raise UserError(
            f"{session.path.name if session.path else session.name} has {session.sfreq_hz:g} samples per second: "
            f"normalising over the whole recording takes clean EEG at {rate:g} Hz as it is; prepare it causally."
        )
    channels = map_channels(session.labels, montage, session.positions_m)
    samples, times, flags = whole_rows(session)
    true = samples if not (flags & NOT_DATA).any() else samples[(flags & NOT_DATA) == 0]
    spread = true.std(axis=0)
    scaled = ((samples - true.mean(axis=0)) / (spread + _EPS)).T
    present = channels.source_index >= 0
    eeg = np.zeros((len(montage.names), len(samples)), np.float16)
    eeg[present] = scaled[channels.source_index[present]]
    used = present.copy()
    used[present] = spread[channels.source_index[present]] > _EPS
    segments = []
    for a, b in real_runs(flags):
        part_s = float(times[a])
        whole = Segment(eeg[:, a:b], used, "", 0.0, listener, recording, part_s - float(times[0]), repeat)
        if not heard:
            segments.append(whole)
        for span in session.heard() if heard else ():
            start, stop = round((span.start_s - part_s) * rate), round((span.stop_s - part_s) * rate)
            first, last = max(0, start), min(stop, b - a)
            if last - first >= shortest:
                segments.append(replace(
                    whole, eeg=eeg[:, a + first : a + last], song=span.song,
                    song_start_s=span.song_start_s + (first - start) / rate, start_s=whole.start_s + first / rate,
                ))  # fmt: skip
    return segments


def whole_rows(session: Session) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.uint8]]:
    """Samples, times and flags of all rows on the time grid; the session's own memory where nothing is missing."""
    rows = list(grid_rows(session.samples_uv, session.times_s, session.sfreq_hz, block_s=session.duration_s + 1.0))
    if len(rows) == 1:
        return rows[0].samples, rows[0].times, rows[0].flags
    return (
        np.concatenate([r.samples for r in rows]), np.concatenate([r.times for r in rows]),
        np.concatenate([r.flags for r in rows]),
    )  # fmt: skip


def real_runs(flags: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Row ranges without a hole, a burst or a break in them."""
    real = (flags & NOT_DATA) == 0
    cuts = {0, len(flags), *np.flatnonzero(flags & BREAK).tolist(), *(np.flatnonzero(np.diff(real)) + 1).tolist()}
    return [(a, b) for a, b in pairwise(sorted(cuts)) if real[a]]


def _begin_s(session: Session) -> float:
    return float(session.times_s[0]) if len(session.times_s) else 0.0


@dataclass(frozen=True)
class HeardWindows:
    """Windows of one recording that lie wholly in one song, with what was heard: `second` at the window's start."""

    windows: list[Window]
    songs: list[str]
    second: NDArray[np.float64]
    recording: str


def heard_windows(
    session: Session, signal: SignalConfig, montage: Montage, recording: str, *, min_gap_s: float | None = None
) -> HeardWindows:
    """Decodable windows inside one song each; by default not overlapping within a song."""
    rate, length = signal.preprocess.sfreq_hz, signal.window.seconds
    gap = length if min_gap_s is None else min_gap_s
    windows, songs, second = [], [], []
    spans, last = session.heard(), -np.inf
    for window in session_windows(session, signal, montage):
        start = window_start_s(window, rate)
        span = next((s for s in spans if s.start_s <= start + 0.02 and start + length <= s.stop_s + 0.02), None)
        if span is None or not window.decodable or start - last < gap - 1e-6:
            continue
        last = start
        windows.append(window)
        songs.append(span.song)
        second.append(span.song_start_s + start - span.start_s)
    return HeardWindows(windows, songs, np.array(second), recording)


def window_start_s(window: Window, sfreq_hz: float) -> float:
    """Instant of the window's first sample."""
    return window.end_s - (window.samples.shape[1] - 1) / sfreq_hz

