"""Seven songs on strings, wood and bronze."""

from bci_music.simulate.score import Part, SongSpec

PAPER_BIRDS = SongSpec(
    "paper-birds", "Paper Birds", "folk", "bright, light-footed", 104, "G", "major",
    {"I": "G|Em7|Cadd9|D", "A": "G|D/F#|Em7|Cadd9|G|D/F#|Cadd9|D", "B": "Em7|Cadd9|G|D|Em7|Cadd9|Am7|D7sus4",
     "C": "Cadd9|G/B|Am7|D"},
    "IAABACB",
    (
        Part("arp", "steel", "0.3.1.3.2.3.1.3.", -6, -0.25, 0.18, "IAC", 57),
        Part("arp", "steel", "0.231.3.2.341.3.", -6, -0.25, 0.18, "B", 59),
        Part("chords", "nylon", "x---..x-x---..x-", -13, 0.35, 0.15, "B", 62, strum_s=0.018),
        Part("bass", "upright", "r-------5-----n-", -11, 0.0, 0.06, "ABC", 40),
        Part("melody", "flute", ("..x-x-x---x-x---|x---x-x-x-------", "x-x-x-x---x-x-x-|x-----x-x-------"), -13, 0.15, 0.35,
             "AB", 76),
        Part("drums", "shaker", "x.oox.oox.oox.oo", -27, 0.4, 0.1, "AB"),
        Part("drums", "soft kick", "x.......x.......", -15, 0, 0.05, "B"),
        Part("drums", "rim", "....x.......x...", -26, -0.2, 0.2, "B"),
    ), 11, reverb_s=1.3)

LANTERN = SongSpec(
    "lantern", "Lantern", "classical", "inward, candle-lit", 76, "A", "minor",
    {"I": "Am|F", "A": "Am|F|C|G/B|Am|Dm|E7|Am", "B": "F|C/E|Dm|Am/C|Bb|F/A|E7sus4|E7", "C": "Am|Am/G|F|E7"},
    "IABCAB",
    (
        Part("arp", "piano", "0.1.2.3.2.1.2.1.", -11, -0.12, 0.25, "IA", 55),
        Part("arp", "piano", "0.2.4.3.5.4.3.2.", -11, -0.12, 0.25, "B", 55),
        Part("chords", "piano", "x-------x-------", -13, -0.1, 0.3, "C", 57, strum_s=0.03),
        Part("bass", "piano", "r---------------", -11, -0.15, 0.2, "ABC", 41),
        Part("melody", "piano", ("....x---x-x-x---|x-----x-x-------", "x---x-x-x---x-x-|x-x-x---x-------"), -8, 0.15, 0.3,
             "AB", 76),
    ), 13, bars={"I": 2, "A": 8, "B": 8, "C": 4}, reverb_s=2.0, human_s=0.009)

ASH_WALTZ = SongSpec(
    "ash-waltz", "Ash Waltz", "classical", "turning, wistful", 156, "C", "harmonic minor",
    {"I": "Cm|Cm|Fm|G7", "A": "Cm|Cm|Fm|Fm|G7|G7|Cm|G7|Cm|C7|Fm|Fm|Cm/G|G7|Cm|Cm",
     "B": "Ab|Ab|Eb|Eb|Fm|Cm|G7|G7|Ab|Ab|Eb|Eb|Fm|G7|Cm|Cm", "C": "Cm|Ab|Fm|G7|Cm|Ab|G7|G7"},
    "IABCAB",
    (
        Part("bass", "strings", "r---........", -9, -0.2, 0.25, "IABC", 39),
        Part("chords", "strings", "....x-..x-..", -19, 0.3, 0.25, "IAB", 60),
        Part("chords", "strings", "x-----------", -20, 0.3, 0.35, "C", 62),
        Part("melody", "strings", ("x-----x-x---|x-------x---", "x---x---x---|x-----x-x-x-"), -10, 0.1, 0.3, "A", 74),
        Part("melody", "flute", ("x-------x-x-|x---x---x---", "x-x-x-x-x---|x-------x---"), -10, 0.2, 0.35, "BC", 79),
        Part("arp", "piano", "0.2.3.4.3.2.", -17, -0.35, 0.3, "B", 67),
    ), 17, beats_per_bar=3, bars={"I": 4, "A": 16, "B": 16, "C": 8}, reverb_s=2.0, human_s=0.007)

SALT_ROAD = SongSpec(
    "salt-road", "Salt Road", "folk", "dry, walking", 92, "D", "hijaz",
    {"I": "D5|D5", "A": "D|Eb|D|Cm|D|Eb|Cm|D", "B": "Gm|Gm|D|D|Cm|Eb|D|D", "C": "D5|Cm|Eb|D5"},
    "IABACB",
    (
        Part("bass", "oud", "r-....r-..r-..5.", -7, 0.0, 0.12, "IABC", 38),
        Part("chords", "pad", "x---------------", -25, 0.0, 0.3, "IABC", 50),
        Part("melody", "oud", ("x.x-xxx-x-x-x---|x-xxx-x-x-------", "x-x-xxxxx-x-xxx-|x---x-x-x-------"), -4, 0.15, 0.22,
             "AC", 64),
        Part("melody", "flute", ("x-----x-xxx-x---|x---x-xxx-------", "xxx-x---xxx-x---|x-x-x-x-x-------"), -11, -0.2, 0.4,
             "B", 74),
        Part("drums", "dum", "x.....x.x.......", -10, 0.05, 0.12, "ABC"),
        Part("drums", "tak", "..x.x...o.x.xo.o", -19, -0.3, 0.2, "AB", fill="..x.x.xxo.xxxoxx"),
        Part("drums", "triangle", "x...............", -30, 0.5, 0.4, "B"),
    ), 19, reverb_s=1.6, human_s=0.007)

HOLLOW_DRUM = SongSpec(
    "hollow-drum", "Hollow Drum", "world", "earthy, dancing", 116, "E", "minor pentatonic",
    {"I": "Em7|Em7", "A": "Em7|Em7|A|Em7", "B": "G|D|A|Em7", "C": "Em7|D"},
    "IABACB",
    (
        Part("drums", "dum", "x.....x..x..|x..x..x.....", -8, -0.1, 0.1, "IABC"),
        Part("drums", "log drum", "..x.x..x..x.|.xx..x.x..x.", -13, 0.3, 0.15, "ABC"),
        Part("drums", "conga", "x..o..x.oo..|x..o.xx..o.o", -14, -0.4, 0.12, "AB", fill="x.ox.ox.oxox"),
        Part("drums", "conga high", ".o..x..o..xo", -17, -0.35, 0.12, "AB"),
        Part("drums", "agogo", "x.x.xx.x.x.x", -26, 0.5, 0.15, "B"),
        Part("drums", "shaker", "xooxooxooxoo", -26, 0.45, 0.05, "ABC"),
        Part("arp", "kalimba", "0.2.3.1.2.4.|0.3.2.4.3.1.", -13, 0.2, 0.25, "IAC", 64),
        Part("arp", "marimba", "0231.423.120|1342.310.242", -14, -0.2, 0.2, "B", 64),
        Part("bass", "marimba", "r-..r-..5-..|r-..8-..5-r-", -8, 0.0, 0.1, "AB", 41),
        Part("melody", "kalimba", ("x-.x-.x.xx-.|x-.x-.x-----", "xxx.x-x.x-x.|x-.xx-x-----"), -11, 0.1, 0.3, "B", 76),
    ), 23, steps_per_beat=3, bars={"I": 4, "A": 8, "B": 8, "C": 4}, reverb_s=1.0)

RAIN_TEMPLE = SongSpec(
    "rain-temple", "Rain Temple", "world", "still, bronze", 63, "C#", "pelog",
    {"I": "C#5|C#5", "A": "C#5|C#5|A|G#5", "B": "F#m|C#5|A|G#5", "C": "C#5|A"},
    "IABACB",
    (
        Part("bass", "gong", "r---------------", -9, 0.0, 0.4, "IAB", 37),
        Part("chords", "pad", "x---------------", -24, 0.0, 0.5, "ABC", 56),
        Part("melody", "metallophone", ("x---x---x---x---|x---x---x---x---", "x-x-x---x---x---|x---x---x-x-x---"), -11, -0.25,
             0.4, "IABC", 66),
        Part("melody", "metallophone", ("x.xxx.x.x.xxx.x.|xxx.x.xxx.x.xxx.", "x.x.xxx.x.xxx.x.|x.xxx.x.xxxxx.x."), -17, 0.35,
             0.4, "AB", 82),
        Part("melody", "flute", ("........x-------|x---x-----------", "x-------x---x---|x---------------"), -14, 0.1, 0.5,
             "B", 73),
        Part("drums", "wood", "x...............|x.......x.......", -24, 0.5, 0.5, "BC"),
    ), 29, bars={"I": 2, "A": 4, "B": 4, "C": 2}, reverb_s=3.0, human_s=0.008)

GLASS_SAMBA = SongSpec(
    "glass-samba", "Glass Samba", "latin", "sunny, swaying", 108, "D", "major",
    {"I": "Dmaj9|Gmaj7|Em7|A13", "A": "Dmaj9|Bm7|Em7|A13|F#m7|Bm7|Em7|A13",
     "B": "Gmaj7|Gm6|F#m7|Bm7|Em7|A13|Dmaj9|D9", "C": "Em7|A13|Em7|A13"},
    "IABACB",
    (
        Part("chords", "nylon", "x..x..x...x..x..|..x..x..x..x..x.", -12, -0.3, 0.12, "IABC", 62, strum_s=0.006),
        Part("bass", "upright", "r-....5-r-....5-", -9, 0.0, 0.05, "ABC", 40),
        Part("melody", "marimba", ("..x.x-x..x.x-.x.|x-.x.x-.x-------", "x-.x.x-.x.x-x.x.|..x-x.x.x-------"), -9, 0.2, 0.25,
             "A", 77),
        Part("melody", "vibraphone", ("x---..x-x-.x-.x-|x-----x-x-------", "x-.x-.x-x---x---|x-.x-.x-x-------"), -11, 0.25,
             0.3, "BC", 74),
        Part("drums", "surdo", "o.......X.......", -11, 0.0, 0.06, "ABC"),
        Part("drums", "rim", "x..x...x..x.x...", -24, 0.25, 0.15, "AB"),
        Part("drums", "shaker", "xoXoxoXoxoXoxoXo", -25, -0.45, 0.06, "ABC"),
        Part("drums", "agogo", "..x...x...x.x...", -29, 0.5, 0.2, "B"),
    ), 31, reverb_s=1.2)
