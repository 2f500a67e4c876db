"""Drawn songs of the calm genres: lo-fi, ambient, classical."""

from __future__ import annotations

from bci_music.compose.genres.plan import BARS, CADENCES, DARK_CADENCES, SHORT_BARS, harmony, plan, pools
from bci_music.compose.score import Part, SongSpec
from bci_music.compose.songwriting import TONICS, Draw, drums, figure, motif, part, thinned


def lo_fi(draw: Draw) -> SongSpec:
    """Dusty keys over a lazy, swung beat, dulled like an old tape."""
    tonic, scale = draw.one(*TONICS), draw.one("major", "major", "dorian", "minor")
    keys = draw.one("rhodes", "rhodes", "piano", "nylon", "organ")
    comp = draw.one(
        "x-----..x---..x-|x-------..x-x---", "x-------x--x----|x---------x-x---", "..x---x-..x---x-",
        "x--x----x--x----|x--x------x-x---", "x---------------|x-------x---x---",
    )  # fmt: skip
    parts = [
        part(draw, "chords", keys, comp, "IABC", db=1, strum_s=0.012, duck=True),
        part(draw, "bass", draw.one("sub_bass", "upright", "fretless"),
             draw.one("r-----..r-..5-n-", "r---..r-5---..n-", "r-------..r-5-8-", "r--r----..5-r-n-"), "AB", centre=36),
        *_lo_fi_beat(draw),
    ]  # fmt: skip
    lead = draw.one("vibraphone", "flute", "piano", "celesta", "trumpet", "clarinet", "kalimba", "")
    if lead and lead != keys:
        rhythm = (motif(draw, 16, 4, 0.22 + 0.08 * draw.energy), motif(draw, 16, 4, 0.2 + 0.08 * draw.energy))
        echo = draw.one(None, (0.75, 0.35), (1.5, 0.3))
        parts.append(part(draw, "melody", lead, rhythm, draw.one("AB", "B", "ABC"), db=-1, send=0.35, echo=echo))
    if draw.chance(0.35):
        parts.append(part(draw, "chords", draw.one("pad", "strings"), "x---------------", "BC", db=-6, send=0.4))
    bpm = draw.tempo(64, 92)
    progressions = harmony(draw, tonic, scale, "ninths", BARS, draw.one(1, 1, 2), pools(scale, jazzy=True))
    return plan(
        draw, bpm, tonic, scale, progressions, parts, swing=round(draw.between(0.16, 0.36), 2), reverb_s=1.2,
        human_s=0.008, dull_hz=float(round(draw.between(3000, 5200), -2)),
    )  # fmt: skip


def _lo_fi_beat(draw: Draw) -> list[Part]:
    kick = draw.one("X..o....x.x.....|X......ox..x....", "X.....x...x.....", "X......x..x.....|X..x......x....o")
    back = draw.one("snare", "rim", "brush", "stick")
    hat = draw.one("x.o.x.o.x.o.x.oo", "x.x.x.x.x.x.x.x.", "x.xox.x.xox.x.xo", "..x...x...x...x.")
    parts = drums(draw, {"soft kick": kick, draw.one("hat", "shaker", "cabasa"): hat}, "AB")
    parts += drums(draw, {back: "....x.......x..o"}, "AB", db=1, fill=draw.one("....x...o.o.x.oo", ""))
    if draw.chance(0.7):
        parts += drums(draw, {"crackle": "x..............."}, "IABC")
    return parts


def ambient(draw: Draw) -> SongSpec:
    """Slow layers without a beat."""
    tonic, scale = draw.one(*TONICS), draw.one("lydian", "major", "dorian", "minor", "minor")
    base, above = draw.some(2, ("pad", "choir", "glass", "strings", "organ"))
    held = draw.one("x---------------", "x-------x-------")
    parts = [
        part(draw, "chords", base, held, "IABC", db=2, centre=draw.one(55, 60), send=0.5),
        part(draw, "chords", above, "x---------------", draw.one("AB", "BC", "ABC"), db=-4, centre=70, send=0.5),
    ]
    if draw.chance(0.75):
        low = draw.one("sub_bass", "gong", "fretless")
        parts.append(part(draw, "bass", low, draw.one("r-----------....", "r---------------"), "AB", db=-4, centre=36))
    echo = draw.one((1.5, 0.45), (0.75, 0.5), (1.0, 0.4))
    spark = draw.one("bell", "kalimba", "celesta", "harp", "piano", "vibraphone", "marimba")
    if draw.chance(0.7):
        rhythm = (motif(draw, 16, 4, 0.1 + 0.05 * draw.energy, 0.15), motif(draw, 16, 4, 0.08, 0.15))
        parts.append(part(draw, "melody", spark, rhythm, "IABC", db=-4, centre=79, send=0.6, echo=echo))
    else:
        pattern = thinned(draw, figure(draw, 16, 2), 0.3)
        parts.append(part(draw, "arp", spark, pattern, "IABC", db=-5, centre=69, send=0.6, echo=echo))
    if draw.energy == 2:
        pulse = draw.one("pluck", "kalimba", "rhodes")
        parts.append(part(draw, "arp", pulse, figure(draw, 16, 2), "BC", db=-9, send=0.5, echo=(0.75, 0.4)))
    bpm = draw.tempo(48, 74)
    each = draw.one(1, 2) if bpm > 62 else 1  # whole bars are long enough at this pace
    progressions = harmony(draw, tonic, scale, draw.one("ninths", "adds"), SHORT_BARS, each)
    return plan(
        draw, bpm, tonic, scale, progressions, parts, bars=SHORT_BARS, reverb_s=round(draw.between(2.8, 4.2), 1),
        human_s=0.012,
    )  # fmt: skip


def classical(draw: Draw) -> SongSpec:
    """A piano alone, a string quartet, a harpsichord, or winds and a harp."""
    tonic, scale = draw.one(*TONICS), draw.one("major", "harmonic minor", "harmonic minor")
    beats = draw.one(3, 4, 4)
    per_bar = 4 * beats
    players = {"piano": _piano, "quartet": _quartet, "harpsichord": _harpsichord, "winds": _winds}
    kind = draw.one(*players)
    bpm = draw.tempo(66, 132) if beats == 4 else draw.tempo(84, 168)
    pool = CADENCES if scale == "major" else DARK_CADENCES
    bars = BARS if bpm > 80 else SHORT_BARS | {"A": 8, "B": 8}
    progressions = harmony(draw, tonic, scale, "triads", bars, draw.one(1, 1, 2) if beats == 3 else 1, pool)
    return plan(
        draw, bpm, tonic, scale, progressions, players[kind](draw, per_bar), beats_per_bar=beats, bars=bars,
        reverb_s=round(draw.between(1.7, 2.6), 1), human_s=0.008,
    )  # fmt: skip


def _tune(draw: Draw, per_bar: int, lively: float = 0.3) -> tuple[str, str]:
    density = lively + 0.1 * draw.energy
    return motif(draw, per_bar, 4, density, 0.2), motif(draw, per_bar, 4, density, 0.2)


def _piano(draw: Draw, per_bar: int) -> list[Part]:
    every = 2 if draw.energy < 2 else draw.one(1, 2)
    low = "r" + "-" * (per_bar - 1)
    return [
        part(draw, "arp", "piano", figure(draw, per_bar, every), "IAB", db=-2, centre=56, send=0.25),
        part(draw, "chords", "piano", "x-------" + "." * (per_bar - 8), "C", centre=57, send=0.3, strum_s=0.03),
        part(draw, "bass", "piano", low, "ABC", db=-2, centre=41, send=0.2, pan=-0.15),
        part(draw, "melody", "piano", _tune(draw, per_bar), draw.one("AB", "ABC"), db=2, centre=76, send=0.3),
    ]


def _quartet(draw: Draw, per_bar: int) -> list[Part]:
    pulse = "".join("x" if s % 4 == 0 and s else "." for s in range(per_bar)).replace("x.", "x-")
    repeated = "".join("x" if s % 2 == 0 else "-" for s in range(per_bar))
    held = "x" + "-" * (per_bar - 1)
    return [
        part(draw, "chords", "strings", draw.one(pulse, repeated, held), "IABC", db=-4, send=0.3),
        part(draw, "bass", "strings", "r-------" + "5---" * ((per_bar - 8) // 4), "IABC", db=1, centre=41, send=0.25),
        part(draw, "melody", "fiddle", _tune(draw, per_bar), "AB", centre=77, send=0.35),
        part(
            draw, "melody", draw.one("strings", "fiddle"), _tune(draw, per_bar, 0.2), "BC", db=-3, centre=67, send=0.3
        ),
    ]


def _harpsichord(draw: Draw, per_bar: int) -> list[Part]:
    walking = "".join("r-5-3-5-8-5-"[s % 12] for s in range(per_bar))
    solo = draw.one("harpsichord", "flute", "fiddle")
    return [
        part(draw, "arp", "harpsichord", figure(draw, per_bar, draw.one(1, 2)), "IABC", db=-1, centre=62, send=0.2),
        part(draw, "bass", draw.one("harpsichord", "strings"), walking, "ABC", db=-2, centre=45, send=0.15),
        part(draw, "melody", solo, _tune(draw, per_bar, 0.45), "AB", centre=74, send=0.25),
    ]


def _winds(draw: Draw, per_bar: int) -> list[Part]:
    first, second = draw.some(2, ("flute", "clarinet", "fiddle"))
    held = "x" + "-" * (per_bar - 1)
    return [
        part(draw, "arp", "harp", figure(draw, per_bar, 2), "IABC", centre=60, send=0.35),
        part(draw, "chords", draw.one("strings", "choir"), held, draw.one("ABC", "BC"), db=-7, send=0.4),
        part(draw, "bass", "strings", "r" + "-" * (per_bar - 1), "AB", db=-1, centre=43, send=0.3),
        part(draw, "melody", first, _tune(draw, per_bar), "A", centre=76, send=0.35),
        part(draw, "melody", second, _tune(draw, per_bar), "BC", centre=72, send=0.35),
    ]
