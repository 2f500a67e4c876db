"""What every query would score if any of the musics were the one heard: one table, from which the figure, its
controls and its permutations are read.

Rivals are *distinct* pieces of music that do not overlap, so that chance is 1 / k however many listeners heard the
same second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bci_music.metrics.metrics import cosine, none_drawn

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Musics:
    """The distinct pieces of music in a set of windows.

    Attributes
    ----------
    vector : (m, d)
    song, name : (m,) str
        Stimulus, and the song's name that its versions share.
    second : (m,) float
        Second of the song at which the piece begins.
    rival : (m,) bool
        Pieces that may be rivals: no two of them overlap.
    window_s : float
        Length of a piece.
    of : (n,) int
        The piece heard in each window.
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
) -> Musics:
    """Collect the music of (n,) windows; the same second of the same song is one piece, whoever heard it."""
    second = np.round(second, 3).astype(np.float64)
    keys = np.array(list(zip(song.tolist(), second.tolist(), strict=True)), dtype=[("song", song.dtype), ("at", float)])
    _, first, of = np.unique(keys, return_index=True, return_inverse=True)
    songs, at = song[first], second[first]
    rival = np.zeros(len(first), bool)
    last: tuple[str, float] = ("", -np.inf)
    for i in range(len(first)):  # sorted by song and second: take each that starts after the last one taken ended
        if songs[i] != last[0] or at[i] >= last[1] + window_s - 1e-6:
            rival[i], last = True, (songs[i], at[i])
    return Musics(np.asarray(vectors, np.float64)[first], songs, name[first], at, rival, window_s, of)


def pick_rates(queries: NDArray, musics: Musics, k: int, *, within_song: bool = False) -> Floats:
    """(n, m) probability that query i picks piece c among `k`: c itself and k - 1 others, drawn without replacement.

    Rivals do not overlap c nor each other; with `within_song` they are of the same song. NaN where there are fewer
    than k - 1 of them. The exact expectation over all draws; equal scores find nothing.
    """
    scores = cosine(queries, musics.vector)
    rates = np.full(scores.shape, np.nan)
    pools = [musics.song == song for song in np.unique(musics.song)] if within_song else [np.ones(len(musics), bool)]
    for pool in pools:
        rates[:, pool] = _pool_rates(scores[:, pool], musics, np.flatnonzero(pool), k)
    return np.where(np.isnan(scores), 0.0, rates)


def _pool_rates(scores: Floats, musics: Musics, columns: NDArray[np.int64], k: int) -> Floats:
    """`pick_rates` where rivals are all of the pieces in `columns`."""
    rival = np.flatnonzero(musics.rival[columns])
    song, at = musics.song[columns], musics.second[columns]
    near = (song[:, None] == song[rival]) & (np.abs(at[:, None] - at[rival]) < musics.window_s - 1e-6)
    beaten = _at_least(scores, scores[:, rival])
    for c, r in zip(*np.nonzero(near), strict=True):  # its own piece, and what overlaps it, are no rivals
        beaten[:, c] -= scores[:, rival[r]] >= scores[:, c]
    free = len(rival) - near.sum(axis=1)
    rates = np.full(scores.shape, np.nan)
    for n_free in np.unique(free[free >= k - 1]):
        table = none_drawn(int(n_free), k - 1)
        at_n = free == n_free
        rates[:, at_n] = table[beaten[:, at_n]]
    return rates


def name_rates(queries: NDArray, musics: Musics) -> Floats:
    """(n, m) probability that query i picks piece c among one piece of every song name, c for its own name.

    The exact expectation over which piece stands for each of the other names; chance is 1 / number of names.
    """
    scores = cosine(queries, musics.vector)
    names = np.unique(musics.name)
    rates = np.ones(scores.shape)
    for name in names:
        theirs = musics.name == name
        rivals = scores[:, theirs & musics.rival]
        lost = _at_least(scores[:, ~theirs], rivals) / rivals.shape[1]
        rates[:, ~theirs] *= 1.0 - lost
    return np.where(np.isnan(scores), 0.0, rates)


def _at_least(scores: Floats, rivals: Floats) -> NDArray[np.int64]:
    """(n, m) number of the rivals in the same row that score at least as much."""
    counts = np.empty(scores.shape, np.int64)
    for row, (own, others) in enumerate(zip(scores, np.sort(rivals, axis=1), strict=True)):
        counts[row] = len(others) - np.searchsorted(others, own, side="left")
    return counts


def largest_k(musics: Musics, wanted: int, *, within_song: bool = False, share: float = 0.9) -> int:
    """Largest choice up to `wanted` for which at least `share` of the windows have rivals enough; 0 if none of 2."""
    same = musics.song[:, None] == musics.song[musics.rival]
    near = same & (np.abs(musics.second[:, None] - musics.second[musics.rival]) < musics.window_s - 1e-6)
    free = (same & ~near).sum(1) if within_song else (~near).sum(1)
    k = int(np.quantile(free[musics.of], 1.0 - share, method="lower")) + 1
    return min(wanted, k) if k >= 2 else 0
