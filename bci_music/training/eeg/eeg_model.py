"""What the lab asks of anything it trains: ours, every baseline and every ablation go through the same door."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class EegModel(Protocol):
    """EEG windows to the space EEG and music share; an `nn.Module`.

    Attributes
    ----------
    removes_channels : bool
        True if a dropped channel costs nothing (its tokens are not computed); otherwise it is zero for the network.
    """

    removes_channels: bool

    def shared(self, x: Tensor, used: Tensor | None = None, keep: Tensor | None = None) -> Tensor:
        """Vectors (B, shared), not normalised.

        Parameters
        ----------
        x : (B, n_channels, n_times) tensor
        used : (B, n_channels) bool tensor, optional
            Usable channels; all when None.
        keep : (B, K) int64 tensor, optional
            Channels that stay, instead of `used`.
        """

    def infer(self, x: Tensor, used: Tensor) -> tuple[Tensor, Tensor | None]:
        """Unit vectors (B, shared), and each channel's share of attention (B, n_channels) or None."""
