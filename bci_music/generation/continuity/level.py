"""Loudness by EBU R128, and a gain that brings one stretch of music to the level of the one before."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bci_music.generation.loudness import from_db, to_db
from bci_music.messages import AUDIO_RATE_HZ

MOST_STEP_DB = 6.0  # a clip begins at most this far from its own loudness
NOISE_LUFS = -65.0  # what is quieter is not brought up to be music
SHORTEST_S = 0.4  # block of the meter


def loudness_lufs(samples: NDArray[np.float32]) -> float:
    """Integrated loudness of (n, 2) samples at 48 kHz in LUFS (EBU R128, ITU-R BS.1770); -inf for silence.

    Less than a block of the meter (0.4 s) is repeated to fill one.
    """
    import pyloudnorm

    least = math.ceil(SHORTEST_S * AUDIO_RATE_HZ)
    if not len(samples):
        return float("-inf")
    if len(samples) < least:
        samples = np.resize(samples, (least, samples.shape[1]))
    return float(pyloudnorm.Meter(AUDIO_RATE_HZ, block_size=SHORTEST_S).integrated_loudness(samples))


def to_loudness(samples: NDArray[np.float32], target_lufs: float) -> NDArray[np.float32]:
    """Scale (n, 2) samples to `target_lufs`; what is no louder than noise stays as it is."""
    found = loudness_lufs(samples)
    if not found > NOISE_LUFS:
        return samples
    return (samples * np.float32(from_db(target_lufs - found))).astype(np.float32)


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
