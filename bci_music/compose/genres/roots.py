"""Drawn songs of folk and blues."""

from __future__ import annotations

from bci_music.compose.genres.plan import BARS, DORIAN, MAJOR, MINOR, MIXOLYDIAN, harmony, plan
from bci_music.compose.score import Part, SongSpec
from bci_music.compose.songwriting import Draw, drums, figure, motif, part, spell, stretched

_PICKING = ("0.3.1.3.2.3.1.3.", "0.231.3.2.341.3.", "0.2.1.2.3.2.1.2.", "0.3.2.3.1.3.2.3.", "0.213.2.0.314.2.")


def folk(draw: Draw) -> SongSpec:
    """Picked and strummed strings, a fiddle or a flute, hardly a drum: a song, a waltz or a jig."""
    scale = draw.one("major", "major", "mixolydian", "dorian", "minor")
    tonic = draw.one("G", "D", "A", "C", "E", "F")
    kind = draw.one("song", "song", "waltz", "jig")
    picked = draw.one("steel", "steel", "nylon", "banjo")
    parts = {"song": _song, "waltz": _waltz, "jig": _jig}[kind](draw, picked)
    pool = {"major": MAJOR, "mixolydian": MIXOLYDIAN, "dorian": DORIAN, "minor": MINOR}[scale]
    progressions = harmony(draw, tonic, scale, draw.one("triads", "adds"), BARS, 1, pool)
    if kind == "jig":
        return plan(draw, draw.tempo(96, 132), tonic, scale, progressions, parts, beats_per_bar=4, steps_per_beat=3)
    if kind == "waltz":
        return plan(draw, draw.tempo(96, 152), tonic, scale, progressions, parts, beats_per_bar=3)
    return plan(draw, draw.tempo(78, 126), tonic, scale, progressions, parts, reverb_s=1.3)


def _tune(draw: Draw, per_bar: int, per_beat: int) -> tuple[str, str]:
    density = 0.3 + 0.09 * draw.energy
    return motif(draw, per_bar, per_beat, density, 0.35), motif(draw, per_bar, per_beat, density, 0.35)


def _song(draw: Draw, picked: str) -> list[Part]:
    lead = draw.one("flute", "fiddle", "accordion", "harmonica", "clarinet")
    parts = [
        part(draw, "arp", picked, draw.one(*_PICKING), "IABC", db=2, centre=57, send=0.18),
        part(draw, "melody", lead, _tune(draw, 16, 4), draw.one("AB", "B", "ABC"), centre=76, send=0.35),
    ]
    if draw.chance(0.6):
        strum = draw.one("x---..x-x---..x-", "x---x-xxx---x-xx", "x---x--x..x-x-xx")
        parts.append(part(draw, "chords", draw.one("nylon", "steel"), strum, "B", centre=62, strum_s=0.018))
    if draw.chance(0.7):
        low = draw.one("r-------5-----n-", "r-------5-------", "r-----r-5-----5-")
        parts.append(part(draw, "bass", "upright", low, "ABC", centre=40, send=0.06))
    if draw.energy > 0:
        parts += drums(
            draw, {draw.one("shaker", "tambourine", "cabasa"): draw.one("x.oox.oox.oox.oo", "..x...x...x...x.")}
        )
    if draw.energy > 1:
        parts += drums(
            draw, {"soft kick": "x.......x.......", draw.one("rim", "stick", "brush"): "....x.......x..."}, "B"
        )
    return parts


def _waltz(draw: Draw, picked: str) -> list[Part]:
    lead, answer = draw.some(2, ("accordion", "fiddle", "flute", "clarinet"))
    return [
        part(draw, "bass", draw.one("upright", picked), "r---........", "IABC", centre=41),
        part(draw, "chords", picked, "....x-..x-..", "IABC", centre=60, strum_s=0.015),
        part(draw, "melody", lead, _tune(draw, 12, 4), "A", centre=74, send=0.3),
        part(draw, "melody", answer, _tune(draw, 12, 4), "BC", centre=76, send=0.3),
        part(draw, "arp", draw.one("steel", "nylon", "harp"), figure(draw, 12, 2), "B", db=-5, centre=64),
    ]


def _jig(draw: Draw, picked: str) -> list[Part]:
    lead, answer = draw.some(2, ("fiddle", "flute", "accordion", "banjo"))
    beat = {"djembe": "x..o..x..o..", draw.one("shaker", "tambourine"): "xooxooxooxoo"}
    return [
        part(draw, "chords", picked, draw.one("x-.x-.x-.x-.", "x-xx-xx-xx-x"), "IABC", centre=59, strum_s=0.01),
        part(draw, "bass", "upright", draw.one("r--5--r--5--", "r-----5-----"), "ABC", centre=40, send=0.06),
        part(draw, "melody", lead, (_running(draw), _running(draw)), "AB", centre=76, send=0.25),
        part(draw, "melody", answer, (_running(draw), _running(draw)), "BC", db=-3, centre=74, send=0.25),
        *drums(draw, beat if draw.energy else {"shaker": "xooxooxooxoo"}, "AB", db=-3),
    ]


def _running(draw: Draw) -> str:
    """Two bars of almost unbroken triplets."""
    return "".join(draw.one("xxx", "xxx", "x-x", "x--") for _ in range(7)) + "x--"


_TWELVE = (
    "I7 I7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7", "I7 IV7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7",
    "I7 IV9 I7 I7 IV9 IV9 I7 bVII9 V9 IV9 I7 V9", "I9 IV9 I9 I9 IV9 IV9 I9 I9 V9 V9 I9 V9",
)  # fmt: skip
_TWELVE_DARK = (
    "im7 im7 im7 im7 ivm7 ivm7 im7 im7 bVI7 V7 im7 V7",
    "im7 ivm7 im7 im7 ivm7 ivm7 im7 im7 V7 ivm7 im7 im7",
)


def blues(draw: Draw) -> SongSpec:
    """Twelve bars, shuffled in triplets."""
    tonic = draw.one("A", "E", "G", "C", "D", "Bb", "F")
    dark = draw.chance(0.25)
    turns = draw.some(2, _TWELVE_DARK if dark else _TWELVE)
    first, second = (spell(turn, tonic, "mixolydian") for turn in turns)
    bars = {"I": 2, "A": 12, "B": 12, "C": 4}
    progressions = {"I": stretched(first, 2), "A": first, "B": second, "C": stretched(second, 4)}
    return plan(
        draw, draw.tempo(62, 132), tonic, "blues", progressions, _blues_band(draw), steps_per_beat=3, bars=bars,
        reverb_s=1.1, human_s=0.008,
    )  # fmt: skip


def _blues_band(draw: Draw) -> list[Part]:
    walk = draw.one("r-.3-.5-.6-.|8-.6-.5-.n-.", "r-.r-.5-.5-.|6-.6-.5-.n-.", "r-.5-.6-.5-.", "r-rr-r5-56-6")
    comp = draw.one("....x-.....x|....x--....x", "...x-....x-.", "x-.x-.x-.x-.", "..xx-...xx-.", "x-----..x---")
    keys, lead, answer = (
        draw.one("organ", "piano", "guitar", "rhodes"),
        *draw.some(2, ("guitar", "harmonica", "piano", "trumpet")),
    )
    density = 0.33 + 0.09 * draw.energy
    phrases = [(_lick(draw, density), _lick(draw, density)) for _ in range(2)]
    parts = [
        part(draw, "bass", draw.one("upright", "upright", "fretless"), walk, "IABC", centre=36, send=0.05),
        part(draw, "chords", keys, comp, "IABC" if draw.chance(0.5) else "AB", db=-1, centre=62),
        part(draw, "melody", lead, phrases[0], "A", db=1, centre=67, send=0.28),
        part(draw, "melody", answer, phrases[1], "BC", db=1, centre=71, send=0.25),
    ]
    top = draw.one("ride", "hat")
    parts += drums(draw, {top: draw.one("x..x.xx..x.x", "x.xx.xx.xx.x")}, "IAB")
    parts += drums(
        draw, {draw.one("brush", "snare", "rim"): "...x.....x.."}, "IABC" if draw.energy else "AB", fill="...x.x.x.xxx"
    )
    if draw.chance(0.75):
        parts += drums(draw, {"soft kick": "x.....x....o"}, "AB", db=-2)
    return parts


def _lick(draw: Draw, density: float) -> str:
    """Two bars: a phrase, then space for an answer."""
    cells = motif(draw, 12, 3, density, 0.6)
    rest = draw.one(3, 6, 9)
    return cells[: 24 - rest] + "." * rest
