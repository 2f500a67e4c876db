"""What of the music reaches the simulated brain: envelopes and onsets of eight bands at 125 Hz."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from bci_music.models.embedder import to_mono_16k
from bci_music.models.music_features import N_FFT, RATE_HZ, mel_weights, power_frames

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
