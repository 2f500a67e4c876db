"""Embedders that hear a window of fixed length at a rate of their own: any sound is resampled, cut and averaged."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bci_music.messages import EMBEDDING_DIM, UserError

_BATCH = 16  # windows at a time


class WindowedEmbedder(ABC):
    """What CLAP and its kin share.

    Attributes
    ----------
    rate_hz : float
        Rate of the sound it is given; everything else is resampled.
    longest_s : float
        Length it hears at once. Less is filled up as the model was trained to, more is cut and averaged.
    """

    rate_hz: float
    longest_s: float

    @property
    @abstractmethod
    def sha(self) -> str:
        """Fingerprint of everything that decides what `embed` returns."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is, for people."""

    @abstractmethod
    def save(self, directory: str | Path) -> None:
        """Write what opens as this embedder again."""

    @abstractmethod
    def _embed_batch(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """(m, 512) of windows, each mono at `rate_hz` and no longer than `longest_s`."""

    def embed(self, audio: ArrayLike, sfreq_hz: float) -> NDArray[np.float32]:
        """Embed (n,) or (n, 2) audio: (512,) float32 of length one.

        Sound longer than the model hears at once is covered by windows that overlap by half, and their mean is taken.
        """
        return unit(self._mean_of(self._mono(audio, sfreq_hz)))

    def embed_frames(
        self, audio: ArrayLike, sfreq_hz: float, window_s: float = 4.0, hop_s: float = 1.0
    ) -> NDArray[np.float32]:
        """Embed every window of `window_s` at a hop of `hop_s`: (m, 512) float32, unit rows.

        Row i covers the sound from ``i * hop_s`` to ``i * hop_s + window_s``.
        """
        mono = self._mono(audio, sfreq_hz)
        length = round(window_s * self.rate_hz)
        starts = window_starts(len(mono), self.rate_hz, window_s, hop_s)
        windows = [mono[at : at + length] for at in starts]
        if window_s > self.longest_s:
            return unit(np.stack([self._mean_of(window) for window in windows]))
        return unit(self._rows(windows))

    def _mean_of(self, mono: NDArray[np.float32]) -> NDArray[np.float32]:
        return unit(self._rows(list(cover(mono, round(self.longest_s * self.rate_hz))))).mean(0)

    def _rows(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        batches = [self._embed_batch(windows[at : at + _BATCH]) for at in range(0, len(windows), _BATCH)]
        rows = np.concatenate(batches).astype(np.float32)
        if rows.shape[1] != EMBEDDING_DIM or not np.isfinite(rows).all():
            raise UserError(f"The embedder gave {rows.shape[1]} numbers, or no finite ones: expected {EMBEDDING_DIM}.")
        return rows

    def _mono(self, audio: ArrayLike, sfreq_hz: float) -> NDArray[np.float32]:
        samples = np.asarray(audio, np.float32)
        if samples.ndim == 2:
            samples = samples.mean(1)
        if samples.ndim != 1 or samples.size == 0:
            raise UserError(f"Audio to embed has shape {np.shape(audio)}, expected (n,) or (n, 2) with n > 0.")
        if sfreq_hz == self.rate_hz:
            return samples
        import soxr

        return np.asarray(soxr.resample(samples, sfreq_hz, self.rate_hz), np.float32)


def window_starts(n: int, rate_hz: float, window_s: float, hop_s: float) -> list[int]:
    """First sample of every whole window in `n` samples; one window where there is less."""
    count = max(1, math.floor((n / rate_hz - window_s) / hop_s + 1e-9) + 1)
    return [round(i * hop_s * rate_hz) for i in range(count)]


def cover(mono: NDArray[np.float32], length: int) -> Iterator[NDArray[np.float32]]:
    """Cut sound into windows of `length` that overlap by about half and leave nothing out."""
    if len(mono) <= length:
        yield mono
        return
    count = math.ceil((len(mono) - length) / (length / 2)) + 1
    for at in np.linspace(0, len(mono) - length, count).round().astype(int):
        yield mono[at : at + length]


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows (or one vector) of length one."""
    norm = np.linalg.norm(rows, axis=-1, keepdims=True)
    return (rows / np.maximum(norm, 1e-12)).astype(np.float32)
