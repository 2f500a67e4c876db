"""Pitched instruments: one note as a mono waveform, by additive, FM, wavetable and plucked-string synthesis.

Every function takes a frequency in Hz and the sounding length in seconds, and returns (n,) float32
that begins and ends at zero; the release rings on after the sounding length.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.signal import butter, sosfilt

from bci_music.compose.synthesis import RATE_HZ, Wave, cycle, envelope, finish, modes, play, string, swept, timeline


def rhodes(freq: float, seconds: float) -> Wave:
    """Electric piano: two-operator FM with a short tine."""
    level = envelope(seconds, 0.004, 0.18, 1.1 + freq / 900)
    t = timeline(seconds + 0.18)[:level.size]
    body = np.sin(2 * np.pi * freq * t + (0.9 * np.exp(-2.5 * t) + 0.15) * np.sin(2 * np.pi * freq * t))
    tine = 0.16 * np.exp(-14 * t) * np.sin(2 * np.pi * freq * 7.02 * t) if freq * 7 < 12_000 else 0.0
    tremolo = 1 + 0.12 * np.sin(2 * np.pi * 4.6 * t)
    return finish((body + tine) * level * tremolo * 0.8)


def piano(freq: float, seconds: float) -> Wave:
    """Piano: slightly stretched partials on two strings, high ones dying first, and a felt hammer."""
    level = envelope(seconds, 0.003, 0.25)
    t = timeline(seconds + 0.25)[:level.size]
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
    return finish((wave * 0.8 + knock) * level)


def nylon(freq: float, seconds: float) -> Wave:
    """Nylon guitar: a soft plucked string."""
    level = envelope(seconds, 0.002, 0.12)
    return finish(string(freq, seconds + 0.12, 2.2, 2600, 0.28)[:level.size] * level * 0.9)


def steel(freq: float, seconds: float) -> Wave:
    """Steel guitar: brighter and longer."""
    level = envelope(seconds, 0.0015, 0.15)
    return finish(string(freq, seconds + 0.15, 1.1, 5200, 0.17)[:level.size] * level * 0.8)


def oud(freq: float, seconds: float) -> Wave:
    """Oud: a double course, the second string a few cents off."""
    level = envelope(seconds, 0.002, 0.1, 0.8)
    wave = string(freq, seconds + 0.1, 3.2, 3400, 0.12) + 0.7 * string(freq * 1.0035, seconds + 0.1, 3.4, 3000, 0.14)
    return finish(wave[:level.size] * level * 0.65)


def guitar(freq: float, seconds: float) -> Wave:
    """Electric guitar: a string through a warm overdrive and a cabinet."""
    level = envelope(seconds, 0.002, 0.09)
    wave = np.tanh(3.2 * string(freq, seconds + 0.09, 0.9, 4200, 0.13)[:level.size])
    wave = sosfilt(butter(2, [110, 3600], btype="band", fs=RATE_HZ, output="sos"), wave)
    return finish(wave * level * 0.7)


def upright(freq: float, seconds: float) -> Wave:
    """Upright bass: a dark string with a round fundamental."""
    level = envelope(seconds, 0.006, 0.1, 0.6)
    t = timeline(seconds + 0.1)[:level.size]
    wave = string(freq, seconds + 0.1, 1.6, 900, 0.3)[:level.size] * 0.7
    wave += 0.6 * np.sin(2 * np.pi * freq * t) * np.exp(-1.6 * t)
    return finish(wave * level)


def sub_bass(freq: float, seconds: float) -> Wave:
    """Sub bass: a sine warmed by its second and third harmonic."""
    level = envelope(seconds, 0.008, 0.08, 0.35)
    t = timeline(seconds + 0.08)[:level.size]
    wave = sum(g * np.sin(2 * np.pi * freq * k * t) for k, g in ((1, 1.0), (2, 0.32), (3, 0.12)))
    return finish(np.tanh(1.2 * wave) * level)


def synth_bass(freq: float, seconds: float) -> Wave:
    """Analogue-style bass."""
    return finish(0.9 * swept(freq, seconds, 260, 1900, 9.0, 0.004, 0.05, (-5, 5)))


def acid(freq: float, seconds: float) -> Wave:
    """Square-ish bass with a quick filter sweep."""
    return finish(0.8 * swept(freq, seconds, 350, 3200, 14.0, 0.003, 0.04, (0,), odd=True))


def saw_lead(freq: float, seconds: float) -> Wave:
    """Singing lead of three detuned saws."""
    level = envelope(seconds, 0.012, 0.14)
    t = timeline(seconds + 0.14)[:level.size]
    table = cycle(freq, 1.05, 2600, False)
    wave = sum(play(table, freq, t, c, 0.2 * i, 5.4, 0.006) for i, c in enumerate((-7, 0, 8)))
    return finish(wave * level * 0.42)


def stab(freq: float, seconds: float) -> Wave:
    """Short bright chord stab."""
    return finish(0.7 * swept(freq, seconds, 500, 4200, 11.0, 0.003, 0.1, (-9, 0, 9)))


def pad(freq: float, seconds: float) -> Wave:
    """Warm pad: slow, wide and dark."""
    release = 0.9
    level = envelope(seconds, min(0.7, 0.45 * seconds), release)
    t = timeline(seconds + release)[:level.size]
    table = cycle(freq, 1.2, 750, False)
    wave = sum(play(table, freq, t, c, 0.31 * i) for i, c in enumerate((-8, -3, 4, 9)))
    return finish(wave * level * (1 + 0.15 * np.sin(2 * np.pi * 0.35 * t)) * 0.3)


def strings(freq: float, seconds: float) -> Wave:
    """String section: bowed attack and vibrato."""
    level = envelope(seconds, min(0.14, 0.4 * seconds), 0.28)
    t = timeline(seconds + 0.28)[:level.size]
    table = cycle(freq, 1.0, 2100, False)
    wave = sum(play(table, freq, t, c, 0.27 * i, 5.1 + 0.4 * i, 0.004) for i, c in enumerate((-6, 1, 7)))
    return finish(wave * level * 0.36)


def organ(freq: float, seconds: float) -> Wave:
    """Drawbar organ through a slow rotor."""
    level = envelope(seconds, 0.008, 0.06)
    t = timeline(seconds + 0.06)[:level.size]
    rotor = 0.0016 / (2 * np.pi * 5.8) * np.sin(2 * np.pi * 5.8 * t)
    wave = np.zeros(t.size)
    for ratio, gain in ((0.5, 0.5), (1, 1.0), (1.5, 0.45), (2, 0.55), (3, 0.25), (4, 0.2)):
        wave += gain * np.sin(2 * np.pi * freq * ratio * (t + rotor))
    return finish(wave * level * 0.36 * (1 + 0.1 * np.sin(2 * np.pi * 5.8 * t)))


def flute(freq: float, seconds: float) -> Wave:
    """Flute: few harmonics, breath and a late vibrato."""
    level = envelope(seconds, min(0.06, 0.3 * seconds), 0.12)
    t = timeline(seconds + 0.12)[:level.size]
    wave = play(cycle(freq, 2.4, 2500, False), freq, t, 0, 0, 5.0, 0.005)
    breath = np.random.default_rng(int(freq)).standard_normal(t.size)
    band = butter(1, [0.9 * freq, min(2.2 * freq, 20_000)], btype="band", fs=RATE_HZ, output="sos")
    wave = wave + 0.10 * sosfilt(band, breath) * (0.4 + np.exp(-18 * t))
    return finish(wave * level * 0.5)


def marimba(freq: float, seconds: float) -> Wave:
    """Marimba bar."""
    length = max(seconds, 0.9)
    wave = modes(freq, length, (1, 3.93, 9.2), (1, 0.28, 0.06), (5.5 + freq / 260, 14 + freq / 90, 40))
    return finish(wave * envelope(length - 0.05, 0.002, 0.05)[:wave.size])


def kalimba(freq: float, seconds: float) -> Wave:
    """Thumb piano: a tine with a metallic tick."""
    length = max(seconds, 1.2)
    wave = modes(freq, length, (1, 2.01, 5.4, 8.9), (1, 0.22, 0.16, 0.07), (3.4, 5, 22, 45))
    return finish(wave * envelope(length - 0.05, 0.0015, 0.05)[:wave.size])


def vibraphone(freq: float, seconds: float) -> Wave:
    """Vibraphone with its motor running."""
    length = seconds + 0.7
    wave = modes(freq, length, (1, 3.98, 10.1), (1, 0.14, 0.03), (1.5, 5, 18))
    t = timeline(length)
    motor = 1 + 0.22 * np.sin(2 * np.pi * 5.2 * t)
    return finish(wave * motor * envelope(length - 0.3, 0.003, 0.3)[:wave.size] * 0.8)


def bell(freq: float, seconds: float) -> Wave:
    """Glass bell."""
    length = seconds + 1.6
    wave = modes(freq, length, (1, 2.0, 2.76, 4.07, 5.43), (1, 0.35, 0.30, 0.14, 0.08), (1.3, 1.9, 2.6, 4.4, 7.5))
    return finish(wave * envelope(length - 0.5, 0.004, 0.5)[:wave.size] * 0.7)


def metallophone(freq: float, seconds: float) -> Wave:
    """Bronze bar, a pair tuned a little apart so that it shimmers."""
    length = seconds + 1.0
    ratios, gains, decays = (1, 2.71, 5.15, 8.43), (1, 0.42, 0.2, 0.08), (1.6, 3.2, 6.5, 14.0)
    wave = modes(freq, length, ratios, gains, decays) + 0.8 * modes(freq + 5.2, length, ratios, gains, decays)
    return finish(wave * envelope(length - 0.3, 0.0015, 0.3)[:wave.size] * 0.5)


def gong(freq: float, seconds: float) -> Wave:
    """Low gong, swelling a little after the stroke."""
    length = max(seconds, 4.0)
    ratios = (1, 1.006, 1.52, 2.02, 2.63, 3.41, 4.2)
    wave = modes(freq, length, ratios, (1, 0.7, 0.35, 0.4, 0.22, 0.14, 0.08), (0.7, 0.75, 1.1, 1.2, 1.8, 2.5, 3.4))
    return finish(wave * envelope(length - 0.8, 0.02, 0.8)[:wave.size] * 0.5)


INSTRUMENTS: dict[str, Callable[[float, float], Wave]] = {
    f.__name__: f for f in (
        rhodes, piano, nylon, steel, oud, guitar, upright, sub_bass, synth_bass, acid, saw_lead, stab, pad, strings,
        organ, flute, marimba, kalimba, vibraphone, bell, metallophone, gong,
    )
}
WIDE = frozenset({"pad", "strings", "stab", "saw_lead", "organ"})  # rendered with a second, detuned take for the right
