"""What the same decoder scores when the pairing of EEG and music is wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bci_music.metrics.identification import best


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
    top1, hits, n : share, number found, number of windows evaluated (non-overlapping)
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
        a row of NaN is a window that was not decoded and is not evaluated.
    true : (n,) int
        The candidate heard, -1 where none was.
    min_shift : int
        Smallest shift in hops, in either direction round the circle.
    every : int
        Evaluate only every `every`-th window: window length in hops, so that they do not overlap.
    wrap : bool
        Shift round the circle (what leaves one end comes in at the other). Without it the ends are
        dropped, and only shifts that leave at least half of the windows count.
    """
    found, truth = _checked(scores, true, min_shift, every)
    n = len(found)
    evaluated = np.zeros(n, bool)
    evaluated[::every] = True
    evaluated &= ~np.isnan(np.asarray(scores, np.float64)).all(axis=1)
    length = n if wrap else 2 * n
    hits = _pairs(np.where(evaluated, found, -1), truth, length)
    counts = _pairs(np.where(evaluated, 0, -1), np.where(truth >= 0, 0, -1), length)
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


Floats = NDArray[np.floating]


def wrong_song(table: Floats, of: NDArray[np.int64], name: NDArray[np.str_]) -> Floats:
    """(n,) mean score of each window over all pairings with music of another song, so also of another recording.

    Parameters
    ----------
    table : (n, m)
        Score of window i if piece of music c had been heard.
    of : (n,) int
        The piece heard.
    name : (m,) str
        Song name of each piece. NaN where there is no other song.
    """
    weight = np.bincount(of, minlength=table.shape[1]).astype(float)
    result = np.full(len(table), np.nan)
    for own in np.unique(name[of]):
        rows, others = name[of] == own, np.where(name == own, 0.0, weight)
        result[rows] = _weighted(table[rows], others)
    return result


def heard_there(
    table: Floats, recording: NDArray[np.str_], of: NDArray[np.int64], paired: NDArray[np.str_]
) -> Floats:
    """(n,) mean score of each row over all the music that was heard in its recording.

    Parameters
    ----------
    table : (n, m)
        Rows are windows from before the music, of the recordings `recording` (n,).
    of, paired : (w,)
        Piece and recording of every window with music. NaN for a recording with no such window.
    """
    result = np.full(len(table), np.nan)
    for name in np.unique(recording):
        weight = np.bincount(of[paired == name], minlength=table.shape[1]).astype(float)
        rows = recording == name
        result[rows] = _weighted(table[rows], weight)
    return result


def permutation_p(
    table: Floats, of: NDArray[np.int64], recording: NDArray[np.str_], *, n: int = 999, seed: int = 0,
    lower: bool = False,
) -> float | None:
    """Share of pairings of whole recordings with one another's music that do at least as well as the true one.

    Every recording's windows, in their order, are paired with the music of another recording's; where that has more
    or fewer windows, at the same part of it. Returns (1 + as good) / (1 + n), None with fewer than 4 recordings.

    Parameters
    ----------
    lower : bool
        Whether a lower score is the better one.
    """
    names, group = np.unique(recording, return_inverse=True)
    if len(names) < 4:
        return None
    total, known = _paired_sums(table, of, [np.flatnonzero(group == g) for g in range(len(names))])
    sign = -1.0 if lower else 1.0
    own = sign * np.trace(total) / max(np.trace(known), 1.0)
    rng = np.random.default_rng(seed)
    each = np.arange(len(names))
    as_good = 0
    for _ in range(n):
        drawn = rng.permutation(len(names))
        as_good += bool(sign * total[each, drawn].sum() / max(known[each, drawn].sum(), 1.0) >= own - 1e-12)
    return (1 + as_good) / (1 + n)


def _paired_sums(table: Floats, of: NDArray[np.int64], rows: list[NDArray[np.int64]]) -> tuple[Floats, Floats]:
    """(r, r) sum of the known scores of recording a's windows with recording b's music, and how many those are."""
    total, known = np.zeros((len(rows), len(rows))), np.zeros((len(rows), len(rows)))
    lengths = np.array([len(r) for r in rows])[:, None]
    music = np.concatenate([of[r] for r in rows])
    begin = np.concatenate([[0], np.cumsum(lengths)[:-1]])[:, None]
    for a, own in enumerate(rows):
        paired = music[begin + np.arange(len(own)) * lengths // len(own)]
        scores = table[own, paired]
        known[a] = (~np.isnan(scores)).sum(axis=1)
        total[a] = np.nansum(scores, axis=1)
    return total, known


def _weighted(table: Floats, weight: Floats) -> Floats:
    """Mean of each row under weights of the columns, leaving out NaN."""
    known = ~np.isnan(table)
    total = (known * weight).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, np.where(known, table, 0.0) @ weight / total, np.nan)
