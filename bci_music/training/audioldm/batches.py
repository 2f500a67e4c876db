"""What the music models learn from: clips, cut at places that belong to the step and the row, not to the process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bci_music.models.log_mel import HOP
from bci_music.training.sampling import own_samples, rng_of

Figures = dict[str, float]
Place = tuple[int, int]  # a clip and the first frame in it
FULL_SCALE = 32768.0  # of 16-bit sound
MEASURED = 256  # clips from which means and spreads are taken


class Clips(Protocol):
    """Music to learn from, all clips of one length; a `ClipBank` is one."""

    @property
    def sound(self) -> NDArray[np.int16]:
        """(n, frames * 160) at 16 kHz."""

    @property
    def mel(self) -> NDArray[np.float16]:
        """(n, frames, 64) of `models.log_mel`."""


class Task(Protocol):
    """One thing to learn: a module, its loss, and how it is evaluated and written down."""

    module: Any

    def step(self, module: Any, at: int) -> tuple[Tensor, Figures]:
        """Loss of step `at`."""

    def evaluate(self, module: Any) -> Figures:
        """Figures on held-out clips, with their number as `held_clips`."""


def places(n_clips: int, frames: int, cut: int, *, seed: int, step: int, batch: int, unit: int = 1) -> list[Place]:
    """Draw a clip and a first frame (a multiple of `unit`) for each row of a batch; a cut never leaves its clip."""
    if frames < cut:
        raise ValueError(f"pieces of {cut} frames do not fit into clips of {frames}")
    found = []
    for sample in own_samples(batch):
        rng = rng_of(seed, step, sample)
        found.append((int(rng.integers(n_clips)), unit * int(rng.integers((frames - cut) // unit + 1))))
    return found


def pieces(rows: NDArray, where: list[Place], cut: int, device: str) -> Tensor:
    """Cut `cut` frames from the second axis of (n, frames, ...) rows: (B, cut, ...) float32."""
    taken = np.stack([np.asarray(rows[clip, first : first + cut], np.float32) for clip, first in where])
    return torch.from_numpy(taken).to(device)


def sounds(rows: NDArray[np.int16], where: list[Place], cut: int, device: str) -> Tensor:
    """(B, cut * 160) sound of the same pieces, full scale at 1."""
    taken = np.stack([np.asarray(rows[clip, first * HOP : (first + cut) * HOP], np.float32) for clip, first in where])
    return torch.from_numpy(taken / np.float32(FULL_SCALE)).to(device)


def spread_evenly(n: int, most: int) -> NDArray[np.int64]:
    """At most `most` of n row numbers, evenly spread, in order."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))


def moments(rows: NDArray, axes: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation over `axes` of up to `MEASURED` rows."""
    some = np.stack([np.asarray(rows[i], np.float32) for i in spread_evenly(len(rows), MEASURED)])
    return some.mean(axes), np.maximum(some.std(axes), 1e-3)


@torch.no_grad()
def over_clips(rows: NDArray, call: Callable[[Tensor], Tensor], device: str, most: int, batch: int = 8) -> list[Tensor]:
    """`call` on batches of at most `most` clips, evenly spread."""
    chosen = spread_evenly(len(rows), most)
    groups = np.array_split(chosen, -(-len(chosen) // batch))
    return [call(torch.from_numpy(np.stack([np.asarray(rows[i], np.float32) for i in g])).to(device)) for g in groups]
