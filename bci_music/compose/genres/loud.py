"""Drawn songs of the loud genres: synthwave, electronic, rock."""

from __future__ import annotations

from bci_music.compose.genres.plan import BARS, harmony, plan
from bci_music.compose.score import Part, SongSpec
from bci_music.compose.songwriting import TONICS, Draw, drums, figure, motif, part

_HELD = "x---------------"


def synthwave(draw: Draw) -> SongSpec:
    """Pulsing synthesizer bass, a drum machine with a huge snare, neon leads."""
    tonic, scale = draw.one(*TONICS), draw.one("minor", "minor", "minor", "dorian", "major")
    pulse = draw.one("r.rrr.rrr.rrr.88", "r.r.r.r.r.r.r.r.", "rrrrrrrrrrrrrrrr", "r.8.r.8.r.8.r.8.", "r.rr8.rrr.rr8.r5")
    parts = [
        part(draw, "bass", "synth_bass", pulse, draw.one("AB", "IAB", "ABC"), db=2, centre=35, send=0.03, duck=True),
        part(draw, "chords", draw.one("pad", "strings", "choir"), _HELD, "IABC", send=0.3, duck=True),
        *_drum_machine(draw),
    ]
    if draw.chance(0.75):
        arp = draw.one("stab", "pluck", "bell", "pluck")
        shape = figure(draw, 16, draw.one(1, 1, 2))
        sections = draw.one("BC", "IBC", "ABC")
        parts.append(part(draw, "arp", arp, shape, sections, db=-4, duck=True, send=0.25, echo=(0.75, 0.4)))
    lead = draw.one("saw_lead", "saw_lead", "synth_brass", "guitar", "bell", "")
    if lead:
        rhythm = (
            motif(draw, 16, 4, 0.25 + 0.07 * draw.energy, 0.25),
            motif(draw, 16, 4, 0.22 + 0.07 * draw.energy, 0.25),
        )
        parts.append(part(draw, "melody", lead, rhythm, draw.one("AB", "B"), send=0.35, echo=(0.75, 0.3)))
    if draw.chance(0.4):
        hits = draw.one("x-----x---------", "x--x--x---------", "x-------..x-x---")
        parts.append(part(draw, "chords", "synth_brass", hits, "B", db=-1, send=0.3))
    bpm = draw.tempo(82, 122)
    progressions = harmony(draw, tonic, scale, draw.one("triads", "adds"), BARS, draw.one(1, 2))
    return plan(draw, bpm, tonic, scale, progressions, parts, reverb_s=1.9, human_s=0.002)


def _drum_machine(draw: Draw) -> list[Part]:
    kick = draw.one("X...x...X...x...", "X.......X.x.....", "X.....x.X.......", "X.........X.....")
    hats = draw.one("x.x.x.x.x.x.x.x.", "xoxoxoxoxoxoxoxo", "..x...x...x...x.")
    parts = drums(draw, {"kick": kick, draw.one("hat", "hat", "cabasa"): hats}, "AB", db=-1)
    fill = draw.one("....X...x.x.XxXx", "....X.......XxXX")
    parts += drums(draw, {"big snare": "....X.......X..."}, "AB", db=1, fill=fill)
    if draw.chance(0.4):
        parts += drums(
            draw, {"tom": "............x.x.|................", "tom high": "..........x.....|..............x."}, "B"
        )
    if draw.chance(0.4):
        parts += drums(draw, {draw.one("clap", "cowbell", "tambourine"): "....x.......x..."}, "B")
    return parts


def electronic(draw: Draw) -> SongSpec:
    """Four to the floor: house, trance or techno."""
    tonic, scale = draw.one(*TONICS), draw.one("minor", "minor", "dorian", "major")
    kind = draw.one("house", "trance", "techno")
    parts = {"house": _house, "trance": _trance, "techno": _techno}[kind](draw)
    low, high = {"house": (116, 128), "trance": (128, 142), "techno": (124, 140)}[kind]
    colour = {"house": "sevenths", "trance": "triads", "techno": "triads"}[kind]
    progressions = harmony(draw, tonic, scale, colour, BARS, draw.one(1, 2) if kind != "techno" else draw.one(2, 4))
    return plan(
        draw, draw.tempo(low, high), tonic, scale, progressions, parts, reverb_s=round(draw.between(1.4, 2.2), 1),
        human_s=0.001,
    )  # fmt: skip


def _four_to_the_floor(draw: Draw, clap: bool) -> list[Part]:
    parts = drums(draw, {"thump": "X...X...X...X..."}, draw.one("IAB", "AB"), db=1)
    parts += drums(draw, {"open hat": "..x...x...x...x."}, "AB", db=1)
    if clap:
        parts += drums(draw, {draw.one("clap", "snare"): "....x.......x..."}, "AB", fill="....x.......x.xx")
    extra = {
        "shaker": "xoxoxoxoxoxoxoxo", "hat": "xoooxoooxoooxooo", "rim": "...x..x....x..x.", "conga": "..x..x.x..x..x.x",
        "tambourine": "..x...x...x...x.", "cowbell": "x..x..x...x..x..",
    }  # fmt: skip
    for name in draw.some(draw.one(1, 2), tuple(extra)):
        parts += drums(draw, {name: extra[name]}, draw.one("AB", "BC", "B"))
    return parts


def _house(draw: Draw) -> list[Part]:
    comp = draw.one("..x...x..x....x.|..x..x....x..x..", "..x...x...x...x.", "x..x..x...x..x..", "...x..x...x.x...")
    keys = draw.one("organ", "piano", "stab", "rhodes")
    low = draw.one("acid", "sub_bass", "synth_bass")
    line = draw.one("r..r..r...r..5n.", "..r...r...r...r.", "r.....r.r..r..8.", "..r..rr...r..r8.")
    parts = [
        *_four_to_the_floor(draw, clap=True),
        part(draw, "chords", keys, comp, "IABC", centre=64, duck=True),
        part(draw, "bass", low, line, "AB", centre=33, duck=True),
    ]
    rhythm = (motif(draw, 16, 4, 0.3, 0.5), motif(draw, 16, 4, 0.25, 0.5))
    lead = draw.one("flute", "vibraphone", "saw_lead", "")
    if lead:
        parts.append(part(draw, "melody", lead, rhythm, "B", send=0.35))
    if draw.chance(0.5):
        parts.append(part(draw, "chords", "strings", _HELD, "BC", db=-5, centre=69, duck=True, send=0.3))
    return parts


def _trance(draw: Draw) -> list[Part]:
    gate = draw.one("x.xx.x.xx.xx.x.x", "x.x.x.x.x.x.x.x.", "xx.xx.x.xx.xx.x.", _HELD)
    low = draw.one("..r...r...r...r.", ".rrr.rrr.rrr.rrr", "..rr..rr..rr..rr")
    arp, echo = draw.one("pluck", "bell", "saw_lead"), (0.75, 0.45)
    return [
        *_four_to_the_floor(draw, clap=draw.chance(0.6)),
        part(draw, "chords", "supersaw", gate, draw.one("BC", "ABC"), db=1, centre=64, duck=True, send=0.3),
        part(draw, "bass", "synth_bass", low, "AB", db=2, centre=33, duck=True),
        part(draw, "arp", arp, figure(draw, 16, 1), "IABC", db=-2, duck=True, send=0.4, echo=echo),
        part(draw, "chords", "pad", _HELD, "C", db=-2, send=0.4),
    ]


def _techno(draw: Draw) -> list[Part]:
    acid = draw.one("r.r8r.r5rr.8.r3.", "rr8rr5r8rr8r.r5.", "r.rrr.8rr.rr5.r8", "r..rr..8r..rr.5.")
    stabs = draw.one("...x......x.....|...x..x.......x.", "......x.........|...x......x.....", "..x..x....x..x..")
    return [
        *_four_to_the_floor(draw, clap=draw.chance(0.4)),
        part(draw, "bass", draw.one("acid", "acid", "synth_bass"), acid, "IAB", db=1, centre=36, duck=True, send=0.06),
        part(draw, "chords", draw.one("stab", "organ", "synth_brass"), stabs, "ABC", db=-1, duck=True, send=0.4,
             echo=(1.5, 0.4)),
        part(draw, "arp", draw.one("bell", "marimba", "pluck"), figure(draw, 16, draw.one(1, 3)), draw.one("BC", "ABC"),
             db=-5, centre=72, send=0.5, echo=(0.75, 0.45)),
        part(draw, "chords", "pad", _HELD, "BC", db=-6, duck=True, send=0.4),
    ]  # fmt: skip


def rock(draw: Draw) -> SongSpec:
    """Two guitars, bass and a drum kit that is hit."""
    tonic, scale = (
        draw.one("E", "A", "D", "G", "B", "C", "F#"),
        draw.one("mixolydian", "major", "minor", "dorian", "minor"),
    )
    heavy = draw.chance(0.35 + 0.25 * draw.energy)
    rhythm_guitar = "distorted" if heavy else "guitar"
    riff = draw.one("X-xxX-x-X-xxX-x-", "X.xxX.xxX.xxX.xx", "x-x-x-x-x-x-x-x-", "X--X--X-X-X-X-X-", "X-.xX-.xX-.xX-xx")
    open_chords = draw.one("X---..X-X---X---", "X-----X-X-----X-", "X---X---X---X-X-", "X-----------X-X-")
    other_guitar = draw.one("guitar", rhythm_guitar, "steel")
    parts = [
        part(draw, "chords", rhythm_guitar, riff, "IA", centre=52, pan=-0.55, send=0.08),
        part(draw, "chords", other_guitar, open_chords, "BC", centre=57, pan=0.5, send=0.14),
        part(draw, "chords", rhythm_guitar, open_chords if heavy else riff, "AB", db=-2, centre=59, pan=0.55, send=0.1),
        part(draw, "bass", draw.one("fretless", "synth_bass"), draw.one(
            "r-r-r-r-r-r-r-r-", "r---r-r-r---r-5-", "r-r-..r-r-r-5-n-", "rrrrrrrrrrrrrrrr"), "AB", centre=35),
        *_rock_kit(draw),
    ]  # fmt: skip
    lead = draw.one("guitar", "distorted", "organ", "piano", "saw_lead", "")
    if lead:
        rhythm = (motif(draw, 16, 4, 0.28 + 0.08 * draw.energy), motif(draw, 16, 4, 0.25 + 0.08 * draw.energy))
        parts.append(
            part(draw, "melody", lead, rhythm, draw.one("B", "AB", "BC"), centre=71, send=0.3, echo=(0.75, 0.25))
        )
    if draw.chance(0.3):
        parts.append(part(draw, "chords", "organ", _HELD, "BC", db=-4, centre=62))
    progressions = harmony(draw, tonic, scale, "power" if heavy else draw.one("triads", "adds"), BARS, draw.one(1, 2))
    return plan(draw, draw.tempo(92, 172), tonic, scale, progressions, parts, reverb_s=1.2, human_s=0.004)


def _rock_kit(draw: Draw) -> list[Part]:
    kick = draw.one(
        "X.....x.X.x.....|X.....x.x.x...x.", "X.......X.......", "X.x.....X.x.....", "X...X...X...X...",
        "X..x..x.X..x....",
    )  # fmt: skip
    parts = drums(draw, {"kick": kick}, "AB")
    parts += drums(
        draw, {"snare": "....X.......X..."}, "AB", db=1, fill=draw.one("....X...XxXxXXXX", "....X.......XXXX")
    )
    parts += drums(draw, {draw.one("hat", "open hat", "tambourine"): "x.x.x.x.x.x.x.x."}, "A")
    parts += drums(draw, {"ride": "x.x.x.x.x.x.x.x.", "crash": "x..............." + "|................" * 3}, "B")
    if draw.chance(0.6):
        parts += drums(draw, {"tom": "X.x.X.x.X.x.X.x."}, "C", fill="X.x.X.x.XxXxXXXX")
    return parts
