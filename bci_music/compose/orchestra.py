"""More pitched instruments, and all of them by name: reeds, brass, bowed and plucked strings, voices, synthesizers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from bci_music.compose import instruments
from bci_music.compose.synthesis import (
    RATE_HZ,
    TABLE,
    Wave,
    cycle,
    envelope,
    finish,
    modes,
    play,
    string,
    swept,
    timeline,
)


def _formed(freq: float, formants: tuple[tuple[float, float, float], ...], slope: float) -> NDArray[np.float64]:
    """One period of a tone whose harmonics are lifted around formants given as (Hz, width in Hz, gain)."""
    k = np.arange(1, min(160, int(12_000 / freq)) + 1)
    lift = 0.08 + sum(g * np.exp(-0.5 * ((k * freq - f) / w) ** 2) for f, w, g in formants)
    spectrum = np.zeros(TABLE // 2 + 1, complex)
    spectrum[k] = -1j * lift * k**-slope * np.exp(0.4j * k)
    wave = np.fft.irfft(spectrum)
    return wave / np.abs(wave).max()


def harmonica(freq: float, seconds: float) -> Wave:
    """Blues harp: a reed that bends up into the note, with a hand's tremolo."""
    level = envelope(seconds, min(0.04, 0.3 * seconds), 0.07)
    t = timeline(seconds + 0.07)[: level.size]
    table = _formed(freq, ((1100, 500, 0.9), (2500, 700, 0.6)), 0.5)
    bend = -0.02 * np.exp(-t * 22) / 22 * freq
    cycles = freq * t + bend + 0.004 * freq / 35 * np.sin(35 * t)
    wave = table[(cycles * TABLE).astype(np.int64) & (TABLE - 1)]
    return finish(wave * level * (1 - 0.22 * np.clip((t - 0.2) / 0.3, 0, 1) * (1 + np.sin(35 * t)) / 2) * 0.5)


def trumpet(freq: float, seconds: float) -> Wave:
    """Trumpet: brightness follows loudness."""
    level = envelope(seconds, min(0.035, 0.3 * seconds), 0.07)
    t = timeline(seconds + 0.07)[: level.size]
    soft, loud = cycle(freq, 1.5, 1500, False), _formed(freq, ((1300, 600, 1.0), (2400, 900, 0.8)), 0.3)
    bright = np.clip(1.1 * np.exp(-3.0 * t) + 0.35, 0, 1) * np.clip(t / 0.05, 0, 1)
    wave = play(soft, freq, t, 0, 0, 5.2, 0.005) * (1 - bright) + play(loud, freq, t, 0, 0, 5.2, 0.005) * bright
    return finish(wave * level * 0.5)


def clarinet(freq: float, seconds: float) -> Wave:
    """Clarinet: odd harmonics, round."""
    level = envelope(seconds, min(0.05, 0.3 * seconds), 0.09)
    t = timeline(seconds + 0.09)[: level.size]
    return finish(play(cycle(freq, 0.9, 1500, True), freq, t, 0, 0, 4.6, 0.002) * level * 0.45)


def fiddle(freq: float, seconds: float) -> Wave:
    """Solo fiddle: bright, quick bow, strong vibrato."""
    level = envelope(seconds, min(0.05, 0.35 * seconds), 0.08)
    t = timeline(seconds + 0.08)[: level.size]
    table = _formed(freq, ((500, 200, 0.7), (1100, 350, 0.7), (2700, 900, 0.9)), 0.75)
    band = butter(2, [1800, 7000], btype="band", fs=RATE_HZ, output="sos")
    scrape = sosfilt(band, np.random.default_rng(5).standard_normal(t.size)) * np.exp(-t * 40)
    return finish((play(table, freq, t, 0, 0, 6.1, 0.007, 0.12) + 0.15 * scrape) * level * 0.5)


def accordion(freq: float, seconds: float) -> Wave:
    """Accordion: three reeds, two of them a little off."""
    level = envelope(seconds, min(0.03, 0.3 * seconds), 0.05)
    t = timeline(seconds + 0.05)[: level.size]
    table = _formed(freq, ((900, 500, 0.8), (1900, 700, 0.6)), 0.6)
    wave = sum(play(table, freq, t, c, 0.3 * i) for i, c in enumerate((-11, 0, 12)))
    return finish(wave * level * 0.26)


def choir(freq: float, seconds: float) -> Wave:
    """Voices on an open vowel."""
    release = 0.7
    level = envelope(seconds, min(0.45, 0.4 * seconds), release)
    t = timeline(seconds + release)[: level.size]
    table = _formed(freq, ((650, 110, 1.0), (1080, 130, 0.6), (2650, 250, 0.16)), 0.35)
    wave = sum(play(table, freq, t, c, 0.23 * i, 4.7 + 0.5 * i, 0.006, 0.1) for i, c in enumerate((-9, -2, 4, 11)))
    return finish(wave * level * 0.3)


def harp(freq: float, seconds: float) -> Wave:
    """Harp: a soft pluck that rings on."""
    length = seconds + 0.8
    level = envelope(length - 0.5, 0.003, 0.5, 0.4)
    return finish(string(freq, length, 1.0, 1900, 0.42)[: level.size] * level * 0.85)


def banjo(freq: float, seconds: float) -> Wave:
    """Banjo: bright, short, on a skin."""
    level = envelope(seconds, 0.001, 0.08, 3.5)
    wave = string(freq, seconds + 0.08, 6.0, 7500, 0.09)[: level.size]
    skin = butter(2, [350, 1400], btype="band", fs=RATE_HZ, output="sos")
    knock = sosfilt(skin, np.random.default_rng(9).standard_normal(level.size))
    knock *= np.exp(-70 * timeline(seconds + 0.08)[: level.size])
    return finish((wave + 0.3 * knock) * level * 0.8)


def harpsichord(freq: float, seconds: float) -> Wave:
    """Harpsichord: two quills, one an octave up."""
    level = envelope(seconds, 0.001, 0.06, 0.9)
    wave = string(freq, seconds + 0.06, 1.6, 9000, 0.07) + 0.5 * string(2 * freq, seconds + 0.06, 2.2, 9000, 0.09)
    return finish(wave[: level.size] * level * 0.6)


def sitar(freq: float, seconds: float) -> Wave:
    """Sitar: a string that buzzes on its bridge, over sympathetic ones."""
    length = seconds + 0.5
    level = envelope(length - 0.3, 0.002, 0.3, 0.5)
    t = timeline(length)[: level.size]
    wave = string(freq, length, 1.4, 6000, 0.06)[: level.size]
    buzz = np.tanh(7 * wave * (0.4 + 0.6 * np.exp(-2 * t)))
    buzz = sosfilt(butter(2, [900, 5200], btype="band", fs=RATE_HZ, output="sos"), buzz)
    sympathetic = string(freq * 1.5, length, 0.8, 1500, 0.3)[: level.size] * np.clip(t / 0.2, 0, 1)
    return finish((0.7 * wave + 0.4 * buzz + 0.18 * sympathetic) * level * 0.75)


def distorted(freq: float, seconds: float) -> Wave:
    """Guitar through an amplifier turned up: thick and sustained."""
    level = envelope(seconds, 0.002, 0.07)
    wave = np.tanh(14 * string(freq, seconds + 0.07, 0.5, 3800, 0.12)[: level.size])
    wave = sosfilt(butter(2, [90, 4800], btype="band", fs=RATE_HZ, output="sos"), wave)
    return finish(wave * level * 0.5)


def pluck(freq: float, seconds: float) -> Wave:
    """Synthesizer pluck: the filter closes at once."""
    length = max(seconds, 0.35)
    wave = swept(freq, length, 220, 5200, 18.0, 0.002, 0.12, (-4, 5))
    return finish(wave * np.exp(-3.2 * timeline(length + 0.12)[: wave.size]) * 0.9)


def supersaw(freq: float, seconds: float) -> Wave:
    """Seven saws, far apart: the wide chord of dance music."""
    level = envelope(seconds, 0.01, 0.12)
    t = timeline(seconds + 0.12)[: level.size]
    table = cycle(freq, 0.95, 4800, False)
    wave = sum(play(table, freq, t, c, 0.19 * i) for i, c in enumerate((-21, -13, -6, 0, 7, 14, 22)))
    return finish(wave * level * 0.2)


def synth_brass(freq: float, seconds: float) -> Wave:
    """Synthesizer brass: detuned saws that open."""
    level = envelope(seconds, min(0.06, 0.3 * seconds), 0.14)
    t = timeline(seconds + 0.14)[: level.size]
    dark, bright = cycle(freq, 1.1, 500, False), cycle(freq, 0.95, 3200, False)
    opened = np.clip(t / 0.09, 0, 1) * (0.45 + 0.55 * np.exp(-2.2 * t))
    wave = sum(play(dark, freq, t, c, 0.3 * i) * (1 - opened) + play(bright, freq, t, c, 0.3 * i) * opened
               for i, c in enumerate((-9, 8)))  # fmt: skip
    return finish(wave * level * 0.42)


def celesta(freq: float, seconds: float) -> Wave:
    """Celesta: small steel bars on wood."""
    length = max(seconds, 1.0)
    wave = modes(freq, length, (1, 3.0, 5.8), (1, 0.25, 0.1), (3.2, 8, 20))
    return finish(wave * envelope(length - 0.2, 0.002, 0.2)[: wave.size] * 0.8)


def glass(freq: float, seconds: float) -> Wave:
    """Bowed glass: pure, slow, trembling."""
    release = 1.1
    level = envelope(seconds, min(0.8, 0.45 * seconds), release)
    t = timeline(seconds + release)[: level.size]
    wave = sum(g * np.sin(2 * np.pi * freq * r * t + 0.5 * r) for r, g in ((1, 1.0), (2.003, 0.3), (3.01, 0.12)))
    return finish(wave * level * (1 + 0.25 * np.sin(2 * np.pi * 3.1 * t)) * 0.5)


def fretless(freq: float, seconds: float) -> Wave:
    """Electric bass with a singing middle."""
    level = envelope(seconds, 0.008, 0.07, 0.5)
    t = timeline(seconds + 0.07)[: level.size]
    table = _formed(freq, ((380, 160, 1.0),), 1.3)
    wave = play(table, freq, t, 0, 0, 4.8, 0.004, 0.2) + 0.5 * np.sin(2 * np.pi * freq * t)
    return finish(wave * level * 0.7)


_MORE = (
    harmonica, trumpet, clarinet, fiddle, accordion, choir, harp, banjo, harpsichord, sitar, distorted, pluck, supersaw,
    synth_brass, celesta, glass, fretless,
)  # fmt: skip
ORCHESTRA: dict[str, Callable[[float, float], Wave]] = instruments.INSTRUMENTS | {f.__name__: f for f in _MORE}
WIDE = instruments.WIDE | {"choir", "supersaw", "synth_brass", "accordion"}
