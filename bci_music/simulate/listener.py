"""A simulated listener: music goes in at the ear, EEG of 125 channels comes out."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.signal import lfilter

from bci_music.config import Config
from bci_music.eeg.montage import Montage
from bci_music.models.embedder import to_mono_16k
from bci_music.models.music_features import N_FFT, RATE_HZ, mel_weights, power_frames
from bci_music.simulate.background import Background, BackgroundConfig
from bci_music.simulate.head import Array, dipole_maps

FEATURE_RATE_HZ = 125
N_BANDS = 8
N_FEATURES = 2 * N_BANDS  # envelopes, then onsets
_HOP = RATE_HZ // FEATURE_RATE_HZ
_ADAPTATION_S = 4.0
_INHIBITION = 0.6
# Standard deviation of each feature over the composed songs, so that all drive the brain alike.
_TYPICAL = np.array([
    0.755, 0.675, 0.567, 0.336, 0.259, 0.219, 0.172, 0.131, 0.130, 0.088, 0.063, 0.048, 0.045, 0.042, 0.037, 0.031,
])


def heard_features(audio: NDArray[np.float32], sfreq_hz: float) -> NDArray[np.float64]:
    """Envelopes and onsets (n, 16) at 125 Hz; row i belongs to the instant ``i / 125`` s of the audio.

    Band power is compressed as in the inner ear and divided by the loudness of the last seconds,
    so that quiet music moves the brain too.
    """
    mono = to_mono_16k(audio, sfreq_hz)
    n = int(mono.size / RATE_HZ * FEATURE_RATE_HZ + 1e-6)
    padded = np.pad(mono, (N_FFT // 2, N_FFT // 2 + _HOP))
    power = power_frames(padded, N_FFT, _HOP)[:n] @ mel_weights(N_BANDS)
    envelope = power.astype(np.float64) ** 0.3
    loudness = envelope.mean(1)
    step = 1 / (_ADAPTATION_S * FEATURE_RATE_HZ)
    slow, _ = lfilter([step], [1, step - 1], loudness, zi=[(1 - step) * loudness[:FEATURE_RATE_HZ].mean()])
    envelope /= slow[:, None] + 0.05
    rise = np.diff(_smooth(envelope), axis=0, prepend=envelope[:1])
    features = np.concatenate([envelope, np.maximum(rise, 0)], axis=1) / _TYPICAL
    for kind in (slice(0, N_BANDS), slice(N_BANDS, N_FEATURES)):  # a band is inhibited by the others
        features[:, kind] -= _INHIBITION * features[:, kind].mean(1, keepdims=True)
    return features * _contrast_gain(features)


def _contrast_gain(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slow gain (n, 1) that evens out, by three quarters in dB, how strongly music fluctuates."""
    step = 1 / (_ADAPTATION_S * FEATURE_RATE_HZ)
    start = features[:FEATURE_RATE_HZ]
    mean, _ = lfilter([step], [1, step - 1], features, axis=0, zi=(1 - step) * start.mean(0, keepdims=True))
    power = np.square(features - mean).mean(1)
    slow, _ = lfilter([step], [1, step - 1], power, zi=[(1 - step) * max(power[:4 * FEATURE_RATE_HZ].mean(), 1e-3)])
    return (slow[:, None] + 0.01) ** -0.375


def _smooth(envelope: NDArray[np.float64]) -> NDArray[np.float64]:
    """Three-point binomial smoothing in time."""
    padded = np.pad(envelope, ((1, 1), (0, 0)), mode="edge")
    return 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]


BAND_HZ = (0.5, 45.0)  # where the signal-to-noise ratio is measured
_KERNEL_S = 0.6
_PEAKS_S = np.array([0.050, 0.100, 0.200, 0.350])
_WIDTHS_S = np.array([0.014, 0.020, 0.038, 0.070])
# Sources: auditory left and right, vertex, frontal, and two that are one-sided. Millimetres, x right, y front, z up.
_PLACES_MM = np.array([[-50, 0, 18], [50, 0, 18], [0, -5, 66], [0, 50, 42], [46, 30, 34], [-46, -38, 34]])
_DIRECTIONS = np.array([
    [0.1, 0.35, 0.93], [-0.1, 0.35, 0.93], [0, 0.2, 1], [0, 0.8, 0.6], [0.8, 0.5, 0.3], [-0.7, -0.5, 0.5],
])  # fmt: skip
_PEAK_GAINS = np.array([  # of P1, N1, P2 and a late slow wave, per source
    [0.5, -1.0, 0.8, -0.3], [0.5, -1.0, 0.8, -0.3], [0.2, -0.6, 1.0, -0.4],
    [0.1, -0.3, 0.7, 0.6], [0.6, -0.8, 0.3, 0.3], [-0.3, 0.6, -0.9, 0.5],
])
_BEST_BAND = np.array([1.0, 4.5, 0.0, 6.0, 7.0, 2.5])  # the band each source hears best


class ListenerConfig(Config):
    """How a listener hears, and how much listeners differ."""

    snr_db: float = -10.0  # power of the response over power of the rest, 0.5 .. 45 Hz, mean over good channels
    tuning_bands: float = Field(1.2, gt=0)  # width of a source's tuning
    latency_spread_s: float = Field(0.006, ge=0)
    gain_spread: float = Field(0.15, ge=0)
    place_spread_m: float = Field(0.003, ge=0)
    direction_spread: float = Field(0.12, ge=0)
    background: BackgroundConfig = BackgroundConfig()


@dataclass(frozen=True)
class Hearing:
    """One simulated recording and what it is made of, all (n, 125) in µV.

    `samples_uv` is the sum, with the bad electrodes spoiled; `bad` names their kind by channel.
    """

    samples_uv: NDArray[np.float32]
    response_uv: Array
    background_uv: Array
    bad: dict[int, str]
    sfreq_hz: float


class SimulatedListener:
    """A listener with their own head, hearing and noise.

    Parameters
    ----------
    seed : int
        Which listener.
    snr_db : float, optional
        Overrides the configuration's signal-to-noise ratio.
    """

    def __init__(self, seed: int, snr_db: float | None = None, config: ListenerConfig | None = None):
        config = config or ListenerConfig()
        self.seed = seed
        self.config = config if snr_db is None else config.model_copy(update={"snr_db": float(snr_db)})
        self.montage = Montage.nmed()
        rng = np.random.default_rng([seed, 0])
        places = _PLACES_MM / 1000 + config.place_spread_m * rng.standard_normal((6, 3))
        directions = _DIRECTIONS + config.direction_spread * rng.standard_normal((6, 3))
        self._maps = dipole_maps(self.montage.positions_m, places, directions)
        self._kernels = _kernels(config, rng)

    def respond(self, audio: NDArray[np.float32], sfreq_hz: float, sfreq_out: float = 125.0) -> Array:
        """Response of the scalp (n, 125) to music, in arbitrary units and without any noise."""
        features = heard_features(audio, sfreq_hz)
        n = len(features)
        size = n + self._kernels.shape[2]
        spectrum = np.einsum("fi,fsi->si", np.fft.rfft(features.T, size), np.fft.rfft(self._kernels, size))
        sources = np.fft.irfft(spectrum, size)[:, :n]
        if sfreq_out != FEATURE_RATE_HZ:
            from scipy.signal import resample_poly

            ratio = Fraction(sfreq_out / FEATURE_RATE_HZ).limit_denominator(1000)
            sources = resample_poly(sources, ratio.numerator, ratio.denominator, axis=1)
        return (self._maps @ sources).T

    def background(self, recording: int) -> Background:
        """The background of the recording with this seed."""
        return Background(self.config.background, self.montage.positions_m, self.seed, recording)

    def listen(self, audio: NDArray[np.float32], sfreq_hz: float, seed: int, sfreq_out: float = 125.0) -> Hearing:
        """Hear (n,) or (n, 2) audio in the recording `seed`; returns the parts as well as the sum."""
        if not FEATURE_RATE_HZ <= sfreq_out <= 4000:
            raise ValueError(f"simulated EEG has 125 to 4000 Hz, got {sfreq_out}")
        response = self.respond(audio, sfreq_hz, sfreq_out)
        background = self.background(seed)
        rng = np.random.default_rng([self.seed, 3, seed])
        rest = background.noise(len(response), sfreq_out, rng) + background.mains(0, len(response), sfreq_out)
        good = np.setdiff1d(np.arange(rest.shape[1]), list(background.bad))
        response *= response_gain(response[:, good], rest[:, good], sfreq_out, self.config.snr_db)
        samples = response + rest
        background.spoil(samples, rng)
        return Hearing(samples.astype(np.float32), response, rest, background.bad, sfreq_out)

    def hear(
        self, audio: NDArray[np.float32], sfreq_hz: float, seed: int, sfreq_out: float = 125.0
    ) -> NDArray[np.float32]:
        """Simulated EEG (n, 125) in µV at `sfreq_out` while hearing (n,) or (n, 2) audio.

        `seed` draws everything that belongs to this recording; the same arguments give the same EEG.
        """
        return self.listen(audio, sfreq_hz, seed, sfreq_out).samples_uv


def band_power(samples: Array, sfreq_hz: float) -> Array:
    """Power of each column of (n, n_channels) within `BAND_HZ`."""
    n = len(samples)
    spectrum = np.fft.rfft(samples - samples.mean(0), axis=0)
    freqs = np.fft.rfftfreq(n, 1 / sfreq_hz)
    inside = (freqs >= BAND_HZ[0]) & (freqs <= BAND_HZ[1])
    return 2 * (np.abs(spectrum[inside]) ** 2).sum(0) / n**2


def measured_snr_db(response: Array, rest: Array, sfreq_hz: float) -> float:
    """Power of the response over power of the rest in each channel, averaged over the channels, in dB."""
    ratio = band_power(response, sfreq_hz) / band_power(rest, sfreq_hz)
    return float(10 * np.log10(ratio.mean()))


def response_gain(response: Array, rest: Array, sfreq_hz: float, snr_db: float) -> float:
    """Factor on the response that gives the wanted ratio; 0 where there is no response."""
    if not np.any(response):
        return 0.0
    return float(10 ** ((snr_db - measured_snr_db(response, rest, sfreq_hz)) / 20))


def _kernels(config: ListenerConfig, rng: np.random.Generator) -> Array:
    """Temporal response functions (16 features, 6 sources, lags) at 125 Hz."""
    lags = np.arange(int(_KERNEL_S * FEATURE_RATE_HZ)) / FEATURE_RATE_HZ
    n_sources = len(_PLACES_MM)
    late = config.latency_spread_s * rng.standard_normal(4)
    peaks = _PEAK_GAINS * (1 + config.gain_spread * rng.standard_normal((n_sources, 4)))
    kernels = np.zeros((N_FEATURES, n_sources, lags.size))
    for feature in range(N_FEATURES):
        band = feature % N_BANDS
        centre = _PEAKS_S + late + 0.012 * (1 - band / (N_BANDS - 1))  # low bands answer later
        shapes = np.exp(-0.5 * ((lags - centre[:, None]) / _WIDTHS_S[:, None]) ** 2)
        tuning = 0.05 + np.exp(-0.5 * ((band - _BEST_BAND) / config.tuning_bands) ** 2)
        tuning *= 1 + config.gain_spread * rng.standard_normal(n_sources)
        share = 0.45 if feature < N_BANDS else 1.0
        kernels[feature] = share * tuning[:, None] * (peaks @ shapes)
    return kernels
