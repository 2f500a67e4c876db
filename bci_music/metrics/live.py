"""How many windows found the song: the running count while somebody listens.

A count with its interval, for one look. Whether it is above chance is answered by `sequential`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bci_music.metrics.controls import shift_test
from bci_music.metrics.identification import cosine
from bci_music.metrics.intervals import wilson
from bci_music.status import Identification


class LiveGauge:
    """Running identification of the song heard among all songs, on windows that do not overlap.

    Parameters
    ----------
    songs : sequence of str
        Identities of the candidates.
    prototypes : (k, d)
        One vector per song, in the space of the embeddings.
    window_s, hop_s : float
        Window length and hop of the decoder; `index` in `add` counts hops.
    min_shift_s : float
        Smallest shift of the control.
    """

    def __init__(
        self, songs: Sequence[str], prototypes: ArrayLike, *, window_s: float = 4.0, hop_s: float = 0.5,
        min_shift_s: float = 10.0,
    ):
        self.songs = tuple(songs)
        self._prototypes = np.asarray(prototypes, np.float64)
        if self._prototypes.ndim != 2 or len(self._prototypes) != len(self.songs):
            raise ValueError(f"{len(self.songs)} songs need as many prototypes, got {self._prototypes.shape}")
        self._every = max(1, round(window_s / hop_s))
        self._min_shift = max(1, round(min_shift_s / hop_s))
        self._window_s = window_s
        self._number = {song: i for i, song in enumerate(self.songs)}
        self._rows: dict[int, tuple[NDArray[np.float64], int]] = {}
        self._answer: Identification | None = None
        self._evaluated = -1

    def add(self, index: int, vector: ArrayLike, heard: str | None) -> None:
        """Take a decoded window: its number on the hop grid, its embedding (d,) and the song heard in it.

        `heard` is None where nothing is marked as heard; a song that is no candidate counts as that, too.
        """
        true = -1 if heard is None else self._number.get(heard, -1)
        scores = cosine(np.asarray(vector, np.float64)[None], self._prototypes)[0]
        self._rows[int(index)] = (scores, true)

    @property
    def n_windows(self) -> int:
        """Windows taken so far, overlapping ones included."""
        return len(self._rows)

    def identification(self, refresh: bool = False) -> Identification | None:
        """Return the answer so far; None before the first evaluated window.

        It is worked out again only when a whole window length has been added (or with `refresh`), so that
        this may be asked at any rate.
        """
        due = len(self._rows) // self._every
        if self._rows and (refresh or due != self._evaluated):
            self._evaluated = due
            self._answer = self._evaluate()
        return self._answer

    def _evaluate(self) -> Identification | None:
        first = min(self._rows)
        n = max(self._rows) - first + 1
        scores = np.full((n, len(self.songs)), np.nan)
        true = np.full(n, -1)
        for index, (row, heard) in self._rows.items():
            scores[index - first], true[index - first] = row, heard
        test = shift_test(scores, true, min_shift=self._min_shift, every=self._every)
        if test.n == 0:
            return None
        shift_s = self._min_shift * self._window_s / self._every
        return Identification(
            protocol=f"song heard, {self._window_s:g} s windows without overlap, all circular shifts >= {shift_s:g} s",
            k=len(self.songs), hits=test.hits, n=test.n, chance=1.0 / len(self.songs),
            ci95=wilson(test.hits, test.n), shuffled_top1=test.shuffled_top1, p=test.p,
        )  # fmt: skip
