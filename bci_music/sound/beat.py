"""Where the beat is: from the onsets of a few seconds of sound, or nowhere when nothing recurs.

At the end stand the sums that it shares with splicing: correlation at many lags, energy and sliding minimum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import AUDIO_RATE_HZ

Floats = NDArray[np.float64]


HOP = 240
ONSET_RATE_HZ = AUDIO_RATE_HZ / HOP  # 200 Hz
WINDOW = 1024
SHORTEST_S, LONGEST_S, USUAL_S = 0.25, 1.0, 0.5  # 240, 60 and 120 beats a minute
CLEAR = 0.2  # autocorrelation from which on a beat is believed
BEATS_PER_BAR = 4


@dataclass(frozen=True)
class Beat:
    """Beats at ``phase + k * period`` samples from the beginning of the sound; `clarity` is 0..1."""

    period: float
    phase: float
    clarity: float

    def agrees(self, other: Beat, tolerance: float = 0.05) -> bool:
        """Whether both have one tempo."""
        return abs(self.period / other.period - 1) < tolerance

    def times(self, start: float, stop: float) -> NDArray[np.float64]:
        """Beats from `start` up to `stop`, in samples."""
        first, last = (int(np.ceil((at - self.phase) / self.period)) for at in (start, stop))
        return self.phase + self.period * np.arange(first, last, dtype=np.float64)


def to_mono(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mix (n, 2) down to (n,)."""
    return np.asarray(sound.mean(axis=1) if sound.ndim == 2 else sound, np.float32)


def onset_strength(sound: NDArray[np.float32]) -> NDArray[np.float64]:
    """How much begins at each moment: rises of the compressed spectrum, 200 per second, from (n,) or (n, 2) at 48 kHz.

    Value i belongs to sample ``i * 240``.
    """
    mono = np.pad(to_mono(sound), WINDOW // 2)
    count = max(0, (len(mono) - WINDOW) // HOP + 1)
    if count < 2:
        return np.zeros(count)
    frames = np.lib.stride_tricks.sliding_window_view(mono, WINDOW)[: count * HOP : HOP]
    loud = np.log1p(100 * np.abs(np.fft.rfft(frames * np.hanning(WINDOW).astype(np.float32), axis=1)))
    rise = np.maximum(np.diff(loud, axis=0, prepend=loud[:1]), 0.0).mean(axis=1)
    rise[:3] = 0.0  # the cut itself is no onset
    width = round(0.4 * ONSET_RATE_HZ)
    around = np.convolve(rise, np.ones(width) / width, mode="same")
    return np.maximum(rise - around, 0.0)


def find_beat(sound: NDArray[np.float32]) -> Beat | None:
    """Find the beat of (n,) or (n, 2) samples at 48 kHz; None when nothing recurs, or under 1.5 s of sound."""
    onsets = onset_strength(sound)
    centred = onsets - onsets.mean() if len(onsets) else onsets
    power = float(centred @ centred)
    low, high = (round(s * ONSET_RATE_HZ) for s in (SHORTEST_S, LONGEST_S))
    if len(onsets) < 1.5 * ONSET_RATE_HZ or power <= 1e-9:
        return None
    high = min(high, len(onsets) // 2)
    similarity = np.correlate(centred, centred, mode="full")[len(centred) - 1 :][: high + 2] / power
    lags = np.arange(low, high)
    usual = np.exp(-0.5 * (np.log2(lags / (USUAL_S * ONSET_RATE_HZ)) / 0.8) ** 2)
    best = int(lags[np.argmax(similarity[lags] * usual)])
    clarity = float(similarity[best])
    if clarity < CLEAR:
        return None
    period = (best + _vertex(*similarity[best - 1 : best + 2])) * HOP
    return Beat(period, _phase(onsets, period / HOP) * HOP, min(1.0, clarity))


def _vertex(before: float, at: float, after: float) -> float:
    """Where between -0.5 and 0.5 the parabola through three neighbours has its top."""
    bend = before - 2 * at + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def _phase(onsets: NDArray[np.float64], period: float) -> float:
    """First beat, in onset frames: where a comb of the period meets most."""
    phases = np.arange(0, period, 0.5)
    teeth = phases[:, None] + period * np.arange(int((len(onsets) - 1 - period) / period) + 1)
    return float(phases[np.interp(teeth, np.arange(len(onsets)), onsets).sum(axis=1).argmax()])


def correlation(long: NDArray[np.floating], short: NDArray[np.floating], lags: NDArray[np.int64]) -> Floats:
    """Sum over i of ``long[i + lag] * short[i]`` for each of `lags`, both (n,); what lies outside is 0."""
    size = 1 << (len(long) + len(short)).bit_length()
    products = np.fft.irfft(np.fft.rfft(long, size) * np.conj(np.fft.rfft(short, size)), size)
    return products[lags % size]


def energy(sound: NDArray[np.floating], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Floats:
    """Sum of squares of ``sound[start:stop]`` for each pair."""
    total = np.concatenate([[0.0], np.cumsum(np.square(sound, dtype=np.float64))])
    return total[stops] - total[starts]


def sliding_minimum(values: Floats, width: int) -> Floats:
    """Minimum of each ``values[i : i + width]``, (n - width + 1,): from minima that run through blocks either way."""
    n = len(values)
    blocks = np.pad(values, (0, -n % width), constant_values=np.inf).reshape(-1, width)
    onward = np.minimum.accumulate(blocks, axis=1).ravel()
    backward = np.minimum.accumulate(blocks[:, ::-1], axis=1)[:, ::-1].ravel()
    return np.minimum(backward[: n - width + 1], onward[width - 1 : n])
