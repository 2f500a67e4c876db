"""Backward ridge TRF: the spectral flux of the music, read linearly from the EEG of the 400 ms after each instant.

The linear decoder of the tracking literature (Crosse et al., 2016, doi:10.3389/fnhum.2016.00604; flux rather than
envelope for music: Weineck et al., 2022, doi:10.7554/eLife.75515). The penalty is chosen between blocks of song time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bci_music.evaluation.baselines.courses import MusicCourses, training_rows, unit_courses
from bci_music.messages import UserError
from bci_music.models.adapter import RidgeAdapter
from bci_music.training.eeg.corpus import Corpus

ALPHAS = tuple(10.0**k for k in range(-3, 3))  # relative to the inputs' mean variance


@dataclass(frozen=True)
class Trf:
    """A fitted backward TRF and the music it is compared with."""

    ridge: RidgeAdapter  # from n_channels * n_lags inputs to the flux
    music: MusicCourses

    @classmethod
    def fit(cls, corpus: Corpus, music: MusicCourses) -> Trf:
        """Fit on all windows of a corpus."""

        def rows() -> Iterator[tuple[NDArray, NDArray, NDArray]]:
            for batch, eeg, song, fold in training_rows(corpus, music.lags):
                flux = music.at(song, batch.second)
                yield eeg.reshape(-1, eeg.shape[2]), flux.reshape(-1, 1), np.repeat(fold, eeg.shape[1])

        return cls(RidgeAdapter.fit(rows(), alphas=ALPHAS), music)

    def read(self, x: NDArray, used: NDArray) -> NDArray[np.float32]:
        """Unit vectors (n, n_rows) of windows (n, C, T): the flux as it was read, mean 0."""
        return unit_courses(self.music.lags(x, used) @ self.ridge.weights)

    def heard(self, song: NDArray[np.str_], second: NDArray) -> NDArray[np.float32]:
        """Unit vectors (n, n_rows) of the music at these places."""
        return unit_courses(self.music.at(song, second))

    @property
    def parameters(self) -> int:
        """Fitted numbers."""
        return self.ridge.weights.size

    def save(self, path: Path) -> None:
        """Write as safetensors."""
        self.ridge.save(path)

    @classmethod
    def load(cls, path: Path, music: MusicCourses, n_channels: int) -> Trf:
        """Read what `save` wrote, for windows of this kind."""
        ridge = RidgeAdapter.load(path)
        if len(ridge.weights) != n_channels * music.lags.n_lags:
            raise UserError(f"{path} does not fit windows of {n_channels} channels: fit it on this data.")
        return cls(ridge, music)

