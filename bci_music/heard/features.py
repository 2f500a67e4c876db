"""What of the sound and of the EEG is compared: spectral flux and envelope, and EEG between 1 and 8 Hz, at 64 Hz.

Spectral flux is tracked better than the envelope, by music more than by speech (Weineck, Wen and Henry, eLife 2022).
EEG is filtered causally and the sound not at all before a decoder is fitted: otherwise a filter would carry the answer
to a sound into EEG from before it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bci_music.models.embedder import to_mono_16k
from bci_music.models.music_features import RATE_HZ as AUDIO_HZ
from bci_music.models.music_features import power_frames

RATE_HZ = 64
AVERAGE_FROM = 8  # with so many electrodes EEG is referenced to their mean
BAND_HZ = (1.0, 8.0)
TARGETS = ("flux", "envelope")  # columns of a sound's rows, the first one decides
SETTLE_S = 1.0  # of EEG after a beginning or a break, while the filter settles
CLAMP = 5.0  # of z-scored EEG, in standard deviations
_NOISY, _MISSING = 10.0, 0.05  # times the median spread; share of samples: an electrode beyond is left out
_FRAME, _HOP = AUDIO_HZ // 40, AUDIO_HZ // RATE_HZ  # 25 ms; 250 samples
_COMPRESSION = 10.0
_LOUDNESS = 0.6  # exponent from amplitude to loudness


def sound_rows(audio: ArrayLike, sfreq_hz: float) -> NDArray[np.float64]:
    """Flux and envelope (n, 2) of sound (m,) or (m, 2): row k belongs to the instant k / 64 s.

    Flux is the half-wave rectified difference of neighbouring spectra, summed over frequency, of ``log1p(10 |X|)`` with
    the magnitude relative to the mean of the piece, so that both are blind to the level of the recording; frames have
    25 ms and lie around their instant. The envelope is the root mean square of a frame to the power .6.
    """
    mono = to_mono_16k(audio, sfreq_hz)
    power = power_frames(np.pad(mono, _FRAME // 2), _FRAME, _HOP).astype(np.float64)
    magnitude = np.sqrt(power)
    mean = max(float(magnitude.mean()), 1e-12)
    spectrum = np.log1p(_COMPRESSION * magnitude / mean)
    rise = np.maximum(np.diff(spectrum, axis=0, prepend=spectrum[:1]), 0.0).sum(axis=1)
    return np.column_stack([rise, np.sqrt(power.mean(axis=1)) ** _LOUDNESS])


def envelope_rows(envelope: ArrayLike, rate_hz: float) -> NDArray[np.float64]:
    """The same (n, 2) where of a sound only an envelope (m,) at `rate_hz` is known: its flux is its rise."""
    values = np.asarray(envelope, np.float64)
    wide = max(1, round(rate_hz / RATE_HZ))  # a faster envelope is averaged before it is thinned
    smooth = np.convolve(np.pad(values, (wide // 2, (wide - 1) // 2), mode="edge"), np.full(wide, 1 / wide), "valid")
    n = int((len(values) - 1) / rate_hz * RATE_HZ + 1e-6) + 1
    at = np.interp(np.arange(n) / RATE_HZ, np.arange(len(values)) / rate_hz, smooth)
    return np.column_stack([np.maximum(np.diff(at, prepend=at[:1]), 0.0), at])


def eeg_rows(eeg: NDArray[np.floating], sfreq_hz: float, start_s: float) -> tuple[NDArray[np.float32], int]:
    """EEG without a break on the sound's grid, 1 to 8 Hz, by a causal filter.

    Parameters
    ----------
    eeg : (n_channels, n_times)
    start_s : float
        Second of the sound at the first sample.

    Returns
    -------
    (n, n_channels) float32 and the row of the sound that the first of them belongs to; without the first second,
    in which the filter settles. The filter delays: by 60 to 120 ms between 3 and 8 Hz.
    """
    from scipy import signal

    n_channels, n_times = eeg.shape
    first = int(np.ceil((start_s + SETTLE_S) * RATE_HZ - 1e-6))
    last = int(np.floor((start_s + (n_times - 1) / sfreq_hz) * RATE_HZ + 1e-6))
    if last < first:
        return np.zeros((0, n_channels), np.float32), first
    sos = _band(sfreq_hz)
    x = np.asarray(eeg, np.float64)
    held = signal.sosfilt_zi(sos)[:, None, :] * x[:, :1][None]
    clean, _ = signal.sosfilt(sos, x, axis=1, zi=held)
    at = (np.arange(first, last + 1) / RATE_HZ - start_s) * sfreq_hz
    below = np.clip(np.floor(at).astype(int), 0, max(n_times - 2, 0))
    above = np.minimum(below + 1, n_times - 1)
    share = at - below
    rows = clean[:, below] * (1 - share) + clean[:, above] * share
    return np.ascontiguousarray(rows.T, np.float32), first


def in_band(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """What of rows (n, k) at 64 Hz lies between 1 and 8 Hz, without delay: a reconstruction is held against it."""
    from scipy import signal

    sos = _band(float(RATE_HZ))
    return signal.sosfiltfilt(sos, np.asarray(rows, np.float64), axis=0, padlen=min(len(rows) - 1, 3 * RATE_HZ))


def standardised(parts: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Bring each column of several parts (n_i, k) to mean 0 and spread 1 over all of them, clamped at 5.

    A column without spread, or with what is no number, is zero.
    """
    whole = np.concatenate(parts)
    mean, spread = whole.mean(axis=0, dtype=np.float64), whole.std(axis=0, dtype=np.float64)
    good = np.isfinite(mean) & np.isfinite(spread) & (spread > 1e-12)
    scale = np.where(good, 1.0 / np.where(good, spread, 1.0), 0.0)
    middle = np.where(good, mean, 0.0)
    return [
        np.where(good, np.clip((np.where(good, part, 0.0) - middle) * scale, -CLAMP, CLAMP), 0.0).astype(np.float32)
        for part in parts
    ]


def good_electrodes(samples: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(C,) electrodes of EEG (n, C) that move, hardly miss a sample and are not far noisier than the others."""
    finite = np.isfinite(samples)
    steps = np.diff(np.where(finite, samples, 0.0), axis=0)  # drifts between electrodes differ, steps do not
    spread = steps.std(axis=0) if len(steps) else np.zeros(samples.shape[1])
    good = (finite.sum(axis=0) >= (1 - _MISSING) * len(samples)) & (spread > 1e-12)
    if good.sum() >= AVERAGE_FROM:
        good &= spread <= _NOISY * np.median(spread[good])
    return good


def referenced(samples: NDArray[np.floating], good: NDArray[np.bool_]) -> NDArray[np.float64]:
    """EEG (n, C) of the `good` electrodes about their mean; others, and what is no number, are zero."""
    x = np.asarray(samples, np.float64)
    finite = np.isfinite(x)
    x = np.where(finite, x, 0.0)
    middle = x.sum(axis=0) / np.maximum(finite.sum(axis=0), 1)
    clean = np.where(good & finite, x - middle, 0.0)
    if good.sum() >= AVERAGE_FROM:
        clean = np.where(good, clean - clean[:, good].mean(axis=1, keepdims=True), 0.0)
    return clean


@cache
def _band(sfreq_hz: float) -> NDArray[np.float64]:
    """Second-order sections of Butterworth filters: high-pass of order 2 at 1 Hz, low-pass of order 4 at 8 Hz."""
    from scipy import signal

    low, high = BAND_HZ
    return np.concatenate([
        signal.butter(2, low, "highpass", fs=sfreq_hz, output="sos"),
        signal.butter(4, high, "lowpass", fs=sfreq_hz, output="sos"),
    ])
