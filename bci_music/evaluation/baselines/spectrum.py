"""A decoder that reads nothing but power spectra: what a recording's own rhythms alone are worth.

Real trials can be told apart by contact, muscles and rhythms of the day; whoever shares recordings between training and
test rewards that. This row makes it visible: linear, no dynamics of the music can be in it but their slow power.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bci_music.evaluation.baselines.linear import LinearEeg, Rows
from bci_music.training.eeg.corpus import Corpus

LOWEST_HZ, HIGHEST_HZ, WIDTH_HZ = 2.0, 46.0, 2.0
_FOLD_S = 20.0


@dataclass(frozen=True)
class SpectrumEeg:
    """Ridge from the log power of each channel in bands of 2 Hz to the music's embedding."""

    linear: LinearEeg
    sfreq_hz: float

    def clap(self, x: NDArray, used: NDArray) -> NDArray[np.float32]:
        """Embeddings (n, 512), not normalised, of windows (n, C, T) with usable channels (n, C)."""
        return self.linear.clap(log_power(x, self.sfreq_hz), used)

    @property
    def parameters(self) -> int:
        """Fitted numbers."""
        return self.linear.parameters

    def save(self, path: Path) -> None:
        """Write as safetensors."""
        self.linear.save(path)

    @classmethod
    def load(cls, path: Path, *, n_channels: int, sfreq_hz: float) -> SpectrumEeg:
        """Read what `save` wrote."""
        return cls(LinearEeg.load(path, n_channels=n_channels, n_times=n_bands()), sfreq_hz)


def fit_spectrum(corpus: Corpus, *, hop_s: float, alpha: float | None = None) -> SpectrumEeg:
    """Fit on all windows of a corpus; the inner folds are blocks of song time."""

    def rows(size: int = 64) -> Iterator[Rows]:
        places = list(corpus.windows(hop_s))
        for first in range(0, len(places), size):
            batch = corpus.gather(places[first : first + size])
            bands = log_power(batch.x, corpus.sfreq_hz)
            yield bands, batch.used, batch.target, (batch.second // _FOLD_S).astype(int) % 2

    return SpectrumEeg(LinearEeg.fit(rows(), sfreq_hz=1.0, rate_hz=1.0, alpha=alpha), corpus.sfreq_hz)


def n_bands() -> int:
    """How many bands a channel has."""
    return round((HIGHEST_HZ - LOWEST_HZ) / WIDTH_HZ)


def log_power(x: NDArray, sfreq_hz: float) -> NDArray[np.float32]:
    """Log power of windows (n, C, T) in `n_bands` bands, each less its mean over the bands: (n, C, n_bands)."""
    window = np.hanning(x.shape[2]).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(np.asarray(x, np.float32) * window, axis=2)))
    hz = np.fft.rfftfreq(x.shape[2], 1.0 / sfreq_hz)
    edges = np.linspace(LOWEST_HZ, HIGHEST_HZ, n_bands() + 1)
    bands = np.stack([
        power[:, :, (hz >= low) & (hz < high)].mean(2) for low, high in pairwise(edges)
    ], axis=2)
    level = np.log(bands + 1e-3)
    return (level - level.mean(2, keepdims=True)).astype(np.float32)
