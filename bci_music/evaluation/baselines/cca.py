"""CCA: filters of lagged EEG and of lagged flux that agree most, several of them, each a correlation of its own.

Canonical correlation analysis as a tracking decoder (de Cheveigné et al., 2018, doi:10.1016/j.neuroimage.2018.01.033):
with whitened covariances ``Lx⁻¹ Cxy Ly⁻ᵀ = U S Vᵀ`` the filters are ``Lx⁻ᵀ U`` and ``Ly⁻ᵀ V``. A window scores the mean
of the correlations of its `COMPONENTS` pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bci_music.evaluation.baselines.courses import MusicCourses, training_rows, unit_courses
from bci_music.messages import UserError
from bci_music.models.adapter import Float, Sums
from bci_music.training.eeg.corpus import Corpus

COMPONENTS = 5
ALPHAS = tuple(10.0**k for k in range(-4, 3))  # shrinkage of the EEG's covariance, relative to its mean variance
_MUSIC_ALPHA = 1e-3  # the flux and its lags are few: enough to invert


@dataclass(frozen=True)
class Cca:
    """Fitted filters and the music they are compared on.

    Attributes
    ----------
    eeg : (n_channels * n_lags, k)
    flux : (n_lags, k)
    """

    eeg: NDArray[np.float32]
    flux: NDArray[np.float32]
    music: MusicCourses

    @classmethod
    def fit(cls, corpus: Corpus, music: MusicCourses) -> Cca:
        """Fit on all windows of a corpus; the shrinkage is what agrees best between blocks of song time."""
        folds: dict[int, _Pairs] = {}
        for batch, eeg, song, fold in training_rows(corpus, music.lags):
            flux = music.at(song, batch.second, back=music.lags.n_lags)
            for g in np.unique(fold):
                pairs = folds.setdefault(int(g), _Pairs.empty(eeg.shape[2], flux.shape[2]))
                pairs.add(eeg[fold == g].reshape(-1, eeg.shape[2]), flux[fold == g].reshape(-1, flux.shape[2]))
        if len(folds) < 2:
            raise UserError("CCA chooses its shrinkage between blocks of song time, and there is one: give more music.")
        parts = list(folds.values())
        total = parts[0]
        for part in parts[1:]:
            total = total.plus(part)
        rest = [total.plus(part, -1.0) for part in parts]

        def agreement(alpha: float) -> float:
            return sum(part.correlations(*r.filters(alpha)) for part, r in zip(parts, rest, strict=True))

        w, v = total.filters(max(ALPHAS, key=agreement))
        return cls(np.ascontiguousarray(w, np.float32), np.ascontiguousarray(v, np.float32), music)

    def read(self, x: NDArray, used: NDArray) -> NDArray[np.float32]:
        """Unit vectors (n, k * n_rows) of windows (n, C, T)."""
        return unit_courses(self.music.lags(x, used) @ self.eeg)

    def heard(self, song: NDArray[np.str_], second: NDArray) -> NDArray[np.float32]:
        """Unit vectors (n, k * n_rows) of the music at these places."""
        return unit_courses(self.music.at(song, second, back=len(self.flux)) @ self.flux)

    @property
    def parameters(self) -> int:
        """Fitted numbers."""
        return self.eeg.size + self.flux.size

    def save(self, path: Path) -> None:
        """Write as safetensors."""
        from safetensors.numpy import save_file

        save_file({"eeg": self.eeg, "flux": self.flux}, str(path))

    @classmethod
    def load(cls, path: Path, music: MusicCourses, n_channels: int) -> Cca:
        """Read what `save` wrote, for windows of this kind."""
        from safetensors.numpy import load_file

        found = load_file(str(path))
        if len(found["eeg"]) != n_channels * music.lags.n_lags:
            raise UserError(f"{path} does not fit windows of {n_channels} channels: fit it on this data.")
        return cls(found["eeg"], found["flux"], music)


@dataclass(frozen=True)
class _Pairs:
    """Covariances of EEG and flux of one fold, added up batch by batch."""

    eeg: Sums  # of the EEG, and with the flux
    flux: Sums  # of the flux with itself

    @classmethod
    def empty(cls, n_eeg: int, n_flux: int) -> _Pairs:
        return cls(Sums(n_eeg, n_flux), Sums(n_flux, n_flux))

    def add(self, eeg: NDArray, flux: NDArray) -> None:
        self.eeg.add(eeg, flux)
        self.flux.add(flux, flux)

    def plus(self, other: _Pairs, sign: float = 1.0) -> _Pairs:
        return _Pairs(self.eeg.plus(other.eeg, sign), self.flux.plus(other.flux, sign))

    def covariances(self) -> tuple[Float, Float, Float]:
        """Of the EEG, of both, of the flux."""
        x, y, n = self.eeg.x, self.eeg.y, self.eeg.n
        xx, xy = self.eeg.xx / n - np.outer(x, x) / n**2, self.eeg.xy / n - np.outer(x, y) / n**2
        return xx, xy, self.flux.xx / n - np.outer(y, y) / n**2

    def filters(self, alpha: float) -> tuple[Float, Float]:
        """The first `COMPONENTS` filters (n_eeg, k) and (n_flux, k)."""
        from scipy.linalg import solve_triangular

        xx, xy, yy = self.covariances()
        lx, ly = _root(xx, alpha), _root(yy, _MUSIC_ALPHA)
        white = solve_triangular(ly, solve_triangular(lx, xy, lower=True).T, lower=True).T
        u, _, vt = np.linalg.svd(white, full_matrices=False)
        k = min(COMPONENTS, len(vt))
        return solve_triangular(lx.T, u[:, :k]), solve_triangular(ly.T, vt[:k].T)

    def correlations(self, w: Float, v: Float) -> float:
        """Sum of the correlations of the filters' pairs on these rows."""
        xx, xy, yy = self.covariances()
        spread = np.sqrt(np.maximum((w * (xx @ w)).sum(0) * (v * (yy @ v)).sum(0), np.finfo(float).tiny))
        return float(((w * (xy @ v)).sum(0) / spread).sum())


def _root(covariance: Float, alpha: float) -> Float:
    """Cholesky factor of a covariance with `alpha` times its mean variance on the diagonal."""
    n = len(covariance)
    ridge = alpha * max(float(np.trace(covariance)) / n, np.finfo(float).tiny)
    return np.asarray(np.linalg.cholesky(covariance + ridge * np.eye(n)), np.float64)
