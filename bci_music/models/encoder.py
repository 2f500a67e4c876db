"""The channel-oriented encoder, in the order of the paper's figure.

Each electrode's signal is cut into time patches, all electrodes share one patch embedding, and every token says
where (channel) and when (time slot) it comes from. A channel that is dropped or masked gives no token at all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bci_music.models.sizes import EncoderConfig

# How training starts: size of the slot codes, sharpness of the attention to them, amplification of what it gathers.
SLOT_CODE, SHARPNESS, LOUDNESS = 8.0, 0.6, 60.0


class Encoded(NamedTuple):
    """What comes out: `cls` (B, D), `times` (B, n_slots, D) averaged over channels, `attention` (B, C) or None."""

    cls: Tensor
    times: Tensor
    attention: Tensor | None


class ChannelEncoder(nn.Module):
    """EEG windows to features.

    Parameters
    ----------
    config : EncoderConfig
    positions_m : (n_channels, 3) array, optional
        Electrode positions; when given, the channel gains start as smooth random patterns over the head, so that
        neighbours add up from the first step on.
    """

    def __init__(self, config: EncoderConfig, positions_m: NDArray[np.float64] | None = None):
        super().__init__()
        self.config = config
        self.patch = nn.Linear(config.patch, config.dim)
        self.gain = nn.Parameter(torch.ones(config.n_channels, config.dim))
        self.position = nn.Parameter(torch.zeros(config.n_channels, config.n_slots, config.dim))
        self.cls = nn.Parameter(torch.zeros(config.dim))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.dim)
        self._start(positions_m)

    def forward(
        self, x: Tensor, used: Tensor | None = None, keep: Tensor | None = None, return_attention: bool = False
    ) -> Encoded:
        """Encode a batch.

        Parameters
        ----------
        x : (B, n_channels, n_times) tensor
            A shorter window uses the first time slots.
        used : (B, n_channels) bool tensor, optional
            Channels that give tokens; the rest are removed.
        keep : (B, K) int64 tensor, optional
            Indices of the channels that give tokens, instead of `used` (channel dropout in training).
        return_attention : bool
            Also give each channel's share of the CLS token's attention in the last layer; NaN where removed.
        """
        if keep is None:
            keep = self._indices(x, used)
        if keep is None:  # rows with unequal numbers of channels
            assert used is not None
            return self._by_count(x, used, return_attention)
        encoded, weights = self.attend(self.tokens(x, keep), return_attention)
        return encoded if weights is None else encoded._replace(attention=self._per_channel(weights, keep))

    def tokens(self, x: Tensor, keep: Tensor) -> Tensor:
        """Cut, embed and place the kept channels: (B, K, slots, D)."""
        size = self.config.patch
        n_slots = x.shape[2] // size
        kept = torch.take_along_dim(x, keep[:, :, None], dim=1)[:, :, : n_slots * size]
        tokens = self.patch(kept.unflatten(2, (n_slots, size)))
        return tokens * self.gain[keep][:, :, None] + self.position[:, :n_slots][keep]

    def attend(self, tokens: Tensor, return_attention: bool = False) -> tuple[Encoded, Tensor | None]:
        """Run the blocks over tokens (B, K, slots, D); also the CLS query's weights (B, heads, 1 + K * slots)."""
        n_kept = tokens.shape[1]
        cls = self.cls.expand(len(tokens), 1, -1)
        tokens = torch.cat([cls, tokens.flatten(1, 2)], dim=1)  # channel-major, CLS in front
        for block in self.blocks[:-1]:
            tokens, _ = block(tokens)
        tokens, weights = self.blocks[-1](tokens, cls_attention=return_attention)
        # mean over channels first: what all share is small beside one channel's noise, and the norm brings it up
        times = self.norm(tokens[:, 1:].unflatten(1, (n_kept, -1)).mean(1))
        return Encoded(self.norm(tokens[:, 0]), times, None), weights

    def _indices(self, x: Tensor, used: Tensor | None) -> Tensor | None:
        n_channels = self.config.n_channels
        if used is None:
            return torch.arange(n_channels, device=x.device).expand(len(x), n_channels)
        counts = used.sum(1)
        if int(counts.min()) != int(counts.max()):
            return None
        return torch.argsort(~used, dim=1, stable=True)[:, : int(counts[0])]

    def _by_count(self, x: Tensor, used: Tensor, return_attention: bool) -> Encoded:
        counts = used.sum(1)
        rows = [torch.nonzero(counts == count)[:, 0] for count in counts.unique()]
        parts = [self(x[r], used[r], return_attention=return_attention) for r in rows]
        back = torch.argsort(torch.cat(rows))
        attention = torch.cat([p.attention for p in parts])[back] if return_attention else None
        return Encoded(torch.cat([p.cls for p in parts])[back], torch.cat([p.times for p in parts])[back], attention)

    def _per_channel(self, weights: Tensor, keep: Tensor) -> Tensor:
        """Sum the CLS query's weights over time, average over heads, give shares of the whole."""
        share = weights[:, :, 1:].unflatten(2, (keep.shape[1], -1)).float().sum(3).mean(1)
        share = share / share.sum(1, keepdim=True)
        empty = torch.full((len(keep), self.config.n_channels), float("nan"), device=share.device)
        return empty.scatter(1, keep, share)

    def _start(self, positions_m: NDArray[np.float64] | None) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.position, std=0.02)
        nn.init.trunc_normal_(self.cls, std=0.02)
        first = self.blocks[0]
        assert isinstance(first, Block)
        codes = nn.init.orthogonal_(torch.empty(self.config.n_slots, self.config.dim))
        with torch.no_grad():
            self.position.add_(SLOT_CODE * codes)
            first.gather_slots(codes)
            if positions_m is not None:
                self.gain.copy_(_smooth_patterns(positions_m, self.config.dim))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        dim = config.dim
        self.heads = config.heads
        self.norm_1 = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim)
        self.norm_2 = nn.LayerNorm(dim)
        self.feed = nn.Sequential(nn.Linear(dim, config.widen * dim), nn.GELU(), nn.Linear(config.widen * dim, dim))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: Tensor, cls_attention: bool = False) -> tuple[Tensor, Tensor | None]:
        """Return the tokens (B, N, D) and, when asked, the CLS query's attention (B, heads, N)."""
        q, k, v = self.qkv(self.norm_1(tokens)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        tokens = tokens + self.dropout(self.out(mixed))
        tokens = tokens + self.dropout(self.feed(self.norm_2(tokens)))
        if not cls_attention:
            return tokens, None
        # one query only: the other tokens' attention stays inside the fused kernel
        scores = (q[:, :, :1] @ k.transpose(2, 3)).float() * q.shape[-1] ** -0.5
        return tokens, scores.softmax(-1)[:, :, 0]

    def gather_slots(self, codes: Tensor) -> None:
        """Start as a mean over the channels of a time slot, made louder than one channel's noise.

        Queries and keys begin as the slot codes (n_slots, dim), so that a token attends to its own slot all over the
        head. From random weights this takes training most of its time to find.
        """
        dim = self.out.in_features
        size = dim // self.heads
        codes = codes[:size]
        with torch.no_grad():
            for part in range(2 * self.heads):
                rows = self.qkv.weight[part * size : (part + 1) * size]
                rows.zero_()
                rows[: len(codes)] = SHARPNESS * codes
            values = self.qkv.weight[2 * dim :]
            values -= values @ codes.T @ codes  # what is gathered is the signal, not the codes
            self.out.weight *= LOUDNESS


def _smooth_patterns(positions_m: NDArray[np.float64], dim: int) -> Tensor:
    """Random smooth patterns over the head of unit variance: (n_channels, dim)."""
    unit = torch.as_tensor(positions_m, dtype=torch.float32)
    unit = unit / unit.norm(dim=1, keepdim=True)
    kernel = torch.exp(6.0 * (unit @ unit.T - 1.0))  # neighbours within some 45 degrees alike
    values, vectors = torch.linalg.eigh(kernel)
    patterns = vectors * values.clamp_min(0).sqrt() @ torch.randn(len(unit), dim)
    return patterns / patterns.std(0, keepdim=True)
