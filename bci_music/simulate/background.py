"""Everything in a simulated recording that is not the music: brain, eyes, muscles, mains, amplifier, bad electrodes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydantic import Field

from bci_music.config import Config
from bci_music.simulate.head import Array, bump, dipole_maps, random_dipoles


class BackgroundConfig(Config):
    """How much there is of everything, in µV of typical size on a typical channel."""

    n_sources: int = Field(40, ge=1)
    brain_uv: float = Field(9.0, ge=0)  # 1/f activity, standard deviation above 0.5 Hz
    slope: float = Field(1.2, ge=0)  # its power falls as f ** -slope
    alpha_uv: float = Field(5.0, ge=0)  # at the back of the head
    blinks_per_minute: float = Field(12.0, ge=0)
    blink_uv: float = Field(90.0, ge=0)
    muscle_bursts_per_minute: float = Field(5.0, ge=0)
    muscle_uv: float = Field(12.0, ge=0)
    mains_uv: float = Field(1.2, ge=0)
    mains_hz: float = Field(50.0, gt=0)
    sensor_uv: float = Field(1.6, ge=0)
    drift_uv: float = Field(8.0, ge=0)
    min_bad: int = Field(2, ge=0)
    max_bad: int = Field(5, ge=0)


class Background:
    """The background of one recording.

    Parameters
    ----------
    positions_m : (n_channels, 3)
    listener, recording : int
        Seeds. Sources belong to the listener; their strengths, the electrodes' contact and which are bad
        belong to the recording.
    """

    def __init__(self, config: BackgroundConfig, positions_m: Array, listener: int, recording: int):
        self.config = config
        self._positions = positions_m
        self._n = len(positions_m)
        own = np.random.default_rng([listener, 1])
        self._brain = dipole_maps(positions_m, *random_dipoles(config.n_sources, own))
        self._alpha = dipole_maps(positions_m, *_alpha_dipoles(own))
        self._alpha_hz = own.uniform(9.0, 11.5)
        self._blink = _blink_map(positions_m, own)
        day = np.random.default_rng([listener, 2, recording])
        self._brain_gain = np.exp(0.35 * day.standard_normal(config.n_sources)) / np.sqrt(config.n_sources)
        self._contact = np.exp(0.25 * day.standard_normal(self._n))
        self._mains_gain = np.exp(0.6 * day.standard_normal(self._n))
        self._mains_phase = day.uniform(0, 0.6, self._n) + day.uniform(0, 2 * np.pi)
        self.bad = _choose_bad(self._n, config, day)
        self._bad_level = {channel: day.uniform(0.7, 1.5) for channel in self.bad}

    def noise(self, n: int, sfreq_hz: float, rng: np.random.Generator) -> Array:
        """(n, n_channels) of everything but the mains; other draws are unrelated."""
        config = self.config
        brain = shaped_noise((n, config.n_sources), sfreq_hz, rng, lambda f: np.maximum(f, 0.3) ** (-config.slope / 2))
        total = config.brain_uv * (brain * self._brain_gain) @ self._brain.T
        total += self._rhythm(n, sfreq_hz, rng)
        total += np.outer(self._blinks(n, sfreq_hz, rng), self._blink)
        self._add_muscle(total, sfreq_hz, rng)
        total += config.sensor_uv * self._contact * rng.standard_normal((n, self._n))
        drift = shaped_noise((n, self._n), sfreq_hz, rng, lambda f: (f < 0.35) / np.maximum(f, 0.05), band_hz=(0, 0.35))
        return total + config.drift_uv * self._contact * drift

    def mains(self, start: int, n: int, sfreq_hz: float) -> Array:
        """(n, n_channels) of mains hum from sample `start` on; one wave over any blocks."""
        t = (start + np.arange(n)) / sfreq_hz
        if self.config.mains_hz >= sfreq_hz / 2:
            return np.zeros((n, self._n))
        amplitude = np.sqrt(2) * self.config.mains_uv * self._mains_gain
        for channel, kind in self.bad.items():
            if kind == "mains":
                amplitude[channel] = 80.0 * self._bad_level[channel]
        turn = 2 * np.pi * self.config.mains_hz * t
        in_phase, quadrature = amplitude * np.cos(self._mains_phase), amplitude * np.sin(self._mains_phase)
        return np.outer(np.sin(turn), in_phase) + np.outer(np.cos(turn), quadrature)

    def spoil(self, samples_uv: Array, rng: np.random.Generator) -> None:
        """Make the bad electrodes bad, in place: flat, noisy (or full of mains, see `mains`)."""
        n = len(samples_uv)
        for channel, kind in self.bad.items():
            if kind == "flat":
                samples_uv[:, channel] = 0.03 * rng.standard_normal(n)
            elif kind == "noisy":
                samples_uv[:, channel] += 90.0 * self._bad_level[channel] * rng.standard_normal(n)

    def _rhythm(self, n: int, sfreq_hz: float, rng: np.random.Generator) -> Array:
        """Alpha that waxes and wanes."""
        k = self._alpha.shape[1]
        carrier = shaped_noise(
            (n, k), sfreq_hz, rng, lambda f: np.exp(-0.5 * ((f - self._alpha_hz) / 0.8) ** 2), band_hz=(0.5, 45)
        )
        slow = shaped_noise((n, 1), sfreq_hz, rng, lambda f: (f < 0.25).astype(float), band_hz=(0, 0.25))
        return self.config.alpha_uv * (carrier * np.exp(0.6 * slow - 0.18)) @ self._alpha.T / np.sqrt(k)

    def _blinks(self, n: int, sfreq_hz: float, rng: np.random.Generator) -> Array:
        """Time course (n,) of the blinks, in µV above the eyes."""
        course = np.zeros(n)
        for start in _poisson_times(n / sfreq_hz, self.config.blinks_per_minute, rng):
            length = rng.uniform(0.22, 0.38)
            t = np.arange(int(length * sfreq_hz)) / sfreq_hz / length
            shape = np.sin(np.pi * t**0.7) ** 2 * rng.normal(1.0, 0.2) * self.config.blink_uv
            first = int(start * sfreq_hz)
            course[first:first + shape.size] += shape[:n - first]
        return course

    def _add_muscle(self, total: Array, sfreq_hz: float, rng: np.random.Generator) -> None:
        """Bursts of broad high-frequency noise near the rim of the net, in place."""
        n = len(total)
        low = np.flatnonzero(self._positions[:, 2] < 0.02)
        for start in _poisson_times(n / sfreq_hz, self.config.muscle_bursts_per_minute, rng):
            first, length = int(start * sfreq_hz), int(rng.uniform(0.4, 2.0) * sfreq_hz)
            length = min(length, n - first)
            if length < 16:
                continue
            where = bump(self._positions, self._positions[rng.choice(low)], 0.025)
            high = min(100.0, 0.45 * sfreq_hz)
            wave = shaped_noise((length, 1), sfreq_hz, rng, lambda f: (f > 18).astype(float), band_hz=(18, high))
            wave = wave * np.hanning(length)[:, None]
            total[first:first + length] += self.config.muscle_uv * rng.uniform(0.5, 2.0) * wave * where


def shaped_noise(
    shape: tuple[int, int], sfreq_hz: float, rng: np.random.Generator, amplitude: Callable[[Array], Array],
    band_hz: tuple[float, float] = (0.5, 45.0),
) -> Array:
    """Gaussian noise with a given amplitude spectrum, of unit standard deviation within `band_hz` in expectation."""
    n, k = shape
    size = 2 * n  # half of a longer draw: its end does not wrap round to its beginning
    freqs = np.fft.rfftfreq(size, 1 / sfreq_hz)
    weight = amplitude(freqs).astype(np.float64)
    weight[0] = 0.0
    inside = (freqs >= band_hz[0]) & (freqs <= band_hz[1])
    power = 2 * np.square(weight[inside]).sum()
    if power == 0:
        return np.zeros(shape)
    phases = rng.standard_normal((k, freqs.size)) + 1j * rng.standard_normal((k, freqs.size))
    wave = np.fft.irfft(phases * weight / np.sqrt(2), size)[:, :n]
    return np.ascontiguousarray(wave.T) * (size / np.sqrt(power))


def _poisson_times(seconds: float, per_minute: float, rng: np.random.Generator) -> Array:
    return np.sort(rng.uniform(0, seconds, rng.poisson(per_minute * seconds / 60)))


def _alpha_dipoles(rng: np.random.Generator) -> tuple[Array, Array]:
    places = np.array([[-0.022, -0.062, 0.022], [0.022, -0.062, 0.022], [0.0, -0.055, 0.045]])
    directions = np.array([[-0.3, -0.8, 0.5], [0.3, -0.8, 0.5], [0.0, -0.4, 0.9]])
    return places + 0.004 * rng.standard_normal((3, 3)), directions + 0.15 * rng.standard_normal((3, 3))


def _blink_map(positions_m: Array, rng: np.random.Generator) -> Array:
    """One above the eyes, falling off quickly behind them."""
    above = bump(positions_m, np.array([0.032, 0.085, 0.005]), 0.032) + bump(
        positions_m, np.array([-0.032, 0.085, 0.005]), 0.032)
    wide = bump(positions_m, np.array([0.0, 0.09, 0.02]), 0.065)
    shape = above + 0.25 * wide
    return shape / shape.max() * rng.uniform(0.8, 1.2)


def _choose_bad(n_channels: int, config: BackgroundConfig, rng: np.random.Generator) -> dict[int, str]:
    """Bad electrodes and their kind; never the last channel, which is the vertex."""
    count = int(rng.integers(config.min_bad, max(config.min_bad, config.max_bad) + 1))
    channels = rng.choice(n_channels - 1, count, replace=False)
    return {int(c): str(rng.choice(("flat", "noisy", "mains"))) for c in channels}
