"""What CLAP sees of a sound: the log mel spectrogram of its feature extractor, made for many windows at once.

Equal to transformers' `ClapFeatureExtractor` (a test holds them together) in half the time, and never random: the
extractor cuts long sound at a random place and marks one of a batch at random as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import UserError

_FLOOR = 1e-10


def clap_input(extractor: Any, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Spectrograms of windows of mono sound at the extractor's rate: (m, 1, frames, mels), or (m, 4, ...) with fusion.

    Parameters
    ----------
    extractor : ClapFeatureExtractor
        Says rate, length, filters and how short sound is filled up.
    windows : sequence of (n,) float32
        None longer than the extractor's length.
    """
    fused = extractor.truncation == "fusion"
    filters = extractor.mel_filters if fused else extractor.mel_filters_slaney
    pictures = np.stack([_log_mel(extractor, fill_up(extractor, window), filters) for window in windows])
    return np.repeat(pictures[:, None], 4 if fused else 1, axis=1)


def fill_up(extractor: Any, window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring a window to the extractor's length: repeated whole times and padded, repeated and cut, or padded."""
    length = int(extractor.nb_max_samples)
    if len(window) > length:
        raise ValueError(f"a window of {len(window)} samples, at most {length} are heard at once")
    if len(window) < length and extractor.padding == "repeat":
        return np.resize(window, length)
    if len(window) < length and extractor.padding == "repeatpad":
        window = np.tile(window, length // len(window))
    elif extractor.padding not in ("repeat", "repeatpad", "pad"):
        raise UserError(f"The CLAP fills short sound up by {extractor.padding!r}: expected repeatpad, repeat or pad.")
    return np.pad(window, (0, length - len(window)))


def _log_mel(extractor: Any, sound: NDArray[np.float32], filters: NDArray[np.float64]) -> NDArray[np.float32]:
    """(frames, mels) decibels of power, frames centred, the ends mirrored."""
    n_fft, hop = int(extractor.fft_window_size), int(extractor.hop_length)
    padded = np.pad(sound.astype(np.float64), n_fft // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    taper = np.hanning(n_fft + 1)[:-1]
    spectrum = np.fft.rfft(frames * taper)
    power = spectrum.real**2 + spectrum.imag**2
    return (10.0 * np.log10(np.maximum(power @ filters, _FLOOR))).astype(np.float32)
