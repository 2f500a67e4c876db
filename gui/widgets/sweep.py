"""The numbers behind the sweep display: causal filter, ten seconds of history, extremes per pixel column.

No Qt here. A *position* counts samples since the sweep began, gaps included, so that missing time is an
empty stretch on the screen and row ``position % capacity`` of the history is its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import BREAK, HOLE


@dataclass(frozen=True, slots=True)
class Columns:
    """Extremes of whole pixel columns: `low` and `high` are (n, C) µV, NaN where nothing is to be drawn."""

    first: int
    low: NDArray[np.float32]
    high: NDArray[np.float32]


BAND_HZ = (1.0, 40.0)  # of the display only; the decoder has its own chain


class DisplayFilter:
    """Causal band-pass over (n, C) samples for the eye; each restart begins settled on its first sample."""

    def __init__(self, n_channels: int, sfreq_hz: float):
        from scipy.signal import butter, sosfilt_zi

        low, high = min(BAND_HZ[0], 0.02 * sfreq_hz), min(BAND_HZ[1], 0.4 * sfreq_hz)
        highpass = butter(2, low, "highpass", fs=sfreq_hz, output="sos")
        self._sos = np.vstack([highpass, butter(4, high, "lowpass", fs=sfreq_hz, output="sos")])
        self._settled = sosfilt_zi(self._sos)  # (sections, 2)
        self._state: NDArray[np.float64] | None = None
        self._last = np.zeros(n_channels)

    def restart(self) -> None:
        """Forget the past: the next sample is a new beginning."""
        self._state = None

    def __call__(self, samples: NDArray[np.float32], real: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Filter; where `real` (n, C) is False the channel's last real value goes in and NaN comes out."""
        from scipy.signal import sosfilt

        filled = self._fill(samples.astype(np.float64), real)
        if self._state is None:
            self._state = self._settled[:, :, None] * filled[0]
        out, self._state = sosfilt(self._sos, filled, axis=0, zi=self._state)
        shown = np.asarray(out, np.float32)
        shown[~real] = np.nan
        return shown

    def _fill(self, samples: NDArray[np.float64], real: NDArray[np.bool_]) -> NDArray[np.float64]:
        if not real.all():
            with_last = np.vstack([self._last, samples])
            rows = np.where(np.vstack([np.ones(len(self._last), bool), real]), np.arange(len(with_last))[:, None], 0)
            source = np.maximum.accumulate(rows, axis=0)
            samples = np.take_along_axis(with_last, source, axis=0)[1:]
        self._last = samples[-1].copy()
        return samples


class Sweep:
    """Take raw samples in, give pixel columns out.

    Parameters
    ----------
    n_channels, sfreq_hz
        Of the stream.
    seconds
        Time from the left edge to the right.
    """

    def __init__(self, n_channels: int, sfreq_hz: float, seconds: float = 10.0):
        self.sfreq_hz, self.seconds = sfreq_hz, seconds
        self.span = round(seconds * sfreq_hz)
        self.head = 0  # position of the next sample
        self._capacity = self.span + 1
        self._history = np.full((self._capacity, n_channels), np.nan, np.float32)
        self._filter = DisplayFilter(n_channels, sfreq_hz)
        self._last_time_s: float | None = None

    def push(self, samples: NDArray[np.float32], times_s: NDArray[np.float64], flags: NDArray[np.uint8]) -> None:
        """Append rows (n, C) µV; holes, breaks and NaN become gaps."""
        cuts = np.flatnonzero(flags & BREAK)
        edges = [0, *[int(c) for c in cuts if c], len(samples)]
        for start, stop in pairwise(edges):
            if stop == start:
                continue
            if flags[start] & BREAK:
                self.jump(times_s[start])
            self._append(samples[start:stop], flags[start:stop])
            self._last_time_s = float(times_s[stop - 1])

    def jump(self, time_s: float) -> None:
        """Leave the time up to `time_s` empty and start the filter again."""
        self._filter.restart()
        if self._last_time_s is None:
            return
        missing = round((time_s - self._last_time_s) * self.sfreq_hz) - 1
        blank = min(max(missing, 0), self._capacity)
        rows = (self.head + np.arange(blank)) % self._capacity
        self._history[rows] = np.nan
        self.head += max(missing, 0)
        self._last_time_s = time_s

    def _append(self, samples: NDArray[np.float32], flags: NDArray[np.uint8]) -> None:
        real = np.isfinite(samples) & ((flags & HOLE) == 0)[:, None]
        shown = self._filter(samples, real)[-self.span :]
        self.head += len(samples)
        rows = (self.head - len(shown) + np.arange(len(shown))) % self._capacity
        self._history[rows] = shown

    def columns(self, first: int, stop: int, width: int) -> Columns:
        """Extremes of columns ``first`` to ``stop`` when the sweep is `width` px wide.

        Each column begins with the last sample of the one before it, so that lines do not break between columns.
        """
        edges = self._edge(np.arange(first, stop + 1), width)
        begin = max(int(edges[0]) - 1, self.head - self._capacity, 0)
        rows = np.arange(begin, int(edges[-1])) % self._capacity
        block = self._history[rows]
        pairs = np.empty(2 * (stop - first), np.int64)
        pairs[0::2] = np.maximum(edges[:-1] - 1 - begin, 0)
        pairs[1::2] = edges[1:] - begin
        pairs[-1] = len(block)
        block = np.vstack([block, block[-1:]])  # reduceat needs every index to be inside
        return Columns(first, np.fmin.reduceat(block, pairs)[0::2], np.fmax.reduceat(block, pairs)[0::2])

    def complete(self, width: int) -> int:
        """Return the number of columns (since the sweep began) all of whose samples are here."""
        column = self.head * width // self.span
        while self._edge(column, width) > self.head:
            column -= 1
        while self._edge(column + 1, width) <= self.head:
            column += 1
        return int(column)

    def _edge(self, column, width: int):
        """Position of the first sample of a column."""
        return -(-column * self.span // width)

    def spread_uv(self, seconds: float = 2.0) -> float:
        """Return the median over channels of the spread (two standard deviations) of the newest seconds, µV."""
        n = min(int(seconds * self.sfreq_hz), self.head, self.span)
        if n < 2:
            return float("nan")
        block = np.abs(self._history[(self.head - n + np.arange(0, n, max(1, n // 200))) % self._capacity])
        count = np.isfinite(block).sum(axis=0)
        means = np.nansum(block, axis=0)[count > 0] / count[count > 0]
        return float(2.5 * np.median(means)) if len(means) else float("nan")
