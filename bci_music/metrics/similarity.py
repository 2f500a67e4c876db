"""Similarity of two pictures, such as mel spectrograms: structural similarity and signal-to-noise."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SIDE = 7  # of the square window over which structure is compared
_K1, _K2 = 0.01, 0.03


def ssim(truth: ArrayLike, made: ArrayLike, data_range: float | None = None) -> NDArray[np.float64]:
    """Mean structural similarity of every picture in `made` with one true picture.

    Wang et al., IEEE Trans. Image Process. 13(4), 2004, with a uniform window of 7 x 7, sample covariance, and the mean
    over all places at which the window lies wholly inside: the defaults of scikit-image.

    Parameters
    ----------
    truth : (h, w)
    made : (n, h, w)
    data_range : float, optional
        Span of the values; max - min of `truth` when not given.

    Returns
    -------
    (n,) float64
        1 for equal pictures; NaN where the true picture has no span.
    """
    x, y = np.asarray(truth, np.float64), np.asarray(made, np.float64)
    if x.ndim != 2 or y.shape[1:] != x.shape or min(x.shape) < _SIDE:
        raise ValueError(f"SSIM compares (n, h, w) with (h, w) of at least {_SIDE} each, got {y.shape} and {x.shape}")
    span = float(x.max() - x.min()) if data_range is None else data_range
    if span <= 0:
        return np.full(len(y), np.nan)
    down, across = _box(x.shape[0]), _box(x.shape[1]).T
    unbiased = _SIDE**2 / (_SIDE**2 - 1)
    c1, c2 = (_K1 * span) ** 2, (_K2 * span) ** 2
    mean_x = down @ x @ across
    var_x = unbiased * (down @ (x * x) @ across - mean_x**2)
    result = np.empty(len(y))
    for i, picture in enumerate(y):  # one by one they stay in the processor's cache
        mean_y = down @ picture @ across
        var_y = unbiased * (down @ (picture * picture) @ across - mean_y**2)
        cov = unbiased * (down @ (picture * x) @ across - mean_x * mean_y)
        similarity = (2 * mean_x * mean_y + c1) * (2 * cov + c2)
        similarity /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
        result[i] = similarity.mean()
    return result


def psnr(truth: ArrayLike, made: ArrayLike, data_range: float | None = None) -> NDArray[np.float64]:
    """(n,) peak signal-to-noise ratio in dB of pictures `made` (n, h, w) against one `truth` (h, w).

    The peak is `data_range`, max - min of `truth` when not given; NaN where the true picture has no span, and at most
    100 dB, for equal pictures have no noise.
    """
    x, y = np.asarray(truth, np.float64), np.asarray(made, np.float64)
    span = float(x.max() - x.min()) if data_range is None else data_range
    if span <= 0:
        return np.full(len(y), np.nan)
    error = np.square(y - x).mean(axis=(1, 2))
    return 10 * np.log10(span**2 / np.maximum(error, 1e-10 * span**2))


@cache
def _box(n: int) -> NDArray[np.float64]:
    """(n - 6, n) matrix that takes the mean over every seven neighbours."""
    at = np.arange(n) - np.arange(n - _SIDE + 1)[:, None]
    return ((at >= 0) & (at < _SIDE)) / _SIDE


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
