"""Which of thirty pieces of music has the mean spectrum of a sound? Its rank, and how far it is from the others.

The mean over time of a log-mel picture knows what sounds and nothing of when. Sixty published reconstructions from EEG
(Echoes of the Brain, IEEE TMM 2025) were measured so: rank of their own piece 3.9 to 5.0 of 29, own less another song
+.19 (30 pieces, three of each of ten songs).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
CANDIDATES = 30
OF_THE_SONG = 2  # others of the own song among them, as in the published thirty


@dataclass(frozen=True)
class Pieces:
    """Music that was heard: (p,) songs, (p,) seconds at which they begin, and how long each lasts."""

    song: NDArray[np.str_]
    second: Floats
    seconds: float

    def same_song(self, of: int) -> NDArray[np.int64]:
        """Pieces of the song of piece `of` that do not overlap with it."""
        apart = np.abs(self.second - self.second[of]) > self.seconds - 1e-6
        return np.flatnonzero((self.song == self.song[of]) & apart)

    def other_songs(self, of: int, without: str = "") -> NDArray[np.int64]:
        """Pieces of other songs, leaving out those of one more song."""
        return np.flatnonzero((self.song != self.song[of]) & (self.song != without))


@dataclass(frozen=True)
class Ranked:
    """Identification of windows: (n,) each, mean over the draws of candidates.

    Attributes
    ----------
    rank : candidates that are nearer than the own piece; of equal ones half
    top1, top3 : how often the own piece is the first, or among the first three
    """

    rank: Floats
    top1: Floats
    top3: Floats


def correlations(made: ArrayLike, heard: ArrayLike) -> Floats:
    """(n, p) correlation over bands of mean spectra (n, bands) with (p, bands); 0 with one that has no shape."""
    rows = []
    for spectra in (made, heard):
        s = np.asarray(spectra, np.float64)
        s = s - s.mean(axis=1, keepdims=True)
        length = np.linalg.norm(s, axis=1, keepdims=True)
        rows.append(np.where(length > 1e-6, s / np.maximum(length, 1e-6), 0.0))
    return rows[0] @ rows[1].T


def candidate_count(own: NDArray[np.int64], pieces: Pieces, without: NDArray[np.str_] | None = None) -> int:
    """Among how many pieces every window's own one can be found, 30 at most. Parameters as in `identify`."""
    rivals = _rivals(own, pieces, without).values()
    return min(CANDIDATES, *(1 + min(len(same), OF_THE_SONG) + len(other) for same, other in rivals))


def identify(
    table: Floats, own: NDArray[np.int64], pieces: Pieces, rng: np.random.Generator, *, k: int = CANDIDATES,
    draws: int = 8, without: NDArray[np.str_] | None = None,
) -> Ranked:
    """Rank the own piece of every window among `k`.

    The others are drawn for every window: two of the same song that do not overlap with the own piece, where there are
    so many, and the rest of other songs.

    Parameters
    ----------
    table : (n, p)
        How near every window's sound is to every piece.
    own : (n,) int
        The piece that counts as heard.
    k : int
        `candidate_count` at most.
    draws : int
        Sets of candidates that are drawn for each window.
    without : (n,), optional
        A song whose pieces are no candidates: the one really heard, where `own` is a wrong one.
    """
    rivals = _rivals(own, pieces, without)
    ranked = np.zeros((3, len(own)))
    for i, key in enumerate(_keys(own, without)):
        same, other = rivals[key]
        n_same = min(len(same), OF_THE_SONG, k - 1)
        for _ in range(draws):
            drawn = (rng.choice(same, n_same, replace=False), rng.choice(other, k - 1 - n_same, replace=False))
            near = table[i, np.concatenate(drawn)]
            nearer, equal = int((near > table[i, key[0]]).sum()), int((near == table[i, key[0]]).sum())
            first = [min(max(t - nearer, 0) / (equal + 1), 1.0) for t in (1, 3)]  # equal ones in any order
            ranked[:, i] += nearer + equal / 2, *first
    rank, top1, top3 = ranked / draws
    return Ranked(rank, top1, top3)


def gaps(table: Floats, own: NDArray[np.int64], pieces: Pieces, without: NDArray[np.str_] | None = None) -> Floats:
    """(n, 2) own piece less others of the same song, and less other songs: differences of means of `table`.

    NaN where there is no such other piece. Parameters as in `identify`.
    """
    rivals = _rivals(own, pieces, without)
    found = np.full((len(own), 2), np.nan)
    for i, key in enumerate(_keys(own, without)):
        for column, others in enumerate(rivals[key]):
            if len(others):
                found[i, column] = table[i, key[0]] - table[i, others].mean()
    return found


def _keys(own: NDArray[np.int64], without: NDArray[np.str_] | None) -> list[tuple[int, str]]:
    return list(zip(own.tolist(), [""] * len(own) if without is None else without.tolist(), strict=True))


def _rivals(
    own: NDArray[np.int64], pieces: Pieces, without: NDArray[np.str_] | None
) -> dict[tuple[int, str], tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pieces of the same song, and of other songs, for every own piece and song left out that there is."""
    return {key: (pieces.same_song(key[0]), pieces.other_songs(*key)) for key in set(_keys(own, without))}
