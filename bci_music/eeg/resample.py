"""Streaming resampling by any ratio, bit for bit the same however the input is cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bci_music.eeg.state import Stateful

BLOCK = 5  # output samples computed at once: 40 ms at 125 Hz
_ROUND = 1e-6  # of a source sample: positions that close count as equal


@dataclass(frozen=True)
class Resampled:
    """A run of output: rows count source samples since the restart.

    Attributes
    ----------
    samples : (n_channels, n) float64
    oldest, newest : (n,) int64
        First source row that each output sample is made of, and last row that had to come before its block was made.
    row : (n,) int64
        Last source row at or before the output sample's place.
    lead_s : (n,) float64
        How far that place lies behind the row, in seconds (0 ... one sample).
    """

    samples: NDArray[np.float64]
    oldest: NDArray[np.int64]
    newest: NDArray[np.int64]
    row: NDArray[np.int64]
    lead_s: NDArray[np.float64]


class StreamResampler(Stateful):
    """Resample channel-first EEG to `sfreq_out` from a rate that is equal or higher, any ratio.

    Output sample m stands at source position ``m * sfreq_in / sfreq_out`` and is a weighted sum of the source rows in
    the last 0.1 s (a Kaiser-windowed sinc, 60 dB, half amplitude at the output's Nyquist frequency). All outputs are
    made in blocks of `BLOCK` with arrays of one fixed shape, so that neither BLAS nor summation order depends on how
    the stream was cut. The signal before the restart is taken as zero. Equal rates pass through.

    Parameters
    ----------
    n_channels : int
    sfreq_in, sfreq_out : float
        In Hz.
    """

    _state_fields = ("_rows", "_base", "_end", "_block")

    def __init__(self, n_channels: int, sfreq_in: float, sfreq_out: float):
        self.sfreq_in = sfreq_in
        self.ratio = sfreq_in / sfreq_out
        self.passes = abs(self.ratio - 1) < 1e-9
        self.delay_s = 0.0 if self.passes else 6.25 / sfreq_out
        self._cutoff_hz = sfreq_out / 2
        self._taps = 1 if self.passes else int(np.floor(2 * self.delay_s * sfreq_in)) + 1
        self._span = BLOCK if self.passes else int(np.ceil((BLOCK - 1) * self.ratio)) + self._taps + 1
        self._beta = 5.65326  # of the Kaiser window: 60 dB
        self._kernels: dict[float, NDArray[np.float64]] = {}
        self._n_channels = n_channels
        self.restart()

    @property
    def pending_rows(self) -> float:
        """Source rows from the last output to the last row taken (before the first output: from where -1 would be)."""
        return self._base + self._end - 1 - (self._block * BLOCK - 1) * self.ratio

    def restart(self) -> None:
        """Forget everything: the next sample is row 0."""
        self._rows = np.zeros((self._n_channels, 4 * self._span))
        self._base = -self._span  # row number of the buffer's first column
        self._end = self._span  # columns filled
        self._block = 0  # next block to make

    def process(self, samples: NDArray[np.float64]) -> Resampled:
        """Take (n_channels, n) samples and return all output blocks that they complete."""
        self._append(samples)
        done, place, lead = [], [], []
        last_row = self._base + self._end - 1
        while True:
            positions = (np.arange(BLOCK) + self._block * BLOCK) * self.ratio
            rows = np.floor(positions + _ROUND).astype(np.int64)
            if rows[-1] > last_row:
                break
            done.append(self._make(positions[0], int(rows[-1])))
            place.append(rows)
            lead.append(np.maximum(positions - rows, 0.0) / self.sfreq_in)
            self._block += 1
        if not done:
            empty = np.zeros(0, np.int64)
            return Resampled(np.zeros((self._n_channels, 0)), empty, empty, empty, np.zeros(0))
        row = np.concatenate(place)
        newest = np.repeat(row[BLOCK - 1 :: BLOCK], BLOCK)
        return Resampled(np.concatenate(done, axis=1), row - self._taps + 1, newest, row, np.concatenate(lead))

    def _append(self, samples: NDArray[np.float64]) -> None:
        n = samples.shape[1]
        if self._end + n > self._rows.shape[1]:
            keep_from = int(self._block * BLOCK * self.ratio) - self._taps - 2 - self._base
            keep_from = max(0, min(keep_from, self._end))
            kept = self._rows[:, keep_from : self._end].copy()
            if kept.shape[1] + n > self._rows.shape[1]:
                self._rows = np.zeros((self._n_channels, 2 * (kept.shape[1] + n)))
            self._rows[:, : kept.shape[1]] = kept
            self._base += keep_from
            self._end = kept.shape[1]
        self._rows[:, self._end : self._end + n] = samples
        self._end += n

    def _make(self, position: float, last_row: int) -> NDArray[np.float64]:
        """One block (n_channels, BLOCK) whose first sample stands at `position` and whose last needs `last_row`."""
        stop = last_row + 1 - self._base
        piece = np.ascontiguousarray(self._rows[:, stop - self._span : stop])
        if self.passes:
            return piece
        lag = round(float(position - last_row), 6)
        kernel = self._kernels.get(lag)
        if kernel is None:
            kernel = self._kernel(lag)
            if len(self._kernels) < 2048:
                self._kernels[lag] = kernel
        return piece @ kernel

    def _kernel(self, lag: float) -> NDArray[np.float64]:
        """Weights (span, BLOCK) for a block whose first sample stands `lag` rows after the last row (so mostly < 0)."""
        at = lag + np.arange(BLOCK) * self.ratio
        rows = np.arange(-self._span + 1, 1)
        since_s = (at[None, :] - rows[:, None]) / self.sfreq_in
        inside = (since_s >= -_ROUND / self.sfreq_in) & (since_s <= 2 * self.delay_s)
        t = since_s - self.delay_s
        window = np.i0(self._beta * np.sqrt(np.clip(1 - (t / self.delay_s) ** 2, 0, 1)))
        weights = np.where(inside, np.sinc(2 * self._cutoff_hz * t) * window, 0.0)
        return np.ascontiguousarray(weights / weights.sum(axis=0))
