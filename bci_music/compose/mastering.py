"""Loudness after ITU-R BS.1770, a look-ahead limiter, and the reverb."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter1d
from scipy.signal import butter, lfilter, oaconvolve, resample_poly, sosfilt

from bci_music.compose.synthesis import RATE_HZ

_SHELF = ((1.53512485958697, -2.69169619940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585))
_HIGH_PASS = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))


@cache
def k_weighting(rate_hz: int) -> tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]:
    """Shelf and high-pass of ITU-R BS.1770 as (b, a) at any rate: the recommendation's own numbers at 48 kHz."""
    if rate_hz == RATE_HZ:
        return _SHELF, _HIGH_PASS
    k, gain, quality = np.tan(np.pi * 1681.974450955533 / rate_hz), 10 ** (3.999843853973347 / 20), 0.7071752369554196
    lift = gain**0.4996667741545416
    a0 = 1 + k / quality + k * k
    ends = tuple(float(v / a0) for v in (
        gain + lift * k / quality + k * k, 2 * (k * k - gain), gain - lift * k / quality + k * k
    ))
    shelf = ends, (1.0, float(2 * (k * k - 1) / a0), float((1 - k / quality + k * k) / a0))
    k, quality = np.tan(np.pi * 38.13547087602444 / rate_hz), 0.5003270373238773
    a0 = 1 + k / quality + k * k
    fall = (1.0, float(2 * (k * k - 1) / a0), float((1 - k / quality + k * k) / a0))
    return shelf, ((1.0, -2.0, 1.0), fall)


def loudness_lufs(samples: NDArray[np.float32], rate_hz: int = RATE_HZ) -> float:
    """Integrated loudness of (channels, n): K-weighted, 400 ms blocks, both gates."""
    shelf, high_pass = k_weighting(rate_hz)
    weighted = lfilter(*high_pass, lfilter(*shelf, samples, axis=1), axis=1)
    hop = rate_hz // 10
    n = weighted.shape[1] // hop
    if n < 4:
        raise ValueError(f"loudness needs at least 0.4 s, got {samples.shape[1] / rate_hz:.2f} s")
    tenths = np.square(weighted[:, :n * hop]).reshape(len(samples), n, hop).mean(2).sum(0)
    power = np.convolve(tenths, np.full(4, 0.25), "valid")
    audible = power[power > _power(-70.0)]
    if not audible.size:
        return float("-inf")
    kept = audible[audible > audible.mean() / 10]
    return float(-0.691 + 10 * np.log10(kept.mean()))


def _power(lufs: float) -> float:
    return 10 ** ((lufs + 0.691) / 10)


def true_peak(samples: NDArray[np.float32]) -> float:
    """Largest absolute value between the samples of (2, n): four times oversampled where it can matter."""
    largest = float(np.abs(samples).max())
    block = 4096
    peak = largest
    for start in range(0, samples.shape[1], block):
        piece = samples[:, max(0, start - 64):start + block + 64]
        if np.abs(piece).max() > 0.6 * largest:
            peak = max(peak, float(np.abs(resample_poly(piece, 4, 1, axis=1)[:, 64:-64]).max()))
    return peak


def limit(samples: NDArray[np.float32], ceiling: float, rate_hz: int = RATE_HZ) -> NDArray[np.float32]:
    """Turn down, 4 ms ahead, whatever passes `ceiling`; (channels, n)."""
    level = maximum_filter1d(np.abs(samples).max(0), 2 * round(0.004 * rate_hz) + 1)
    gain = np.minimum(1.0, ceiling / np.maximum(level, 1e-9)).astype(np.float32)
    return samples * uniform_filter1d(gain, 2 * round(0.002 * rate_hz) + 1)


def reverb(
    send: NDArray[np.float32], seconds: float, seed: int, rate_hz: int = RATE_HZ, ears: int = 2
) -> NDArray[np.float32]:
    """Decorrelated tails of filtered, decaying noise on a mono send: (n,) to (ears, n)."""
    t = np.arange(int(1.15 * seconds * rate_hz)) / rate_hz
    noise = np.random.default_rng(seed).standard_normal((ears, t.size))
    bright = sosfilt(butter(1, [250, 6500], btype="band", fs=rate_hz, output="sos"), noise, axis=1)
    dark = sosfilt(butter(1, [200, 2200], btype="band", fs=rate_hz, output="sos"), noise, axis=1)
    onset = np.clip(t / 0.012, 0, 1)
    tail = onset * (bright * np.exp(-9.5 * t / seconds) + dark * np.exp(-6.2 * t / seconds))
    tail *= np.clip((t[-1] - t) / 0.1, 0, 1)
    tail /= np.sqrt(np.square(tail).sum(1, keepdims=True))
    return np.stack([oaconvolve(send, ear.astype(np.float32))[:send.size] for ear in tail])


def master(mix: NDArray[np.float32], target_lufs: float = -16.0, ceiling_db: float = -1.5) -> NDArray[np.float32]:
    """Bring (2, n) to `target_lufs` with its true peak under `ceiling_db`."""
    ceiling = 10 ** (ceiling_db / 20)
    mix = sosfilt(butter(2, 28, btype="high", fs=RATE_HZ, output="sos"), mix, axis=1).astype(np.float32)
    out = mix
    gain = 10 ** ((target_lufs - loudness_lufs(mix)) / 20)
    for _ in range(2):
        out = limit(mix * np.float32(gain), ceiling)
        gain *= 10 ** ((target_lufs - loudness_lufs(out)) / 20)
    peak = true_peak(out)
    return out * np.float32(min(1.0, ceiling / peak))
