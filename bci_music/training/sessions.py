"""From recorded sessions to takes and windows: the same signal chain as live, run over a whole recording."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bci_music.data.session import Session
from bci_music.eeg.chain import SignalChain, SignalConfig
from bci_music.eeg.montage import Montage, map_channels
from bci_music.messages import Window
from bci_music.training.corpus import Take

_BLOCK_S = 60.0


def session_windows(session: Session, signal: SignalConfig, montage: Montage) -> list[Window]:
    """All windows of a session on the chain's hop grid, decodable or not."""
    channels = map_channels(session.labels, montage, session.positions_m)
    chain = SignalChain(signal, montage, channels, session.sfreq_hz)
    marks, step = session.marks(), round(_BLOCK_S * session.sfreq_hz)
    windows: list[Window] = []
    for at in range(0, len(session.times_s), step):
        rows = slice(at, at + step)
        out = chain.process(session.samples_uv[rows], session.times_s[rows], marks[rows], at)
        windows += [item for item in out if isinstance(item, Window)]
    return windows


def takes_of(session: Session, signal: SignalConfig, montage: Montage, listener: str, recording: str) -> list[Take]:
    """Continuous stretches of prepared EEG, one or more per song heard.

    Windows that follow each other without overlap are joined; where one is not decodable the stretch ends.
    """
    rate = signal.preprocess.sfreq_hz
    window = signal.window.model_copy(update={"hop_s": signal.window.seconds})
    windows = session_windows(session, signal.model_copy(update={"window": window}), montage)
    takes: list[Take] = []
    for run in _runs(windows):
        eeg = np.concatenate([w.samples for w in run], axis=1).astype(np.float16)
        used = np.mean([w.used for w in run], axis=0) >= 0.5
        start_s = window_start_s(run[0], rate)
        for span in session.heard():
            first = max(0, int(np.ceil((span.start_s - start_s) * rate)))
            last = min(eeg.shape[1], int((span.stop_s - start_s) * rate))
            if last - first >= window.seconds * rate:
                song_s = span.song_start_s + start_s + first / rate - span.start_s
                takes.append(Take(eeg[:, first:last], used, span.song, song_s, listener, recording))
    return takes


@dataclass(frozen=True)
class Heard:
    """Windows of one recording that lie wholly in one song, with what was heard: `second` at the window's start."""

    windows: list[Window]
    songs: list[str]
    second: NDArray[np.float64]
    recording: str


def heard_windows(
    session: Session, signal: SignalConfig, montage: Montage, recording: str, *, min_gap_s: float | None = None
) -> Heard:
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
    return Heard(windows, songs, np.array(second), recording)


def window_start_s(window: Window, sfreq_hz: float) -> float:
    """Instant of the window's first sample."""
    return window.end_s - (window.samples.shape[1] - 1) / sfreq_hz


def _runs(windows: list[Window]) -> list[list[Window]]:
    """Cut where a window is not decodable."""
    runs: list[list[Window]] = [[]]
    for window in windows:
        if window.decodable:
            runs[-1].append(window)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]
