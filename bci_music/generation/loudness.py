"""Loudness: a gain that glides, a limiter that holds, and clips brought to one level."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import AUDIO_RATE_HZ

CEILING = 10 ** (-1 / 20)  # -1 dBFS
KNEE = 10 ** (-4 / 20)
GLIDE_S = 0.010
QUIETEST_DB = -60.0


def from_db(decibel: float) -> float:
    """Amplitude of a level in dB."""
    return 10.0 ** (decibel / 20)


def to_db(amplitude: float, floor_db: float = -120.0) -> float:
    """Level in dB of an amplitude, never below `floor_db`."""
    return max(floor_db, 20 * math.log10(amplitude)) if amplitude > 0 else floor_db


def soft_limit(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bend peaks above -4 dBFS so that nothing exceeds -1 dBFS; below that samples pass bit for bit.

    It has no memory, so any cut into blocks gives the same samples and queued sound can be replaced in part.
    """
    size = np.abs(samples)
    if not size.size or float(size.max()) <= KNEE:
        return samples
    bent = KNEE + (CEILING - KNEE) * np.tanh((size - KNEE) / (CEILING - KNEE))
    bent = np.copysign(np.minimum(bent, np.float32(CEILING)), samples)
    return np.where(size <= KNEE, samples, bent).astype(np.float32)


def to_level(samples: NDArray[np.float32], rms_db: float, peak_db: float = -4.0) -> NDArray[np.float32]:
    """Scale (n, 2) samples to `rms_db`, or less where their peak would pass `peak_db`; silence stays silence."""
    if not len(samples):
        return samples
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    peak = float(np.abs(samples).max())
    if rms <= 0:
        return samples
    return (samples * np.float32(min(from_db(rms_db) / rms, from_db(peak_db) / peak))).astype(np.float32)


@dataclass(frozen=True)
class GainCurve:
    """A gain that glides to `target` as a one-pole filter of 10 ms would, from sample `since` on.

    Being a closed form over the absolute sample index, the gain of any sample can be asked for at any time.
    `earlier` is the curve that holds before `since`.
    """

    target: float = 1.0
    since: int = 0
    before: float = 1.0
    earlier: GainCurve | None = None

    def at(self, start: int, stop: int) -> NDArray[np.float32]:
        """Gains of samples `start` to `stop`, (stop - start,) float32."""
        if start < self.since and self.earlier is not None:
            if stop <= self.since:
                return self.earlier.at(start, stop)
            return np.concatenate([self.earlier.at(start, self.since), self.at(self.since, stop)])
        if self.before == self.target or start - self.since > 40 * GLIDE_S * AUDIO_RATE_HZ:
            return np.full(stop - start, self.target, np.float32)
        passed = np.arange(start + 1 - self.since, stop + 1 - self.since, dtype=np.float64)
        share = np.exp(-np.maximum(passed, 0.0) / (GLIDE_S * AUDIO_RATE_HZ))
        return (self.target + (self.before - self.target) * share).astype(np.float32)

    def toward(self, target: float, index: int) -> GainCurve:
        """Return the curve that leaves this one at sample `index` for another target."""
        return GainCurve(target, index, float(self.at(index - 1, index)[0]), self)

    def settled(self, index: int) -> GainCurve:
        """Return this curve without what held before sample `index` only."""
        if self.earlier is None:
            return self
        return replace(self, earlier=None if index >= self.since else self.earlier.settled(index))
