"""What the same decoder scores when the pairing of EEG and music is wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bci_music.metrics.metrics import best


def derangement(n: int, seed: int) -> NDArray[np.int64]:
    """(n,) permutation in which nothing stays in its place, uniform over all such."""
    if n < 2:
        raise ValueError(f"a derangement needs at least 2 things, got {n}")
    rng = np.random.default_rng(seed)
    stays = np.arange(n)
    while (order := rng.permutation(n)).size and (order == stays).any():
        continue
    return order


@dataclass(frozen=True)
class ShiftTest:
    """Identification against circular shifts of the pairing.

    Attributes
    ----------
    top1, hits, n : share, number found, number of windows judged (non-overlapping)
    shuffled_top1 : mean share over all shifts
    p : (1 + number of shifts at least as good) / (1 + number of shifts)
    """

    top1: float
    hits: int
    n: int
    shuffled_top1: float
    p: float
    n_shifts: int


def shift_test(
    scores: ArrayLike, true: ArrayLike, *, min_shift: int, every: int, wrap: bool = True
) -> ShiftTest:
    """Compare the hits with those under every shift of the music against the windows.

    Parameters
    ----------
    scores : (n, k)
        Score of every candidate for every window, windows at hop resolution in order of time;
        a row of NaN is a window that was not decoded and is not judged.
    true : (n,) int
        The candidate heard, -1 where none was.
    min_shift : int
        Smallest shift in hops, in either direction round the circle.
    every : int
        Judge only every `every`-th window: window length in hops, so that they do not overlap.
    wrap : bool
        Shift round the circle (what leaves one end comes in at the other). Without it the ends are
        dropped, and only shifts that leave at least half of the windows count.
    """
    found, truth = _checked(scores, true, min_shift, every)
    n = len(found)
    judged = np.zeros(n, bool)
    judged[::every] = True
    judged &= ~np.isnan(np.asarray(scores, np.float64)).all(axis=1)
    length = n if wrap else 2 * n
    hits = _pairs(np.where(judged, found, -1), truth, length)
    counts = _pairs(np.where(judged, 0, -1), np.where(truth >= 0, 0, -1), length)
    if wrap:
        shifts = np.arange(min_shift, n - min_shift + 1)
    else:
        reach = np.arange(min_shift, n // 2 + 1)
        shifts = np.concatenate([reach, length - reach])
    shifts = shifts[counts[shifts] > 0] if len(shifts) else shifts
    at_least = hits[shifts] * counts[0] >= hits[0] * counts[shifts]
    rates = hits[shifts] / counts[shifts] if len(shifts) else np.array([np.nan])
    return ShiftTest(
        top1=float(hits[0] / counts[0]) if counts[0] else float("nan"), hits=int(hits[0]), n=int(counts[0]),
        shuffled_top1=float(rates.mean()), p=float((1 + at_least.sum()) / (1 + len(shifts))) if counts[0] else 1.0,
        n_shifts=len(shifts),
    )  # fmt: skip


def _checked(
    scores: ArrayLike, true: ArrayLike, min_shift: int, every: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    s, truth = np.asarray(scores, np.float64), np.asarray(true, np.int64)
    if s.ndim != 2 or truth.shape != s.shape[:1]:
        raise ValueError(f"scores are (n, k) with one truth per row, got {s.shape} and {truth.shape}")
    if min_shift < 1 or every < 1:
        raise ValueError(f"min_shift and every are at least 1, got {min_shift} and {every}")
    if len(truth) and truth.max() >= s.shape[1]:
        raise ValueError(f"candidate {truth.max()} was heard, but only {s.shape[1]} have scores")
    return best(s), truth


def _pairs(found: NDArray[np.int64], truth: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """(length,) for every shift s the number of windows i with ``found[i] == truth[i + s]``, by FFT per candidate."""
    total = np.zeros(length)
    for candidate in np.intersect1d(found[found >= 0], truth[truth >= 0]):
        a = np.fft.rfft(found == candidate, length)
        b = np.fft.rfft(truth == candidate, length)
        total += np.fft.irfft(np.conj(a) * b, length)
    return np.rint(total).astype(np.int64)
