"""The plan of a drawn song: its chords section by section, and the specification it ends in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bci_music.compose.score import Part, SongSpec
from bci_music.compose.songwriting import Draw, spell, stretched

BARS = {"I": 4, "A": 8, "B": 8, "C": 4}
SHORT_BARS = {"I": 2, "A": 4, "B": 4, "C": 2}

MAJOR = (
    "I V vi IV", "I vi IV V", "vi IV I V", "I IV vi V", "I iii IV V", "I IV I V", "IV V iii vi", "ii V I vi",
    "I ii IV V", "IV I V vi", "I V/VII vi IV", "I iii vi IV", "I IV ii V", "vi V IV V", "I I/III IV V",
)  # fmt: skip
MINOR = (
    "i VI III VII", "i iv VII III", "i VII VI VII", "i iv i v", "i VI iv v", "i III VII iv", "i v VI VII",
    "i VI VII i", "i VII iv VI", "VI VII i i", "i iv VI v", "i VII/II III VI", "i III iv VI", "iv VI i VII",
)  # fmt: skip
DORIAN = ("i IV i IV", "i IV VII i", "i ii i IV", "i VII IV i", "i III IV i", "i IV v i", "i ii III IV")
MIXOLYDIAN = ("I VII IV I", "I v IV I", "I IV VII IV", "I VII I IV", "I v VII IV", "VII IV I I", "I IV v VII")
LYDIAN = ("I II I II", "I II vi I", "I II iii II", "I vii I II", "I V II I", "I iii II V")
JAZZ = (
    "ii V I vi", "I vi ii V", "iii vi ii V", "IV iii ii V", "ii V iii vi", "I IV iii vi", "IV iv I vi",
    "I bVII7 IV iv", "IV V7sus4 I vi", "vi ii V I", "I ii iii IV",
)  # fmt: skip
DARK_JAZZ = ("i iv VII III", "ii V7 i i", "i VI ii V7", "iv VII III VI", "i iv V7 i", "VI V7 i iv", "i v iv V7")
CADENCES = ("I IV V I", "I vi ii V", "I V vi iii", "IV I IV V", "I ii V I", "vi ii V I", "I/III IV V I", "I V/VII I V")
DARK_CADENCES = ("i iv V i", "i VI iv V", "i V i iv", "VI III iv V", "i iv/VI V i", "i VII/II III V", "iv i ii V")
_FORMS = ("IABACB", "IAABCAB", "IABCAB", "IABABC", "IABBCA")


def pools(scale: str, jazzy: bool = False) -> Sequence[str]:
    """Progressions that suit a scale."""
    if jazzy:
        return JAZZ if scale in ("major", "lydian", "mixolydian") else DARK_JAZZ
    return {
        "major": MAJOR, "minor": MINOR, "dorian": DORIAN, "mixolydian": MIXOLYDIAN, "lydian": LYDIAN,
        "harmonic minor": DARK_CADENCES,
    }[scale]  # fmt: skip


def harmony(
    draw: Draw, tonic: str, scale: str, colour: str, bars: dict[str, int], each: int = 1,
    pool: Sequence[str] | None = None,
) -> dict[str, str]:  # fmt: skip
    """Chords of every section: two progressions that differ, an intro from the first, a bridge from either."""
    first, second = draw.some(2, pool or pools(scale))
    a, b = spell(first, tonic, scale, colour), spell(second, tonic, scale, colour)
    bridge = draw.one(b, a, "|".join(reversed(b.split("|"))))
    chords = {"I": a, "A": a, "B": b, "C": bridge}
    return {letter: stretched(chords[letter], bars[letter], each) for letter in chords}


def plan(
    draw: Draw, bpm: float, tonic: str, scale: str, progressions: dict[str, str], parts: Sequence[Part], **more: Any
) -> SongSpec:
    """A specification that only lacks its name, genre, mood and seed."""
    return SongSpec("", "", "", "", bpm, tonic, scale, progressions, draw.one(*_FORMS), tuple(parts), 0, **more)
