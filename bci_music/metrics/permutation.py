"""Controls read from a table of scores: wrong pairings of EEG with music, and how often they do as well."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
