"""Is it above chance, while music with known identity plays: one bet for each song, when it is heard first.

Windows overlap, and those of one song share the song, the decoder's leanings and the listener's state: a song is one
piece of evidence, however long it plays. From windows that lie in its first `COUNT_S` seconds the mean similarity with
each song of the library is taken, and the bet is on the rank of the song that was heard among all songs of the library
not heard before in this run. That is fair under chance wherever any song not yet heard may come next with the same
probability, given the EEG so far: songs drawn at random, with or without putting back. It is not where a person
chooses the next song by what the decoder says, or where all sessions have one order and the decoder was trained on
them. A song heard again adds nothing, and so neither does a file played in a loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bci_music.metrics.identification import cosine
from bci_music.metrics.sequential import ALARM_RATE, RankBets, rank_of
from bci_music.status import Chance

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from bci_music.messages import Embedding, MusicMarker

COUNT_S = 20.0  # of a song, from its beginning: what comes later says little more
LATE_S = 1.0  # a marker may come this much later than the EEG it belongs to
KEEP_S = 4 * COUNT_S
SHAM_ALARMS = (6, 200)  # sham runs that said yes, of how many: tests/engine/test_chance_measured.py
NOT_KNOWN = (
    "Cannot know: no music markers came with this stream, so nothing says which song is heard. Give the sound: --heard."
)
NOT_IN_LIBRARY = "Cannot know: what is heard is not in the decoder's library."


class SongChance:
    """Bets on the song heard; sham has a wealth of its own.

    Parameters
    ----------
    songs : sequence of str
        Identities of the candidates.
    prototypes : (k, d)
        One vector per song, in the space of the embeddings.
    window_s : float
        Length of the decoder's windows.
    """

    def __init__(self, songs: Sequence[str], prototypes: ArrayLike, window_s: float):
        self._number = {song: i for i, song in enumerate(songs)}
        self._prototypes = np.asarray(prototypes, np.float64)
        self._window_s = window_s
        self._windows: deque[tuple[float, NDArray[np.float64], bool]] = deque()
        self._heard: set[str] = set()  # songs of the library
        self._bets = {False: RankBets(), True: RankBets()}
        self._shown_s: dict[bool, float | None] = {False: None, True: None}
        self._until_s = float("-inf")  # songs that began by then are counted
        self._marked = False

    def add(self, embedding: Embedding, markers: Sequence[MusicMarker]) -> None:
        """Take a decoded window and all changes of the music so far, in order of time."""
        self._windows.append((embedding.end_s, cosine(embedding.vector[None], self._prototypes)[0], embedding.sham))
        while self._windows[0][0] < embedding.end_s - KEEP_S:
            self._windows.popleft()
        for start_s, stop_s, song in _songs(markers):
            self._marked = True
            counted_s = min(stop_s, start_s + COUNT_S)
            if start_s > self._until_s and embedding.end_s >= counted_s + LATE_S:
                self._until_s = start_s
                self._count(song, start_s, counted_s, embedding.end_s)

    def answer(self, sham: bool = False) -> Chance:
        """Return how the bets stand."""
        bets = self._bets[sham]
        why = "" if bets.n else NOT_IN_LIBRARY if self._marked and not self._heard else ""
        return Chance(
            method="songs" if self._marked and not why else "", why=why if self._marked else NOT_KNOWN, n=bets.n,
            evidence=bets.wealth, highest=bets.highest, shown=bets.shown, shown_s=self._shown_s[sham],
            alarm_rate=ALARM_RATE, measured=SHAM_ALARMS, sham=sham,
        )  # fmt: skip

    def _count(self, song: str, start_s: float, stop_s: float, now_s: float) -> None:
        """Bet on a song that was heard for the first time; windows with EEG of another one are left out."""
        true = self._number.get(song, -1)
        if true < 0 or song in self._heard:
            return
        open_to = np.array([name not in self._heard for name in self._number])
        self._heard.add(song)
        first_s, last_s = start_s + self._window_s - 1e-6, stop_s + 1e-6
        for sham, bets in self._bets.items():
            rows = [s for end_s, s, kind in self._windows if kind is sham and first_s <= end_s <= last_s]
            rows = [row for row in rows if np.isfinite(row).all()]
            if rows:
                bets.bet(*rank_of(np.where(open_to, np.mean(rows, axis=0), np.nan), true))
            if bets.shown and self._shown_s[sham] is None:
                self._shown_s[sham] = now_s


def _songs(markers: Sequence[MusicMarker]) -> list[tuple[float, float, str]]:
    """Start, stop and identity of every song; one that is announced again while it plays goes on."""
    found: list[tuple[float, float, str]] = []
    last: str | None = None
    for marker in markers:
        if marker.song == last:
            continue
        if found and last is not None:
            found[-1] = (found[-1][0], marker.time_s, found[-1][2])
        if marker.song is not None:
            found.append((marker.time_s, float("inf"), marker.song))
        last = marker.song
    return found


def bets_words(chance: Mapping[str, Any]) -> str:
    """How many bets a report's `chance` counts, and on what: "1 song", "5 songs", "12 blocks of music.wav"."""
    n = chance.get("n")
    one = "" if n == 1 else "s"
    return f"{n} block{one} of {chance.get('heard')}" if chance.get("method") == "sound" else f"{n} song{one}"
