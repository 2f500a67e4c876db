"""Backward ridge: from EEG at several lags to the sound, by normal equations that are sums over recordings.

A reconstruction is ``y(t) = sum over l, c of w[l, c] x_c(t + l)``: lags are positive where EEG comes after the sound.
Rows beyond a recording's ends count as zero, so that the lagged EEG's products depend on the difference of lags only: a
recording is one small set of correlations, every fold a sum of such sets, and every ridge penalty a division after one
decomposition. It is what ``mne.decoding.TimeDelayingRidge`` solves without its edge correction; a test compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]
ALPHAS = tuple(10.0**k for k in range(-4, 5))  # penalties relative to the mean eigenvalue
ALPHA_ALONE = 1.0  # where what is learned from cannot be parted to choose by


@dataclass(frozen=True)
class LagSums:
    """Correlations of EEG (n, C) with itself and with K targets at `width` evenly spaced lags, summed over recordings.

    Attributes
    ----------
    auto : (width, C, C)
        ``auto[d]`` is the sum over t of ``x(t + d step) x(t)'``.
    cross : (width, C, K)
        ``cross[i]`` is the sum over t of ``x(t + lags[i]) y(t)'``.
    power : (K,)
        Sum of the targets' squares.
    """

    auto: Float
    cross: Float
    power: Float

    @classmethod
    def of(cls, eeg: Float, target: Float, lags: range) -> LagSums:
        """Correlate one excerpt without a break: EEG (n, C), targets (n, K); lags in rows."""
        x, y = np.asarray(eeg, np.float64), np.asarray(target, np.float64)
        cross = np.stack([_lagged(x, y, lag) for lag in lags])
        return cls(autocorrelation(x, lags), cross, (y * y).sum(axis=0))

    def plus(self, other: LagSums, sign: float = 1.0) -> LagSums:
        """Add the rows of another set, or with sign -1 take them away."""
        return LagSums(
            self.auto + sign * other.auto, self.cross + sign * other.cross, self.power + sign * other.power
        )

    def gram(self) -> Float:
        """Products of the lagged EEG with itself, (width C, width C)."""
        width, n, _ = self.auto.shape
        blocks = np.empty((width, n, width, n))
        for a in range(width):
            for b in range(a + 1):
                blocks[a, :, b], blocks[b, :, a] = self.auto[a - b], self.auto[a - b].T
        return blocks.reshape(width * n, width * n)

    def moment(self) -> Float:
        """Products of the lagged EEG with the targets, (width C, K)."""
        return np.asarray(self.cross, np.float64).reshape(-1, self.cross.shape[2])


def autocorrelation(eeg: Float, lags: range) -> Float:
    """`LagSums.auto` of EEG (n, C) without a break."""
    x = np.asarray(eeg, np.float64)
    return np.stack([_lagged(x, x, d * lags.step) for d in range(len(lags))])


def shifted_cross(eeg: Float, target: Float, lags: range, shifts: NDArray[np.integer]) -> NDArray[np.float32]:
    """`LagSums.cross` with circularly shifted targets, for all shifts at once by FFT.

    Parameters
    ----------
    eeg, target : (n, C), (n, K)
        Both taken as one round.
    shifts : (S,)
        In rows: ``target[t + s]`` stands where ``target[t]`` stood.

    Returns
    -------
    (width, C, S K): the first shift's K targets, then the next one's.
    """
    n, n_channels = eeg.shape
    spectra = np.fft.rfft(eeg, axis=0)
    at = (np.asarray(lags)[:, None] - np.asarray(shifts)[None, :]) % n
    found = np.empty((len(lags), n_channels, len(shifts), target.shape[1]), np.float32)
    for k in range(target.shape[1]):
        course = np.fft.irfft(spectra * np.conj(np.fft.rfft(target[:, k]))[:, None], n, axis=0)
        found[..., k] = course[at].transpose(0, 2, 1)
    return found.reshape(len(lags), n_channels, -1)


def added(parts: Sequence[LagSums]) -> LagSums:
    """Sum of several sets."""
    return reduce(LagSums.plus, parts)


class RidgePath:
    """The ridge solutions of one Gram matrix (p, p) for all penalties, after one decomposition."""

    def __init__(self, gram: Float):
        self._values, self._axes = np.linalg.eigh(gram)
        self._values = np.maximum(self._values, 0.0)
        self._scale = max(float(self._values.mean()), np.finfo(float).tiny)

    def weights(self, moment: Float, alpha: float | Float) -> Float:
        """Weights (p, K) for a penalty relative to the mean eigenvalue, one for all targets or one for each (K,)."""
        penalty = np.broadcast_to(np.asarray(alpha, np.float64) * self._scale, moment.shape[1])
        return self._axes @ ((self._axes.T @ moment) / (self._values[:, None] + penalty))

    def scores(self, moment: Float, held: LagSums, alphas: Sequence[float]) -> Float:
        """Correlation (len(alphas), K), about zero, of what is made of held-out rows with their targets."""
        turned, there = self._axes.T @ moment, self._axes.T @ held.moment()
        gram = self._axes.T @ held.gram() @ self._axes
        rows = []
        for alpha in alphas:
            w = turned / (self._values[:, None] + alpha * self._scale)
            rows.append(_correlation(w, gram, there, held.power))
        return np.stack(rows)


def fit_ridge(parts: Sequence[LagSums], alphas: Sequence[float] = ALPHAS) -> tuple[Float, Float]:
    """Fit decoders with penalties chosen within what is learned from, for each target by itself.

    Parameters
    ----------
    parts : sequence of LagSums
        What is learned from, parted so that each part in turn can be held out to choose the penalty; with one part
        alone the penalty is `ALPHA_ALONE`.

    Returns
    -------
    Weights (width, C, K) and the penalties chosen (K,), relative to the mean eigenvalue.
    """
    total = added(parts)
    width, n_channels, n_targets = total.cross.shape
    best = np.full(n_targets, ALPHA_ALONE)
    if len(parts) > 1:
        scores = np.zeros((len(alphas), n_targets))
        for part in parts:
            rest = total.plus(part, -1.0)
            scores += RidgePath(rest.gram()).scores(rest.moment(), part, alphas)
        best = np.asarray(alphas)[scores.argmax(axis=0)]
    return RidgePath(total.gram()).weights(total.moment(), best).reshape(width, n_channels, n_targets), best


def held_out_r(weights: Float, held: LagSums) -> Float:
    """Correlation (K,), about zero, of what weights (width, C, K) make of held-out rows with their targets."""
    return _correlation(weights.reshape(-1, weights.shape[2]), held.gram(), held.moment(), held.power)


def reconstruct(eeg: Float, weights: Float, lags: range) -> Float:
    """Targets (n, K) from EEG (n, C) by weights (width, C, K)."""
    n, n_targets = len(eeg), weights.shape[2]
    made = np.zeros((n, n_targets))
    for lag, w in zip(lags, weights, strict=True):
        here = slice(max(0, -lag), max(0, n - max(lag, 0)))
        there = slice(max(0, lag), max(0, n + min(lag, 0)))
        made[here] += eeg[there] @ w
    return made


def _lagged(x: Float, y: Float, lag: int) -> Float:
    """Sum over t of ``x(t + lag) y(t)'``, nothing beyond the ends."""
    if abs(lag) >= len(x):
        return np.zeros((x.shape[1], y.shape[1]))
    return x[lag:].T @ y[: len(y) - lag] if lag >= 0 else x[:lag].T @ y[-lag:]


def _correlation(weights: Float, gram: Float, moment: Float, power: Float) -> Float:
    """Correlation (K,) of reconstruction and target over the rows behind `gram` and `moment`, about zero."""
    made = np.einsum("pk,pk->k", weights, gram @ weights)
    return np.einsum("pk,pk->k", weights, moment) / np.sqrt(np.maximum(made * power, 1e-24))
