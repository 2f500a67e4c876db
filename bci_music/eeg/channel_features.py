"""What half a second of raw EEG shows about each electrode, in a few numbers."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

LINE_HZ = (50.0, 60.0)
_NEIGHBOUR_HZ = 7.0  # where the line's background is measured, on either side
MIN_OTHERS = 6  # fewer channels than this are no crowd to compare one with
_STUCK_S = 0.05  # equal samples in a row for so long count as stuck


@dataclass(frozen=True)
class Features:
    """Per channel, each (n_channels,) float64.

    Attributes
    ----------
    nan : share of samples that are no number
    span_uv : largest minus smallest value
    spread_uv : robust standard deviation against the median of all channels, without its linear trend
    stuck : share of samples in runs of equal values
    edge : share of samples that sit exactly on the largest or smallest value, if that is not zero
    peak_uv : largest absolute value
    level_uv : mean value
    line_uv : RMS amplitude at 50 or 60 Hz, whichever is larger; NaN where the rate does not reach them
    line_ratio_db : power there against 7 Hz beside it
    """

    nan: NDArray[np.float64]
    span_uv: NDArray[np.float64]
    spread_uv: NDArray[np.float64]
    stuck: NDArray[np.float64]
    edge: NDArray[np.float64]
    peak_uv: NDArray[np.float64]
    level_uv: NDArray[np.float64]
    line_uv: NDArray[np.float64]
    line_ratio_db: NDArray[np.float64]

    def as_array(self) -> NDArray[np.float64]:
        """All of them, (n_features, n_channels), in the order of the fields."""
        return np.stack([getattr(self, field.name) for field in fields(self)])


NAMES = tuple(field.name for field in fields(Features))


class FeatureMeter:
    """Compute `Features` of blocks of one fixed length.

    Parameters
    ----------
    n_times : int
        Rows per block.
    sfreq_hz : float
    """

    def __init__(self, n_times: int, sfreq_hz: float):
        self._n = n_times
        self._stuck_rows = max(5, round(_STUCK_S * sfreq_hz))
        self._step = max(1, int(sfreq_hz / 250))  # amplitude needs no more than 250 Hz
        n_thin = len(range(0, n_times, self._step))
        trend = np.arange(n_thin) - (n_thin - 1) / 2
        self._trend = (trend / np.sqrt((trend**2).sum())).astype(np.float32)
        self._quartiles = (n_thin // 4, n_thin - 1 - n_thin // 4)
        self._waves, self._sides = self._line_kernels(sfreq_hz)

    def measure(self, samples_uv: NDArray[np.float32]) -> Features:
        """Features of a block (n_times, n_channels)."""
        x = np.ascontiguousarray(samples_uv.T)
        finite = np.isfinite(x)
        nan = np.zeros(len(x))
        if not finite.all():
            nan = 1.0 - finite.mean(axis=1)
            x = np.where(finite, x, np.float32(0))
        peak = np.abs(x).max(axis=1)
        start = x[:, :1]
        x = x - start  # offsets of a tenth of a volt would cost float32 its precision
        level = x.mean(axis=1) + start[:, 0].astype(np.float64)
        high, low = x.max(axis=1), x.min(axis=1)
        stuck, edge = self._stuck_and_edge(x, start)
        line, ratio = self._line(x)
        found = (nan, high - low, self._spread(x), stuck, edge, peak, level, line, ratio)
        return Features(*(values.astype(np.float64) for values in found))

    def _spread(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        thin = x[:, :: self._step]
        if len(thin) >= MIN_OTHERS:  # what the recording reference does is in all channels and shows nothing about one
            thin = thin - np.median(np.ascontiguousarray(thin.T), axis=1).astype(np.float32)
        thin = thin - thin.mean(axis=1, keepdims=True)
        thin = thin - (thin * self._trend).sum(axis=1, keepdims=True) * self._trend
        low, high = self._quartiles
        ranked = np.partition(thin, (low, high), axis=1)
        return np.float32(0.7413) * (ranked[:, high] - ranked[:, low])

    def _stuck_and_edge(
        self, x: NDArray[np.float32], start: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        stuck, edge = np.zeros(len(x)), np.zeros(len(x))
        equal = x[:, 1:] == x[:, :-1]
        some = np.flatnonzero(equal.sum(axis=1) >= self._stuck_rows)  # most blocks have none: skip the rest
        if len(some):
            runs = np.cumsum(np.pad(equal[some], ((0, 0), (1, 0))), axis=1, dtype=np.int32)
            full = runs[:, self._stuck_rows :] - runs[:, : -self._stuck_rows] == self._stuck_rows
            reach = np.zeros((len(some), x.shape[1] + 1), np.int32)  # each full run marks the rows it covers
            reach[:, : full.shape[1]] += full
            reach[:, self._stuck_rows + 1 : self._stuck_rows + 1 + full.shape[1]] -= full
            stuck[some] = (np.cumsum(reach[:, : x.shape[1]], axis=1) > 0).mean(axis=1)
            part = x[some]
            ends = (part == part.max(axis=1, keepdims=True)) | (part == part.min(axis=1, keepdims=True))
            edge[some] = (ends & (part != -start[some])).mean(axis=1)
        return stuck, edge

    def _line_kernels(self, sfreq_hz: float) -> tuple[NDArray[np.float32] | None, list[tuple[int, list[int]]]]:
        """Cosines and sines (2 * n_waves, n_times) under a Hann window; per line its wave and neighbours."""
        reach = sfreq_hz / 2 - 1.0
        lines = [hz for hz in LINE_HZ if hz <= reach]
        if not lines:
            return None, []
        waves: list[float] = []
        sides = []
        for hz in lines:
            beside = [near for near in (hz - _NEIGHBOUR_HZ, hz + _NEIGHBOUR_HZ) if near <= reach]
            sides.append((len(waves), list(range(len(waves) + 1, len(waves) + 1 + len(beside)))))
            waves += [hz, *beside]
        window = np.hanning(self._n + 2)[1:-1]
        phase = 2 * np.pi * np.arange(self._n)[:, None] / sfreq_hz * np.array(waves)
        kernels = window[:, None] / window.sum() * np.sqrt(2) * np.concatenate([np.cos(phase), np.sin(phase)], axis=1)
        return np.ascontiguousarray((kernels - kernels.mean(axis=0)).T, np.float32), sides

    def _line(self, x: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self._waves is None:
            nothing = np.full(len(x), np.nan)
            return nothing, nothing
        # no BLAS: its second thread spins for longer than this takes, beside sound and decoder
        parts = np.einsum("ct,wt->cw", x, self._waves).astype(np.float64)
        half = parts.shape[1] // 2
        power = parts[:, :half] ** 2 + parts[:, half:] ** 2
        at = np.stack([power[:, wave] for wave, _ in self._sides])
        beside = np.stack([power[:, near].mean(axis=1) for _, near in self._sides])
        which = at.argmax(axis=0), np.arange(len(x))
        ratio = 10 * np.log10((at[which] + 1e-12) / (beside[which] + 1e-12))
        return np.sqrt(at[which]), ratio
