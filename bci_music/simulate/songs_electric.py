"""Seven songs on keys, synthesizers and amplified strings."""

from bci_music.simulate.score import Part, SongSpec

NIGHT_BUS = SongSpec(
    "night-bus", "Night Bus", "lo-fi", "late, drowsy", 78, "Eb", "major",
    {"I": "Fm9|Bb13|Ebmaj9|Cm9", "A": "Fm9|Bb13|Ebmaj9|Cm9", "B": "Abmaj9|Gm7|Fm9|Bb13", "C": "Abmaj9|Ebmaj9/G|Fm9|Bb13"},
    "IABACB",
    (
        Part("chords", "rhodes", "x-----..x---..x-|x-------..x-x---", -12, -0.15, 0.2, "IABC", 60, strum_s=0.012, duck=True),
        Part("bass", "sub_bass", "r-----..r-..5-n-", -9, 0.0, 0.0, "AB", 36),
        Part("melody", "vibraphone", ("....x-x.x-..x---|x-..x-..x-------", "x-..x-x.x---..x-|x-..x---x-------"), -12, 0.3, 0.35,
             "ABC", 74, echo=(0.75, 0.35)),
        Part("drums", "soft kick", "X..o....x.x.....|X......ox..x....", -7, 0.0, 0.02, "AB"),
        Part("drums", "snare", "....x.......x..o", -15, 0.05, 0.12, "AB", fill="....x...o.o.x.oo"),
        Part("drums", "hat", "x.o.x.o.x.o.x.oo", -27, 0.3, 0.05, "IAB"),
        Part("drums", "brush", "....o.......o...", -24, -0.3, 0.1, "C"),
    ), 41, swing=0.28, reverb_s=1.2, human_s=0.008)

LOW_TIDE = SongSpec(
    "low-tide", "Low Tide", "ambient", "wide, slow", 56, "D", "lydian",
    {"I": "Dmaj9|Dmaj9", "A": "Dmaj9|E/D|Bm9|A/C#", "B": "Gmaj7|Dmaj9/F#|Em9|Bm9", "C": "Dmaj9|E/D"},
    "IABACB",
    (
        Part("chords", "pad", "x-------x-------", -11, 0.0, 0.45, "IABC", 60),
        Part("chords", "strings", "x---------------", -17, 0.2, 0.5, "AB", 69),
        Part("bass", "sub_bass", "r-----------....", -14, 0.0, 0.05, "AB", 38),
        Part("melody", "bell", ("x---....x---....|....x---x-------", "x---x---....x---|x-------....x---"), -15, -0.2, 0.6,
             "IABC", 81, echo=(1.5, 0.4)),
        Part("arp", "kalimba", "..0...2...4...3.", -19, 0.4, 0.5, "B", 69),
        Part("drums", "surdo", "o...............", -16, 0.0, 0.3, "B"),
    ), 43, bars={"I": 2, "A": 4, "B": 4, "C": 2}, reverb_s=3.2, human_s=0.012)

NEON_TRAM = SongSpec(
    "neon-tram", "Neon Tram", "synthwave", "driving, neon", 112, "F#", "minor",
    {"I": "F#m|D|A|E", "A": "F#m|F#m|D|D|A|A|E|E", "B": "D|E|F#m|A|D|E|C#m|C#7", "C": "D|D|E|E"},
    "IABACB",
    (
        Part("bass", "synth_bass", "r.rrr.rrr.rrr.88", -9, 0.0, 0.03, "AB", 35, duck=True),
        Part("bass", "synth_bass", "r-------r-------", -11, 0.0, 0.05, "IC", 35),
        Part("chords", "pad", "x---------------", -17, 0.0, 0.3, "IABC", 61, duck=True),
        Part("arp", "stab", "0213021402130215", -20, 0.3, 0.25, "BC", 66, duck=True, echo=(0.75, 0.4)),
        Part("melody", "saw_lead", ("x-----x-x---x---|x---x-x-x-------", "x---x---x-x-x---|x-----x-x-------"), -13, 0.0, 0.3,
             "AB", 73, echo=(0.75, 0.3)),
        Part("drums", "kick", "X...x...X...x...", -8, 0.0, 0.02, "AB"),
        Part("drums", "big snare", "....X.......X...", -14, 0.0, 0.3, "AB", fill="....X...x.x.XxXx"),
        Part("drums", "hat", "x.x.x.x.x.x.x.x.", -28, 0.25, 0.05, "ABC"),
        Part("drums", "open hat", "..x...x...x...x.", -28, -0.25, 0.08, "B"),
    ), 47, reverb_s=1.8, human_s=0.002)

MORNING_LOOP = SongSpec(
    "morning-loop", "Morning Loop", "electronic", "awake, glad", 122, "A", "dorian",
    {"I": "Am9|D9", "A": "Am9|D9|Fmaj7|G6", "B": "Fmaj7|G6|Am9|Em7", "C": "Am9|D9"},
    "IAABCAB",
    (
        Part("drums", "thump", "X...X...X...X...", -7, 0.0, 0.0, "IAB"),
        Part("drums", "clap", "....x.......x...", -17, 0.0, 0.2, "AB", fill="....x.......x.xx"),
        Part("drums", "open hat", "..x...x...x...x.", -25, 0.2, 0.05, "AB"),
        Part("drums", "shaker", "xoxoxoxoxoxoxoxo", -28, -0.4, 0.05, "BC"),
        Part("chords", "organ", "..x...x..x....x.|..x..x....x..x..", -15, -0.15, 0.2, "IABC", 64, duck=True),
        Part("bass", "acid", "r..r..r...r..5n.", -11, 0.0, 0.02, "AB", 33, duck=True),
        Part("arp", "piano", "4.2.3.5.4.2.3.1.", -17, 0.3, 0.3, "BC", 69, echo=(0.75, 0.4)),
        Part("melody", "flute", ("x--x--x-....x-x-|x--x--x---------", "x-x-x--x-x-x-.x-|x--x--x---------"), -14, 0.1, 0.35,
             "B", 76),
    ), 53, bars={"I": 4, "A": 8, "B": 8, "C": 4}, reverb_s=1.5, human_s=0.002)

ORBIT_9 = SongSpec(
    "orbit-9", "Orbit 9", "electronic", "weightless, pulsing", 134, "C", "minor",
    {"I": "Cm|Cm", "A": "Cm|Cm|Cm|Cm|Ab|Ab|Bb|Bb", "B": "Cm|Eb|Ab|Bb", "C": "Fm|Fm|Gm|Gm"},
    "IABACB",
    (
        Part("drums", "kick", "X...X...X...X...", -8, 0.0, 0.0, "AB"),
        Part("drums", "hat", "..x...x...x...x.", -22, 0.15, 0.03, "IAB"),
        Part("drums", "hat", "xoooxoooxoooxooo", -30, -0.3, 0.03, "B"),
        Part("drums", "rim", "...x..x....x..x.", -24, 0.45, 0.3, "AB"),
        Part("drums", "clap", "....o.......o...", -21, 0.0, 0.25, "B"),
        Part("bass", "acid", "r.r8r.r5.rr.8.r3", -11, 0.05, 0.06, "IAB", 36, duck=True),
        Part("arp", "bell", "0..2..4..1..3..5|0..3..5..2..4..1", -19, 0.35, 0.5, "ABC", 72, echo=(0.75, 0.45)),
        Part("chords", "stab", "...x......x.....|...x..x.......x.", -17, -0.3, 0.4, "BC", 63, duck=True, echo=(1.5, 0.4)),
        Part("chords", "pad", "x---------------", -19, 0.0, 0.4, "BC", 60, duck=True),
    ), 59, bars={"I": 4, "A": 8, "B": 8, "C": 4}, reverb_s=2.2, human_s=0.001)

COPPER_SKY = SongSpec(
    "copper-sky", "Copper Sky", "rock", "open, defiant", 138, "E", "mixolydian",
    {"I": "E5|D5|A5|E5", "A": "E5|E5|D5|A5|E5|E5|D5|A5", "B": "C#m|A|E|B|C#m|A|D|B", "C": "A5|D5|A5|B5"},
    "IABACB",
    (
        Part("chords", "guitar", "X-xxX-x-X-xxX-x-", -15, -0.55, 0.1, "IA", 54),
        Part("chords", "guitar", "x-xxX-x-x-xxX-xx", -15, 0.55, 0.1, "A", 57),
        Part("chords", "guitar", "X---..X-X---X---", -14, -0.5, 0.15, "BC", 57),
        Part("chords", "guitar", "X---..X-X---X---", -14, 0.5, 0.15, "B", 61),
        Part("bass", "synth_bass", "r-r-r-r-r-r-r-r-", -10, 0.0, 0.02, "AB", 35),
        Part("melody", "guitar", ("x---x-x-x-----x-|x---x---x-------", "x-x-x---x-x-x---|x-----x-x-------"), -12, 0.05, 0.3,
             "BC", 71, echo=(0.75, 0.3)),
        Part("drums", "kick", "X.....x.X.x.....|X.....x.x.x...x.", -8, 0.0, 0.04, "AB"),
        Part("drums", "snare", "....X.......X...", -13, 0.0, 0.18, "AB", fill="....X...XxXxXXXX"),
        Part("drums", "tom", "X.x.X.x.X.x.X.x.", -13, -0.2, 0.15, "C", fill="X.x.X.x.XxXxXXXX"),
        Part("drums", "hat", "x.x.x.x.x.x.x.x.", -25, 0.3, 0.05, "A"),
        Part("drums", "ride", "x.x.x.x.x.x.x.x.", -27, 0.3, 0.08, "B"),
        Part("drums", "crash", "x...............|................|................|................", -22, -0.3, 0.2, "B"),
    ), 61, reverb_s=1.2, human_s=0.004)

CINDER_BLUES = SongSpec(
    "cinder-blues", "Cinder Blues", "blues", "smoky, patient", 92, "A", "blues",
    {"I": "A7|E7", "A": "A7|D7|A7|A7|D7|D7|A7|A7|E7|D7|A7|E7", "B": "D9|D9|A7|A7|D9|D9|A7|F7|E7|D9|A7|E7",
     "C": "A7|A7"},
    "IABCA",
    (
        Part("bass", "upright", "r-.3-.5-.6-.|8-.6-.5-.n-.", -8, 0.0, 0.05, "IABC", 36),
        Part("chords", "organ", "....x-.....x|....x--....x", -18, -0.3, 0.2, "AB", 62),
        Part("melody", "guitar", ("x--x-xx--...|..xx-xx--...", "x-xx-xx-xx--|x--.........") , -9, 0.2, 0.28, "A", 67),
        Part("melody", "piano", ("xxxx--..x...|x-xx-xx--...", "x-xx-x..xxxx|x-----......"), -10, 0.25, 0.22, "BC", 74),
        Part("drums", "ride", "x..x.xx..x.x", -26, 0.3, 0.08, "AB"),
        Part("drums", "brush", "...x.....x..", -17, -0.1, 0.12, "IABC", fill="...x.x.x.xxx"),
        Part("drums", "soft kick", "x.....x....o", -12, 0.0, 0.03, "AB"),
        Part("drums", "hat", "...x.....x..", -28, -0.3, 0.03, "IAB"),
    ), 67, steps_per_beat=3, bars={"I": 2, "A": 12, "B": 12, "C": 4}, reverb_s=1.1, human_s=0.008)
