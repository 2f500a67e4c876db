"""How songs are drawn by lot and still hold together: progressions in any key, rhythms of melodies, figures, levels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from bci_music.compose.harmony import SCALES, pitch_class
from bci_music.compose.score import Part

T = TypeVar("T")
TONICS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_DEGREES = {"I": 0, "II": 1, "III": 2, "IV": 3, "V": 4, "VI": 5, "VII": 6}
_NUMERAL = re.compile(r"^(b?)([IVivx]+)([^/]*)(?:/([IV]+))?$")

# What makes 0.6 s notes of all instruments equally loud, so that a part's level can be chosen by its role.
_LEVEL_DB = {
    "rhodes": -1, "piano": 0, "nylon": 5, "steel": 7, "oud": 6, "guitar": -2, "upright": 2, "sub_bass": -4,
    "synth_bass": 0, "acid": -6, "saw_lead": -6, "stab": -3, "pad": -6, "strings": -4, "organ": -2, "flute": -2,
    "marimba": 2, "kalimba": 0, "vibraphone": -2, "bell": -2, "metallophone": 0, "gong": -2, "harmonica": 2,
    "trumpet": 2, "clarinet": -3, "fiddle": 1, "accordion": 2, "choir": -2, "harp": 2, "banjo": 9, "harpsichord": 13,
    "sitar": 6, "distorted": -5, "pluck": 2, "supersaw": -3, "synth_brass": -2, "celesta": 1, "glass": -3,
    "fretless": -1,
}  # fmt: skip
_ROLE_DB = {"chords": -15.0, "arp": -13.0, "bass": -9.5, "melody": -10.0}
_DRUM_DB = {
    "kick": -8, "soft kick": -8, "thump": -7, "deep kick": -8, "surdo": -11, "dum": -10, "tak": -18, "conga": -14,
    "conga high": -16, "tom": -13, "tom high": -14, "log drum": -13, "snare": -14, "big snare": -13, "brush": -19,
    "rim": -23, "clap": -17, "hat": -26, "open hat": -25, "shaker": -26, "ride": -26, "crash": -22, "wood": -23,
    "agogo": -26, "triangle": -28, "bongo": -16, "djembe": -10, "slap": -18, "tabla": -12, "timbale": -20,
    "clave": -22, "cowbell": -23, "tambourine": -24, "stick": -23, "cabasa": -26, "crackle": -25,
}  # fmt: skip
_CENTRE = {"chords": 60, "arp": 66, "bass": 38, "melody": 73}


class Draw:
    """Choices from one seed.

    Attributes
    ----------
    energy : int
        0 calm, 1 even, 2 lively: decides tempo within a genre, density and mood.
    """

    def __init__(self, rng: np.random.Generator):
        self._rng = rng
        self.energy = int(rng.integers(3))

    def one(self, *options: T) -> T:
        """One of the options."""
        return options[int(self._rng.integers(len(options)))]

    def some(self, k: int, options: Sequence[T]) -> list[T]:
        """`k` different ones."""
        return [options[int(i)] for i in self._rng.permutation(len(options))[:k]]

    def chance(self, share: float) -> bool:
        """True in this share of cases."""
        return bool(self._rng.random() < share)

    def between(self, low: float, high: float) -> float:
        """Uniform."""
        return float(self._rng.uniform(low, high))

    def tempo(self, low: float, high: float) -> float:
        """Whole beats per minute: lively songs in the upper part of the range, calm ones in the lower."""
        place = (self.energy + self.between(-0.35, 1.35)) / 3
        return float(round(low + (high - low) * min(1.0, max(0.0, place))))


def spell(numerals: str, tonic: str, scale: str, colour: str = "triads") -> str:
    """Chord symbols of Roman numerals, one a bar: ``spell("ii V I", "C", "major", "sevenths")`` is ``Dm7|G7|Cmaj7``.

    Parameters
    ----------
    numerals : str
        Lower case is minor, ``b`` a semitone down, a suffix such as ``7`` overrules the colour, ``/V`` puts that degree
        into the bass. Two numerals joined by ``_`` share a bar.
    scale : str
        A scale of seven notes.
    colour : str
        "triads", "sevenths", "ninths", "adds" (some ninths, no sevenths) or "power".
    """
    return "|".join(
        " ".join(_symbol(numeral, tonic, SCALES[scale], colour) for numeral in bar.split("_"))
        for bar in numerals.split()
    )


def _symbol(numeral: str, tonic: str, steps: tuple[int, ...], colour: str) -> str:
    match = _NUMERAL.match(numeral)
    if match is None or match[2].upper() not in _DEGREES:
        raise ValueError(f"unknown numeral {numeral!r}")
    flat, letters, suffix, bass = match.groups()
    place = _DEGREES[letters.upper()]
    root = steps[place] - len(flat)
    within = [(steps[(place + k) % 7] - root) % 12 for k in range(7)]  # the scale, seen from the chord's root
    minor = letters.islower()
    symbol = _name(tonic, root) + (suffix or _quality(colour, minor, within, dominant=place == 4 and not minor))
    return symbol + (f"/{_name(tonic, steps[_DEGREES[bass]])}" if bass else "")


def _quality(colour: str, minor: bool, within: list[int], dominant: bool) -> str:
    if minor and within[4] == 6:
        return "m7b5" if colour in ("sevenths", "ninths") else "dim"
    if colour == "power":
        return "5"
    if colour == "adds":
        return ("madd9" if minor else "add9") if 2 in within and not dominant else ("m" if minor else "")
    seventh = "maj7" if not minor and 11 in within and not dominant else "7"
    if colour == "ninths" and 2 in within:
        return "m9" if minor else {"maj7": "maj9", "7": "13" if dominant else "9"}[seventh]
    if colour in ("sevenths", "ninths"):
        return "m7" if minor else seventh
    return "m" if minor else ""


def _name(tonic: str, semitones: int) -> str:
    return TONICS[(pitch_class(tonic) + semitones) % 12]


def stretched(progression: str, bars: int, each: int = 1) -> str:
    """Repeat chords so that `progression` fills `bars` bars, every chord `each` bars long."""
    chords = [chord for chord in progression.split("|") for _ in range(each)]
    return "|".join(chords[i % len(chords)] for i in range(bars))


def motif(draw: Draw, per_bar: int, per_beat: int, density: float, off_beat: float = 0.3) -> str:
    """Rhythm of two bars of melody: beats are likely, what lies between them less so; the phrase ends in rest.

    Parameters
    ----------
    density : float
        0..1, how likely a note begins on a step.
    off_beat : float
        0..1, how much steps between the beats count against beats.
    """
    weights = [1.0 if s % (2 * per_beat) == 0 else 0.75 if s % per_beat == 0 else off_beat for s in range(per_bar)]
    cells: list[str] = []
    for bar in range(2):
        last = per_bar if bar == 0 else max(per_beat, round(0.55 * per_bar))
        onsets = [s for s in range(last) if draw.chance(min(0.95, density * (0.5 + weights[s]) * weights[s] ** 0.6))]
        if len(onsets) < 2:
            onsets = [0, 2 * per_beat if last > 2 * per_beat else per_beat]
        cells += _held(draw, onsets, per_bar, per_beat)
    return "".join(cells)


def _held(draw: Draw, onsets: list[int], per_bar: int, per_beat: int) -> list[str]:
    cells = ["."] * per_bar
    for onset, following in zip(onsets, [*onsets[1:], per_bar], strict=True):
        gap = following - onset
        held = gap if draw.chance(0.75) else max(1, min(gap, per_beat))
        cells[onset] = "x"
        cells[onset + 1 : onset + held] = ["-"] * (held - 1)
    return cells


_SHAPES = ("0123", "0213", "0321", "0121", "3210", "0232", "0142", "0314", "4202", "0243", "024531", "021321", "012343")


def figure(draw: Draw, per_bar: int, every: int, shapes: Sequence[str] = _SHAPES, bars: int = 1) -> str:
    """An arpeggio: a note `every` so many steps, walking through one of the shapes again and again."""
    shape = draw.one(*shapes)
    cells = ["."] * (per_bar * bars)
    for number, step in enumerate(range(0, per_bar * bars, every)):
        cells[step] = shape[number % len(shape)]
    return "".join(cells)


def thinned(draw: Draw, pattern: str, share: float) -> str:
    """Leave out this share of the strokes, never the first one."""
    return pattern[0] + "".join("." if sign in "xo" and draw.chance(share) else sign for sign in pattern[1:])


def part(
    draw: Draw, role: str, instrument: str, pattern: str | tuple[str, ...], sections: str = "ABC", *, db: float = 0.0,
    centre: int | None = None, send: float = 0.2, pan: float | None = None, **more: Any,
) -> Part:  # fmt: skip
    """One player, at the level of the role, somewhere in the stereo picture."""
    low = role == "bass" or instrument in {"kick", "thump", "soft kick", "deep kick", "surdo", "dum", "snare"}
    place = (0.0 if low else draw.between(-0.45, 0.45)) if pan is None else pan
    base = _DRUM_DB[instrument] if role == "drums" else _ROLE_DB[role] + _LEVEL_DB[instrument]
    level = round(base + db + draw.between(-1.0, 1.0), 1)
    return Part(
        role, instrument, pattern, level, round(place, 2), send, sections,
        _CENTRE.get(role, 60) if centre is None else centre, **more,
    )  # fmt: skip


def drums(draw: Draw, kit: dict[str, str], sections: str = "AB", *, db: float = 0.0, **more: Any) -> list[Part]:
    """Several percussion parts at once: what is struck, and its pattern."""
    sends = {"kick": 0.02, "soft kick": 0.03, "thump": 0.0, "deep kick": 0.02, "snare": 0.14, "big snare": 0.3}
    return [
        part(draw, "drums", name, pattern, sections, db=db, send=sends.get(name, 0.1), **more)
        for name, pattern in kit.items()
    ]
