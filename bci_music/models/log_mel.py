"""AudioLDM's picture of sound: 64 mel bands every 10 ms, as natural logarithm of the magnitude.

1024-sample periodic Hann windows, hop 160 at 16 kHz, reflected edges, Slaney's mel scale and norm from 0 to 8 kHz,
clamped at 1e-5. Frame i is centred on sample ``160 i``, as in the checkpoints' own training.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import torch

RATE_HZ = 16_000
N_FFT, HOP, BANDS = 1024, 160, 64
FLOOR = 1e-5
SILENCE = float(np.log(FLOOR))  # what every band holds where there is no sound
PEAK = 0.5  # of a clip before its picture is taken
_LINEAR_HZ = 200 / 3  # one mel below 1 kHz
_BREAK_HZ, _BREAK_MEL = 1000.0, 15.0
_STEP = np.log(6.4) / 27  # of the logarithm of the frequency, per mel above 1 kHz


def log_mel(sound: ArrayLike) -> NDArray[np.float32]:
    """Picture (n // 160, 64) float32 of (n,) sound at 16 kHz, n > 512."""
    mono = np.asarray(sound, np.float32)
    _check(mono.shape[-1])
    padded = np.pad(mono, N_FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP][: len(mono) // HOP]
    magnitude = np.abs(np.fft.rfft(frames * _window(), axis=1))
    return np.asarray(np.log(np.maximum(magnitude @ mel_filters(), FLOOR)), np.float32)


def log_mel_torch(sound: torch.Tensor) -> torch.Tensor:
    """Pictures (B, n // 160, 64) of sounds (B, n) at 16 kHz, n > 512: the same as `log_mel`, with gradients."""
    import torch

    _check(sound.shape[-1])
    window = torch.from_numpy(_window()).to(sound)
    spectrum = torch.stft(sound, N_FFT, HOP, window=window, center=True, pad_mode="reflect", return_complex=True)
    power = spectrum.real.square() + spectrum.imag.square()
    magnitude = power[..., : sound.shape[-1] // HOP].clamp_min(1e-14).sqrt()  # a root has no gradient at 0
    filters = torch.from_numpy(mel_filters().copy()).to(sound)
    return (magnitude.transpose(1, 2) @ filters).clamp_min(FLOOR).log()


def normalised(sound: ArrayLike) -> NDArray[np.float32]:
    """Centre (n,) sound and bring its peak to one half, as AudioLDM does with every clip it learns from."""
    mono = np.asarray(sound, np.float32)
    mono = mono - mono.mean()
    return mono * np.float32(PEAK / max(float(np.abs(mono).max()), 1e-8))


@cache
def mel_filters() -> NDArray[np.float32]:
    """(513, 64) triangles of equal area on Slaney's mel scale: linear to 1 kHz, logarithmic above. Read-only."""
    hz = np.linspace(0, RATE_HZ / 2, N_FFT // 2 + 1)[:, None]
    edges = _hz(np.linspace(0, _mel(RATE_HZ / 2), BANDS + 2))
    rising = (hz - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - hz) / np.diff(edges)[1:]
    filters = np.clip(np.minimum(rising, falling), 0, None) * (2 / (edges[2:] - edges[:-2]))
    narrow = np.asarray(filters, np.float32)
    narrow.flags.writeable = False
    return narrow


@cache
def _window() -> NDArray[np.float32]:
    return np.asarray(np.hanning(N_FFT + 1)[:-1], np.float32)


def _mel(hz: float) -> float:
    return hz / _LINEAR_HZ if hz < _BREAK_HZ else _BREAK_MEL + float(np.log(hz / _BREAK_HZ)) / _STEP


def _hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < _BREAK_MEL, mel * _LINEAR_HZ, _BREAK_HZ * np.exp((mel - _BREAK_MEL) * _STEP))


def _check(n: int) -> None:
    if n <= N_FFT // 2:
        raise ValueError(f"{n} samples are too few for a spectrogram: more than {N_FFT // 2} are needed")
