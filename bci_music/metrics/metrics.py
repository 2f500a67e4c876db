"""Does the decoded vector find its music? Scores per window, NumPy only."""

from __future__ import annotations

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
    queries: ArrayLike, targets: ArrayLike, k: int, seed: int = 0, repeats: int | None = None,
    group: ArrayLike | None = None,
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
    group : (n,), optional
        The music of each target, e.g. song and second. Rivals are then other groups, each counted once (by its
        first target): the same music heard by somebody else is no rival, and does not stand twice in a choice.
    """
    if group is not None:
        _, first, of = np.unique(np.asarray(group), return_index=True, return_inverse=True)
        scores, own = cosine(queries, np.asarray(targets)[first]), _rowwise_cosine(queries, targets)
    else:
        scores = cosine(queries, targets)
        of, own = np.arange(len(scores)), scores.diagonal()
    n, m = scores.shape
    if len(np.asarray(targets)) != n or not 2 <= k <= m:
        raise ValueError(f"a {k}-way choice needs one target per query and at least {k} of them, got {scores.shape}")
    beaten_by = np.isnan(scores) | (scores >= own[:, None])
    beaten_by[np.arange(n), of] = False
    if repeats is None:
        rates = none_drawn(m - 1, k - 1)[beaten_by.sum(axis=1)]
    else:
        rng = np.random.default_rng(seed)
        rates = np.zeros(n)
        others = of[:, None] != np.arange(m)
        for _ in range(repeats):
            keys = np.where(others, rng.random((n, m)), 2.0)
            drawn = np.argpartition(keys, k - 2, axis=1)[:, : k - 1]
            rates += ~np.take_along_axis(beaten_by, drawn, axis=1).any(axis=1)
        rates /= repeats
    return np.where(np.isnan(own), 0.0, rates)


def _rowwise_cosine(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """(n,) cosine of each row of (n, d) with the same row of another; NaN for a zero vector."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x * y).sum(1) / (np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1))


def auroc(score: ArrayLike, label: ArrayLike) -> float:
    """Probability that a positive scores above a negative, ties counting half; NaN without both kinds."""
    s, positive = np.asarray(score, np.float64), np.asarray(label, bool)
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    if not n_pos or not n_neg:
        return float("nan")
    _, inverse, counts = np.unique(s, return_inverse=True, return_counts=True)
    middle_rank = np.cumsum(counts) - (counts - 1) / 2
    return float((middle_rank[inverse][positive].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg))


def none_drawn(pool: int, drawn: int) -> NDArray[np.float64]:
    """(pool + 1,) probability that none of 0 .. `pool` marked items is among `drawn`, without replacement."""
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, pool + 1)))])
    left = pool - np.arange(pool + 1)
    possible = left[left >= drawn]
    p = np.zeros(pool + 1)
    log_p = log_factorial[possible] - log_factorial[possible - drawn]
    log_p += log_factorial[pool - drawn] - log_factorial[pool]
    p[: len(possible)] = np.exp(log_p)
    return p
