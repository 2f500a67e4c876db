"""Loudness of the music in a few frequency bands, ten times a second: what the cortex follows best."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

N_BANDS = 8
STEP_S = 0.1
LOWEST_HZ, HIGHEST_HZ = 60.0, 12_000.0


def band_features(audio: NDArray[np.float32], sfreq_hz: float) -> NDArray[np.float32]:
    """Level and rise of each band: (n, 16) for audio (n_samples,) or (n_samples, 2), each column z-scored."""
    mono = audio.mean(1) if audio.ndim == 2 else audio
    step = round(STEP_S * sfreq_hz)
    n = len(mono) // step
    power = np.abs(np.fft.rfft(mono[: n * step].reshape(n, step) * np.hanning(step), axis=1)) ** 2
    edges = np.geomspace(LOWEST_HZ, min(HIGHEST_HZ, 0.45 * sfreq_hz), N_BANDS + 1)
    hz = np.fft.rfftfreq(step, 1.0 / sfreq_hz)
    level = np.stack(
        [power[:, (hz >= a) & (hz < b)].mean(1) for a, b in pairwise(edges)], axis=1
    )
    level = np.log10(level + 1e-4 * level.mean(0) + 1e-12)
    rise = np.diff(level, axis=0, prepend=level[:1]).clip(0.0)
    both = np.concatenate([level, rise], axis=1)
    return ((both - both.mean(0)) / (both.std(0) + 1e-9)).astype(np.float32)
