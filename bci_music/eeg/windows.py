"""Windows on the hop grid, scaled by running robust statistics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config
from bci_music.eeg.preprocess import CleanRows, PreprocessConfig
from bci_music.eeg.state import Stateful
from bci_music.messages import HOLE, NOT_DATA, Window

_MIN_SCALE_UV = 1e-3  # a flat channel is divided by this, not by nothing


class WindowConfig(Config):
    """Length and stride of the model's input."""

    seconds: float = Field(4.0, gt=0, le=600)
    hop_s: float = Field(0.5, ge=0.01, le=600)


class RunningScale(Stateful):
    """Robust location and spread per channel over the last `seconds` full seconds.

    Each second of good rows gives its median and its median absolute deviation; location and spread are the medians of
    those over the memory. Blinks and a few bad seconds do not move them, and after `seconds` nothing older matters.
    """

    _state_fields = ("_medians", "_spreads", "count")

    def __init__(self, n_channels: int, seconds: int):
        self._medians = np.zeros((seconds, n_channels))
        self._spreads = np.zeros((seconds, n_channels))
        self.count = 0

    def add(self, second: NDArray[np.float32]) -> None:
        """Take one second (n_channels, n) of clean rows."""
        slot = self.count % len(self._medians)
        median = np.median(second, axis=1)
        self._medians[slot] = median
        self._spreads[slot] = 1.4826 * np.median(np.abs(second - median[:, None]), axis=1)
        self.count += 1

    def now(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Location and spread (n_channels,) in µV."""
        if not self.count:
            return np.zeros(self._medians.shape[1]), np.ones(self._medians.shape[1])
        n = min(self.count, len(self._medians))
        spread = np.median(self._spreads[:n], axis=0)
        return np.median(self._medians[:n], axis=0), np.maximum(spread, _MIN_SCALE_UV)


class Windower(Stateful):
    """Cut clean rows into windows: number k begins at output row ``floor(k * hop_s * sfreq_hz)``.

    Parameters
    ----------
    config : WindowConfig
    preprocess : PreprocessConfig
        Rate, clip and memory of the scale.
    present : (n_present,) int
        Montage index of each channel in the rows.
    n_channels : int
        Channels of the montage.
    """

    _state_fields = (
        "scale", "_rows", "_broken", "_times", "_flags", "_sources", "_filled", "_base", "_next", "_seconds",
    )

    def __init__(
        self, config: WindowConfig, preprocess: PreprocessConfig, present: NDArray[np.int64], n_channels: int
    ):
        self._rate = preprocess.sfreq_hz
        self.n_times = round(config.seconds * self._rate)
        self._hop = config.hop_s * self._rate
        self._clip = preprocess.clip
        self._second = round(self._rate)
        self._min_count = int(np.ceil(preprocess.zscore_min_s))
        self._present = present
        self._n_channels = n_channels
        self.scale = RunningScale(len(present), round(preprocess.zscore_s))
        capacity = 2 * self.n_times + 8 * self._second
        self._rows = np.zeros((len(present), capacity), np.float32)
        self._broken = np.zeros((len(present), capacity), bool)
        self._times = np.zeros(capacity)
        self._flags = np.zeros(capacity, np.uint8)
        self._sources = np.zeros((2, capacity), np.int64)  # oldest and newest source row
        self._filled = 0  # rows in these buffers
        self._base = 0  # output row number of the first one
        self._next = 0  # number of the next window
        self._seconds = 0  # full seconds seen by the scale

    @property
    def last_row(self) -> tuple[float, int] | None:
        """Time and newest source row of the last row taken, None before the first."""
        last = self._filled - 1
        return (float(self._times[last]), int(self._sources[1, last])) if self._filled else None

    def process(self, rows: CleanRows, good: NDArray[np.bool_], connection: int) -> list[Window]:
        """Append rows and return the windows they complete; `good` (n_present,) are the channels to use."""
        self._append(rows)
        windows = []
        while (start := self._start(self._next)) + self.n_times <= self._base + self._filled:
            self._measure(start + self.n_times)
            windows.append(self._cut(start, good, connection))
            self._next += 1
        self._measure(self._base + self._filled)
        done = min(self._start(self._next), self._seconds * self._second) - self._base
        if done > 4 * self._second:
            self._drop(done)
        return windows

    def hole(self, n: int, until_s: float, source_row: int) -> CleanRows:
        """Rows standing for `n` missing ones that end one sample before `until_s`."""
        times = until_s - (n - np.arange(n)) / self._rate
        source = np.full(n, source_row, np.int64)
        zeros = np.zeros((len(self._present), n), np.float32)
        return CleanRows(zeros, np.zeros(zeros.shape, bool), times, np.full(n, HOLE, np.uint8), source, source)

    def _start(self, window: int) -> int:
        return int(np.floor(window * self._hop + 1e-9))

    def _append(self, rows: CleanRows) -> None:
        part = slice(self._filled, self._filled + len(rows.newest))
        if part.stop > len(self._times):
            raise ValueError(f"{len(rows.newest)} rows at once are more than the {len(self._times)} a windower holds")
        self._rows[:, part], self._broken[:, part] = rows.samples, rows.broken
        self._times[part], self._flags[part] = rows.times_s, rows.flags
        self._sources[0, part], self._sources[1, part] = rows.oldest, rows.newest
        self._filled = part.stop

    def _drop(self, n: int) -> None:
        kept = self._filled - n
        for buffer in (self._rows, self._broken, self._times, self._flags, self._sources):
            buffer[..., :kept] = buffer[..., n : self._filled].copy()
        self._filled = kept
        self._base += n

    def _measure(self, until: int) -> None:
        """Let the scale see every full second that ends at or before output row `until`."""
        while (stop := (self._seconds + 1) * self._second) <= until:
            part = slice(stop - self._second - self._base, stop - self._base)
            if not (self._flags[part] & NOT_DATA).any():
                self.scale.add(np.ascontiguousarray(self._rows[:, part]))
            self._seconds += 1

    def _cut(self, start: int, good: NDArray[np.bool_], connection: int) -> Window:
        part = slice(start - self._base, start - self._base + self.n_times)
        location, spread = self.scale.now()
        scaled = (self._rows[:, part] - location[:, None].astype(np.float32)) / spread[:, None].astype(np.float32)
        samples = np.zeros((self._n_channels, self.n_times), np.float32)
        samples[self._present] = np.clip(scaled, -self._clip, self._clip)
        used = np.zeros(self._n_channels, bool)
        used[self._present] = good & ~self._broken[:, part].any(axis=1)
        return Window(
            samples=samples, used=used, flags=self._flags[part].copy(), index=self._next,
            first_sample=int(self._sources[0, part].min()), last_sample=int(self._sources[1, part].max()),
            end_s=float(self._times[part][-1]), connection=connection, settled=self.scale.count >= self._min_count,
        )
