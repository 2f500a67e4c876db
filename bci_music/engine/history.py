"""What was heard, decoded and played: the memory behind the timeline, the gauge and the report."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bci_music.messages import Embedding, Identification, MusicMark, TimelineSpan

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_WINDOWS = 57_600  # eight hours at two windows a second


@dataclass(frozen=True, slots=True)
class SongLabel:
    """A song the pack knows."""

    id: str
    title: str
    genre: str = ""


@dataclass(frozen=True, slots=True)
class DecodedWindow:
    """One decoded window as the history keeps it: scores are cosines to the songs' prototypes, (n_songs,)."""

    index: int
    first_sample: int
    last_sample: int
    end_s: float
    confidence: float
    scores: NDArray[np.float32]
    nearest: int


class History:
    """Bounded memory of a run; fed by the decode thread, read by any.

    Parameters
    ----------
    songs, prototypes
        The songs of the pack's library and their (n_songs, 512) unit embeddings.
    window_s, hop_s : float
        Geometry of the decoder's windows.
    keep_vectors : int
        How many newest embeddings to keep whole (for a run's `embeddings.npz`).
    """

    def __init__(
        self, songs: tuple[SongLabel, ...], prototypes: NDArray[np.float32],
        window_s: float, hop_s: float, keep_vectors: int = 14_400,
    ):
        self.songs = songs
        self.window_s = window_s
        self.hop_s = hop_s
        self._prototypes = prototypes
        self._order = {song.id: i for i, song in enumerate(songs)}
        self._lock = threading.Lock()
        self._marks: list[MusicMark] = []
        self._windows: deque[DecodedWindow] = deque(maxlen=MAX_WINDOWS)
        self._vectors: deque[Embedding] = deque(maxlen=keep_vectors)

    def add_embedding(self, embedding: Embedding) -> None:
        """Note a decoded window."""
        scores = (self._prototypes @ embedding.vector).astype(np.float32)
        window = DecodedWindow(
            embedding.window_index, embedding.first_sample, embedding.last_sample, embedding.end_s,
            embedding.confidence, scores, int(scores.argmax()) if len(scores) else -1,
        )
        with self._lock:
            self._windows.append(window)
            self._vectors.append(embedding)

    def add_mark(self, mark: MusicMark) -> None:
        """Note that the music changed; marks may come late but are kept in order."""
        with self._lock:
            self._marks.append(mark)
            self._marks.sort(key=lambda m: m.time_s)

    def heard_at(self, time_s: float) -> MusicMark | None:
        """The music being heard at `time_s`, None when there was none or it is not known."""
        with self._lock:
            return self._heard_at(time_s)

    def _heard_at(self, time_s: float) -> MusicMark | None:
        at = bisect_right(self._marks, time_s, key=lambda m: m.time_s) - 1
        return self._marks[at] if at >= 0 and self._marks[at].song is not None else None

    def windows(self) -> list[DecodedWindow]:
        """All windows kept, oldest first."""
        with self._lock:
            return list(self._windows)

    def embeddings(self) -> list[Embedding]:
        """The newest embeddings, oldest first."""
        with self._lock:
            return list(self._vectors)

    def marks(self) -> list[MusicMark]:
        """All changes of the music, in order."""
        with self._lock:
            return list(self._marks)

    def pairs(self, newest: int | None = None) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
        """Windows with the song that was heard at their centre.

        Returns
        -------
        scores : (n, n_songs)
        true : (n,) index of the song heard, -1 where none is known
        index : (n,) window number on the hop grid
        """
        with self._lock:
            windows = list(self._windows)[-newest:] if newest else list(self._windows)
            heard = [self._heard_at(w.end_s - self.window_s / 2) for w in windows]
        true = np.array([self._order.get(h.song or "", -1) if h else -1 for h in heard], dtype=np.int64)
        scores = np.array([w.scores for w in windows], dtype=np.float32).reshape(len(windows), len(self.songs))
        return scores, true, np.array([w.index for w in windows], dtype=np.int64)

    def spans(self, from_s: float, to_s: float) -> list[TimelineSpan]:
        """Bars of the lanes "heard" and "decoded" between two times."""
        with self._lock:
            marks = list(self._marks)
            windows = [w for w in self._windows if w.end_s >= from_s]
        bars = []
        for mark, until in zip(marks, [*[m.time_s for m in marks[1:]], to_s], strict=True):
            if mark.song is not None and until > from_s and mark.time_s < to_s:
                bars.append(TimelineSpan("heard", max(mark.time_s, from_s), min(until, to_s), mark.title, 1.0, mark.song))
        return bars + self._decoded_bars(windows, to_s)

    def _decoded_bars(self, windows: list[DecodedWindow], to_s: float) -> list[TimelineSpan]:
        """Merge runs of windows that found the same song into bars."""
        runs: list[list[DecodedWindow]] = []
        for window in windows:
            if runs and runs[-1][-1].nearest == window.nearest and window.end_s - runs[-1][-1].end_s < 2 * self.hop_s:
                runs[-1].append(window)
            elif window.nearest >= 0:
                runs.append([window])
        return [
            TimelineSpan(
                "decoded", run[0].end_s, min(run[-1].end_s + self.hop_s, to_s), self.songs[run[0].nearest].title,
                float(np.mean([w.confidence for w in run])), self.songs[run[0].nearest].id,
            )
            for run in runs
        ]


def identify(history: History, newest: int | None = None, min_shift_s: float = 10.0) -> Identification | None:
    """Song identification on non-overlapping windows against all circular shifts of the pairing.

    The windows are laid on their hop grid; a window that was masked or skipped, or during which no
    known song was heard, counts for neither hits nor n. None when fewer than two windows are left.
    """
    from bci_music.judge.controls import shift_test
    from bci_music.judge.intervals import wilson

    scores, true, index = history.pairs(newest)
    if len(index) < 2 or len(history.songs) < 2 or not (true >= 0).any():
        return None
    grid = np.arange(index[0], index[-1] + 1)
    full_scores = np.full((len(grid), len(history.songs)), np.nan, dtype=np.float32)
    full_true = np.full(len(grid), -1, dtype=np.int64)
    full_scores[index - index[0]] = scores
    full_true[index - index[0]] = true
    every = round(history.window_s / history.hop_s)
    test = shift_test(full_scores, full_true, min_shift=round(min_shift_s / history.hop_s), every=every)
    if test.n < 2:
        return None
    return Identification(
        protocol=(
            f"{len(history.songs)}-way song identification, nearest prototype, non-overlapping {history.window_s:g} s "
            f"windows of one recording; control: {test.n_shifts} circular shifts of the pairing by >= {min_shift_s:g} s"
        ),
        k=len(history.songs), hits=test.hits, n=test.n, chance=1 / len(history.songs),
        ci95=wilson(test.hits, test.n), shuffled_top1=test.shuffled_top1, p=test.p,
    )
