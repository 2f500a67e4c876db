"""Correlation and sliding minimum in numpy alone: the stage's thread has no time to load more than that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def correlation(long: NDArray[np.floating], short: NDArray[np.floating], lags: NDArray[np.int64]) -> Floats:
    """Sum over i of ``long[i + lag] * short[i]`` for each of `lags`, both (n,); what lies outside is 0."""
    size = 1 << (len(long) + len(short)).bit_length()
    products = np.fft.irfft(np.fft.rfft(long, size) * np.conj(np.fft.rfft(short, size)), size)
    return products[lags % size]


def energy(sound: NDArray[np.floating], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Floats:
    """Sum of squares of ``sound[start:stop]`` for each pair."""
    total = np.concatenate([[0.0], np.cumsum(np.square(sound, dtype=np.float64))])
    return total[stops] - total[starts]


def sliding_minimum(values: Floats, width: int) -> Floats:
    """Minimum of each ``values[i : i + width]``, (n - width + 1,): from minima that run through blocks either way."""
    n = len(values)
    blocks = np.pad(values, (0, -n % width), constant_values=np.inf).reshape(-1, width)
    onward = np.minimum.accumulate(blocks, axis=1).ravel()
    backward = np.minimum.accumulate(blocks[:, ::-1], axis=1)[:, ::-1].ravel()
    return np.minimum(backward[: n - width + 1], onward[width - 1 : n])
