"""Distance between two clouds of embeddings, as in the Fréchet audio distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

ENOUGH = 1024  # vectors below which covariances of 512 numbers say little, and nothing is claimed


def frechet_distance(a: ArrayLike, b: ArrayLike) -> float:
    """Squared Fréchet distance of Gaussians fitted to (n, d) and (m, d) vectors.

    ``|mean_a - mean_b|² + tr(A + B - 2 (A B)^½)`` with the covariances A and B (Dowson & Landau, J. Multivar. Anal.
    12, 1982; Kilgour et al., Interspeech 2019, for music).
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if min(len(x), len(y)) < 2:
        raise ValueError(f"a covariance needs at least 2 vectors, got {len(x)} and {len(y)}")
    cov_x, cov_y = np.atleast_2d(np.cov(x.T)), np.atleast_2d(np.cov(y.T))
    root = _root(cov_x)
    # the eigenvalues of A B are those of the symmetric A^½ B A^½
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ cov_y @ root), 0, None)).sum()
    distance = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(cov_x) + np.trace(cov_y) - 2 * cross
    return float(max(distance, 0.0))


def common_axes(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both clouds in the fewest axes that hold them; distances stay as they are, and cost less."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    both = np.concatenate([x, y])
    values, axes = np.linalg.eigh(both.T @ both)
    axes = axes[:, values > 1e-10 * values.max()]
    return x @ axes, y @ axes


def _root(symmetric: NDArray[np.float64]) -> NDArray[np.float64]:
    values, axes = np.linalg.eigh(symmetric)
    return (axes * np.sqrt(np.clip(values, 0, None))) @ axes.T
