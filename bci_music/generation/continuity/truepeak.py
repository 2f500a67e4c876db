"""A limiter for true peaks: it looks ahead, sees between the samples, and its memory is a value of the stream."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bci_music.generation.continuity.correlation import sliding_minimum
from bci_music.messages import AUDIO_RATE_HZ

OVERSAMPLING = 4
TAPS = 12  # input samples the interpolation sees
CEILING_DB = -4.0  # of true peaks: where `soft_limit`, the last resort of the queue, begins to bend
LOOK_AHEAD = round(0.005 * AUDIO_RATE_HZ)
RELEASE_DB = 40.0 / AUDIO_RATE_HZ  # recovery per sample
DELAY = TAPS // 2 + LOOK_AHEAD - 1  # samples by which the sound comes out later
HISTORY = TAPS + 1 + LOOK_AHEAD + DELAY


@dataclass(frozen=True, eq=False)
class LimiterState:
    """The newest input (HISTORY, 2), and the last gains (LOOK_AHEAD - 1,) in dB before they were smoothed."""

    history: NDArray[np.float32]
    gains_db: NDArray[np.float64]


def true_peaks(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Largest true peak of both channels from each sample to the next, (n,); the sound is (n, 2).

    Value i belongs to the stretch that begins at sample ``i - 6``: the interpolation sees 12 samples.
    """
    peaks = np.zeros(len(samples))
    channels = samples.T.astype(np.float64)
    for channel in channels[:1] if np.array_equal(*channels) else channels:
        for phase in _interpolator():
            np.maximum(peaks, np.abs(np.convolve(channel, phase)[: len(channel)]), out=peaks)
    return peaks


@cache
def _interpolator() -> NDArray[np.float64]:
    """Four filters, (4, 13): the sample itself and the three points between it and the next."""
    at = np.arange(OVERSAMPLING * TAPS + 1) - OVERSAMPLING * TAPS / 2
    kernel = np.sinc(at / OVERSAMPLING) * np.kaiser(len(at), 6.0)
    phases = [np.pad(kernel[phase::OVERSAMPLING], (0, 1))[: TAPS + 1] for phase in range(OVERSAMPLING)]
    return np.stack([phase / phase.sum() for phase in phases])


def limit(
    samples: NDArray[np.float32], state: LimiterState | None = None, ceiling_db: float = CEILING_DB
) -> tuple[NDArray[np.float32], LimiterState]:
    """Keep true peaks of (n, 2) samples below `ceiling_db`; cut into blocks in any way, the sound is the same.

    What comes out is late by `DELAY` samples: the first block is shorter by so many, the others are as long as
    what came in.
    """
    first = state is None
    if state is None:
        state = LimiterState(np.zeros((HISTORY, 2), np.float32), np.zeros(LOOK_AHEAD - 1))
    whole = np.concatenate([state.history, samples])
    gains = _gains_db(whole, state.gains_db, len(samples), ceiling_db)
    delayed = whole[HISTORY - DELAY : len(whole) - DELAY]
    if gains.min(initial=0.0) < 0:
        sums = np.cumsum(np.concatenate([[0.0], 10 ** (gains / 20)]))
        smooth = (sums[LOOK_AHEAD:] - sums[:-LOOK_AHEAD]) / LOOK_AHEAD
        delayed = (delayed * smooth[:, None]).astype(np.float32)
    after = LimiterState(whole[-HISTORY:].copy(), gains[len(gains) - LOOK_AHEAD + 1 :].copy())
    return (delayed[DELAY:] if first else delayed), after


def _gains_db(
    whole: NDArray[np.float32], before: NDArray[np.float64], n: int, ceiling_db: float
) -> NDArray[np.float64]:
    """Gains of the last `n` samples behind those of `before`: down at once, up by the release."""
    recent = whole[len(whole) - n - TAPS - LOOK_AHEAD - 1 :]
    peaks = true_peaks(recent)[TAPS:]
    peaks = np.maximum(peaks[1:], peaks[:-1])  # a sample belongs to the stretches on both its sides
    needed = np.minimum(0.0, ceiling_db - 20 * np.log10(np.maximum(peaks, 1e-9)))
    held = sliding_minimum(needed, LOOK_AHEAD)[1:]
    ramp = RELEASE_DB * np.arange(1, n + 1)
    start = before[-1] if len(before) else 0.0
    fallen = np.minimum.accumulate(np.concatenate([[start], held - ramp]))[1:] + ramp
    return np.concatenate([before, np.minimum(fallen, 0.0)])
