"""Views of windows: temporal crops stretched back, noise, channel subsets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from bci_music.training.sampling import rng_of


@dataclass(frozen=True)
class View:
    """Windows (B, C, T) of which the channels `keep` (B, K) stay."""

    x: NDArray[np.float32]
    keep: NDArray[np.int64]


def crop(
    x: NDArray[np.float32], scale: tuple[float, float], n_times: int, seed: int, step: int, samples: range, view: int
) -> NDArray[np.float32]:
    """Cut a part of each window (B, C, T) and stretch it to `n_times` samples.

    The length is drawn once per view of a batch, the place once per sample (as released).
    """
    length = x.shape[2]
    share = rng_of(seed + 7919 * (view + 1), step).uniform(*scale)
    n = max(2, min(length, round(share * length)))
    starts = [int(rng_of(seed + 7919 * (view + 1), step, s).integers(0, length - n + 1)) for s in samples]
    parts = np.stack([row[:, start : start + n] for row, start in zip(x, starts, strict=True)])
    if n == n_times:
        return parts
    return functional.interpolate(torch.from_numpy(parts), size=n_times, mode="linear", align_corners=True).numpy()


def kept_channels(
    used: NDArray[np.bool_], n_keep: int, least: int, seed: int, step: int, samples: range
) -> NDArray[np.int64]:
    """Draw `n_keep` usable channels for every row: (B, K) ascending, K the same for all rows of a batch.

    `least` is the smallest number of usable channels of any row of the global batch, not only of the rows given: with
    it K is the same in all processes.
    """
    n = min(n_keep, least)
    draws = np.stack([rng_of(seed, step, s).random(used.shape[1]) for s in samples])
    order = np.argsort(np.where(used, draws, 2.0), axis=1)
    return np.sort(order[:, :n], axis=1)


def to_tensor(array: NDArray, device: str) -> Tensor:
    """Move to the device."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)
