"""The format of a pack's music library: clips, what they mean, and the songs they are from; read and written here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import EMBEDDING_DIM, UserError

INDEX, EMBEDDINGS, PROTOTYPES = "index.json", "embeddings.npy", "prototypes.npy"


@dataclass(frozen=True)
class Clip:
    """One sound file of the library; `rows` are its rows in the table of embeddings."""

    path: Path
    song: int
    song_start_s: float
    rows: tuple[int, int]


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
        directory = Path(directory)
        try:
            index = json.loads((directory / INDEX).read_text(encoding="utf-8"))
            embeddings = np.load(directory / EMBEDDINGS, allow_pickle=False)
            prototypes = np.load(directory / PROTOTYPES, allow_pickle=False)
            numbers = {song["id"]: number for number, song in enumerate(index["songs"])}
            clips = tuple(
                Clip(directory / c["file"], numbers[c["song"]], float(c.get("song_start_s", 0.0)), tuple(c["rows"]))
                for c in index["clips"]
            )
        except FileNotFoundError as error:
            name = Path(error.filename).name
            raise UserError(f"The music library {directory} has no {name}: install the pack again.") from None
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"The music library {directory} is damaged ({error}): install the pack again.") from error
        library = cls(tuple(index["songs"]), clips, embeddings.astype(np.float32), prototypes.astype(np.float32))
        library._check(directory)
        return library

    def _check(self, directory: Path) -> None:
        shapes = (self.embeddings.shape[1:], self.prototypes.shape)
        if shapes != ((EMBEDDING_DIM,), (len(self.songs), EMBEDDING_DIM)) or not self.clips:
            raise UserError(f"The music library {directory} has no clips or tables of the wrong shape: build it again.")
        if any(not 0 <= a < b <= len(self.embeddings) for a, b in (clip.rows for clip in self.clips)):
            raise UserError(f"The music library {directory} names embeddings it does not hold: build it again.")
        if missing := [clip.path.name for clip in self.clips if not clip.path.is_file()]:
            raise UserError(f"The music library {directory} has no {missing[0]}: install the pack again.")

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
