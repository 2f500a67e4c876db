"""What the ControlNet learns from: windows of EEG as a decoder reads them, beside the latents of the music heard.

The music vector that a window predicts comes from a decoder that learned from other recordings (out of fold): what is
predicted of recordings learned from would be better than anything a listener will ever get.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bci_music.files import opening
from bci_music.messages import EMBEDDING_DIM, UserError

FRAME_S = 0.04  # of latents


@dataclass(frozen=True, eq=False)
class EegMusicPairs:
    """Windows of EEG and of the music heard, of one length.

    Attributes
    ----------
    latents : (n, 8, frames, 16) float16
        Of the music heard, scaled as the denoiser sees them.
    eeg : (n, steps, eeg_dim) float16
        The EEG step by step, evenly over the window.
    style : (n, 512) float32
        Embedding of the music heard.
    predicted : (n, 512) float32
        What the EEG says that it is; a unit vector.
    listener : (n,) int64
        Rows of the ControlNet's table.
    song, recording : (n,) str
    second : (n,) float64
        Of the song, at the window's start.
    """

    latents: NDArray[np.float16]
    eeg: NDArray[np.float16]
    style: NDArray[np.float32]
    predicted: NDArray[np.float32]
    listener: NDArray[np.int64]
    song: NDArray[np.str_]
    recording: NDArray[np.str_]
    second: NDArray[np.float64]

    def __post_init__(self):
        n = len(self.latents)
        if self.latents.ndim != 4 or self.eeg.ndim != 3:
            raise ValueError(f"latents {self.latents.shape} and EEG {self.eeg.shape}: expected four and three axes")
        for field in fields(self):
            if len(getattr(self, field.name)) != n:
                raise ValueError(f"{len(getattr(self, field.name))} rows of {field.name}, expected {n}")
        for name in ("style", "predicted"):
            if getattr(self, name).shape != (n, EMBEDDING_DIM):
                raise ValueError(f"{name} of shape {getattr(self, name).shape}: expected ({n}, {EMBEDDING_DIM})")

    def __len__(self) -> int:
        return len(self.latents)

    def of(self, rows: NDArray) -> EegMusicPairs:
        """Some of the rows."""
        return replace(self, **{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def save(self, path: Path) -> None:
        """Write one ``.npz``."""
        part = path.with_suffix(".part.npz")
        np.savez(part, **{field.name: getattr(self, field.name) for field in fields(self)})
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> EegMusicPairs:
        """Read what `save` wrote."""
        with opening(path, "pairs of EEG and music", "make them again"), np.load(path, allow_pickle=False) as stored:
            return cls(**{field.name: stored[field.name] for field in fields(cls)})


def joined(parts: Sequence[EegMusicPairs]) -> EegMusicPairs:
    """Rows of all parts one after the other."""
    return EegMusicPairs(**{
        field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(EegMusicPairs)
    })  # fmt: skip


def cut_latents(
    whole: NDArray, second: NDArray[np.float64], window_s: float, lag_s: float = 0.0
) -> NDArray[np.float16]:
    """Latents (n, 8, frames, 16) of windows of a song that begin at these seconds of it.

    Parameters
    ----------
    whole : (8, frames, 16)
        Latents of the song from its beginning on.
    lag_s : float
        How much earlier than the window the music is cut: EEG answers late.
    """
    length = round(window_s / FRAME_S)
    firsts = np.rint((second - lag_s) / FRAME_S).astype(np.int64)
    if firsts.min(initial=0) < 0 or firsts.max(initial=0) + length > whole.shape[1]:
        raise UserError(
            f"The sound of a song has {whole.shape[1] * FRAME_S:.1f} s, but the EEG heard "
            f"{firsts.min() * FRAME_S:.1f} to {firsts.max() * FRAME_S + window_s:.1f} s of it: give the whole song."
        )
    return np.stack([whole[:, first : first + length] for first in firsts]).astype(np.float16)
