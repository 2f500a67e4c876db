"""Does the decoded vector find its music? Scores per window, NumPy only."""

from __future__ import annotations

from math import lgamma

import numpy as np
from numpy.typing import ArrayLike, NDArray


def cosine(queries: ArrayLike, candidates: ArrayLike) -> NDArray[np.float64]:
    """(n, k) cosine similarity of (n, d) and (k, d); a zero vector is similar to nothing (NaN)."""
    a, b = np.asarray(queries, np.float64), np.asarray(candidates, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        a = a / np.linalg.norm(a, axis=1, keepdims=True)
        b = b / np.linalg.norm(b, axis=1, keepdims=True)
    return a @ b.T


def best(scores: ArrayLike) -> NDArray[np.int64]:
    """(n,) index of the highest of (n, k) scores; -1 where it is shared or a score is NaN, for a tie finds nothing."""
    s = np.asarray(scores, np.float64)
    if s.shape[1] == 0:
        return np.full(len(s), -1)
    bad = np.asarray(np.isnan(s).any(axis=1), bool)
    s = np.where(bad[:, None], 0.0, s)
    top = s.argmax(axis=1)
    shared = (s == s[np.arange(len(s)), top][:, None]).sum(axis=1) > 1
    return np.where(bad | shared, -1, top)


def top1_hits(queries: ArrayLike, candidates: ArrayLike, true: ArrayLike) -> NDArray[np.bool_]:
    """(n,) whether the candidate most similar to each query is the true one.

    Parameters
    ----------
    queries : (n, d)
    candidates : (k, d)
    true : (n,) int
        Row of the right candidate.
    """
    return best(cosine(queries, candidates)) == np.asarray(true)


def k_way(
    queries: ArrayLike, targets: ArrayLike, k: int, seed: int = 0, repeats: int | None = None
) -> NDArray[np.float64]:
    """(n,) rate at which each query finds its own target among `k`: its own and k - 1 drawn from the others.

    Parameters
    ----------
    queries, targets : (n, d)
        Row i of `targets` is the truth of row i of `queries`.
    k : int
        Size of the choice, 2 .. n; chance is 1 / k.
    repeats : int, optional
        Draws per query. Without it the exact expectation over all draws is returned, and `seed` has no effect.
    """
    scores = cosine(queries, targets)
    n = len(scores)
    if scores.shape != (n, n) or not 2 <= k <= n:
        raise ValueError(f"a {k}-way choice needs one target per query and at least {k} of them, got {scores.shape}")
    own = scores.diagonal()
    beaten_by = np.isnan(scores) | (scores >= own[:, None])
    np.fill_diagonal(beaten_by, False)
    if repeats is None:
        rivals = beaten_by.sum(axis=1)
        rates = np.array([_none_drawn(n - 1, int(r), k - 1) for r in rivals])
    else:
        rng = np.random.default_rng(seed)
        rates = np.zeros(n)
        others = ~np.eye(n, dtype=bool)
        for _ in range(repeats):
            keys = np.where(others, rng.random((n, n)), 2.0)
            drawn = np.argpartition(keys, k - 2, axis=1)[:, : k - 1]
            rates += ~np.take_along_axis(beaten_by, drawn, axis=1).any(axis=1)
        rates /= repeats
    return np.where(np.isnan(own), 0.0, rates)


def auroc(score: ArrayLike, label: ArrayLike) -> float:
    """Probability that a positive scores above a negative, ties counting half; NaN without both kinds."""
    s, positive = np.asarray(score, np.float64), np.asarray(label, bool)
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    if not n_pos or not n_neg:
        return float("nan")
    _, inverse, counts = np.unique(s, return_inverse=True, return_counts=True)
    middle_rank = np.cumsum(counts) - (counts - 1) / 2
    return float((middle_rank[inverse][positive].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg))


def _none_drawn(pool: int, marked: int, drawn: int) -> float:
    """Probability that none of `marked` items is among `drawn` from `pool`, without replacement."""
    if marked > pool - drawn:
        return 0.0
    log_p = lgamma(pool - marked + 1) + lgamma(pool - drawn + 1) - lgamma(pool - marked - drawn + 1) - lgamma(pool + 1)
    return float(np.exp(log_p))
