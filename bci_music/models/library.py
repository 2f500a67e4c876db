"""The format of a pack's music library: clips, what they mean, and the songs they are from; read and written here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from bci_music.config import Config
from bci_music.files import read_array, read_json, shown
from bci_music.messages import EMBEDDING_DIM, UserError

INDEX, EMBEDDINGS, PROTOTYPES = "index.json", "embeddings.npy", "prototypes.npy"


@dataclass(frozen=True)
class Clip:
    """One sound file of the library; `rows` are its rows in the table of embeddings."""

    path: Path
    song: int
    song_start_s: float
    rows: tuple[int, int]


class _Entry(Config):
    """A song or clip of `index.json`; other programs may note more of it."""

    model_config = ConfigDict(extra="allow")


class _SongEntry(_Entry):
    id: str
    title: str
    genre: str = ""
    bpm: float | None = Field(None, ge=20, le=400)


class _ClipEntry(_Entry):
    file: str = Field(pattern=r"^[^./\\][^/\\]*$")  # beside the index, and nowhere else
    song: str
    song_start_s: float = 0.0
    rows: tuple[int, int]


class _Index(_Entry):
    songs: tuple[_SongEntry, ...]
    clips: tuple[_ClipEntry, ...]


@dataclass(frozen=True)
class MusicLibrary:
    """Songs, their clips and what the clips mean.

    Attributes
    ----------
    songs : tuple of dict
        id, title, genre, bpm, mood.
    clips : tuple of Clip
    embeddings : (n_rows, 512) float32
        One unit vector per 4 s window of each clip.
    prototypes : (n_songs, 512) float32
        One unit vector per song.
    """

    songs: tuple[dict[str, Any], ...]
    clips: tuple[Clip, ...]
    embeddings: NDArray[np.float32]
    prototypes: NDArray[np.float32]

    @classmethod
    def load(cls, directory: str | Path) -> MusicLibrary:
        """Read `index.json`, `embeddings.npy` and `prototypes.npy` of a pack's library; clips are read when played."""
        directory, again = Path(directory), "install the pack again"
        values = read_json(directory / INDEX, again)
        index = _Index.parse(values, str(directory / INDEX))
        embeddings = read_array(directory / EMBEDDINGS, (None, EMBEDDING_DIM), again)
        prototypes = read_array(directory / PROTOTYPES, (len(index.songs), EMBEDDING_DIM), again)
        numbers = {song.id: number for number, song in enumerate(index.songs)}
        if unknown := next((clip.song for clip in index.clips if clip.song not in numbers), None):
            raise UserError(f"The music library {directory} has clips of {shown(unknown)!r}, no song of it: {again}.")
        clips = tuple(Clip(directory / c.file, numbers[c.song], c.song_start_s, c.rows) for c in index.clips)
        library = cls(tuple(values["songs"]), clips, embeddings, prototypes)
        library._check(directory)
        return library

    def _check(self, directory: Path) -> None:
        if not self.clips:
            raise UserError(f"The music library {directory} has no clips: build it again.")
        if any(not 0 <= a < b <= len(self.embeddings) for a, b in (clip.rows for clip in self.clips)):
            raise UserError(f"The music library {directory} names embeddings it does not hold: build it again.")
        if missing := [clip.path.name for clip in self.clips if not clip.path.is_file()]:
            raise UserError(f"The music library {directory} has no {shown(missing[0])}: install the pack again.")

    def nearest_song(self, vector: NDArray[np.float32]) -> dict[str, Any]:
        """The song whose prototype is nearest to a (512,) vector."""
        return self.songs[int((self.prototypes @ vector).argmax())]

    def clip_means(self) -> NDArray[np.float32]:
        """Mean direction of each clip, (n_clips, 512) unit."""
        means = np.stack([self.embeddings[a:b].mean(axis=0) for a, b in (clip.rows for clip in self.clips)])
        return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)


def write_library_tables(
    directory: Path, embedder_sha: str, songs: Sequence[dict[str, Any]], clips: Sequence[dict[str, Any]],
    embeddings: Sequence[NDArray[np.float32]], prototypes: NDArray[np.float32],
) -> None:
    """Write the index and both tables beside the clips.

    Parameters
    ----------
    songs : sequence of dict
        id, title, genre, and where they are known bpm and mood.
    clips : sequence of dict
        file, song (an id), song_start_s, rows (first and last + 1 in the table of embeddings).
    embeddings : sequence of (n, 512) arrays
        One table per clip.
    prototypes : (n_songs, 512) array
    """
    index = {"format": 1, "embedder": embedder_sha, "songs": list(songs), "clips": list(clips)}
    (directory / INDEX).write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    np.save(directory / EMBEDDINGS, np.concatenate(embeddings))
    np.save(directory / PROTOTYPES, prototypes)
