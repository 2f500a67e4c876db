"""Any number of songs of ten genres, each drawn from its seed: what the music models learn from."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bci_music.compose.genres import calm as book_calm
from bci_music.compose.genres import loud as book_loud
from bci_music.compose.genres import roots as book_roots
from bci_music.compose.genres import world as book_world
from bci_music.compose.score import SongSpec
from bci_music.compose.songwriting import Draw
from bci_music.messages import UserError

_WRITERS: dict[str, Callable[[Draw], SongSpec]] = {
    "ambient": book_calm.ambient, "blues": book_roots.blues, "classical": book_calm.classical,
    "electronic": book_loud.electronic, "folk": book_roots.folk, "latin": book_world.latin, "lo-fi": book_calm.lo_fi,
    "rock": book_loud.rock, "synthwave": book_loud.synthwave, "world": book_world.world,
}  # fmt: skip
GENRES: tuple[str, ...] = tuple(_WRITERS)
TRAINING_SEEDS = range(100_000)
VALIDATION_SEEDS = range(100_000, 1_000_000)
TEST_SEEDS = range(1_000_000, 10_000_000)  # never in training

BRIGHT = frozenset({"major", "lydian", "mixolydian", "pentatonic"})  # other scales sound dark
MOODS: dict[tuple[bool, int], tuple[str, ...]] = {  # (bright, energy)
    (True, 0): ("peaceful", "tender", "dreamy", "warm", "gentle"),
    (True, 1): ("cheerful", "hopeful", "sunny", "playful", "easy-going"),
    (True, 2): ("joyful", "euphoric", "triumphant", "lively", "exuberant"),
    (False, 0): ("melancholy", "lonely", "brooding", "mournful", "mysterious"),
    (False, 1): ("wistful", "bittersweet", "restless", "nocturnal", "moody"),
    (False, 2): ("driving", "tense", "fierce", "stormy", "urgent"),
}
_FIRST = (
    "Amber", "Blue", "Broken", "Copper", "Distant", "Early", "Empty", "Faded", "First", "Glass", "Golden", "Hidden",
    "Hollow", "Iron", "Last", "Late", "Little", "Long", "Lost", "Low", "Northern", "Open", "Pale", "Paper", "Quiet",
    "Red", "Secret", "Silver", "Slow", "Soft", "Southern", "Velvet", "White", "Wild", "Winter", "Yellow",
)  # fmt: skip
_SECOND = (
    "Avenue", "Bird", "Bridge", "Candle", "Coast", "Door", "Engine", "Field", "Fire", "Garden", "Harbour", "Hill",
    "House", "Island", "Lake", "Lantern", "Letter", "Light", "Machine", "Market", "Meadow", "Mirror", "Moon", "Morning",
    "Mountain", "Night", "Rain", "River", "Road", "Room", "Sea", "Shadow", "Sky", "Station", "Street", "Summer", "Tide",
    "Tower", "Train", "Tree", "Valley", "Window",
)  # fmt: skip


def new_song(genre: str, seed: int) -> SongSpec:
    """Draw one song.

    Parameters
    ----------
    genre : str
        One of `GENRES`.
    seed : int
        `TRAINING_SEEDS`, `VALIDATION_SEEDS` or `TEST_SEEDS` hold it; another seed is another song.

    Returns
    -------
    SongSpec
        The same for the same arguments.
    """
    if genre not in _WRITERS:
        raise UserError(f"There is no genre {genre!r}: choose one of {', '.join(GENRES)}.")
    rng = np.random.default_rng([zlib.crc32(genre.encode()), seed])
    draw = Draw(rng)
    spec = _WRITERS[genre](draw)
    mood = draw.one(*MOODS[spec.scale in BRIGHT, draw.energy])
    title = f"{draw.one(*_FIRST)} {draw.one(*_SECOND)}"
    return replace(spec, id=f"{genre}-{seed}", title=title, genre=genre, mood=mood, seed=int(rng.integers(2**31)))
