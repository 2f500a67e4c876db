"""What is learned from: segments of prepared EEG, each with the music heard in it, and batches drawn from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import UserError


@dataclass(frozen=True)
class Segment:
    """One listener hearing one part of one song.

    Attributes
    ----------
    eeg : (n_channels, n_times) float16
        Prepared EEG as the decoder's windows hold it.
    used : (n_channels,) bool
        Present and good channels.
    song_start_s : float
        Second of the song at the first sample.
    start_s : float
        Second of the recording at the first sample.
    repeat : str
        Which hearing of the same music by this listener; empty where there is only one.
    """

    eeg: NDArray[np.float16]
    used: NDArray[np.bool_]
    song: str
    song_start_s: float
    listener: str
    recording: str
    start_s: float = 0.0
    repeat: str = ""


@dataclass(frozen=True)
class Music:
    """One song as targets: `targets` (m, d) unit rows, one per `grid_s` of window start; `bands` (n, f) per 0.1 s."""

    targets: NDArray[np.float32]
    bands: NDArray[np.float32]
    grid_s: float

    def target_at(self, start: float) -> NDArray[np.float32]:
        """Target (d,) of the window that starts at this second of the song."""
        return self.targets[round(start / self.grid_s)]

    def slot_bands(self, start: float, slot_s: float, n_slots: int) -> NDArray[np.float32]:
        """Band features (n_slots, steps per slot * f) of each slot of a window, a little earlier than its EEG."""
        per_slot = max(1, round(slot_s / BAND_STEP_S))
        slots = np.rint(slot_s / BAND_STEP_S * np.arange(n_slots)).astype(int)
        firsts = round((start - BAND_LAG_S) / BAND_STEP_S) + slots
        rows = np.clip(firsts[:, None] + np.arange(per_slot), 0, len(self.bands) - 1)
        return self.bands[rows].reshape(n_slots, -1)


@dataclass(frozen=True)
class Batch:
    """Windows with what was heard in them. `song` and `second` say which windows share their music."""

    x: NDArray[np.float32]  # (B, C, T)
    used: NDArray[np.bool_]  # (B, C)
    target: NDArray[np.float32]  # (B, d)
    bands: NDArray[np.float32]  # (B, slots, features)
    song: NDArray[np.int64]  # (B,)
    second: NDArray[np.float64]  # (B,) song second of the window's start


BAND_STEP_S = 0.1
BAND_LAG_S = 0.15  # a slot of EEG tells most about music this much earlier


class Corpus:
    """Segments and the music they belong to.

    Parameters
    ----------
    segments : list of Segment
    music : mapping of song id to Music
    sfreq_hz, n_times, patch
        Rate of the EEG, samples of a window, samples of a time slot.
    """

    def __init__(self, segments: list[Segment], music: dict[str, Music], *, sfreq_hz: float, n_times: int, patch: int):
        self.segments = [segment for segment in segments if segment.eeg.shape[1] >= n_times]
        if not self.segments:
            raise UserError(f"No segment is as long as one window of {n_times} samples: choose a smaller `window_s`.")
        self.music = music
        self.songs = sorted(music)
        self.sfreq_hz, self.n_times, self.patch = sfreq_hz, n_times, patch
        self.grid_s = next(iter(music.values())).grid_s
        self._places = [self._starts(segment) for segment in self.segments]
        lengths = np.array([len(p) for p in self._places], float)
        self._share = lengths / lengths.sum()

    @property
    def n_slots(self) -> int:
        """Time slots of a window."""
        return self.n_times // self.patch

    @property
    def seconds(self) -> float:
        """EEG in all segments."""
        return sum(segment.eeg.shape[1] for segment in self.segments) / self.sfreq_hz

    def draw(self, rng: np.random.Generator, size: int, jitter_s: float = 0.0) -> Batch:
        """Draw windows at random; `jitter_s` shifts the EEG against the music a little."""
        places = self.places(rng, size)
        return self.gather(places, np.rint(rng.uniform(-jitter_s, jitter_s, size) * self.sfreq_hz).astype(int))

    def places(self, rng: np.random.Generator, size: int) -> list[tuple[int, float]]:
        """Draw (segment, song second of the window's start)."""
        which = rng.choice(len(self.segments), size, p=self._share)
        return [(int(i), float(rng.choice(self._places[i]))) for i in which]

    def windows(self, hop_s: float) -> Iterator[tuple[int, float]]:
        """All windows as (segment, song second of the start), `hop_s` apart within each segment."""
        for i, starts in enumerate(self._places):
            last = -np.inf
            for start in starts:
                if start - last >= hop_s - 1e-6:
                    yield i, float(start)
                    last = start

    def heard_targets(self) -> NDArray[np.float32]:
        """(m, d) target of every window in the segments, each piece of music once, in order of song and time."""
        grid: dict[str, set[int]] = {song: set() for song in self.songs}
        for segment, starts in zip(self.segments, self._places, strict=True):
            grid[segment.song].update(np.rint(starts / self.grid_s).astype(int).tolist())
        return np.concatenate([self.music[song].targets[sorted(rows)] for song, rows in grid.items() if rows])

    def gather(self, places: list[tuple[int, float]], shift: NDArray[np.int64] | None = None) -> Batch:
        """Cut the windows at these places."""
        x = np.empty((len(places), self.segments[0].eeg.shape[0], self.n_times), np.float32)
        for row, (i, start) in enumerate(places):
            first = self.first_sample(i, start, 0 if shift is None else int(shift[row]))
            x[row] = self.segments[i].eeg[:, first : first + self.n_times]
        return self.heard(places, x, np.stack([self.segments[i].used for i, _ in places]))

    def first_sample(self, segment: int, start: float, shift: int = 0) -> int:
        """Where in a segment the window that starts at song second `start` begins."""
        first = round((start - self.segments[segment].song_start_s) * self.sfreq_hz) + shift
        return min(max(first, 0), self.segments[segment].eeg.shape[1] - self.n_times)

    def heard(self, places: list[tuple[int, float]], x: NDArray[np.float32], used: NDArray[np.bool_]) -> Batch:
        """Join inputs made for these places with what was heard there."""
        music = [(self.music[self.segments[i].song], start) for i, start in places]
        return Batch(
            x=x,
            used=used,
            target=np.stack([m.target_at(start) for m, start in music]),
            bands=np.stack([m.slot_bands(start, self.patch / self.sfreq_hz, self.n_slots) for m, start in music]),
            song=np.array([self.songs.index(self.segments[i].song) for i, _ in places]),
            second=np.array([start for _, start in places]),
        )

    def _starts(self, segment: Segment) -> NDArray[np.float64]:
        """Window starts on the target grid, in song seconds."""
        length = (segment.eeg.shape[1] - self.n_times) / self.sfreq_hz
        first = int(np.ceil(segment.song_start_s / self.grid_s - 1e-6))
        last = int(np.floor((segment.song_start_s + length) / self.grid_s + 1e-6))
        last = min(last, len(self.music[segment.song].targets) - 1)
        return self.grid_s * np.arange(first, last + 1, dtype=np.float64)
