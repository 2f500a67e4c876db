"""What a decoder made of the windows of a test set, beside what was heard in them: all that is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from bci_music.messages import UserError
from bci_music.models.adapter import RidgeAdapter
from bci_music.models.device import mixed
from bci_music.training.eeg.align import Aligner
from bci_music.training.lab.run import ExperimentData
from bci_music.training.lab.windows import LabWindows, lab_windows


@dataclass(frozen=True)
class DecodedWindows:
    """Decoded windows, row by row.

    Attributes
    ----------
    eeg, music : (n, s) or None
        Unit vectors of the window and of the music heard, in the space EEG and music share; None where a decoder
        (linear, audio oracle) has no such space.
    clap : (n, 512)
        What the adapter made of the window, not normalised.
    target : (n, 512)
        Unit embedding of the music heard. NaN for windows from before the music.
    song, name : (n,) str
        Stimulus id, and the song's name that its versions share.
    second : (n,) float
        Second of the song at the window's start.
    start_s : (n,) float
        Second of the recording at the window's start.
    recording, listener : (n,) str
    attention : (n, n_channels) or None
        Each channel's share of the attention.
    """

    eeg: NDArray[np.float32] | None
    music: NDArray[np.float32] | None
    clap: NDArray[np.float32]
    target: NDArray[np.float32]
    song: NDArray[np.str_]
    name: NDArray[np.str_]
    second: NDArray[np.float64]
    start_s: NDArray[np.float64]
    recording: NDArray[np.str_]
    listener: NDArray[np.str_]
    attention: NDArray[np.float32] | None = None

    def __post_init__(self):
        lengths = {f.name: len(v) for f in fields(self) if (v := getattr(self, f.name)) is not None}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"DecodedWindows have one row per window everywhere, got {lengths}")
        if (self.eeg is None) != (self.music is None):
            raise ValueError("eeg and music are given together, or neither")
        for key in ("eeg", "clap"):
            vectors = getattr(self, key)
            if vectors is not None and not np.isfinite(vectors).all():
                raise UserError(
                    f"The decoder gave {key} vectors that are no numbers in {int((~np.isfinite(vectors)).any(1).sum())}"
                    f" of {len(vectors)} windows: look for NaN in the EEG, or for a training run that diverged."
                )

    def __len__(self) -> int:
        return len(self.song)

    def of(self, rows: NDArray) -> DecodedWindows:
        """Some of the rows, by index or mask."""
        columns: dict[str, Any] = {}
        for field in fields(self):
            values = getattr(self, field.name)
            columns[field.name] = None if values is None else values[rows]
        return DecodedWindows(**columns)

    def save(self, path: Path) -> None:
        """Write as one ``.npz``."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {f.name: v for f in fields(self) if (v := getattr(self, f.name)) is not None}
        part = path.with_suffix(".part.npz")
        np.savez(part, **arrays)
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> DecodedWindows:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            columns: dict[str, Any] = {f.name: stored.get(f.name) for f in fields(cls)}
        return cls(**columns)


def joined(parts: Sequence[DecodedWindows]) -> DecodedWindows:
    """Rows of all parts one after the other."""
    columns: dict[str, Any] = {}
    for field in fields(DecodedWindows):
        values = [getattr(part, field.name) for part in parts]
        columns[field.name] = None if any(v is None for v in values) else np.concatenate(values)
    return DecodedWindows(**columns)


BATCH = 32
Decode = Callable[[NDArray[np.float32], NDArray[np.bool_]], NDArray[np.float32]]


class Tracker(Protocol):
    """What follows the music in time: unit vectors of EEG and of music, with no embedding between them."""

    def read(self, x: NDArray[np.float32], used: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Unit vectors of windows (B, C, T) with masks (B, C)."""
        ...

    def heard(self, song: NDArray[np.str_], second: NDArray) -> NDArray[np.float32]:
        """Unit vectors of the music at these places."""
        ...


@dataclass(frozen=True)
class Trained:
    """Something that decodes.

    An aligned network or a tracker, either with its ridge, or a map straight into the embedder's space.
    """

    aligner: Aligner | None
    adapter: RidgeAdapter | None
    direct: Decode | None = None
    bf16: bool = True
    tracker: Tracker | None = None

    def decode(
        self, x: NDArray[np.float32], used: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32] | None, NDArray[np.float32], NDArray[np.float32] | None]:
        """Unit shared vectors, vectors in the embedder's space, attention; of windows (B, C, T), masks (B, C)."""
        if self.direct is not None:
            return None, self.direct(x, used), None
        assert self.adapter is not None
        if self.tracker is not None:
            read = self.tracker.read(x, used)
            return read, self.adapter(read), None
        assert self.aligner is not None
        network = self.aligner.network
        with torch.inference_mode(), mixed("cpu", self.bf16):
            shared, attention = network.infer(torch.from_numpy(x), torch.from_numpy(used))
        vectors = shared.float().numpy()
        return vectors, self.adapter(vectors), None if attention is None else attention.float().numpy()

    def clap(self, x: NDArray[np.float32], used: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Vectors in the embedder's space only, in batches."""
        parts = [self.decode(x[i : i + BATCH], used[i : i + BATCH])[1] for i in range(0, len(x), BATCH)]
        return np.concatenate(parts)

    @torch.inference_mode()
    def place_music(
        self, data: ExperimentData, song: NDArray[np.str_], second: NDArray
    ) -> NDArray[np.float32] | None:
        """Unit vectors of the music at these places in the shared space, or None where there is no such space."""
        if self.tracker is not None:
            return self.tracker.heard(song, second)
        if self.aligner is None:
            return None
        places = [(data.music[s], at) for s, at in zip(song.tolist(), second.tolist(), strict=True)]
        bands = None
        if self.aligner.course is not None:
            c = self.aligner.ours.encoder.config
            slots = [music.slot_bands(at, c.patch / data.windows.sfreq_hz, c.n_slots) for music, at in places]
            bands = torch.from_numpy(np.stack(slots))
        target = np.stack([music.target_at(at) for music, at in places])
        return self.aligner.place_music(torch.from_numpy(target), bands).numpy()


def predict(
    trained: Trained, data: ExperimentData, rows: NDArray[np.int64], there: NDArray[np.bool_] | None = None
) -> DecodedWindows:
    """Decode windows of the study, with what was heard in them; `there` (n_channels,): electrodes that are there."""
    table = data.windows.table
    song, second = table.song[rows], table.song_start_s[rows]
    shared, clap, attention = _decoded(trained, data.windows, rows, there)
    music = None if shared is None else trained.place_music(data, song, second)
    return DecodedWindows(
        shared, music, clap, true_targets(data, rows), song, table.name[rows], second, table.start_s[rows],
        table.recording[rows], table.listener[rows], attention,
    )  # fmt: skip


def predict_before(
    trained: Trained, data: ExperimentData, there: NDArray[np.bool_] | None = None
) -> DecodedWindows | None:
    """Decode windows from before the music; None where the study has none."""
    segments = [t for t in data.prepared.before if t.eeg.shape[1] >= data.windows.n_times]
    if not segments:
        return None
    w = data.windows
    before = lab_windows(segments, {}, window_s=w.n_times / w.sfreq_hz, sfreq_hz=w.sfreq_hz)
    rows, table = np.arange(len(before.table)), before.table
    shared, clap, attention = _decoded(trained, before, rows, there)
    music = None if shared is None else np.zeros_like(shared)
    nothing, empty = np.full((len(rows), 512), np.nan, np.float32), np.full(len(rows), "")
    return DecodedWindows(
        shared, music, clap, nothing, empty, empty, np.zeros(len(rows)), table.start_s[rows], table.recording[rows],
        table.listener[rows], attention,
    )  # fmt: skip


def true_targets(data: ExperimentData, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Unit embeddings (n, 512) of the music heard in windows."""
    table = data.windows.table
    places = zip(table.song[rows].tolist(), table.song_start_s[rows].tolist(), strict=True)
    return np.stack([data.music[song].target_at(at) for song, at in places])


def _decoded(
    trained: Trained, windows: LabWindows, rows: NDArray[np.int64], there: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float32] | None, NDArray[np.float32], NDArray[np.float32] | None]:
    """Decode windows in batches; see `Trained.decode`."""
    parts = []
    for first in range(0, len(rows), BATCH):
        x, used = windows.gather(rows[first : first + BATCH])
        parts.append(trained.decode(x, used if there is None else used & there))
    shared = [p[0] for p in parts if p[0] is not None]
    attention = [p[2] for p in parts if p[2] is not None]
    whole = len(parts)
    return (
        np.concatenate(shared) if len(shared) == whole else None,
        np.concatenate([p[1] for p in parts]),
        np.concatenate(attention) if len(attention) == whole else None,
    )
