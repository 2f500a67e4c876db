"""How sure a rate is. Windows of one recording are not independent: use `by_recording` where there are several."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from bci_music.messages import UserError

_Z95 = 1.959963984540054


def wilson(hits: float, n: float) -> tuple[float, float]:
    """95 % Wilson score interval of `hits` of `n` independent trials; (0, 1) when n is 0."""
    if n <= 0:
        return 0.0, 1.0
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} hits of {n} trials cannot be")
    rate, z2 = hits / n, _Z95**2
    middle = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 / (1 + z2 / n) * sqrt(rate * (1 - rate) / n + z2 / (4 * n * n))
    return (0.0 if hits == 0 else middle - half), (1.0 if hits == n else middle + half)


def by_recording(
    values: ArrayLike, recordings: ArrayLike, seed: int = 0, n_boot: int = 2000
) -> tuple[float, float]:
    """95 % interval of the mean of `values`, drawing whole recordings with replacement.

    Parameters
    ----------
    values : (n,)
        One value per window, e.g. hits or k-way rates.
    recordings : (n,)
        The recording (or listener) each window comes from.
    """
    v = np.asarray(values, np.float64)
    names, group = np.unique(np.asarray(recordings), return_inverse=True)
    if v.shape != group.shape:
        raise ValueError(f"{len(v)} values belong to {len(group)} recordings: one recording per value is expected")
    if len(names) < 2:
        raise UserError(
            f"An interval by recording needs at least 2 recordings, got {len(names)}: add recordings or use wilson."
        )
    sums, counts = np.bincount(group, weights=v), np.bincount(group)
    draws = np.random.default_rng(seed).integers(0, len(names), (n_boot, len(names)))
    means = sums[draws].sum(axis=1) / counts[draws].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
