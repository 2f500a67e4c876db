"""Chord symbols, scales and voice leading, as MIDI note numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

NOTE_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_FLATS = {"Db": 1, "Eb": 3, "Gb": 6, "Ab": 8, "Bb": 10}

QUALITIES = {
    "": (0, 4, 7), "m": (0, 3, 7), "5": (0, 7, 12), "6": (0, 4, 7, 9), "m6": (0, 3, 7, 9),
    "7": (0, 4, 7, 10), "maj7": (0, 4, 7, 11), "m7": (0, 3, 7, 10), "m7b5": (0, 3, 6, 10), "dim": (0, 3, 6),
    "9": (0, 4, 10, 14), "maj9": (0, 4, 11, 14), "m9": (0, 3, 10, 14), "add9": (0, 4, 7, 14), "madd9": (0, 3, 7, 14),
    "69": (0, 4, 9, 14), "sus2": (0, 2, 7), "sus4": (0, 5, 7), "7sus4": (0, 5, 7, 10), "13": (0, 4, 10, 21),
}

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10), "dorian": (0, 2, 3, 5, 7, 9, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11), "mixolydian": (0, 2, 4, 5, 7, 9, 10), "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "hijaz": (0, 1, 4, 5, 7, 8, 10), "pelog": (0, 1, 3, 7, 8), "blues": (0, 3, 5, 6, 7, 10),
    "pentatonic": (0, 2, 4, 7, 9), "minor pentatonic": (0, 3, 5, 7, 10),
}

_SYMBOL = re.compile(r"^([A-G][b#]?)([^/]*)(?:/([A-G][b#]?))?$")


@dataclass(frozen=True)
class Chord:
    """A chord: pitch classes of its tones, its root and its bass."""

    tones: tuple[int, ...]
    root: int
    bass: int


def pitch_class(name: str) -> int:
    """Pitch class 0..11 of a note name such as ``"Eb"``."""
    return _FLATS[name] if name in _FLATS else NOTE_NAMES.index(name)


def parse_chord(symbol: str) -> Chord:
    """Read a symbol such as ``"Fm7"`` or ``"C/E"``."""
    match = _SYMBOL.match(symbol)
    if match is None or match[2] not in QUALITIES:
        raise ValueError(f"unknown chord symbol {symbol!r}")
    root = pitch_class(match[1])
    tones = tuple((root + step) % 12 for step in QUALITIES[match[2]])
    return Chord(tuple(dict.fromkeys(tones)), root, pitch_class(match[3]) if match[3] else root)


@lru_cache(maxsize=1024)
def parse_progression(text: str) -> tuple[tuple[Chord, ...], ...]:
    """Bars separated by ``|``; the chords of one bar share it evenly."""
    return tuple(tuple(parse_chord(symbol) for symbol in bar.split()) for bar in text.split("|"))


@lru_cache(maxsize=8192)
def nearest(pitch_classes: tuple[int, ...], to: float) -> int:
    """MIDI note with one of `pitch_classes` nearest to `to`; of two equally near ones the lower."""
    base = round(to)
    candidates = [n for n in range(base - 12, base + 13) if n % 12 in pitch_classes]
    return min(candidates, key=lambda n: (abs(n - to), n))


@lru_cache(maxsize=8192)
def voicing(chord: Chord, centre: int, previous: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Close voicing of `chord` around `centre`, whichever inversion moves least from `previous`."""
    options = []
    for lowest in chord.tones:
        first = nearest((lowest,), centre - 5)
        notes = [first]
        while len(notes) < len(chord.tones):
            following = [n for n in range(notes[-1] + 1, notes[-1] + 13) if n % 12 in chord.tones]
            notes.append(following[0])
        options.append(tuple(notes))

    def cost(notes: tuple[int, ...]) -> float:
        drift = abs(sum(notes) / len(notes) - centre)
        if not previous:
            return drift
        return sum(min(abs(n - p) for p in previous) for n in notes) + 0.5 * drift

    return min(options, key=cost)


def scale_notes(tonic: int, scale: str, low: int, high: int) -> list[int]:
    """All MIDI notes of a scale from `low` to `high`, inclusive."""
    steps = SCALES[scale]
    return [n for n in range(low, high + 1) if (n - tonic) % 12 in steps]
