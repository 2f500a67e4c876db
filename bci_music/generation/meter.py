"""Levels and waveform of what was played."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from bci_music.generation.loudness import to_db
from bci_music.messages import AUDIO_RATE_HZ

PER_SECOND = 20
BUCKET = AUDIO_RATE_HZ // PER_SECOND
FALL = 0.85  # a peak falls to this share from bucket to bucket


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
