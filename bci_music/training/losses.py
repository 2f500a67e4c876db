"""Losses of the alignment."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def info_nce(eeg: Tensor, music: Tensor, scale: Tensor, same: Tensor) -> Tensor:
    """Symmetric InfoNCE of unit rows eeg, music (B, d).

    `same` (B, B) is True where two windows hold (partly) the same music; such pairs are no negatives.
    """
    logits = scale * eeg @ music.T
    others = same & ~torch.eye(len(eeg), dtype=torch.bool, device=eeg.device)
    logits = logits.masked_fill(others, float("-inf"))
    target = torch.arange(len(eeg), device=eeg.device)
    return 0.5 * (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target))


def same_music(song: Tensor, second: Tensor, window_s: float) -> Tensor:
    """Which pairs of windows overlap in the same song, whoever heard it: (B, B) bool."""
    near = (second[:, None] - second[None, :]).abs() < window_s
    return near & (song[:, None] == song[None, :])


def top1(eeg: Tensor, music: Tensor, same: Tensor) -> float:
    """Share of rows whose own music is the nearest among those that are no double of it."""
    others = same & ~torch.eye(len(eeg), dtype=torch.bool, device=eeg.device)
    likeness = (eeg @ music.T).masked_fill(others, float("-inf"))
    return float((likeness.argmax(1) == torch.arange(len(eeg), device=eeg.device)).float().mean())
