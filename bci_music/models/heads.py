"""Alignment head: pooled features to the space EEG and music share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bci_music.models.encoder import Encoded
from bci_music.models.sizes import HeadConfig


class PooledHead(nn.Module):
    """CLS beside the mean of all tokens, through one hidden layer: (B, shared), not normalised.

    What differs between windows is small beside what all windows share; the batch norm brings it up.
    """

    def __init__(self, dim: int, config: HeadConfig):
        super().__init__()
        self.config = config
        self.norm = nn.BatchNorm1d(2 * dim, affine=False, momentum=0.05)
        hidden = config.hidden
        self.layers = nn.Sequential(nn.Linear(2 * dim, hidden), nn.GELU(), nn.Linear(hidden, config.shared))

    def forward(self, encoded: Encoded) -> Tensor:
        """Pool and map."""
        return self.layers(self.norm(torch.cat([encoded.cls, encoded.times.mean(1)], dim=1)))
