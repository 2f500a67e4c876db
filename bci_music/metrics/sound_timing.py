"""Timing of sound that was made against sound that was heard: envelope, onset flux, lag curves, onset F score.

Everything is read from a log-mel picture (frames, bands), natural logarithm of the magnitude, 100 frames a second.
Curves are correlated at 25 Hz, the rate of the generator's latents: it cannot place anything finer than 40 ms, and at
100 Hz a peak two frames late would count as one that is not there. Onsets keep 10 ms, so that a tolerance of 50 ms
means what it says.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
FRAME_HZ = 100
CURVE_HZ = 25
RANGE = 6.9  # natural logarithm: 60 dB. What is fainter, against the picture's loudest, is no onset
LOUDNESS = 0.6  # exponent from amplitude to loudness
NEAR = 5  # frames, 50 ms: an onset is the largest flux within so many on either side
MAX_LAG_S = 1.0
LEAST_S = 1.0  # of two curves that has to overlap at every lag
_FLAT = 1e-6  # of its size by which a curve has to move


def onset_flux(mel: ArrayLike) -> Floats:
    """(frames,) rise of a log-mel picture (frames, bands) from frame to frame, half-wave rectified, mean over bands.

    The picture's last 60 dB are looked at; the first frame has none.
    """
    picture = np.asarray(mel, np.float64)
    picture = np.maximum(picture, picture.max() - RANGE)
    return np.maximum(np.diff(picture, axis=0, prepend=picture[:1]), 0.0).mean(axis=1)


def envelope(mel: ArrayLike) -> Floats:
    """(frames,) root of the power of all bands together, to the power .6, of a log-mel picture (frames, bands)."""
    return np.sqrt(np.exp(2 * np.asarray(mel, np.float64)).sum(axis=1)) ** LOUDNESS


def slowed(curve: ArrayLike) -> Floats:
    """Means of every four frames of (frames, ...), so that 100 Hz become 25; what is left over at the end is cut."""
    rows = np.asarray(curve, np.float64)
    step = FRAME_HZ // CURVE_HZ
    n = len(rows) // step
    return rows[: n * step].reshape(n, step, *rows.shape[1:]).mean(axis=1)


def lag_steps(seconds: float) -> NDArray[np.int64]:
    """Lags in steps of 40 ms from -1 to 1 s, fewer where curves of so many seconds would not overlap by a second."""
    most = int(min(MAX_LAG_S, seconds - LEAST_S) * CURVE_HZ + 1e-6)
    if most < 0:
        raise ValueError(f"timing needs {LEAST_S:g} s of sound or more, got {seconds:.2f} s")
    return np.arange(-most, most + 1)


def lag_correlation(made: ArrayLike, heard: ArrayLike, lags: Sequence[int] | NDArray[np.int64]) -> Floats:
    """Correlation of curves at every lag, where they overlap, each about its mean there.

    Parameters
    ----------
    made, heard : (n, frames) or (n, frames, bands)
        Of bands each has its own mean taken away, and all of them are correlated together.
    lags : (k,) int
        In frames. At a lag above zero `made` comes later than `heard`.

    Returns
    -------
    (n, k) float64
        0 where what was made does not move (it follows nothing), NaN where what was heard does not.
    """
    x, y = np.asarray(made, np.float64), np.asarray(heard, np.float64)
    if x.shape != y.shape or x.ndim not in (2, 3):
        raise ValueError(f"curves of one shape (n, frames) or (n, frames, bands) are expected: {x.shape}, {y.shape}")
    n, frames = x.shape[:2]
    found = np.empty((n, len(lags)))
    for k, lag in enumerate(lags):
        later, earlier = x[:, max(0, lag) : frames + min(0, lag)], y[:, max(0, -lag) : frames - max(0, lag)]
        found[:, k] = _correlation(later, earlier)
    return found


def onsets(flux: ArrayLike) -> NDArray[np.int64]:
    """Frames of a curve (frames,) at 100 Hz that are onsets.

    The rule: the largest value within 50 ms on either side (of equal ones the first), and more than one standard
    deviation above the curve's mean.
    """
    curve = np.asarray(flux, np.float64)
    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(curve, NEAR, constant_values=-np.inf), 2 * NEAR + 1
    )  # fmt: skip
    spread = curve.std()
    if spread <= _FLAT * max(float(np.abs(curve).max()), 1e-12):
        return np.zeros(0, np.int64)
    first = curve > around[:, :NEAR].max(axis=1)
    largest = curve >= around[:, NEAR + 1 :].max(axis=1)
    return np.flatnonzero(first & largest & (curve > curve.mean() + spread))


def onset_f(made: ArrayLike, heard: ArrayLike, tolerance: int) -> float:
    """F score of onsets: harmonic mean of the shares of both that have a partner, one to one.

    Parameters
    ----------
    made, heard : (k,) and (m,) int
        Frames, ascending.
    tolerance : int
        Frames that partners may be apart.

    Returns
    -------
    0 to 1; 0 where nothing was made, NaN where nothing was heard.
    """
    ours, theirs = np.asarray(made).tolist(), np.asarray(heard).tolist()
    if not theirs:
        return float("nan")
    hits = i = j = 0
    while i < len(ours) and j < len(theirs):  # on a line the first two that can be partners are: no pairing has more
        if abs(ours[i] - theirs[j]) <= tolerance:
            hits, i, j = hits + 1, i + 1, j + 1
        elif ours[i] < theirs[j]:
            i += 1
        else:
            j += 1
    return 2 * hits / (len(ours) + len(theirs))


def _correlation(x: Floats, y: Floats) -> Floats:
    """(n,) of (n, frames) or (n, frames, bands), means over frames taken away."""
    size_x, size_y = np.abs(x).reshape(len(x), -1).max(axis=1), np.abs(y).reshape(len(y), -1).max(axis=1)
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    x, y = x.reshape(len(x), -1), y.reshape(len(y), -1)
    long_x, long_y = np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1)
    root = np.sqrt(x.shape[1])
    moves_x, moves_y = long_x > _FLAT * root * size_x, long_y > _FLAT * root * size_y
    r = (x * y).sum(axis=1) / np.where(moves_x & moves_y, long_x * long_y, 1.0)
    return np.where(moves_y, np.where(moves_x, r, 0.0), np.nan)
