"""The power mel spectrogram on which SSIM and PSNR are taken, as the paper's released code takes them."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

RATE_HZ = 16_000
N_FFT, HOP, N_MELS = 1024, 512, 64


def power_mel(audio: ArrayLike) -> NDArray[np.float32]:
    """(64, frames) power in mel bands of (n,) audio at 16 kHz, frames 32 ms apart and centred.

    As torchaudio's MelSpectrogram(16000, n_fft=1024, n_mels=64): periodic Hann window, hop 512, reflected edges, HTK
    mel scale from 0 to 8 kHz, triangles of height one. The sound is centred and brought to a peak of one half before.
    """
    mono = np.asarray(audio, np.float64)
    mono = mono - mono.mean()
    mono = 0.5 * mono / max(np.abs(mono).max(), 1e-9)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(mono, N_FFT // 2, mode="reflect"), N_FFT)[::HOP]
    spectrum = np.fft.rfft(frames * np.hanning(N_FFT + 1)[:-1], axis=1)
    return (np.square(np.abs(spectrum)) @ mel_filters()).T.astype(np.float32)


@cache
def mel_filters() -> NDArray[np.float64]:
    """(513, 64) triangular filters on the HTK mel scale, 2595 log10(1 + f / 700)."""
    hz = np.linspace(0, RATE_HZ / 2, N_FFT // 2 + 1)[:, None]
    top = 2595 * np.log10(1 + RATE_HZ / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, N_MELS + 2) / 2595) - 1)
    rising = (hz - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - hz) / np.diff(edges)[1:]
    return np.clip(np.minimum(rising, falling), 0, None)
