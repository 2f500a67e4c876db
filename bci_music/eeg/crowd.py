"""What only a comparison shows: does an electrode agree with its neighbours, can they predict it, is it bridged?

Measured every two seconds on the newest seconds, smoothed to about 50 values per second, after Bigdely-Shamlo et al.
2015 (the PREP pipeline): its measures, cut for a live stream. A crowd that does not agree at all, as where the
electrodes are few and far apart, speaks against none of its members.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bci_music.eeg.channel_features import LINE_HZ, MIN_OTHERS
from bci_music.eeg.state import Stateful

EVERY_HOPS = 4  # between two measurements
RANSAC_EVERY = 2  # measurements between two predictions
KEPT = 5  # measurements a verdict looks at
_RATE_HZ = 50.0  # of the smoothed signal: a mean over 20 ms has no 50 Hz left
_PIECES = 2  # each is freed of its own trend, which stands for PREP's high-pass of 1 Hz on windows of 1 s
_QUANTILE = 0.98  # of the correlations with the others (PREP)
_SAMPLES, _SHARE, _MIN_PREDICTORS = 15, 0.25, 8  # of RANSAC; PREP draws 50 samples of 25 % of the channels
_MATMUL_ROWS = 32  # BLAS stays on one thread for products as small as this
_HIGH_FROM_HZ, _LOW_HZ = 52.0, (3.0, 30.0)
_ROWS = ("correlation", "predicted", "high_uv", "high_share", "difference", "partner")


class CrowdMeter(Stateful):
    """Compare the channels of one stream.

    Parameters
    ----------
    n_channels : int
    hop_rows : int
        Rows given at once.
    sfreq_hz : float
    positions : (n_channels, 3), optional
        Places on a sphere; without them nothing is predicted.
    """

    _state_fields = ("_rows", "_hops", "_measured", "_history", "_found")

    def __init__(
        self, n_channels: int, hop_rows: int, sfreq_hz: float, positions: NDArray[np.float64] | None = None
    ):
        self._bin = max(1, round(sfreq_hz / _RATE_HZ))
        self._per_hop = hop_rows // self._bin
        self._spectrum_bands(hop_rows, sfreq_hz)
        self._spline = Spline(positions) if positions is not None else None
        self._rows = np.zeros((2 * EVERY_HOPS * self._per_hop, n_channels), np.float32)
        self._hops = 0  # in the rows
        self._measured = 0
        self._history = np.full((KEPT, len(_ROWS), n_channels), np.nan)
        self._found = dict.fromkeys(_ROWS, np.full(n_channels, np.nan))

    def add(self, samples_uv: NDArray[np.float32], usable: NDArray[np.bool_]) -> None:
        """Take a hop (hop_rows, n_channels) in which all rows came; `usable` (n_channels,) may predict others."""
        n = samples_uv.shape[1]
        if n < MIN_OTHERS or self._per_hop < 4:
            return
        part = samples_uv[: self._per_hop * self._bin].reshape(self._per_hop, self._bin, n)
        self._rows = np.concatenate([self._rows[self._per_hop :], part.mean(axis=1, dtype=np.float32)])
        self._hops += 1
        if self._hops % EVERY_HOPS == 0:
            self._measure(samples_uv, usable)

    def restart(self) -> None:
        """Begin a segment: nothing is compared across a break."""
        self._hops = 0

    def measures(self) -> dict[str, NDArray[np.float64]]:
        """Medians (n_channels,) over the measurements that are kept; NaN where too few were made.

        `correlation` is the 98th percentile of the absolute correlations with the others, `predicted` the correlation
        with what the others predict, `high_uv` the amplitude above 52 Hz beside the lines, `high_share` that over the
        one of 3 to 30 Hz, both per root Hz, `difference` the standard deviation of the difference to the most alike
        channel as a share of its own, `partner` that channel's number.
        """
        return self._found

    def _measure(self, newest: NDArray[np.float32], usable: NDArray[np.bool_]) -> None:
        self._measured += 1
        rows = np.where(np.isfinite(self._rows), self._rows, np.float32(0))
        predicts = self._measured % RANSAC_EVERY == 0 and self._hops >= 2 * EVERY_HOPS
        level = _without_trends(rows if predicts else rows[len(rows) // 2 :], 2 * _PIECES if predicts else _PIECES)
        among = level[:, usable] if usable.sum() >= MIN_OTHERS else level
        level -= np.median(among, axis=1)[:, None]  # what the reference does is in all channels
        self._history = np.roll(self._history, -1, axis=0)
        correlation, difference, partner = _alike(level[-EVERY_HOPS * self._per_hop :], usable)
        predicted = self._predict(level, usable) if predicts else np.full(len(usable), np.nan)
        self._history[-1] = correlation, predicted, *self._high(newest), difference, partner
        enough = np.isfinite(self._history).sum(axis=0) >= np.array([3, 2, 3, 3, 3, 3])[:, None]
        middle = np.full(enough.shape, np.nan)
        if enough.any():
            middle[enough] = _median(self._history[:, enough])
        self._found = dict(zip(_ROWS, middle, strict=True))
        self._found["partner"] = np.where(enough[-1], self._history[-1, -1], np.nan)

    def _predict(self, level: NDArray[np.float32], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Correlation of each channel with the median of what random quarters of the others predict (RANSAC)."""
        if self._spline is None or usable.sum() < 2 * _MIN_PREDICTORS:
            return np.full(len(usable), np.nan)
        chosen, weights = self._spline.samples(usable)
        thin = level[: len(level) // 2 * 2].reshape(len(level) // 2, 2, -1).mean(axis=1).T
        guesses = np.empty((thin.shape[1], len(usable), len(chosen)), np.float32)
        for at in range(0, thin.shape[1], _MATMUL_ROWS):
            part = slice(at, at + _MATMUL_ROWS)
            guesses[part] = np.matmul(weights, np.ascontiguousarray(thin[:, part])[chosen]).transpose(2, 1, 0)
        guess = np.median(guesses, axis=2, overwrite_input=True).T
        guess -= guess.mean(axis=1, keepdims=True)
        true = thin - thin.mean(axis=1, keepdims=True)
        size = np.sqrt((guess**2).sum(axis=1) * (true**2).sum(axis=1))
        return ((guess * true).sum(axis=1) / np.maximum(size, 1e-9)).astype(np.float64)

    def _spectrum_bands(self, n: int, sfreq_hz: float) -> None:
        hz = np.fft.rfftfreq(n, 1 / sfreq_hz)
        near_line = np.min([np.abs((hz + line / 2) % line - line / 2) for line in LINE_HZ], axis=0) < 5
        self._above = (hz >= _HIGH_FROM_HZ) & (hz <= min(0.4 * sfreq_hz, 250)) & ~near_line
        self._below = (hz >= _LOW_HZ[0]) & (hz <= _LOW_HZ[1])
        window = np.hanning(n + 2)[1:-1]
        self._per_hz = 2 / (window**2).sum() / sfreq_hz
        self._window = window.astype(np.float32)[:, None]

    def _high(self, samples_uv: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Amplitude per root Hz above the lines, and over the one of the EEG's own band."""
        if self._above.sum() < 3:
            nothing = np.full(samples_uv.shape[1], np.nan)
            return nothing, nothing
        finite = np.where(np.isfinite(samples_uv), samples_uv, np.float32(0))
        wave = np.fft.rfft((finite - finite.mean(axis=0)) * self._window, axis=0)
        power = (wave.real**2 + wave.imag**2).astype(np.float64) * self._per_hz
        above, below = np.median(power[self._above], axis=0), np.median(power[self._below], axis=0)
        return np.sqrt(above), np.sqrt(above / np.maximum(below, 1e-9))


def _median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median along the first axis of what is a number (every column has one)."""
    ranked = np.sort(values, axis=0)  # NaN last
    count = np.isfinite(values).sum(axis=0)
    column = np.arange(values.shape[1])
    return (ranked[(count - 1) // 2, column] + ranked[count // 2, column]) / 2


def _without_trends(rows: NDArray[np.float32], pieces: int) -> NDArray[np.float32]:
    """Rows (n, n_channels) of which every piece lost its own straight line; a remainder at the front is cut off."""
    each = len(rows) // pieces
    cut = rows[len(rows) - pieces * each :].reshape(pieces, each, -1)
    line = (np.arange(each) - (each - 1) / 2).astype(np.float32)
    line = (line / np.sqrt((line**2).sum()))[None, :, None]
    cut = cut - cut.mean(axis=1, keepdims=True)
    return (cut - (cut * line).sum(axis=1, keepdims=True) * line).reshape(pieces * each, -1)


def _alike(rows: NDArray[np.float32], usable: NDArray[np.bool_]) -> tuple[NDArray, NDArray, NDArray]:
    """How well each channel agrees with the usable ones; its distance to the most alike channel, and which it is.

    The variance of the difference of two channels is their electrical distance: near nothing where gel joins them
    (Tenke and Kayser 2001; Alschuler et al. 2014).
    """
    columns = np.ascontiguousarray(rows.T)
    shared = np.einsum("ct,dt->cd", columns, columns).astype(np.float64)
    power = np.maximum(shared.diagonal(), 1e-9)
    correlation = np.abs(shared) / np.sqrt(power[:, None] * power)
    apart = power[:, None] + power - 2 * shared
    np.fill_diagonal(apart, np.inf)
    partner = apart.argmin(axis=1)
    np.fill_diagonal(correlation, 0.0)
    among = usable if usable.sum() >= MIN_OTHERS else np.ones(len(usable), bool)
    ranked = np.sort(correlation[:, among], axis=1)
    best = ranked[:, min(int(np.ceil(_QUANTILE * among.sum())), among.sum()) - 1]
    lesser = np.minimum(power, power[partner])
    difference = np.sqrt(np.maximum(apart.min(axis=1), 0.0) / lesser)
    return best, np.where(lesser > 1e-6, difference, np.nan), partner.astype(np.float64)


class Spline:
    """Spherical splines (Perrin et al. 1989) that predict all electrodes from random samples of the usable ones.

    Which electrodes are drawn depends only on which are usable, so that a run that is taken up goes on alike.

    Parameters
    ----------
    positions : (n_channels, 3)
    """

    def __init__(self, positions: NDArray[np.float64]):
        self._directions = positions / np.linalg.norm(positions, axis=1, keepdims=True)
        self._kernel: NDArray[np.float64] | None = None
        self._usable = np.zeros(len(positions), bool)
        self._found: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None

    def samples(self, usable: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Channels (n_samples, k) drawn, and weights (n_samples, n_channels, k) that predict every channel of them."""
        if self._found is None or not np.array_equal(usable, self._usable):
            self._usable, self._found = usable.copy(), self._draw(np.flatnonzero(usable))
        return self._found

    def _draw(self, channels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        rng = np.random.default_rng(len(self._directions))
        k = max(_MIN_PREDICTORS, round(_SHARE * len(channels)))
        chosen = np.stack([np.sort(rng.choice(channels, k, replace=False)) for _ in range(_SAMPLES)])
        return chosen, np.stack([self._weights(drawn) for drawn in chosen])

    def _weights(self, drawn: NDArray[np.int64]) -> NDArray[np.float32]:
        if self._kernel is None:
            n = np.arange(1, 51)
            terms = np.concatenate([[0.0], (2 * n + 1) / (n * (n + 1.0)) ** 4 / (4 * np.pi)])
            cosines = np.clip(self._directions @ self._directions.T, -1, 1)
            self._kernel = np.polynomial.legendre.legval(cosines, terms)
        k = len(drawn)
        system = np.ones((k + 1, k + 1))
        system[:k, :k] = self._kernel[np.ix_(drawn, drawn)] + 1e-5 * np.eye(k)
        system[k, k] = 0.0
        ends = np.hstack([self._kernel[:, drawn], np.ones((len(self._kernel), 1))])
        return np.linalg.solve(system, ends.T).T[:, :k].astype(np.float32)
