"""The music library of a run's pack: excerpts of the music its decoder was trained on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci_music.data.study import Stimulus
from bci_music.messages import AUDIO_RATE_HZ, UserError
from bci_music.models.embedder import FrameEmbedder
from bci_music.models.library import write_library_tables
from bci_music.packing.excerpts import COMPRESSION, HOP_S, MAX_BYTES, TAIL_S, write_clip
from bci_music.training.eeg.corpus import Music
from bci_music.training.eeg.targets import read_song

Spans = Sequence[tuple[float, float]]
TrainingSeconds = Mapping[str, Spans]
CLIP_S = 9.5
_CLIP_BYTES = 70_000  # of sound and tables, about
_COMPRESSIONS = (COMPRESSION, 0.97, 0.99)  # tried in turn until the library is small enough


@dataclass(frozen=True)
class _Excerpt:
    """Where one clip begins in its song, and how long it is."""

    stimulus: Stimulus
    number: int
    start_s: float
    length_s: float

    @property
    def file(self) -> str:
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", self.stimulus.id)
        return f"{name}-{self.number}.ogg"


def write_run_library(
    directory: Path, stimuli: dict[str, Stimulus], music: dict[str, Music], seconds: TrainingSeconds,
    embedder: FrameEmbedder, window_s: float, max_bytes: int = MAX_BYTES,
) -> tuple[str, ...]:
    """Write clips and tables in the format of `generation.library`; returns the ids of the songs in it.

    Parameters
    ----------
    seconds : mapping of song to (start, stop) in song seconds
        The training seconds; nothing else is in the library. Of several versions of a song one that is not played
        backwards is taken; where there are too many songs, those with most training seconds.
    max_bytes : int
        Size of the whole library.

    Raises
    ------
    UserError
        If no song has a stretch long enough, or the clips cannot be made small enough.
    """
    chosen = _chosen(stimuli, seconds, window_s, max_bytes)
    directory.mkdir(parents=True, exist_ok=True)
    for compression in _COMPRESSIONS:
        _write(directory, chosen, music, seconds, embedder, window_s, compression)
        size = sum(path.stat().st_size for path in directory.iterdir())
        if size <= max_bytes:
            return tuple(dict.fromkeys(e.stimulus.id for e in chosen))
    raise UserError(f"The music library has {size} bytes, at most {max_bytes} are allowed: give fewer songs.")


def excerpts(spans: Spans, least_s: float, n: int) -> list[tuple[float, float]]:
    """Starts and lengths in s of up to `n` clips that do not overlap, spread over the spans; longest stretches first.

    A clip lasts `CLIP_S`, or as long as the longest stretch if that is shorter, but at least `least_s`.
    """
    longest = max((stop - start for start, stop in spans), default=0.0)
    length = min(CLIP_S, longest)
    if length < least_s:
        return []
    slots = [
        (start + i * length, length) for start, stop in spans for i in range(int((stop - start) / length + 1e-6))
    ]
    picked = np.unique(np.linspace(0, len(slots) - 1, min(n, len(slots))).round().astype(int))
    return [slots[i] for i in picked]


def _chosen(
    stimuli: dict[str, Stimulus], seconds: TrainingSeconds, window_s: float, max_bytes: int
) -> list[_Excerpt]:
    least_s = window_s + TAIL_S
    versions: dict[str, Stimulus] = {}
    for song in sorted(seconds, key=lambda s: stimuli[s].reversed):
        if excerpts(seconds[song], least_s, 1):
            versions.setdefault(stimuli[song].name or song, stimuli[song])
    if not versions:
        raise UserError(
            f"No song was trained on for {least_s:g} s without a break, so there is nothing to play: take another "
            "split, or longer blocks."
        )
    n_clips = max(1, max_bytes // _CLIP_BYTES)
    longest = sorted(versions.values(), key=lambda s: -sum(b - a for a, b in seconds[s.id]))[:n_clips]
    each = 2 if 2 * len(longest) <= n_clips else 1
    return [
        _Excerpt(stimulus, number + 1, start, length)
        for stimulus in sorted(longest, key=lambda s: s.id)
        for number, (start, length) in enumerate(excerpts(seconds[stimulus.id], least_s, each))
    ]


def _write(
    directory: Path, chosen: list[_Excerpt], music: dict[str, Music], seconds: TrainingSeconds,
    embedder: FrameEmbedder, window_s: float, compression: float,
) -> None:
    clips: list[dict[str, Any]] = []
    tables: list[NDArray[np.float32]] = []
    n_rows = 0
    for excerpt in chosen:
        sounding = write_clip(directory / excerpt.file, _sound(excerpt), compression)
        rows = embedder.embed_frames(sounding, AUDIO_RATE_HZ, window_s, HOP_S)
        tables.append(rows)
        clips.append({
            "file": excerpt.file, "song": excerpt.stimulus.id, "seconds": round(len(sounding) / AUDIO_RATE_HZ, 4),
            "song_start_s": round(excerpt.start_s, 6), "rows": [n_rows, n_rows + len(rows)],
            "row_times_s": [HOP_S * i for i in range(len(rows))],
        })  # fmt: skip
        n_rows += len(rows)
    songs = {e.stimulus.id: e.stimulus for e in chosen}
    labels = [{"id": key, "title": s.title or s.name or key, "genre": s.genre} for key, s in songs.items()]
    prototypes = np.stack([_prototype(music[s], seconds[s], window_s) for s in songs])
    write_library_tables(directory, embedder.sha, labels, clips, tables, prototypes)


def _sound(excerpt: _Excerpt) -> NDArray[np.float32]:
    """(n, 2) float32 at 48 kHz."""
    import soxr

    audio, rate = read_song(excerpt.stimulus)
    first = round(excerpt.start_s * rate)
    piece = audio[first : first + round(excerpt.length_s * rate)]
    if len(piece) < 0.9 * excerpt.length_s * rate:
        raise UserError(
            f"{excerpt.stimulus.audio} ends before second {excerpt.start_s + excerpt.length_s:.0f} of the song, which "
            "was heard in training: give the whole file."
        )
    sound = piece if rate == AUDIO_RATE_HZ else soxr.resample(piece, rate, AUDIO_RATE_HZ)
    peak = max(1.0, float(np.abs(sound).max()) / 0.99)  # resampling may overshoot
    return np.repeat((sound / peak).astype(np.float32)[:, None], 2, axis=1)


def _prototype(music: Music, spans: Spans, window_s: float) -> NDArray[np.float32]:
    """Mean embedding of a song's training seconds, (512,) unit."""
    start = music.grid_s * np.arange(len(music.targets))
    inside = np.any([(start >= a - 1e-6) & (start + window_s <= b + 1e-6) for a, b in spans], axis=0)
    mean = music.targets[inside].mean(axis=0)
    return (mean / np.linalg.norm(mean)).astype(np.float32)
