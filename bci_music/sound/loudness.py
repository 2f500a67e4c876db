"""Level, in one place. From the clip to the ear it is set and bounded in this order:

1. `to_loudness` brings a generated clip to one loudness (EBU R128); `to_level` brings a library clip to one RMS level.
2. At a splice the new clip enters at the level of what it follows (`level_difference_db`) and glides to its own
   (`glide`).
3. `limit` keeps true peaks of generated sound below -4 dBTP, with a look-ahead that makes it 5 ms late.
4. `soft_limit` is the last resort of the queue, through which everything goes: it bends what is above -4 dBFS so that
   nothing exceeds -1 dBFS.
5. `GainCurve` is the operator's volume, which can only make it quieter; `Meter` shows what is heard.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import AUDIO_RATE_HZ
from bci_music.sound.beat import sliding_minimum

NOISE_LUFS = -65.0  # what is quieter is not brought up to be music
METER_BLOCK_S = 0.4  # of the loudness meter
MOST_STEP_DB = 6.0  # a clip begins at most this far from its own loudness
LIMIT_DB = -4.0  # of true peaks: where `soft_limit` begins to bend
KNEE, CEILING = 10 ** (LIMIT_DB / 20), 10 ** (-1 / 20)  # of the bend: -4 and -1 dBFS
OVERSAMPLING = 4
TAPS = 12  # input samples the interpolation sees
LOOK_AHEAD = round(0.005 * AUDIO_RATE_HZ)
RELEASE_DB = 40.0 / AUDIO_RATE_HZ  # recovery per sample
DELAY = TAPS // 2 + LOOK_AHEAD - 1  # samples by which limited sound comes out later
HISTORY = TAPS + 1 + LOOK_AHEAD + DELAY
GAIN_S = 0.010  # time constant of the operator's gain
PER_SECOND = 20  # buckets of the meter
BUCKET = AUDIO_RATE_HZ // PER_SECOND
FALL = 0.85  # a peak falls to this share from bucket to bucket


def from_db(decibel: float) -> float:
    """Amplitude of a level in dB."""
    return 10.0 ** (decibel / 20)


def to_db(amplitude: float, floor_db: float = -120.0) -> float:
    """Level in dB of an amplitude, never below `floor_db`."""
    return max(floor_db, 20 * math.log10(amplitude)) if amplitude > 0 else floor_db


def loudness_lufs(samples: NDArray[np.float32]) -> float:
    """Integrated loudness of (n, 2) samples at 48 kHz in LUFS (EBU R128, ITU-R BS.1770); -inf for silence.

    Less than a block of the meter (0.4 s) is repeated to fill one.
    """
    import pyloudnorm

    least = math.ceil(METER_BLOCK_S * AUDIO_RATE_HZ)
    if not len(samples):
        return float("-inf")
    if len(samples) < least:
        samples = np.resize(samples, (least, samples.shape[1]))
    return float(pyloudnorm.Meter(AUDIO_RATE_HZ, block_size=METER_BLOCK_S).integrated_loudness(samples))


def to_loudness(samples: NDArray[np.float32], target_lufs: float) -> NDArray[np.float32]:
    """Scale (n, 2) samples to `target_lufs`; what is no louder than noise stays as it is."""
    found = loudness_lufs(samples)
    if not found > NOISE_LUFS:
        return samples
    return (samples * np.float32(from_db(target_lufs - found))).astype(np.float32)


def to_level(samples: NDArray[np.float32], rms_db: float, peak_db: float = -4.0) -> NDArray[np.float32]:
    """Scale (n, 2) samples to `rms_db`, or less where their peak would pass `peak_db`; silence stays silence."""
    if not len(samples):
        return samples
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    peak = float(np.abs(samples).max())
    if rms <= 0:
        return samples
    return (samples * np.float32(min(from_db(rms_db) / rms, from_db(peak_db) / peak))).astype(np.float32)


def level_difference_db(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """By how much `a` is louder than `b`, at most 6 dB either way; 0 when either is silent."""
    first, second = (to_db(float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))) for x in (a, b))
    if min(first, second) < NOISE_LUFS:
        return 0.0
    return float(np.clip(first - second, -MOST_STEP_DB, MOST_STEP_DB))


def glide(samples: NDArray[np.float32], from_gain_db: float, length: int) -> NDArray[np.float32]:
    """Scale (n, 2) samples by a gain that goes from `from_gain_db` to 0 dB within `length` samples."""
    if from_gain_db == 0 or not length:
        return samples
    share = 0.5 + 0.5 * np.cos(np.pi * np.arange(min(length, len(samples))) / length)
    glided = samples.copy()
    glided[: len(share)] *= (10 ** (from_gain_db * share / 20)).astype(np.float32)[:, None]
    return glided


@dataclass(frozen=True, eq=False)
class LimiterState:
    """The newest input (HISTORY, 2), and the last gains (LOOK_AHEAD - 1,) in dB before they were smoothed."""

    history: NDArray[np.float32]
    gains_db: NDArray[np.float64]


def true_peaks(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Largest true peak of both channels from each sample to the next, (n,); the sound is (n, 2).

    Value i belongs to what begins at sample ``i - 6``: the interpolation sees 12 samples.
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
    samples: NDArray[np.float32], state: LimiterState | None = None, ceiling_db: float = LIMIT_DB
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
    peaks = np.maximum(peaks[1:], peaks[:-1])  # a sample belongs to what lies on both its sides
    needed = np.minimum(0.0, ceiling_db - 20 * np.log10(np.maximum(peaks, 1e-9)))
    held = sliding_minimum(needed, LOOK_AHEAD)[1:]
    ramp = RELEASE_DB * np.arange(1, n + 1)
    start = before[-1] if len(before) else 0.0
    fallen = np.minimum.accumulate(np.concatenate([[start], held - ramp]))[1:] + ramp
    return np.concatenate([before, np.minimum(fallen, 0.0)])


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
        if self.before == self.target or start - self.since > 40 * GAIN_S * AUDIO_RATE_HZ:
            return np.full(stop - start, self.target, np.float32)
        passed = np.arange(start + 1 - self.since, stop + 1 - self.since, dtype=np.float64)
        share = np.exp(-np.maximum(passed, 0.0) / (GAIN_S * AUDIO_RATE_HZ))
        return (self.target + (self.before - self.target) * share).astype(np.float32)

    def toward(self, target: float, index: int) -> GainCurve:
        """Return the curve that leaves this one at sample `index` for another target."""
        return GainCurve(target, index, float(self.at(index - 1, index)[0]), self)

    def settled(self, index: int) -> GainCurve:
        """Return this curve without what held before sample `index` only."""
        if self.earlier is None:
            return self
        return replace(self, earlier=None if index >= self.since else self.earlier.settled(index))


class Meter:
    """Listens to a player: min and max 20 times a second, and peaks that fall slowly.

    Parameters
    ----------
    seconds : float
        How much of the waveform is kept.
    """

    def __init__(self, seconds: float = 120.0):
        self._lock = threading.Lock()
        self._buckets = np.zeros((round(seconds * PER_SECOND), 2), np.float32)
        self._count = 0
        self._rest = np.empty((0, 2), np.float32)
        self._peak = np.zeros(2)

    def __call__(self, samples: NDArray[np.float32]) -> None:
        """Take in (n, 2) played samples."""
        samples = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        whole = len(samples) // BUCKET
        self._rest = samples[whole * BUCKET :].copy()
        for bucket in samples[: whole * BUCKET].reshape(whole, BUCKET, 2):
            with self._lock:
                self._buckets[self._count % len(self._buckets)] = bucket.min(), bucket.max()
                self._count += 1
                self._peak = np.maximum(np.abs(bucket).max(axis=0), self._peak * FALL)

    def waveform(self) -> NDArray[np.float32]:
        """Min and max of the mix, (n, 2), 20 per second, newest last."""
        with self._lock:
            if self._count < len(self._buckets):
                return self._buckets[: self._count].copy()
            return np.roll(self._buckets, -(self._count % len(self._buckets)), axis=0)

    def peak_dbfs(self) -> tuple[float, float]:
        """Peak of the left and the right channel in dBFS."""
        with self._lock:
            return to_db(float(self._peak[0])), to_db(float(self._peak[1]))
