"""What every trained baseline has in common: absent channels, pooled features, a head into the shared space."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Baseline(nn.Module):
    """An encoder that is no part of our method, behind the same door (`training.eeg_model.EegModel`).

    A subclass gives `features`; LayerNorm and one linear layer map them into the shared space.

    Parameters
    ----------
    n_features, shared : int
        Width of the features and of the shared space.
    title : str
        For people.

    Attributes
    ----------
    initialised : str
        Where the weights come from: ``"random"`` or ``"hub NAME@REVISION"``.
    tokens_per_window : int or None
        Tokens the encoder attends to; None where it has none.
    """

    removes_channels = False  # these networks compute an absent channel like any other: it is zero for them

    def __init__(self, n_features: int, shared: int, title: str):
        super().__init__()
        self.title = title
        self.initialised = "random"
        self.tokens_per_window: int | None = None
        self.head = nn.Sequential(nn.LayerNorm(n_features), nn.Linear(n_features, shared))

    def features(self, x: Tensor, there: Tensor) -> Tensor:
        """Features (B, n_features) of x (B, C, T), which is zero where a channel is not `there` (B, C) bool."""
        raise TypeError(f"{type(self).__name__} gives no features")

    def shared(self, x: Tensor, used: Tensor | None = None, keep: Tensor | None = None) -> Tensor:
        """Vectors (B, shared), not normalised; see `EegModel.shared`."""
        there = present(x, used, keep)
        # not a product: a missing channel may hold NaN
        return self.head(self.features(x.masked_fill(~there[:, :, None], 0.0), there))

    forward = shared

    def infer(self, x: Tensor, used: Tensor) -> tuple[Tensor, None]:
        """Unit vectors (B, shared); these networks have no attention over channels to show."""
        return functional.normalize(self.shared(x, used).float(), dim=1), None


def present(x: Tensor, used: Tensor | None, keep: Tensor | None) -> Tensor:
    """Which channels there are, (B, C) bool: those of `keep` (B, K) if given, else those of `used`, else all."""
    shape = x.shape[:2]
    if keep is not None:
        return torch.zeros(shape, dtype=torch.bool, device=x.device).scatter(1, keep, True)
    return torch.ones(shape, dtype=torch.bool, device=x.device) if used is None else used


def pooled(tokens: Tensor, there: Tensor) -> Tensor:
    """Mean over the channels that are there: tokens (B, C, P, D) to (B, D), zero where a window has no channel."""
    weight = there.to(tokens.dtype)[:, :, None, None]
    count = weight.sum((1, 2)).clamp(min=1.0) * tokens.shape[2]
    return (tokens * weight).sum((1, 2)) / count


def parameters(model: nn.Module) -> int:
    """Number of weights that training may change."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
