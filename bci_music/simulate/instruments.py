"""Pitched instruments: one note as a mono waveform, by additive, FM, wavetable and plucked-string synthesis.

Every function takes a frequency in Hz and the sounding length in seconds, and returns (n,) float32
that begins and ends at zero; the release rings on after the sounding length.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, sosfilt

RATE_HZ = 48_000
Wave = NDArray[np.float32]
_TABLE = 8192


def _time(seconds: float) -> NDArray[np.float64]:
    return np.arange(int(seconds * RATE_HZ)) / RATE_HZ


def envelope(seconds: float, attack_s: float, release_s: float, decay: float = 0.0) -> NDArray[np.float64]:
    """Raised-cosine attack, exponential decay (1/s), raised-cosine release after `seconds`."""
    t = _time(seconds + release_s)
    level = np.exp(-decay * t)
    rise = max(2, int(attack_s * RATE_HZ))
    fall = max(2, int(release_s * RATE_HZ))
    rise, fall = min(rise, t.size // 2), min(fall, t.size)
    level[:rise] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(rise) / rise)
    level[-fall:] *= 0.5 + 0.5 * np.cos(np.pi * (np.arange(fall) + 1) / fall)
    return level


def _finish(wave: NDArray[np.float64]) -> Wave:
    return wave.astype(np.float32)


def _modes(freq: float, seconds: float, ratios: tuple[float, ...], gains: tuple[float, ...],
           decays: tuple[float, ...]) -> NDArray[np.float64]:
    """Sum of decaying partials, those above 18 kHz left out."""
    t = _time(seconds)
    wave = np.zeros(t.size)
    for ratio, gain, decay in zip(ratios, gains, decays, strict=True):
        if freq * ratio < 18_000:
            wave += gain * np.sin(2 * np.pi * freq * ratio * t) * np.exp(-decay * t)
    return wave


@lru_cache(maxsize=512)
def _cycle(freq: float, slope: float, cutoff_hz: float, odd: bool) -> NDArray[np.float64]:
    """One period of a band-limited wave: harmonics falling as k**-slope, low-passed (12 dB/octave)."""
    n = max(1, int(min(14_000, 6 * cutoff_hz) / freq))
    k = np.arange(1, min(n, 160) + 1)
    gains = k ** -slope / (1 + (k * freq / cutoff_hz) ** 2)
    if odd:
        gains = gains * (k % 2)
    spectrum = np.zeros(_TABLE // 2 + 1, complex)
    spectrum[k] = -1j * gains * np.exp(1j * 0.3 * k)
    wave = np.fft.irfft(spectrum)
    return wave / np.abs(wave).max()


def _play(table: NDArray[np.float64], freq: float, t: NDArray[np.float64], cents: float = 0.0, phase: float = 0.0,
          vibrato_hz: float = 0.0, depth: float = 0.0, delay_s: float = 0.25) -> NDArray[np.float64]:
    """Read `table` at `freq`, detuned by `cents`, with a vibrato that sets in after `delay_s`."""
    cycles = freq * 2 ** (cents / 1200) * t + phase
    if depth:
        onset = np.clip((t - delay_s) / 0.3, 0, 1)
        cycles = cycles + onset * depth * freq / (2 * np.pi * vibrato_hz) * np.sin(2 * np.pi * vibrato_hz * t)
    return table[(cycles * _TABLE).astype(np.int64) & (_TABLE - 1)]


def _string(freq: float, seconds: float, damping: float, brightness_hz: float, position: float) -> NDArray[np.float64]:
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
    feedback = np.zeros(delay + 3)
    feedback[0] = 1
    feedback[delay:delay + 3] -= loss * np.convolve([1 - share, share], [0.5, 0.5])
    wave = lfilter([1.0], feedback, excitation)
    return wave / (np.abs(wave).max() + 1e-9)


def rhodes(freq: float, seconds: float) -> Wave:
    """Electric piano: two-operator FM with a short tine."""
    level = envelope(seconds, 0.004, 0.18, 1.1 + freq / 900)
    t = _time(seconds + 0.18)[:level.size]
    body = np.sin(2 * np.pi * freq * t + (0.9 * np.exp(-2.5 * t) + 0.15) * np.sin(2 * np.pi * freq * t))
    tine = 0.16 * np.exp(-14 * t) * np.sin(2 * np.pi * freq * 7.02 * t) if freq * 7 < 12_000 else 0.0
    tremolo = 1 + 0.12 * np.sin(2 * np.pi * 4.6 * t)
    return _finish((body + tine) * level * tremolo * 0.8)


def piano(freq: float, seconds: float) -> Wave:
    """Piano: slightly stretched partials on two strings, high ones dying first, and a felt hammer."""
    level = envelope(seconds, 0.003, 0.25)
    t = _time(seconds + 0.25)[:level.size]
    wave = np.zeros(t.size)
    for k in range(1, 15):
        partial = freq * k * np.sqrt(1 + 3.5e-4 * k * k)
        if partial > 12_000:
            break
        gain = k ** -1.35 * (0.35 + abs(np.sin(np.pi * k / 7.3))) * np.exp(-partial / 5500)
        fade = gain * np.exp(-(0.55 + freq / 500 + 0.32 * k) * t)
        wave += fade * (np.sin(2 * np.pi * partial * t) + 0.6 * np.sin(2 * np.pi * (partial + 0.45) * t + k))
    knock = np.random.default_rng(7).standard_normal(t.size) * np.exp(-t * 160) * 0.12
    knock = sosfilt(butter(2, 900, fs=RATE_HZ, output="sos"), knock)
    return _finish((wave * 0.8 + knock) * level)


def nylon(freq: float, seconds: float) -> Wave:
    """Nylon guitar: a soft plucked string."""
    level = envelope(seconds, 0.002, 0.12)
    return _finish(_string(freq, seconds + 0.12, 2.2, 2600, 0.28)[:level.size] * level * 0.9)


def steel(freq: float, seconds: float) -> Wave:
    """Steel guitar: brighter and longer."""
    level = envelope(seconds, 0.0015, 0.15)
    return _finish(_string(freq, seconds + 0.15, 1.1, 5200, 0.17)[:level.size] * level * 0.8)


def oud(freq: float, seconds: float) -> Wave:
    """Oud: a double course, the second string a few cents off."""
    level = envelope(seconds, 0.002, 0.1, 0.8)
    wave = _string(freq, seconds + 0.1, 3.2, 3400, 0.12) + 0.7 * _string(freq * 1.0035, seconds + 0.1, 3.4, 3000, 0.14)
    return _finish(wave[:level.size] * level * 0.65)


def guitar(freq: float, seconds: float) -> Wave:
    """Electric guitar: a string through a warm overdrive and a cabinet."""
    level = envelope(seconds, 0.002, 0.09)
    wave = np.tanh(3.2 * _string(freq, seconds + 0.09, 0.9, 4200, 0.13)[:level.size])
    wave = sosfilt(butter(2, [110, 3600], btype="band", fs=RATE_HZ, output="sos"), wave)
    return _finish(wave * level * 0.7)


def upright(freq: float, seconds: float) -> Wave:
    """Upright bass: a dark string with a round fundamental."""
    level = envelope(seconds, 0.006, 0.1, 0.6)
    t = _time(seconds + 0.1)[:level.size]
    wave = _string(freq, seconds + 0.1, 1.6, 900, 0.3)[:level.size] * 0.7
    wave += 0.6 * np.sin(2 * np.pi * freq * t) * np.exp(-1.6 * t)
    return _finish(wave * level)


def sub_bass(freq: float, seconds: float) -> Wave:
    """Sub bass: a sine warmed by its second and third harmonic."""
    level = envelope(seconds, 0.008, 0.08, 0.35)
    t = _time(seconds + 0.08)[:level.size]
    wave = sum(g * np.sin(2 * np.pi * freq * k * t) for k, g in ((1, 1.0), (2, 0.32), (3, 0.12)))
    return _finish(np.tanh(1.2 * wave) * level)


def _swept(freq: float, seconds: float, dark_hz: float, bright_hz: float, sweep: float, attack_s: float,
           release_s: float, cents: tuple[float, ...], odd: bool = False) -> NDArray[np.float64]:
    """Detuned wavetables gliding from a bright to a dark spectrum, as a low-pass sweep would."""
    level = envelope(seconds, attack_s, release_s)
    t = _time(seconds + release_s)[:level.size]
    dark, bright = _cycle(freq, 1.0, dark_hz, odd), _cycle(freq, 1.0, bright_hz, odd)
    mix = np.exp(-sweep * t)
    wave = np.zeros(t.size)
    for i, c in enumerate(cents):
        wave += _play(dark, freq, t, c, 0.37 * i) * (1 - mix) + _play(bright, freq, t, c, 0.37 * i) * mix
    return wave * level / len(cents) ** 0.7


def synth_bass(freq: float, seconds: float) -> Wave:
    """Analogue-style bass."""
    return _finish(0.9 * _swept(freq, seconds, 260, 1900, 9.0, 0.004, 0.05, (-5, 5)))


def acid(freq: float, seconds: float) -> Wave:
    """Square-ish bass with a quick filter sweep."""
    return _finish(0.8 * _swept(freq, seconds, 350, 3200, 14.0, 0.003, 0.04, (0,), odd=True))


def saw_lead(freq: float, seconds: float) -> Wave:
    """Singing lead of three detuned saws."""
    level = envelope(seconds, 0.012, 0.14)
    t = _time(seconds + 0.14)[:level.size]
    table = _cycle(freq, 1.05, 2600, False)
    wave = sum(_play(table, freq, t, c, 0.2 * i, 5.4, 0.006) for i, c in enumerate((-7, 0, 8)))
    return _finish(wave * level * 0.42)


def stab(freq: float, seconds: float) -> Wave:
    """Short bright chord stab."""
    return _finish(0.7 * _swept(freq, seconds, 500, 4200, 11.0, 0.003, 0.1, (-9, 0, 9)))


def pad(freq: float, seconds: float) -> Wave:
    """Warm pad: slow, wide and dark."""
    release = 0.9
    level = envelope(seconds, min(0.7, 0.45 * seconds), release)
    t = _time(seconds + release)[:level.size]
    table = _cycle(freq, 1.2, 750, False)
    wave = sum(_play(table, freq, t, c, 0.31 * i) for i, c in enumerate((-8, -3, 4, 9)))
    return _finish(wave * level * (1 + 0.15 * np.sin(2 * np.pi * 0.35 * t)) * 0.3)


def strings(freq: float, seconds: float) -> Wave:
    """String section: bowed attack and vibrato."""
    level = envelope(seconds, min(0.14, 0.4 * seconds), 0.28)
    t = _time(seconds + 0.28)[:level.size]
    table = _cycle(freq, 1.0, 2100, False)
    wave = sum(_play(table, freq, t, c, 0.27 * i, 5.1 + 0.4 * i, 0.004) for i, c in enumerate((-6, 1, 7)))
    return _finish(wave * level * 0.36)


def organ(freq: float, seconds: float) -> Wave:
    """Drawbar organ through a slow rotor."""
    level = envelope(seconds, 0.008, 0.06)
    t = _time(seconds + 0.06)[:level.size]
    rotor = 0.0016 / (2 * np.pi * 5.8) * np.sin(2 * np.pi * 5.8 * t)
    wave = np.zeros(t.size)
    for ratio, gain in ((0.5, 0.5), (1, 1.0), (1.5, 0.45), (2, 0.55), (3, 0.25), (4, 0.2)):
        wave += gain * np.sin(2 * np.pi * freq * ratio * (t + rotor))
    return _finish(wave * level * 0.36 * (1 + 0.1 * np.sin(2 * np.pi * 5.8 * t)))


def flute(freq: float, seconds: float) -> Wave:
    """Flute: few harmonics, breath and a late vibrato."""
    level = envelope(seconds, min(0.06, 0.3 * seconds), 0.12)
    t = _time(seconds + 0.12)[:level.size]
    wave = _play(_cycle(freq, 2.4, 2500, False), freq, t, 0, 0, 5.0, 0.005)
    breath = np.random.default_rng(int(freq)).standard_normal(t.size)
    band = butter(1, [0.9 * freq, min(2.2 * freq, 20_000)], btype="band", fs=RATE_HZ, output="sos")
    wave = wave + 0.10 * sosfilt(band, breath) * (0.4 + np.exp(-18 * t))
    return _finish(wave * level * 0.5)


def marimba(freq: float, seconds: float) -> Wave:
    """Marimba bar."""
    length = max(seconds, 0.9)
    wave = _modes(freq, length, (1, 3.93, 9.2), (1, 0.28, 0.06), (5.5 + freq / 260, 14 + freq / 90, 40))
    return _finish(wave * envelope(length - 0.05, 0.002, 0.05)[:wave.size])


def kalimba(freq: float, seconds: float) -> Wave:
    """Thumb piano: a tine with a metallic tick."""
    length = max(seconds, 1.2)
    wave = _modes(freq, length, (1, 2.01, 5.4, 8.9), (1, 0.22, 0.16, 0.07), (3.4, 5, 22, 45))
    return _finish(wave * envelope(length - 0.05, 0.0015, 0.05)[:wave.size])


def vibraphone(freq: float, seconds: float) -> Wave:
    """Vibraphone with its motor running."""
    length = seconds + 0.7
    wave = _modes(freq, length, (1, 3.98, 10.1), (1, 0.14, 0.03), (1.5, 5, 18))
    t = _time(length)
    motor = 1 + 0.22 * np.sin(2 * np.pi * 5.2 * t)
    return _finish(wave * motor * envelope(length - 0.3, 0.003, 0.3)[:wave.size] * 0.8)


def bell(freq: float, seconds: float) -> Wave:
    """Glass bell."""
    length = seconds + 1.6
    wave = _modes(freq, length, (1, 2.0, 2.76, 4.07, 5.43), (1, 0.35, 0.30, 0.14, 0.08), (1.3, 1.9, 2.6, 4.4, 7.5))
    return _finish(wave * envelope(length - 0.5, 0.004, 0.5)[:wave.size] * 0.7)


def metallophone(freq: float, seconds: float) -> Wave:
    """Bronze bar, a pair tuned a little apart so that it shimmers."""
    length = seconds + 1.0
    ratios, gains, decays = (1, 2.71, 5.15, 8.43), (1, 0.42, 0.2, 0.08), (1.6, 3.2, 6.5, 14.0)
    wave = _modes(freq, length, ratios, gains, decays) + 0.8 * _modes(freq + 5.2, length, ratios, gains, decays)
    return _finish(wave * envelope(length - 0.3, 0.0015, 0.3)[:wave.size] * 0.5)


def gong(freq: float, seconds: float) -> Wave:
    """Low gong, swelling a little after the stroke."""
    length = max(seconds, 4.0)
    ratios = (1, 1.006, 1.52, 2.02, 2.63, 3.41, 4.2)
    wave = _modes(freq, length, ratios, (1, 0.7, 0.35, 0.4, 0.22, 0.14, 0.08), (0.7, 0.75, 1.1, 1.2, 1.8, 2.5, 3.4))
    return _finish(wave * envelope(length - 0.8, 0.02, 0.8)[:wave.size] * 0.5)


INSTRUMENTS: dict[str, Callable[[float, float], Wave]] = {
    f.__name__: f for f in (
        rhodes, piano, nylon, steel, oud, guitar, upright, sub_bass, synth_bass, acid, saw_lead, stab, pad, strings,
        organ, flute, marimba, kalimba, vibraphone, bell, metallophone, gong,
    )
}
WIDE = frozenset({"pad", "strings", "stab", "saw_lead", "organ"})  # rendered with a second, detuned take for the right
