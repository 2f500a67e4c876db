"""How sure a rate is. Windows of one recording are not independent: use `by_recording` where there are several."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

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


def by_song_and_listener(
    values: ArrayLike, songs: ArrayLike, listeners: ArrayLike, seed: int = 0, n_boot: int = 2000
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """95 % interval of the mean of `values`, drawing whole songs and whole listeners with replacement, both at once.

    A window counts as often as its song was drawn times as often as its listener was (the pigeonhole bootstrap: Owen,
    Ann. Appl. Stat. 1(2), 2007; on the wide side). Where there is one song only, listeners alone are drawn, and the
    other way round.

    Parameters
    ----------
    values : (n,) or (n, k)
        One value, or k of them, per window.
    songs, listeners : (n,)

    Returns
    -------
    Low and high ends, of the shape of one window's values; None with one song and one listener.
    """
    v = np.asarray(values, np.float64)
    rng = np.random.default_rng(seed)
    weight, drawn = np.ones((n_boot, len(v))), False
    for units in (songs, listeners):
        names, group = np.unique(np.asarray(units), return_inverse=True)
        if group.shape != v.shape[:1]:
            raise ValueError(f"{len(v)} values belong to {len(group)} songs or listeners: one of each is expected")
        if len(names) >= 2:
            drawn = True
            weight *= rng.multinomial(len(names), np.full(len(names), 1 / len(names)), n_boot)[:, group]
    if not drawn:
        return None
    total = weight.sum(axis=1)
    kept = total > 0  # where few listeners heard few of the songs, a draw can be without a window
    means = (weight[kept] @ v) / (total[kept] if v.ndim == 1 else total[kept, None])
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return low, high
