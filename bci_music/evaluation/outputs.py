"""What a decoder made of the windows of a test set, beside what was heard in them: all that the judge looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import UserError


@dataclass(frozen=True)
class Outputs:
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
            raise ValueError(f"Outputs have one row per window everywhere, got {lengths}")
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

    def of(self, rows: NDArray) -> Outputs:
        """Some of the rows, by index or mask."""
        columns: dict[str, Any] = {}
        for field in fields(self):
            values = getattr(self, field.name)
            columns[field.name] = None if values is None else values[rows]
        return Outputs(**columns)

    def save(self, path: Path) -> None:
        """Write as one ``.npz``."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {f.name: v for f in fields(self) if (v := getattr(self, f.name)) is not None}
        part = path.with_suffix(".part.npz")
        np.savez(part, **arrays)
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> Outputs:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            columns: dict[str, Any] = {f.name: stored.get(f.name) for f in fields(cls)}
        return cls(**columns)


def joined(parts: Sequence[Outputs]) -> Outputs:
    """Rows of all parts one after the other."""
    columns: dict[str, Any] = {}
    for field in fields(Outputs):
        values = [getattr(part, field.name) for part in parts]
        columns[field.name] = None if any(v is None for v in values) else np.concatenate(values)
    return Outputs(**columns)
