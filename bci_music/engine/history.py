"""What was heard, decoded and played: the memory behind the timeline, the gauge and the report."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bci_music.engine.chance import SongChance
from bci_music.messages import Embedding, MusicMarker
from bci_music.metrics.live import LiveGauge
from bci_music.status import Chance, Identification, TimelineSpan

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_WINDOWS = 57_600  # eight hours at two windows a second
MOVED = (
    "Cannot know after a jump: whoever chooses the place chooses what is counted. `replay --start` counts from a place."
)
NO_CHOICE = "Cannot know: the library has fewer than two songs, so there is none to tell from another."


@dataclass(frozen=True, slots=True)
class SongLabel:
    """A song the pack knows."""

    id: str
    title: str
    genre: str = ""


@dataclass(frozen=True, slots=True)
class DecodedWindow:
    """What the timeline needs of one decoded window; `nearest` is the number of the nearest song, -1 for none."""

    end_s: float
    confidence: float
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
        self,
        songs: tuple[SongLabel, ...],
        prototypes: NDArray[np.float32],
        window_s: float,
        hop_s: float,
        keep_vectors: int = 14_400,
    ):
        self.songs = songs
        self.window_s = window_s
        self.hop_s = hop_s
        self._prototypes = prototypes
        self._gauge = self._new_gauge()
        self._chance = SongChance([song.id for song in songs], prototypes, window_s) if len(songs) > 1 else None
        self._sham = False
        self._moved = False  # by the operator, to a place of their choice
        self._lock = threading.RLock()
        self._markers: list[MusicMarker] = []
        self._windows: deque[DecodedWindow] = deque(maxlen=MAX_WINDOWS)
        self._vectors: deque[Embedding] = deque(maxlen=keep_vectors)

    def add_embedding(self, embedding: Embedding) -> None:
        """Note a decoded window."""
        scores = self._prototypes @ embedding.vector
        nearest = int(scores.argmax()) if len(scores) else -1
        with self._lock:
            self._windows.append(DecodedWindow(embedding.end_s, embedding.confidence, nearest))
            self._vectors.append(embedding)
            heard = self.heard_at(embedding.end_s - self.window_s / 2)
            if self._gauge is not None:
                self._gauge.add(embedding.window_index, embedding.vector, heard.song if heard else None)
            if self._chance is not None:
                self._chance.add(embedding, self._markers)
            self._sham = embedding.sham

    def add_marker(self, marker: MusicMarker) -> None:
        """Note that the music changed; markers may come late but are kept in order."""
        with self._lock:
            self._markers.append(marker)
            self._markers.sort(key=lambda m: m.time_s)

    def heard_at(self, time_s: float) -> MusicMarker | None:
        """The music being heard at `time_s`, None when there was none or it is not known."""
        with self._lock:
            at = bisect_right(self._markers, time_s, key=lambda m: m.time_s) - 1
            return self._markers[at] if at >= 0 and self._markers[at].song is not None else None

    def begin_again(self) -> None:
        """Begin a new count: another stream was joined, or another place of a recording (decode thread)."""
        with self._lock:
            self._gauge = self._new_gauge()

    def cut_markers(self, time_s: float) -> None:
        """Forget music that was announced for later than `time_s`: the replay goes on from another place."""
        with self._lock:
            self._markers = [m for m in self._markers if m.time_s < time_s]
            self._markers.append(MusicMarker(time_s, None))
            self._moved = True

    def windows(self) -> list[DecodedWindow]:
        """All windows kept, oldest first."""
        with self._lock:
            return list(self._windows)

    def embeddings(self) -> list[Embedding]:
        """The newest embeddings, oldest first."""
        with self._lock:
            return list(self._vectors)

    def markers(self) -> list[MusicMarker]:
        """All changes of the music, in order."""
        with self._lock:
            return list(self._markers)

    def chance(self, sham: bool | None = None) -> Chance:
        """Whether it is above chance, for sham or for EEG as it came; by default as the newest window."""
        with self._lock:
            if self._moved:
                return Chance(why=MOVED)
            return self._chance.answer(self._sham if sham is None else sham) if self._chance else Chance(why=NO_CHOICE)

    def identification(self, refresh: bool = False) -> Identification | None:
        """How many windows found the song so far."""
        with self._lock:
            return self._gauge.identification(refresh) if self._gauge else None

    def spans(self, from_s: float, to_s: float) -> list[TimelineSpan]:
        """Bars of the lanes "heard" and "decoded" between two times."""
        with self._lock:
            markers = list(self._markers)
            windows = [w for w in self._windows if w.end_s >= from_s]
        bars = []
        for marker, until in zip(markers, [*[m.time_s for m in markers[1:]], to_s], strict=False):
            if marker.song is not None and until > from_s and marker.time_s < to_s:
                start_s, stop_s = max(marker.time_s, from_s), min(until, to_s)
                bars.append(TimelineSpan("heard", start_s, stop_s, marker.title, 1.0, marker.song))
        return [*bars, *self._decoded_bars(windows, to_s)]

    def _new_gauge(self) -> LiveGauge | None:
        if len(self.songs) < 2:
            return None
        names = [song.id for song in self.songs]
        return LiveGauge(names, self._prototypes, window_s=self.window_s, hop_s=self.hop_s)

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
                "decoded",
                run[0].end_s,
                min(run[-1].end_s + self.hop_s, to_s),
                self.songs[run[0].nearest].title,
                float(np.mean([w.confidence for w in run])),
                self.songs[run[0].nearest].id,
            )
            for run in runs
        ]
