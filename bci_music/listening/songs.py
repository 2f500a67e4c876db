"""The music of a calibration: excerpts of a pack's library or of one's own folder, and the sound of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bci_music.data.audio_map import audio_seconds
from bci_music.files import opening, shown
from bci_music.generation.library import read_sound
from bci_music.messages import AUDIO_RATE_HZ, UserError
from bci_music.sound.loudness import to_level

if TYPE_CHECKING:
    from bci_music.models.pack import Pack

KINDS = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff")
LEAST_S, MOST_S = 8.0, 60.0  # of one excerpt: two windows of a decoder, and no more than a minute at a time
LEAST_SONGS = 2  # with one song nothing tells an answer to music from a slow drift
MOST_SONGS = 60
LEVEL_DB = -20.0  # RMS, as a library plays
FADE_S = 0.02


@dataclass(frozen=True)
class Excerpt:
    """A stretch of a song that is heard without a break, from `start_s` of the song on; `path` holds its sound."""

    song: str
    title: str
    start_s: float
    seconds: float
    path: Path

    @property
    def stop_s(self) -> float:
        """Second of the song at its end."""
        return self.start_s + self.seconds


def of_pack(pack: Pack) -> list[Excerpt]:
    """All clips of a pack's library."""
    library = pack.open_library()
    return [
        Excerpt(
            str(library.songs[clip.song]["id"]), str(library.songs[clip.song]["title"]), clip.song_start_s,
            audio_seconds(clip.path), clip.path,
        )
        for clip in library.clips
    ]  # fmt: skip


def of_folder(folder: Path, minutes: float) -> list[Excerpt]:
    """Return the beginning of every audio file of a folder: as much of each as gives `minutes` together.

    Raises
    ------
    UserError
        If there are too few, or one cannot be read.
    """
    with opening(folder, "a folder of songs", "give --songs a folder of audio files"):
        paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in KINDS and not p.name.startswith("."))
    if not LEAST_SONGS <= len(paths) <= MOST_SONGS:
        raise UserError(
            f"{shown(folder)} holds {len(paths)} audio files ({', '.join(kind[1:] for kind in KINDS)}): a calibration "
            f"needs {LEAST_SONGS} to {MOST_SONGS} songs, better ten."
        )
    lengths = {path: audio_seconds(path) for path in paths}
    if short := next((path for path, seconds in lengths.items() if seconds < LEAST_S), None):
        raise UserError(
            f"{shown(short)} lasts {lengths[short]:.1f} s, and a song needs at least {LEAST_S:g} s: take it out of the "
            "folder, or give a longer one."
        )
    most = min(MOST_S, max(LEAST_S, 60.0 * minutes / len(paths)))
    names = [path.stem for path in paths]
    return [
        Excerpt(path.stem if names.count(path.stem) == 1 else path.name, path.stem, 0.0, min(most, seconds), path)
        for path, seconds in lengths.items()
    ]


def in_order(excerpts: Sequence[Excerpt], minutes: float, seed: int) -> list[Excerpt]:
    """Draw an order in which every song comes once before any comes again, as far as the minutes go."""
    rng = np.random.default_rng(seed)
    of_song: dict[str, list[Excerpt]] = defaultdict(list)
    for excerpt in excerpts:
        of_song[excerpt.song].append(excerpt)
    order, left_s = [], 60.0 * minutes
    for turn in range(max(map(len, of_song.values()), default=0)):
        songs = [own[turn] for own in of_song.values() if turn < len(own)]
        for number in rng.permutation(len(songs)):
            if songs[number].seconds <= left_s + 1e-6:
                order.append(songs[number])
                left_s -= songs[number].seconds
    return order


def sound_of(excerpt: Excerpt) -> NDArray[np.float32]:
    """(n, 2) float32 at 48 kHz as it is played: at one level, and without a click at either end."""
    samples = read_sound(excerpt.path, "audio", "give WAV, FLAC, OGG or MP3", excerpt.seconds)
    samples = to_level(samples, LEVEL_DB)
    fade = round(FADE_S * AUDIO_RATE_HZ)
    rise = (0.5 - 0.5 * np.cos(np.pi * np.arange(fade) / fade)).astype(np.float32)[:, None]
    samples[:fade] *= rise
    samples[-fade:] *= rise[::-1]
    return samples
