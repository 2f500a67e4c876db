"""Numbers that describe a window of music: spectrum, modulation, onsets, envelope and chroma.

All are blind to loudness: power is taken relative to the mean power of the window.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
FEATURES_VERSION = 1
WINDOW_S = 4.0
N_MELS = 64
N_GROUPS = 8  # neighbouring mel bands taken together for rhythm
HOP = 160  # 10 ms
N_FFT = 512
_CHROMA_FFT, _CHROMA_HOP = 4096, 1600
_FLOOR = 10 ** -5.5
_MODULATION_EDGES_HZ = np.geomspace(0.4, 20.0, 15)
_SEGMENTS = 4  # the envelope's course over a window, in quarters


@cache
def mel_weights(n_mels: int = N_MELS, n_fft: int = N_FFT, rate_hz: int = RATE_HZ, low_hz: float = 50.0,
                high_hz: float = 7600.0) -> NDArray[np.float32]:
    """Triangular mel filters (n_fft // 2 + 1, n_mels), every band holding at least its nearest bin."""
    edges_mel = np.linspace(_mel(low_hz), _mel(high_hz), n_mels + 2)
    edges = 700 * (10 ** (edges_mel / 2595) - 1)
    freqs = np.fft.rfftfreq(n_fft, 1 / rate_hz)[:, None]
    rising = (freqs - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - freqs) / (edges[2:] - edges[1:-1])
    weights = np.clip(np.minimum(rising, falling), 0, None)
    nearest = np.abs(freqs - edges[1:-1]).argmin(0)
    weights[nearest, np.arange(n_mels)] = np.maximum(weights[nearest, np.arange(n_mels)], 0.5)
    return (weights / weights.sum(0)).astype(np.float32)


def _mel(hz: float) -> float:
    return 2595 * np.log10(1 + hz / 700)


def power_frames(mono: NDArray[np.float32], n_fft: int, hop: int) -> NDArray[np.float32]:
    """Hann-windowed power spectra (m, n_fft // 2 + 1) of frames that lie wholly inside `mono`."""
    frames = np.lib.stride_tricks.sliding_window_view(mono, n_fft)[::hop]
    taper = np.hanning(n_fft + 1)[:-1].astype(np.float32)
    pieces = []
    for start in range(0, len(frames), 2048):
        spectrum = np.fft.rfft(frames[start:start + 2048] * taper)
        pieces.append((spectrum.real**2 + spectrum.imag**2).astype(np.float32))
    return np.concatenate(pieces)


@cache
def _chroma_weights() -> NDArray[np.float32]:
    """Map from spectrum bins to 12 pitch classes, (2049, 12), notes 70 Hz to 2 kHz."""
    freqs = np.fft.rfftfreq(_CHROMA_FFT, 1 / RATE_HZ)
    weights = np.zeros((freqs.size, 12), np.float32)
    used = (freqs > 70) & (freqs < 2000)
    pitch = 12 * np.log2(freqs[used] / 440.0) + 69
    for k in range(12):
        distance = (pitch - k + 6) % 12 - 6
        weights[used, k] = np.exp(-0.5 * (distance / 0.35) ** 2)
    return weights


def chroma_frames(mono: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power in the 12 pitch classes, C first, every 100 ms: (m, 12)."""
    return power_frames(mono, _CHROMA_FFT, _CHROMA_HOP) @ _chroma_weights()


def group_sizes() -> tuple[tuple[int, float], ...]:
    """(number of features, weight) of each group, in the order of the columns."""
    n_modulation = len(_MODULATION_EDGES_HZ) - 1
    return ((N_MELS, 1.0), (N_MELS, 0.6), (N_GROUPS * n_modulation, 1.0), (N_GROUPS * 3, 0.6),
            (N_GROUPS * _SEGMENTS, 0.4), (12, 0.5), (12, 0.3))


def window_features(mono: NDArray[np.float32], hop_s: float, window_s: float = WINDOW_S) -> NDArray[np.float64]:
    """Features (m, d) of every window of (n,) audio at 16 kHz; shorter audio is repeated to one window."""
    per_window, per_hop = _whole_frames(window_s, "window"), _whole_frames(hop_s, "hop")
    needed = per_window * HOP
    if mono.size < needed:
        mono = np.resize(mono, needed)
    mel = power_frames(mono, N_FFT, HOP) @ mel_weights()
    chroma = chroma_frames(mono)
    n_windows = (mono.size - needed) // (per_hop * HOP) + 1
    inside = per_window - -(-(N_FFT - HOP) // HOP)  # frames that do not reach past the window's end
    rows = []
    for i in range(n_windows):
        first = i * per_hop
        coarse = -(-first * HOP // _CHROMA_HOP)
        n_coarse = (first * HOP + needed - _CHROMA_FFT - coarse * _CHROMA_HOP) // _CHROMA_HOP + 1
        rows.append(_describe(mel[first:first + inside], chroma[coarse:coarse + n_coarse]))
    return np.stack(rows)


def _whole_frames(seconds: float, name: str) -> int:
    frames = round(seconds * RATE_HZ / HOP)
    if abs(frames * HOP / RATE_HZ - seconds) > 1e-6 or frames < 1:
        raise ValueError(f"the {name} must be a multiple of 10 ms, got {seconds} s")
    return frames


def _describe(mel: NDArray[np.float32], chroma: NDArray[np.float32]) -> NDArray[np.float64]:
    """One row: mel power (frames, 64) and chroma power (frames, 12) of one window."""
    relative = mel / (mel.mean() + 1e-12)
    level = np.log10(relative + _FLOOR).astype(np.float64)
    groups = level.reshape(len(level), N_GROUPS, -1).mean(2)
    moving = groups - groups.mean(0)
    rise = np.maximum(groups[3:] - groups[:-3], 0)
    loud = np.array_split(moving, _SEGMENTS)
    pitch = np.sqrt(chroma / (chroma.sum(1, keepdims=True) + 1e-12) + 1e-6).astype(np.float64)
    return np.concatenate([
        level.mean(0), level.std(0), _modulation(moving).ravel(),
        rise.mean(0), np.sqrt(np.square(rise).mean(0)), (rise > 0.25).mean(0),
        np.concatenate([part.mean(0) for part in loud]), pitch.mean(0), pitch.std(0),
    ])


def _modulation(moving: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log power of the envelopes' own spectrum, (8 groups, 14 bands of 0.4 .. 20 Hz)."""
    taper = np.hanning(len(moving))[:, None]
    n = 1024
    spectrum = np.abs(np.fft.rfft(moving * taper, n, axis=0)) ** 2 / len(moving)
    freqs = np.fft.rfftfreq(n, HOP / RATE_HZ)
    bands = np.searchsorted(_MODULATION_EDGES_HZ, freqs)
    rows = [spectrum[bands == k].mean(0) for k in range(1, len(_MODULATION_EDGES_HZ))]
    return np.log10(np.stack(rows, 1) + 1e-4)
