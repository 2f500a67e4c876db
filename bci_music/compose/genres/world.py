"""Drawn songs of world and Latin music."""

from __future__ import annotations

from bci_music.compose.genres.plan import BARS, SHORT_BARS, harmony, plan, pools
from bci_music.compose.score import SongSpec
from bci_music.compose.songwriting import TONICS, Draw, drums, figure, motif, part, stretched

_HELD = "x---------------"


def world(draw: Draw) -> SongSpec:
    """A gamelan, thumb pianos over drums, an oud in the desert, or a sitar over a drone."""
    return draw.one(_gamelan, _savanna, _caravan, _raga)(draw)


def _gamelan(draw: Draw) -> SongSpec:
    tonic = draw.one("Db", "D", "Eb", "F", "G")
    one, two, three = (f"{name}5" for name in (tonic, *_above(tonic, 7, 8)))
    rounds = draw.some(
        3, (f"{one}|{one}|{three}|{two}", f"{one}|{two}", f"{one}|{three}|{one}|{two}", f"{one}|{one}|{two}|{one}")
    )
    progressions = {k: stretched(rounds[i], SHORT_BARS[k]) for k, i in (("I", 0), ("A", 0), ("B", 1), ("C", 2))}
    slow = tuple(motif(draw, 16, 4, 0.35, 0.1) for _ in range(2))
    quick = tuple(_interlocking(draw) for _ in range(2))
    parts = [
        part(draw, "bass", "gong", "r---------------", "IAB", db=1, centre=37, send=0.4),
        part(draw, "melody", "metallophone", (slow[0], slow[1]), "IABC", centre=66, send=0.4, pan=-0.25),
        part(draw, "melody", "metallophone", (quick[0], quick[1]), "AB", db=-5, centre=82, send=0.4, pan=0.35),
        part(draw, "chords", draw.one("pad", "glass"), _HELD, "BC", db=-9, centre=56, send=0.5),
        *drums(draw, {"wood": draw.one("x...............|x.......x.......", "x.......x.......")}, "ABC"),
    ]
    if draw.chance(0.6):
        high = (motif(draw, 16, 4, 0.2, 0.1), motif(draw, 16, 4, 0.2, 0.1))
        parts.append(part(draw, "melody", draw.one("flute", "bell", "marimba"), high, "B", centre=74, send=0.5))
    return plan(
        draw, draw.tempo(56, 96), tonic, "pelog", progressions, parts, bars=SHORT_BARS, reverb_s=2.8, human_s=0.008
    )


def _above(tonic: str, *semitones: int) -> list[str]:
    return [TONICS[(TONICS.index(tonic) + s) % 12] for s in semitones]


def _interlocking(draw: Draw) -> str:
    return "".join(draw.one("x.xx", "xxx.", "x.x.", ".xxx", "xxxx") for _ in range(8))


def _savanna(draw: Draw) -> SongSpec:
    tonic = draw.one("C", "D", "E", "F", "G", "A", "Bb")
    scale = draw.one("minor", "mixolydian", "major")
    low = draw.one("x.....x..x..|x..x..x.....", "x..x..x..x..", "x.....x.x...|x..x..x..x..")
    ring = {
        "log drum": "..x.x..x..x.|.xx..x.x..x.", "conga": "x..o..x.oo..|x..o.xx..o.o", "conga high": ".o..x..o..xo",
        "agogo": "x.x.xx.x.x.x", "shaker": "xooxooxooxoo", "bongo": "..x..xx..x.x", "slap": "...x.....x.x",
        "wood": "x.x.xx.x.x.x",
    }  # fmt: skip
    chosen = draw.some(3 + draw.energy, tuple(ring))
    kit = drums(draw, {draw.one("djembe", "dum"): low}, "IABC") + drums(
        draw, {name: ring[name] for name in chosen}, "ABC"
    )
    first, second = draw.some(2, ("kalimba", "marimba", "harp", "nylon"))
    runs = ("0.2.3.1.2.4.|0.3.2.4.3.1.", "0231.423.120|1342.310.242", "0.20.31.20.4", "02.13.24.13.|01.23.12.34.")
    tune = (motif(draw, 12, 3, 0.45, 0.7), motif(draw, 12, 3, 0.45, 0.7))
    parts = [
        *kit,
        part(draw, "arp", first, draw.one(*runs), "IABC", db=1, centre=64),
        part(draw, "arp", second, draw.one(*runs), "B", db=-2, centre=66),
        part(
            draw,
            "bass",
            draw.one("marimba", "upright"),
            draw.one("r-..r-..5-..|r-..8-..5-r-", "r--..r5--..5"),
            "AB",
            centre=41,
        ),
        part(draw, "melody", draw.one("kalimba", "flute", "choir"), tune, draw.one("B", "AB"), send=0.3, centre=76),
    ]
    progressions = harmony(draw, tonic, scale, "triads", BARS, 1)
    return plan(draw, draw.tempo(92, 132), tonic, _five(scale), progressions, parts, steps_per_beat=3, reverb_s=1.0)


def _five(scale: str) -> str:
    """Melodies keep to five notes."""
    return "minor pentatonic" if scale == "minor" else "pentatonic"


def _caravan(draw: Draw) -> SongSpec:
    tonic = draw.one("D", "E", "A", "G", "C")
    two, four, seven = _above(tonic, 1, 5, 10)
    rounds = draw.some(3, (
        f"{tonic}|{two}|{tonic}|{seven}m", f"{tonic}|{tonic}|{four}m|{tonic}", f"{four}m|{four}m|{tonic}|{two}",
        f"{tonic}|{seven}m|{two}|{tonic}", f"{tonic}5|{two}|{seven}m|{tonic}",
    ))  # fmt: skip
    progressions = {k: stretched(rounds[i], BARS[k]) for k, i in (("I", 0), ("A", 0), ("B", 1), ("C", 2))}
    beats = draw.one(
        ("x.....x.x.......", "..x.x...o.x.xo.o"),
        ("x...x...x.......", "......x.....x.x."),
        ("x.x.....x.......", "....x.x.....x.xx"),
    )
    lead, answer = draw.some(2, ("oud", "flute", "fiddle", "clarinet"))
    density = 0.42 + 0.08 * draw.energy
    parts = [
        part(
            draw, "bass", "oud", draw.one("r-....r-..r-..5.", "r-..r-..r-5-8-5-", "r-------r-----5-"), "IABC", centre=38
        ),
        part(
            draw,
            "melody",
            lead,
            (motif(draw, 16, 4, density, 0.6), motif(draw, 16, 4, density, 0.6)),
            "AC",
            db=1,
            centre=66,
        ),
        part(
            draw,
            "melody",
            answer,
            (motif(draw, 16, 4, density, 0.6), motif(draw, 16, 4, density, 0.6)),
            "B",
            centre=74,
            send=0.4,
        ),
        part(draw, "chords", draw.one("pad", "strings"), _HELD, "IABC", db=-9, centre=50, send=0.3),
        *drums(draw, {"dum": beats[0], "tak": beats[1]}, "ABC" if draw.energy else "AB", db=1),
    ]
    if draw.energy:
        parts += drums(draw, {draw.one("tambourine", "triangle", "shaker"): "x.x.x.x.x.x.x.x."}, "AB")
    return plan(draw, draw.tempo(78, 124), tonic, "hijaz", progressions, parts, reverb_s=1.6, human_s=0.007)


def _raga(draw: Draw) -> SongSpec:
    tonic, scale = draw.one("C", "D", "Db", "E"), draw.one("lydian", "mixolydian", "hijaz", "dorian", "minor")
    drone = f"{tonic}5"
    progressions = {k: stretched(drone, n) for k, n in BARS.items()}
    tabla = {
        "tabla": draw.one("x.xox.x.x.xox.xo", "x..xx.x.x..xx.xx", "x.xxo.x.xoxxo.x."),
        "bongo": draw.one("..x...xo..x...xo", "...x..x....x.x.."),
        "dum": draw.one("x.......x.......", "x.......x.x.....", "x..........x...."),
    }  # fmt: skip
    density = 0.4 + 0.1 * draw.energy
    solo = (motif(draw, 16, 4, density, 0.6), motif(draw, 16, 4, density, 0.6))
    parts = [
        part(
            draw, "arp", "sitar", draw.one("0...1...2...1...", "0.....1.2.....1."), "IABC", db=-4, centre=48, send=0.35
        ),
        part(draw, "chords", draw.one("organ", "accordion", "strings"), _HELD, "IABC", db=-9, centre=50),
        part(draw, "melody", "sitar", solo, "AC", db=1, centre=64, send=0.3),
        part(draw, "melody", draw.one("flute", "fiddle", "sitar"), solo[::-1], "B", centre=71, send=0.35),
        *drums(draw, tabla, "AB" if draw.energy < 2 else "ABC"),
    ]
    return plan(draw, draw.tempo(66, 118), tonic, scale, progressions, parts, reverb_s=1.7, human_s=0.007)


def latin(draw: Draw) -> SongSpec:
    """Bossa nova, salsa, samba or tango."""
    return draw.one(_bossa, _salsa, _samba, _tango)(draw)


def _syncopated(draw: Draw, density: float = 0.36) -> tuple[str, str]:
    return motif(draw, 16, 4, density, 0.75), motif(draw, 16, 4, density, 0.75)


def _bossa(draw: Draw) -> SongSpec:
    tonic, scale = draw.one(*TONICS), draw.one("major", "major", "minor")
    comp = draw.one("x..x..x...x..x..|..x..x..x..x..x.", "x--x--x---x--x--", "x..x--..x..x--..")
    parts = [
        part(draw, "chords", draw.one("nylon", "nylon", "rhodes"), comp, "IABC", db=2, centre=62, strum_s=0.006),
        part(draw, "bass", "upright", draw.one("r-....5-r-....5-", "r-....r-5-....5-"), "ABC", centre=40, send=0.05),
        part(
            draw,
            "melody",
            draw.one("flute", "vibraphone", "marimba", "trumpet", "clarinet"),
            _syncopated(draw),
            "AB",
            send=0.3,
        ),
        *drums(draw, {"rim": "x..x..x...x..x..", draw.one("shaker", "cabasa"): "xoXoxoXoxoXoxoXo"}, "AB"),
        *drums(draw, {draw.one("surdo", "soft kick"): "o...o.o.o...o.o."}, "ABC", db=-3),
    ]
    progressions = harmony(draw, tonic, scale, "ninths", BARS, 1, pools(scale, jazzy=True))
    return plan(draw, draw.tempo(104, 148), tonic, scale, progressions, parts, reverb_s=1.2)


def _salsa(draw: Draw) -> SongSpec:
    tonic, scale = draw.one(*TONICS), draw.one("minor", "dorian", "major")
    montuno = draw.one("x.xx.xx.x.xx.xx.", "x..xx.x.x.x.x.x.|.x.xx.x.x.x.x.x.", "0.21.320.21.3201", "1.30.213.30.2130")
    role = "arp" if montuno[0] in "01" else "chords"
    kit = {
        "clave": "x..x..x...x.x...", "conga": "..o.x.xx..o.x.xx", "cowbell": "x.xxx.x.x.xxx.x.",
        "timbale": "..............xx", "cabasa": "x.x.x.x.x.x.x.x.", "bongo": "x.oxx.o.x.oxx.o.",
    }  # fmt: skip
    names = ["clave", "conga", *draw.some(1 + draw.energy, ("cowbell", "timbale", "cabasa", "bongo"))]
    parts = [
        part(draw, role, "piano", montuno, "IABC", db=1, centre=66),
        part(
            draw, "bass", draw.one("upright", "fretless"), "...r--5-....8---|...r--5-....n---", "ABC", db=1, centre=38
        ),
        part(
            draw,
            "melody",
            draw.one("trumpet", "trumpet", "flute", "vibraphone"),
            _syncopated(draw, 0.4),
            "AB",
            db=1,
            send=0.25,
        ),
        *drums(draw, {name: kit[name] for name in names}, "ABC", db=2),
        *drums(draw, {"soft kick": "......x.......x."}, "B"),
    ]
    if draw.chance(0.6):
        hits = draw.one("......x-x-......", "x-....x-........|......x-x-..x-..")
        parts.append(part(draw, "chords", "trumpet", hits, "BC", db=-2, centre=68))
    progressions = harmony(draw, tonic, scale, "sevenths", BARS, draw.one(1, 2))
    return plan(draw, draw.tempo(88, 116), tonic, scale, progressions, parts, reverb_s=1.1, human_s=0.006)


def _samba(draw: Draw) -> SongSpec:
    tonic, scale = draw.one(*TONICS), draw.one("major", "major", "minor")
    kit = {
        "surdo": "o...X...o...X...", "tambourine": "x.ox.ox.x.ox.ox.", "agogo": "..x.x.x...x.xx.x",
        "shaker": "XooxXooxXooxXoox",
        "snare": "o.oxo.oxo.oxo.ox", "triangle": "x.x.x.x.x.x.x.x.",
    }  # fmt: skip
    names = ["surdo", "tambourine", *draw.some(1 + draw.energy, ("agogo", "shaker", "snare", "triangle"))]
    parts = [
        part(
            draw,
            "chords",
            "nylon",
            draw.one("x.x..x.x.x..x.x.", ".xx..x.x..x.x..x"),
            "IABC",
            db=2,
            centre=64,
            strum_s=0.005,
        ),
        part(
            draw,
            "bass",
            draw.one("upright", "fretless"),
            draw.one("r--5r--5r--5r--n", "r-.rr-.r5-.55-.n"),
            "AB",
            centre=40,
        ),
        part(
            draw,
            "melody",
            draw.one("flute", "accordion", "trumpet", "marimba"),
            _syncopated(draw, 0.45),
            "AB",
            send=0.25,
        ),
        part(draw, "arp", draw.one("nylon", "banjo", "marimba"), figure(draw, 16, 1), "B", db=-5, centre=70),
        *drums(draw, {name: kit[name] for name in names}, "ABC"),
    ]
    progressions = harmony(draw, tonic, scale, "sevenths", BARS, 1, pools(scale, jazzy=True))
    return plan(draw, draw.tempo(92, 116), tonic, scale, progressions, parts, reverb_s=1.0)


def _tango(draw: Draw) -> SongSpec:
    tonic = draw.one(*TONICS)
    accents = draw.one("X...x...x...x.x.", "X.....x.X...x...", "X..x..x.X...x.x.")
    low = draw.one("r-..5-..r-..5-n-", "r--r..5-r--r..5-", "r-....r-5-......")
    parts = [
        part(draw, "chords", draw.one("accordion", "piano"), accents, "IABC", centre=60),
        part(draw, "chords", "strings", draw.one(accents, _HELD), "BC", db=-4, centre=64, send=0.3),
        part(draw, "bass", draw.one("upright", "piano"), low, "IABC", db=1, centre=38),
        part(draw, "melody", draw.one("fiddle", "accordion"), _syncopated(draw, 0.32), "A", db=1, send=0.3),
        part(
            draw, "melody", draw.one("accordion", "clarinet", "fiddle"), _syncopated(draw, 0.32), "BC", db=1, send=0.3
        ),
    ]
    if draw.energy:
        parts += drums(draw, {draw.one("stick", "rim", "tambourine"): "x..x..x.x..x..x."}, "AB")
    progressions = harmony(draw, tonic, "harmonic minor", "triads", BARS, 1)
    return plan(draw, draw.tempo(104, 132), tonic, "harmonic minor", progressions, parts, reverb_s=1.5, human_s=0.007)
