"""From a song's specification to its notes: sections, chords, bass, arpeggios, melody and drums.

Patterns are strings of steps: a drum or chord pattern uses ``X x o`` (loud, normal, soft), ``-`` (hold) and ``.``
(rest); a bass pattern names chord degrees (``r 3 5 8`` and ``n`` for a step towards the next root); an arpeggio gives
voicing indices ``0..9``; a melody rhythm uses ``x`` and ``-``. A pattern may span bars; ``|`` is only for the eye.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np

from bci_music.compose.harmony import Chord, nearest, parse_progression, pitch_class, scale_notes, voicing

LOUDNESS = {"X": 1.0, "x": 0.78, "o": 0.5}
KICKS = frozenset({"kick", "thump", "soft kick", "deep kick"})  # what the low voices give way to
_SECTION_GAIN = {"I": 0.78, "A": 0.9, "B": 1.0, "C": 0.82}


@dataclass(frozen=True)
class Part:
    """One player: what, how and in which sections."""

    role: str  # "chords" | "arp" | "bass" | "melody" | "drums"
    instrument: str
    pattern: str | tuple[str, ...]
    gain_db: float = -12.0
    pan: float = 0.0
    send: float = 0.15  # share into the reverb
    sections: str = "IABC"
    centre: int = 60
    echo: tuple[float, float] | None = None  # (beats, gain) of a repeated echo
    strum_s: float = 0.0
    duck: bool = False  # gives way to the kick
    fill: str = ""  # drums: pattern of a section's last bar


@dataclass(frozen=True)
class SongSpec:
    """A song: everything the composer needs, deterministic given `seed`."""

    id: str
    title: str
    genre: str
    mood: str
    bpm: float
    tonic: str
    scale: str
    progressions: dict[str, str]
    form: str  # sections in order, then repeated from the first A
    parts: tuple[Part, ...]
    seed: int
    beats_per_bar: int = 4
    steps_per_beat: int = 4
    bars: dict[str, int] = field(default_factory=lambda: {"I": 4, "A": 8, "B": 8, "C": 4})
    swing: float = 0.0  # how late the off-steps are, in shares of a step
    reverb_s: float = 1.4
    human_s: float = 0.005
    dull_hz: float = 0.0  # the whole mix loses what lies above, as on an old tape; 0: nothing

    @property
    def steps_per_bar(self) -> int:
        """Steps in one bar."""
        return self.beats_per_bar * self.steps_per_beat

    @property
    def beat_s(self) -> float:
        """Seconds per beat."""
        return 60.0 / self.bpm

    @property
    def bar_s(self) -> float:
        """Seconds per bar."""
        return self.beats_per_bar * self.beat_s


@dataclass(frozen=True)
class Note:
    """One stroke: absolute start, length, MIDI pitch (0 for percussion) and velocity 0..1."""

    start_s: float
    seconds: float
    pitch: int
    velocity: float
    part: int


@dataclass(frozen=True)
class Bar:
    """One bar of the form: section letter, occurrence of that section, place in it, its chords."""

    section: str
    occurrence: int
    index: int
    last: bool
    chords: tuple[Chord, ...]
    following: Chord


def lay_out(spec: SongSpec, seconds: float) -> list[Bar]:
    """Unroll the form until `seconds` are full."""
    order = spec.form
    loop = order[order.index("A"):]
    bars: list[tuple[str, int, int, bool, tuple[Chord, ...]]] = []
    seen: dict[str, int] = {}
    position = 0
    while len(bars) * spec.bar_s < seconds:
        letter = order[position] if position < len(order) else loop[(position - len(order)) % len(loop)]
        progression = parse_progression(spec.progressions[letter])
        count, occurrence = spec.bars[letter], seen.get(letter, 0)
        bars += [(letter, occurrence, i, i == count - 1, progression[i % len(progression)]) for i in range(count)]
        seen[letter] = seen.get(letter, 0) + 1
        position += 1
    following = [*[b[4][0] for b in bars[1:]], bars[0][4][0]]
    return [Bar(*bar, following=chord) for bar, chord in zip(bars, following, strict=True)]


def section_gain(spec: SongSpec, start_s: float) -> float:
    """Sections differ in loudness."""
    letters = spec.form + spec.form[spec.form.index("A"):] * 20
    bar = int(start_s / spec.bar_s + 1e-6)
    for letter in letters:
        bar -= spec.bars[letter]
        if bar < 0:
            break
    return _SECTION_GAIN[letter]


def write_score(spec: SongSpec, seconds: float) -> list[Note]:
    """All notes of the first `seconds`, in order of start."""
    bars = lay_out(spec, seconds)
    notes: list[Note] = []
    for number, part in enumerate(spec.parts):
        rng = _rng(spec, f"{number}{part.role}{part.instrument}")
        if part.role == "melody":
            raw = _melody(spec, part, bars)
        else:
            raw = _ROLES[part.role](spec, part, bars)
        notes += [_human(spec, note, number, part, rng) for note in raw]
    return sorted(notes, key=lambda n: (n.start_s, n.part, n.pitch))


Raw = tuple[float, float, int, float]  # start in steps, length in steps, pitch, velocity


def _rng(spec: SongSpec, name: str) -> np.random.Generator:
    return np.random.default_rng([spec.seed, zlib.crc32(name.encode())])


def _human(spec: SongSpec, raw: Raw, number: int, part: Part, rng: np.random.Generator) -> Note:
    """Steps to seconds, with swing and a player's small unevenness."""
    step_s = spec.beat_s / spec.steps_per_beat
    start, length, pitch, velocity = raw
    late = spec.swing * step_s if round(start) % 2 else 0.0
    jitter = 0.0 if start < 0.5 else min(0.015, max(-0.015, float(rng.normal(0, spec.human_s))))
    loud = min(1.1, max(0.05, float(velocity * (1 + rng.normal(0, 0.07)))))
    return Note(max(0.0, start * step_s + late + jitter), length * step_s, pitch, loud, number)


def _cells(part: Part, pattern: str, bar_number: int, spec: SongSpec) -> str:
    """The steps of `pattern` that fall into one bar."""
    steps = pattern.replace("|", "").replace(" ", "")
    per_bar = spec.steps_per_bar
    if len(steps) % per_bar:
        raise ValueError(f"{spec.id}: a pattern of {part.instrument} has {len(steps)} steps, bars have {per_bar}")
    n_bars = len(steps) // per_bar
    first = (bar_number % n_bars) * per_bar
    return steps[first:first + per_bar]


def _strokes(cells: str, rests: str = ".-") -> list[tuple[int, int, str]]:
    """(step, length with its holds, sign) of each stroke."""
    strokes = []
    for i, sign in enumerate(cells):
        if sign in rests:
            continue
        length = 1
        while i + length < len(cells) and cells[i + length] == "-":
            length += 1
        strokes.append((i, length, sign))
    return strokes


def _chord_at(bar: Bar, step: int, per_bar: int) -> Chord:
    return bar.chords[step * len(bar.chords) // per_bar]


def _active(spec: SongSpec, part: Part, bars: list[Bar]) -> list[tuple[int, Bar, int]]:
    return [(i, bar, i * spec.steps_per_bar) for i, bar in enumerate(bars) if bar.section in part.sections]


def _chords(spec: SongSpec, part: Part, bars: list[Bar]) -> list[Raw]:
    notes: list[Raw] = []
    previous: tuple[int, ...] = ()
    step_s = spec.beat_s / spec.steps_per_beat
    for _, bar, base in _active(spec, part, bars):
        for step, length, sign in _strokes(_cells(part, str(part.pattern), bar.index, spec)):
            previous = voicing(_chord_at(bar, step, spec.steps_per_bar), part.centre, previous)
            for i, pitch in enumerate(previous):
                late = i * part.strum_s / step_s
                notes.append((base + step + late, length - min(late, 0.5 * length), pitch, LOUDNESS[sign]))
    return notes


def _arp(spec: SongSpec, part: Part, bars: list[Bar]) -> list[Raw]:
    notes: list[Raw] = []
    previous: tuple[int, ...] = ()
    for _, bar, base in _active(spec, part, bars):
        for step, length, sign in _strokes(_cells(part, str(part.pattern), bar.index, spec)):
            chord = _chord_at(bar, step, spec.steps_per_bar)
            previous = voicing(chord, part.centre, previous)
            index = int(sign)
            pitch = previous[index % len(previous)] + 12 * (index // len(previous))
            accent = 0.85 if step % spec.steps_per_beat == 0 else 0.66
            notes.append((base + step, max(length, 1), pitch, accent))
    return notes


def _bass(spec: SongSpec, part: Part, bars: list[Bar]) -> list[Raw]:
    notes: list[Raw] = []
    for _, bar, base in _active(spec, part, bars):
        for step, length, sign in _strokes(_cells(part, str(part.pattern), bar.index, spec)):
            chord = _chord_at(bar, step, spec.steps_per_bar)
            root = nearest((chord.bass,), part.centre)
            third = 3 if (chord.root + 3) % 12 in chord.tones else 4
            if sign == "n":
                target = nearest((bar.following.bass,), part.centre)
                pitch = target + (-1 if root <= target else 1)
            else:
                pitch = root + {"r": 0, "R": 0, "3": third, "5": 7, "8": 12, "6": 9, "4": 5}[sign]
            notes.append((base + step, length, pitch, 0.95 if step == 0 else 0.8))
    return notes


def _drums(spec: SongSpec, part: Part, bars: list[Bar]) -> list[Raw]:
    notes: list[Raw] = []
    for _, bar, base in _active(spec, part, bars):
        pattern = part.fill if part.fill and bar.last else str(part.pattern)
        for step, _, sign in _strokes(_cells(part, pattern, bar.index, spec)):
            notes.append((base + step, 1, 0, LOUDNESS[sign]))
    return notes


def _melody(spec: SongSpec, part: Part, bars: list[Bar]) -> list[Raw]:
    """Phrases of four motifs (a a' b a''): the rhythm and contour return, chord tones fall on the strong beats."""
    scale = scale_notes(pitch_class(spec.tonic), spec.scale, part.centre - 14, part.centre + 16)
    per_bar = spec.steps_per_bar
    notes: list[Raw] = []
    for _, bar, base in _active(spec, part, bars):
        name = "aaba"[(bar.index // 2) % 4]
        rhythm = part.pattern["ab".index(name)] if isinstance(part.pattern, tuple) else part.pattern
        cells = _cells(part, rhythm, bar.index, spec)
        moves = _rng(spec, f"{part.instrument}{bar.section}{name}{bar.index % 2}").choice(
            (-3, -2, -1, -1, 0, 1, 1, 2, 3), size=per_bar)
        change = _rng(spec, f"{part.instrument}{bar.section}{bar.occurrence}{bar.index}")
        place = _anchor(scale, bar, part.centre, change)
        strokes = _strokes(cells)
        for n, (step, length, sign) in enumerate(strokes):
            if n:
                move = int(moves[step]) if change.random() > 0.2 else int(change.choice((-1, 1)))
                place = int(np.clip(place + move, 2, len(scale) - 3))
                if scale[place] > part.centre + 9:
                    place -= 2
                elif scale[place] < part.centre - 8:
                    place += 2
            chord = _chord_at(bar, step, per_bar)
            closing = bar.index % 8 == 7 and n == len(strokes) - 1
            if closing or length >= spec.steps_per_beat or step % (2 * spec.steps_per_beat) == 0:
                place = _snap(scale, place, chord)
            rise = 0.72 + 0.2 * np.sin(np.pi * (step + 1) / per_bar)
            notes.append((base + step, length, scale[place], rise * LOUDNESS.get(sign, 0.78) / 0.78))
    return notes


def _anchor(scale: list[int], bar: Bar, centre: int, rng: np.random.Generator) -> int:
    """Where a bar of melody begins: a chord tone near the middle of the register."""
    target = nearest(bar.chords[0].tones, centre + int(rng.integers(-3, 5)))
    return min(range(len(scale)), key=lambda i: (abs(scale[i] - target), i))


def _snap(scale: list[int], place: int, chord: Chord) -> int:
    """The scale place nearest to `place` whose note belongs to the chord (itself if none is within a third)."""
    near = [i for i in range(max(0, place - 2), min(len(scale), place + 3)) if scale[i] % 12 in chord.tones]
    return min(near, key=lambda i: (abs(i - place), i)) if near else place


_ROLES = {"chords": _chords, "arp": _arp, "bass": _bass, "drums": _drums}
