"""Unpitched percussion: one stroke as a mono waveform, (n,) float32 at 48 kHz."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from bci_music.compose.synthesis import RATE_HZ, Wave


def _decay(seconds: float, rate: float, attack_s: float = 0.001) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Time axis and an exponential fall that starts with a short rise and ends at zero."""
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    level = np.exp(-rate * t) * np.minimum(1, t / attack_s)
    return t, level * np.minimum(1, (seconds - t) / 0.02)


def _noise(n: int, seed: int, low_hz: float, high_hz: float) -> NDArray[np.float64]:
    raw = np.random.default_rng(seed).standard_normal(n)
    wave = sosfilt(butter(2, [low_hz, high_hz], btype="band", fs=RATE_HZ, output="sos"), raw)
    return wave / np.abs(wave).max()


def drum(seconds: float, low_hz: float, high_hz: float, bend: float, decay: float, click: float = 0.1,
         seed: int = 1) -> Wave:
    """A skin: a tone bending from `high_hz` down to `low_hz`, with a click."""
    t, level = _decay(seconds, decay, 0.002)
    phase = 2 * np.pi * (low_hz * t + (high_hz - low_hz) / bend * (1 - np.exp(-bend * t)))
    tick = click * _noise(t.size, seed, 900, 5000) * np.exp(-t * 130) * np.minimum(1, t / 0.001)
    return (np.tanh(1.4 * np.sin(phase) * level) * 0.9 + tick).astype(np.float32)


def rattle(seconds: float, low_hz: float, high_hz: float, decay: float, attack_s: float = 0.001, seed: int = 2) -> Wave:
    """Filtered noise: hats, shakers, brushes, cymbals."""
    t, level = _decay(seconds, decay, attack_s)
    return (_noise(t.size, seed, low_hz, high_hz) * level).astype(np.float32)


def snare(seconds: float, tone_hz: float, decay: float, wires: float, seed: int = 3) -> Wave:
    """A tone and its wires."""
    t, level = _decay(seconds, decay)
    tone = np.sin(2 * np.pi * tone_hz * t + 2 * np.exp(-t * 60)) * np.exp(-t * 22)
    return ((0.6 * tone + wires * _noise(t.size, seed, 900, 8500)) * level).astype(np.float32)


def clap(seed: int = 4) -> Wave:
    """Four hands, not quite together."""
    t, level = _decay(0.35, 13)
    bursts = sum(np.exp(-np.clip(t - d, 0, None) * 150) * (t >= d) for d in (0.0, 0.011, 0.019))
    wave = _noise(t.size, seed, 800, 4500) * (0.5 * bursts + level) * np.minimum(1, t / 0.001)
    return (0.6 * wave * np.minimum(1, (0.35 - t) / 0.02)).astype(np.float32)


def knock(tones: tuple[float, ...], decay: float, seconds: float = 0.3) -> Wave:
    """Wood or small metal: a few high partials."""
    t, level = _decay(seconds, decay, 0.0008)
    return (sum(np.sin(2 * np.pi * f * t) for f in tones) / len(tones) * level).astype(np.float32)


def crackle(seconds: float = 2.6, seed: int = 20) -> Wave:
    """An old record: scattered ticks over a little hiss."""
    t, level = _decay(seconds, 0.0, 0.2)
    rng = np.random.default_rng(seed)
    ticks = np.zeros(t.size)
    at = rng.integers(0, t.size - 2000, int(16 * seconds))
    ticks[at] = rng.choice((-1.0, 1.0), at.size) * rng.gamma(0.6, 0.5, at.size)
    ticks = sosfilt(butter(2, [900, 6000], btype="band", fs=RATE_HZ, output="sos"), ticks)
    wave = ticks / np.abs(ticks).max() + 0.05 * _noise(t.size, seed + 1, 1500, 7000)
    return (0.8 * wave * level * np.clip((seconds - t) / 0.3, 0, 1)).astype(np.float32)


SOUNDS: dict[str, Callable[[], Wave]] = {
    "kick": partial(drum, 0.45, 46, 150, 32, 8.5),
    "soft kick": partial(drum, 0.4, 50, 105, 26, 9.5, 0.03),
    "thump": partial(drum, 0.5, 44, 190, 45, 7.5, 0.16),
    "surdo": partial(drum, 0.7, 58, 84, 18, 5.0, 0.03),
    "dum": partial(drum, 0.5, 84, 128, 24, 7.0, 0.08, 5),
    "tak": partial(snare, 0.16, 620, 30, 0.35, 6),
    "conga": partial(drum, 0.35, 205, 250, 40, 12, 0.10, 7),
    "conga high": partial(drum, 0.25, 320, 380, 40, 17, 0.12, 8),
    "tom": partial(drum, 0.5, 98, 150, 20, 7, 0.08, 9),
    "tom high": partial(drum, 0.4, 150, 215, 20, 9, 0.08, 10),
    "log drum": partial(drum, 0.4, 132, 150, 30, 9, 0.05, 11),
    "snare": partial(snare, 0.28, 190, 14, 0.55),
    "big snare": partial(snare, 0.6, 175, 7, 0.6, 12),
    "brush": partial(rattle, 0.24, 1200, 7000, 15, 0.02, 13),
    "rim": partial(knock, (1750.0, 2480.0), 55, 0.15),
    "clap": clap,
    "hat": partial(rattle, 0.09, 6500, 15_000, 55, 0.001, 14),
    "open hat": partial(rattle, 0.4, 6000, 15_000, 9, 0.001, 15),
    "shaker": partial(rattle, 0.12, 4200, 11_000, 34, 0.018, 16),
    "ride": partial(rattle, 0.9, 4800, 13_000, 5.5, 0.001, 17),
    "crash": partial(rattle, 2.2, 2800, 13_000, 2.4, 0.002, 18),
    "wood": partial(knock, (1060.0, 1580.0), 42, 0.18),
    "agogo": partial(knock, (905.0, 1490.0, 2410.0), 15, 0.35),
    "deep kick": partial(drum, 0.9, 38, 130, 22, 4.2, 0.06, 21),
    "bongo": partial(drum, 0.2, 420, 500, 45, 19, 0.12, 22),
    "djembe": partial(drum, 0.4, 92, 150, 30, 9, 0.14, 23),
    "slap": partial(snare, 0.2, 440, 24, 0.45, 24),
    "tabla": partial(drum, 0.45, 292, 300, 20, 8, 0.14, 25),
    "timbale": partial(snare, 0.4, 395, 12, 0.16, 26),
    "clave": partial(knock, (2480.0, 2510.0), 34, 0.2),
    "cowbell": partial(knock, (562.0, 845.0), 16, 0.3),
    "tambourine": partial(rattle, 0.2, 5600, 14_000, 22, 0.004, 27),
    "stick": partial(knock, (2100.0, 3350.0), 75, 0.12),
    "cabasa": partial(rattle, 0.08, 3600, 9500, 44, 0.012, 28),
    "crackle": crackle,
    "triangle": partial(knock, (4210.0, 6890.0, 9730.0), 7, 0.8),
}

# How much louder a sound is than its peak of one suggests, so that equal part gains sit well together.
TRIM_DB: dict[str, float] = {
    "hat": 12, "open hat": 9, "shaker": 13, "ride": 9, "crash": 6, "snare": 8, "big snare": 5, "clap": 12, "rim": 10,
    "tak": 11, "brush": 9, "agogo": 8, "wood": 8, "triangle": 6, "conga": 2, "conga high": 3,
    "bongo": 4, "slap": 8, "tabla": 2, "timbale": 5, "clave": 8, "cowbell": 6, "tambourine": 11, "stick": 10,
    "cabasa": 13,
}


def stroke(name: str) -> Wave:
    """One stroke of a sound in `SOUNDS`, trimmed."""
    return SOUNDS[name]() * np.float32(10 ** (TRIM_DB.get(name, 0.0) / 20))
