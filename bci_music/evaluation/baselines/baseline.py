"""What every trained baseline has in common: absent channels, pooled features, a head into the shared space."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bci_music.models.network import EegModel


class Baseline(EegModel):
    """An encoder that is no part of our method, trained and evaluated through the same interface.

    A subclass gives `features`; LayerNorm and one linear layer map them into the shared space.

    Parameters
    ----------
    n_features, embed_dim : int
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

    def __init__(self, n_features: int, embed_dim: int, title: str):
        super().__init__()
        self.title = title
        self.initialised = "random"
        self.tokens_per_window: int | None = None
        self.head = nn.Sequential(nn.LayerNorm(n_features), nn.Linear(n_features, embed_dim))

    def features(self, x: Tensor, there: Tensor) -> Tensor:
        """Features (B, n_features) of x (B, C, T), which is zero where a channel is not `there` (B, C) bool."""
        raise TypeError(f"{type(self).__name__} gives no features")

    def embed(self, x: Tensor, used: Tensor | None = None, keep: Tensor | None = None) -> Tensor:
        """Vectors (B, embed_dim), not normalised; see `EegModel.embed`."""
        there = present(x, used, keep)
        # not a product: a missing channel may hold NaN
        return self.head(self.features(x.masked_fill(~there[:, :, None], 0.0), there))

    forward = embed

    def infer(self, x: Tensor, used: Tensor) -> tuple[Tensor, None]:
        """Unit vectors (B, embed_dim); these networks have no attention over channels to show."""
        return functional.normalize(self.embed(x, used).float(), dim=1), None


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
