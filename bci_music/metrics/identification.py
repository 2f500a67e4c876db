"""Does the decoded vector find its music? Scores per window, NumPy only.

`Candidates` are all that may have been heard. A table holds what every query would score if any of them were the one
heard; the metric, its controls and its permutations are read from it. Rivals are *distinct* excerpts that do not
overlap, so that chance is 1 / k however many listeners heard the same second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

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


Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Candidates:
    """The distinct excerpts of music in a set of windows: what may have been heard in each.

    Attributes
    ----------
    vector : (m, d)
    song, name : (m,) str
        Stimulus, and the song's name that its versions share.
    second : (m,) float
        Second of the song at which the excerpt begins.
    rival : (m,) bool
        Pieces that may be rivals: no two of them overlap.
    window_s : float
        Length of an excerpt.
    of : (n,) int
        The excerpt heard in each window.
    """

    vector: Floats
    song: NDArray[np.str_]
    name: NDArray[np.str_]
    second: Floats
    rival: NDArray[np.bool_]
    window_s: float
    of: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.second)

    @property
    def counts(self) -> NDArray[np.int64]:
        """(m,) in how many windows each was heard."""
        return np.bincount(self.of, minlength=len(self))


def distinct_music(
    vectors: NDArray, song: NDArray[np.str_], name: NDArray[np.str_], second: NDArray, window_s: float
) -> Candidates:
    """Collect the music of (n,) windows; the same second of the same song is one excerpt, whoever heard it."""
    second = np.round(second, 3).astype(np.float64)
    keys = np.array(list(zip(song.tolist(), second.tolist(), strict=True)), dtype=[("song", song.dtype), ("at", float)])
    _, first, of = np.unique(keys, return_index=True, return_inverse=True)
    songs, at = song[first], second[first]
    rival = np.zeros(len(first), bool)
    last: tuple[str, float] = ("", -np.inf)
    for i in range(len(first)):  # sorted by song and second: take each that starts after the last one taken ended
        if songs[i] != last[0] or at[i] >= last[1] + window_s - 1e-6:
            rival[i], last = True, (songs[i], at[i])
    return Candidates(np.asarray(vectors, np.float64)[first], songs, name[first], at, rival, window_s, of)


def pick_rates(queries: NDArray, candidates: Candidates, k: int, *, within_song: bool = False) -> Floats:
    """(n, m) probability that query i picks excerpt c among `k`: c itself and k - 1 others, drawn without replacement.

    Rivals do not overlap c nor each other; with `within_song` they are of the same song. NaN where there are fewer
    than k - 1 of them. The exact expectation over all draws; equal scores find nothing.
    """
    scores = cosine(queries, candidates.vector)
    rates = np.full(scores.shape, np.nan)
    everything = [np.ones(len(candidates), bool)]
    pools = [candidates.song == song for song in np.unique(candidates.song)] if within_song else everything
    for pool in pools:
        rates[:, pool] = _pool_rates(scores[:, pool], candidates, np.flatnonzero(pool), k)
    return np.where(np.isnan(scores), 0.0, rates)


def _pool_rates(scores: Floats, candidates: Candidates, columns: NDArray[np.int64], k: int) -> Floats:
    """`pick_rates` where rivals are all of the excerpts in `columns`."""
    rival = np.flatnonzero(candidates.rival[columns])
    song, at = candidates.song[columns], candidates.second[columns]
    near = (song[:, None] == song[rival]) & (np.abs(at[:, None] - at[rival]) < candidates.window_s - 1e-6)
    beaten = _at_least(scores, scores[:, rival])
    for c, r in zip(*np.nonzero(near), strict=True):  # its own excerpt, and what overlaps it, are no rivals
        beaten[:, c] -= scores[:, rival[r]] >= scores[:, c]
    free = len(rival) - near.sum(axis=1)
    rates = np.full(scores.shape, np.nan)
    for n_free in np.unique(free[free >= k - 1]):
        table = none_drawn(int(n_free), k - 1)
        at_n = free == n_free
        rates[:, at_n] = table[beaten[:, at_n]]
    return rates


def name_rates(queries: NDArray, candidates: Candidates) -> Floats:
    """(n, m) probability that query i picks excerpt c among one excerpt of every song name, c for its own name.

    The exact expectation over which excerpt stands for each of the other names; chance is 1 / number of names.
    """
    scores = cosine(queries, candidates.vector)
    names = np.unique(candidates.name)
    rates = np.ones(scores.shape)
    for name in names:
        theirs = candidates.name == name
        rivals = scores[:, theirs & candidates.rival]
        lost = _at_least(scores[:, ~theirs], rivals) / rivals.shape[1]
        rates[:, ~theirs] *= 1.0 - lost
    return np.where(np.isnan(scores), 0.0, rates)


def _at_least(scores: Floats, rivals: Floats) -> NDArray[np.int64]:
    """(n, m) number of the rivals in the same row that score at least as much."""
    counts = np.empty(scores.shape, np.int64)
    for row, (own, others) in enumerate(zip(scores, np.sort(rivals, axis=1), strict=True)):
        counts[row] = len(others) - np.searchsorted(others, own, side="left")
    return counts


def largest_k(candidates: Candidates, wanted: int, *, within_song: bool = False, share: float = 0.9) -> int:
    """Largest choice up to `wanted` for which at least `share` of the windows have rivals enough; 0 if none of 2."""
    rival = candidates.rival
    same = candidates.song[:, None] == candidates.song[rival]
    near = same & (np.abs(candidates.second[:, None] - candidates.second[rival]) < candidates.window_s - 1e-6)
    free = (same & ~near).sum(1) if within_song else (~near).sum(1)
    k = int(np.quantile(free[candidates.of], 1.0 - share, method="lower")) + 1
    return min(wanted, k) if k >= 2 else 0


WITHIN_K = 10


@dataclass(frozen=True)
class Score:
    """One way to score. `table` gives the score (n, m) of queries (n, d) if each of the m candidates had been heard."""

    name: str
    label: str
    table: Callable[[Floats], Floats]
    protocol: str
    chance: float | None = None
    better: Literal["higher", "lower"] = "higher"


def identification_scores(
    candidates: Candidates, k: int, where: str, *, space: str = "", suffix: str = "", within_song: bool = True
) -> Iterator[Score]:
    """k-way among all music, k-way within the song, and the song's name; as far as there is music enough.

    Parameters
    ----------
    where : str
        What is tested on, for the protocols.
    space, suffix : str
        The space of the vectors, added to the labels and to the names.
    """
    length, space = f"{candidates.window_s:g} s", f", {space}" if space else ""
    if found := largest_k(candidates, k):
        fewer = "" if found == k else f" (the test set does not have enough music for {k})"
        yield Score(
            f"{found}-way{suffix}", f"{found}-way identification{space}",
            lambda q: pick_rates(q, candidates, found),
            f"which of {found} excerpts of {length} was heard{fewer}; rivals are distinct and never overlap what was "
            f"heard, exact expectation over their draw; {where}", 1.0 / found,
        )  # fmt: skip
    if within_song and (inside := largest_k(candidates, WITHIN_K, within_song=True)):
        yield Score(
            f"{inside}-way-within-song{suffix}", f"{inside}-way identification within the song{space}",
            lambda q: pick_rates(q, candidates, inside, within_song=True),
            f"which of {inside} excerpts of {length} of the same song was heard: knowing the song, or the recording, "
            f"does not help; {where}", 1.0 / inside,
        )  # fmt: skip
    names = len(np.unique(candidates.name))
    if names >= 2:
        yield Score(
            f"{names}-way-song-name{suffix}", f"{names}-way song name{space}", lambda q: name_rates(q, candidates),
            f"which of {names} excerpts of {length}, one of each song name, was heard; exact expectation over which "
            f"excerpt stands for a name; {where}", 1.0 / names,
        )  # fmt: skip


def match_mismatch(candidates: Candidates, where: str, *, space: str = "", suffix: str = "") -> Score | None:
    """Which of two excerpts was heard, the other drawn from all music tested; None with less than two.

    The measure of the tracking literature; the exact expectation over the draw leaves no order, and so no side, to
    learn. Arguments are those of `identification_scores`.
    """
    if not largest_k(candidates, 2):
        return None
    length, space = f"{candidates.window_s:g} s", f", {space}" if space else ""
    return Score(
        f"match-mismatch{suffix}", f"match-mismatch{space}", lambda q: pick_rates(q, candidates, 2),
        f"which of 2 excerpts of {length} was heard; the other one is any music tested that does not overlap it, exact "
        f"expectation over its draw; {where}", 0.5,
    )  # fmt: skip
