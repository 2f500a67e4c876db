"""What instruments are built of: envelopes, decaying partials, band-limited wavetables and plucked strings."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, sosfilt

RATE_HZ = 48_000
Wave = NDArray[np.float32]
TABLE = 8192


def timeline(seconds: float) -> NDArray[np.float64]:
    """Times of the samples in s."""
    return np.arange(int(seconds * RATE_HZ)) / RATE_HZ


def envelope(seconds: float, attack_s: float, release_s: float, decay: float = 0.0) -> NDArray[np.float64]:
    """Raised-cosine attack, exponential decay (1/s), raised-cosine release after `seconds`."""
    t = timeline(seconds + release_s)
    level = np.exp(-decay * t)
    rise = max(2, int(attack_s * RATE_HZ))
    fall = max(2, int(release_s * RATE_HZ))
    rise, fall = min(rise, t.size // 2), min(fall, t.size)
    level[:rise] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(rise) / rise)
    level[-fall:] *= 0.5 + 0.5 * np.cos(np.pi * (np.arange(fall) + 1) / fall)
    return level


def finish(wave: NDArray[np.float64]) -> Wave:
    """A note as it is handed over."""
    return wave.astype(np.float32)


def modes(
    freq: float, seconds: float, ratios: tuple[float, ...], gains: tuple[float, ...], decays: tuple[float, ...]
) -> NDArray[np.float64]:
    """Sum of decaying partials, those above 18 kHz left out."""
    t = timeline(seconds)
    wave = np.zeros(t.size)
    for ratio, gain, decay in zip(ratios, gains, decays, strict=True):
        if freq * ratio < 18_000:
            wave += gain * np.sin(2 * np.pi * freq * ratio * t) * np.exp(-decay * t)
    return wave


@lru_cache(maxsize=512)
def cycle(freq: float, slope: float, cutoff_hz: float, odd: bool) -> NDArray[np.float64]:
    """One period of a band-limited wave: harmonics falling as k**-slope, low-passed (12 dB/octave)."""
    n = max(1, int(min(14_000, 6 * cutoff_hz) / freq))
    k = np.arange(1, min(n, 160) + 1)
    gains = k**-slope / (1 + (k * freq / cutoff_hz) ** 2)
    if odd:
        gains = gains * (k % 2)
    spectrum = np.zeros(TABLE // 2 + 1, complex)
    spectrum[k] = -1j * gains * np.exp(1j * 0.3 * k)
    wave = np.fft.irfft(spectrum)
    return wave / np.abs(wave).max()


def play(
    table: NDArray[np.float64],
    freq: float,
    t: NDArray[np.float64],
    cents: float = 0.0,
    phase: float = 0.0,
    vibrato_hz: float = 0.0,
    depth: float = 0.0,
    delay_s: float = 0.25,
) -> NDArray[np.float64]:
    """Read `table` at `freq`, detuned by `cents`, with a vibrato that sets in after `delay_s`."""
    cycles = freq * 2 ** (cents / 1200) * t + phase
    if depth:
        onset = np.clip((t - delay_s) / 0.3, 0, 1)
        cycles = cycles + onset * depth * freq / (2 * np.pi * vibrato_hz) * np.sin(2 * np.pi * vibrato_hz * t)
    return table[(cycles * TABLE).astype(np.int64) & (TABLE - 1)]


def string(freq: float, seconds: float, damping: float, brightness_hz: float, position: float) -> NDArray[np.float64]:
    """Karplus-Strong string, tuned by an interpolated delay; `damping` is the decay in 1/s."""
    period = RATE_HZ / freq
    delay = int(period - 0.5)
    share = period - 0.5 - delay
    noise = np.random.default_rng(int(freq * 100)).standard_normal(delay + 1)
    excitation = np.zeros(int(seconds * RATE_HZ))
    burst = min(noise.size, excitation.size)
    excitation[:burst] = noise[:burst] * np.hanning(noise.size)[:burst] ** 0.25
    excitation = sosfilt(butter(2, brightness_hz, fs=RATE_HZ, output="sos"), excitation)
    comb = max(1, int(position * period))
    excitation[comb:] -= 0.8 * excitation[:-comb].copy()
    loss = np.exp(-damping / freq)
    taps = loss * np.convolve([1 - share, share], [0.5, 0.5])
    wave = _loop(excitation, delay, taps)
    return wave / (np.abs(wave).max() + 1e-9)


def _loop(excitation: NDArray[np.float64], delay: int, taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Feed back `taps` at `delay` and the two samples after it: in blocks of `delay` samples where that is long.

    The sums are made in the order of `lfilter`, so that both ways give the same bits.
    """
    if delay < 96:
        feedback = np.zeros(delay + 3)
        feedback[0] = 1
        feedback[delay : delay + 3] -= taps
        return lfilter([1.0], feedback, excitation)
    head = delay + 2
    wave = np.zeros(head + excitation.size)
    for first in range(0, excitation.size, delay):
        stop = min(first + delay, excitation.size)
        n = stop - first
        back = taps[2] * wave[first : first + n] + taps[1] * wave[first + 1 : first + 1 + n]
        wave[head + first : head + stop] = excitation[first:stop] + (back + taps[0] * wave[first + 2 : first + 2 + n])
    return wave[head:]


def swept(
    freq: float,
    seconds: float,
    dark_hz: float,
    bright_hz: float,
    sweep: float,
    attack_s: float,
    release_s: float,
    cents: tuple[float, ...],
    odd: bool = False,
) -> NDArray[np.float64]:
    """Detuned wavetables gliding from a bright to a dark spectrum, as a low-pass sweep would."""
    level = envelope(seconds, attack_s, release_s)
    t = timeline(seconds + release_s)[: level.size]
    dark, bright = cycle(freq, 1.0, dark_hz, odd), cycle(freq, 1.0, bright_hz, odd)
    mix = np.exp(-sweep * t)
    wave = np.zeros(t.size)
    for i, c in enumerate(cents):
        wave += play(dark, freq, t, c, 0.37 * i) * (1 - mix) + play(bright, freq, t, c, 0.37 * i) * mix
    return wave * level / len(cents) ** 0.7
