"""The demo pack's music library: excerpts of the composed songs that loop on their bar lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci_music.compose.composer import SONGS, TRAIN_SECONDS, Song, compose, mono_16k
from bci_music.compose.score import SongSpec, lay_out
from bci_music.compose.synthesis import RATE_HZ
from bci_music.models.embedder import FrameEmbedder
from bci_music.models.library import write_library_tables

MAX_BYTES = 2_000_000
TAIL_S = 0.65  # beyond the last bar, for the fade back to the beginning
WINDOW_S, HOP_S = 4.0, 1.0
_SHORTEST_S, _LONGEST_S = 7.4, 10.7
COMPRESSION = 0.945  # libsndfile's scale: 0 is 256 kbit/s a channel, 1 is 6


def excerpts(spec: SongSpec, stop_s: float = TRAIN_SECONDS[1]) -> list[tuple[float, float]]:
    """Starts and lengths in s of a song's excerpts: whole bars of its first sections A and B."""
    bar_s = spec.bar_s
    n_bars = next(n for n in (8, 4, 6, 2, 3, 5) if _SHORTEST_S <= n * bar_s <= _LONGEST_S)
    if spec.beats_per_bar == 3:  # the player counts four beats to a bar: keep both
        n_bars = next(n for n in (8, 4, 12) if _SHORTEST_S <= n * bar_s <= _LONGEST_S)
    found, wanted = [], {("A", 0), ("B", 0)}
    for number, bar in enumerate(lay_out(spec, stop_s)):
        length = n_bars * bar_s + TAIL_S
        if (bar.section, bar.occurrence) in wanted and bar.index == 0 and number * bar_s + length <= stop_s:
            found.append((number * bar_s, length))
    return found


def song_prototypes(embedder: FrameEmbedder) -> NDArray[np.float32]:
    """Mean embedding of each song's training seconds, (14, 512) unit, in the order of `SONGS`."""
    stop = int(TRAIN_SECONDS[1] * 16_000)
    means = [embedder.embed_frames(mono_16k(spec.id)[:stop], 16_000, WINDOW_S, HOP_S).mean(0) for spec in SONGS]
    rows = np.stack(means)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def write_library(
    directory: str | Path, embedder: FrameEmbedder, progress: Callable[[int, int], None] = lambda done, of: None
) -> None:
    """Write clips (Opus in Ogg, 48 kHz stereo), ``index.json``, ``embeddings.npy`` and ``prototypes.npy``.

    The rows of the embeddings are 4 s windows, hop 1 s, of the clips as they sound after decoding.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    clips: list[dict[str, Any]] = []
    tables: list[NDArray[np.float32]] = []
    n_rows = 0
    for number, spec in enumerate(SONGS):
        song = compose(spec.id)
        for take, (start_s, length_s) in enumerate(excerpts(spec)):
            file = f"{spec.id}-{take + 1}.ogg"
            sounding = write_clip(directory / file, _excerpt(song, start_s, length_s))
            rows = embedder.embed_frames(sounding, RATE_HZ, WINDOW_S, HOP_S)
            tables.append(rows)
            clips.append({
                "file": file, "song": spec.id, "seconds": round(len(sounding) / RATE_HZ, 4),
                "song_start_s": round(start_s, 6), "rows": [n_rows, n_rows + len(rows)],
                "row_times_s": [HOP_S * i for i in range(len(rows))],
            })  # fmt: skip
            n_rows += len(rows)
        progress(number + 1, len(SONGS))
    songs = [{"id": s.id, "title": s.title, "genre": s.genre, "bpm": s.bpm, "mood": s.mood} for s in SONGS]
    write_library_tables(directory, embedder.sha, songs, clips, tables, song_prototypes(embedder))


def write_clip(
    path: Path, samples: NDArray[np.float32], compression: float = COMPRESSION
) -> NDArray[np.float32]:
    """Write (n, 2) float32 at 48 kHz as Opus in Ogg and read it back: (n, 2) as it will sound."""
    import soundfile

    soundfile.write(path, samples, RATE_HZ, format="OGG", subtype="OPUS", compression_level=compression)
    sounding, _ = soundfile.read(path, dtype="float32", always_2d=True)
    return sounding


def _excerpt(song: Song, start_s: float, length_s: float) -> NDArray[np.float32]:
    first = round(start_s * RATE_HZ)
    return song.samples[first : first + round(length_s * RATE_HZ)]
