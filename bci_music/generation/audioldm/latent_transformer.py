"""A diffusion transformer over AudioLDM's latents, in the order of its figure: one token is one moment.

```
noisy latents (8, frames, 16) --+
latents that are known already --+-- 2 frames: 1 token --linear--> tokens (frames / 2, D)
which frames are known --------+                                      |
                                                  12 blocks, rotary positions over time  <-- residuals of a ControlNet
noise level --+                                       |         ^
style vector --+--> one vector --> shift, scale, gate of all blocks (each adds a table of its own)
                                                      |
    clean latents = noisy latents, weighed by noise level + linear of the tokens
```

A token holds 256 numbers and the stream between the blocks 128, so the network cannot pass noise on to its output: it
says what is clean, and the noisy latents come to it by a way of their own, weighed as a Wiener filter would for
latents of spread 1 (and by what was learned on top). One set of modulations for all blocks is AdaLN-single (PixArt,
arXiv 2310.00426); that clean data is the easier thing to say is shown in arXiv 2511.13720.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

from bci_music.messages import EMBEDDING_DIM
from bci_music.models.latent_query import rotated, rotation

SLOWEST = 1000.0  # the noise level is seen through waves from one turn per unit ...
WAVES = 64  # ... to so many times slower and faster, this many of them
Angles = tuple[Tensor, Tensor]


class LatentTransformer(ModelMixin, ConfigMixin):
    """Noisy latents, noise level and style to clean latents.

    Parameters
    ----------
    dim, depth, heads, mlp_ratio : int
        Width and number of the blocks, heads of their attention, width of their hidden layer by that of the block.
    patch : int
        Latent frames of a token.
    channels, columns : int
        Of the latents.
    style_dim : int
    """

    @register_to_config
    def __init__(
        self, dim: int = 128, depth: int = 12, heads: int = 4, mlp_ratio: int = 4, patch: int = 2, channels: int = 8,
        columns: int = 16, style_dim: int = EMBEDDING_DIM,
    ):
        super().__init__()
        if dim % (2 * heads):
            raise ValueError(f"a width of {dim} cannot be shared by {heads} heads of pairs")
        size = patch * channels * columns
        self.style_mean: Tensor
        self.style_scale: Tensor
        self.register_buffer("style_mean", torch.zeros(style_dim))  # the style of the branch that has none
        self.register_buffer("style_scale", torch.ones(style_dim))
        self.read = nn.Linear(2 * size + patch, dim)
        self.level = nn.Sequential(nn.Linear(2 * WAVES, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.style = nn.Sequential(nn.Linear(style_dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.steer = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        self.blocks = nn.ModuleList(SteeredBlock(dim, heads, mlp_ratio) for _ in range(depth))
        self.last = nn.Parameter(torch.zeros(2, dim))  # shift and scale before the end
        self.write = nn.Linear(dim, size)
        self.keep = nn.Linear(dim, size)
        with torch.no_grad():
            for weights in (*self.steer.parameters(), *self.write.parameters(), *self.keep.parameters()):
                weights.zero_()

    def forward(
        self, noisy: Tensor, level: Tensor, style: Tensor, known: Tensor | None = None, is_known: Tensor | None = None,
        residuals: Sequence[Tensor] = (),
    ) -> Tensor:
        """Say what the latents are without noise.

        Parameters
        ----------
        noisy : (B, channels, frames, columns)
            ``(1 - level) * clean + level * noise``.
        level : (B,)
            From 0, clean, to 1, nothing but noise.
        style : (B, style_dim)
            `style_mean` where there is none.
        known : like `noisy`, optional
            Clean latents to go on from, in the frames where `is_known` (B, frames) is 1; the rest is not looked at.
        residuals : sequence of (B, tokens, dim)
            What a ControlNet adds to the stream before the second block, the third, and so on.
        """
        noisy, known, is_known = self.with_known(noisy, known, is_known)
        tokens, steer, angles = self.begin(noisy, level, style, known, is_known)
        tokens = self.through(tokens, steer, angles, residuals)
        return self.end(tokens, steer, noisy, level)

    def begin(
        self, noisy: Tensor, level: Tensor, style: Tensor, known: Tensor, is_known: Tensor
    ) -> tuple[Tensor, Tensor, Angles]:
        """Tokens (B, tokens, dim) before the first block, what steers the blocks (B, 7, dim), rotary angles."""
        c = self.config
        parts = (self._tokens(noisy), self._tokens(known), is_known.unflatten(1, (-1, c.patch)))
        tokens = self.read(torch.cat(parts, 2))
        vector = self.level(waves(level).to(tokens)) + self.style((style - self.style_mean) / self.style_scale)
        steer = torch.cat([self.steer(vector).unflatten(1, (6, -1)), vector[:, None]], 1)
        return tokens, steer, rotation(tokens.shape[1], c.dim // c.heads, tokens.device)

    def through(self, tokens: Tensor, steer: Tensor, angles: Angles, residuals: Sequence[Tensor] = ()) -> Tensor:
        """Tokens behind the last block."""
        if len(residuals) >= len(self.blocks):
            raise ValueError(f"{len(residuals)} residuals for the {len(self.blocks) - 1} places between the blocks")
        for number, block in enumerate(self.blocks):
            if 0 < number <= len(residuals):
                tokens = tokens + residuals[number - 1]
            tokens = block(tokens, steer, angles)
        return tokens

    def end(self, tokens: Tensor, steer: Tensor, noisy: Tensor, level: Tensor) -> Tensor:
        """Clean latents (B, channels, frames, columns) from tokens behind the last block."""
        vector = steer[:, 6]
        shift, scale = (self.last[None] + vector[:, None]).chunk(2, 1)
        found = self.write(normed(tokens) * (1 + scale) + shift)
        kept = (wiener(level).to(noisy)[:, None] + self.keep(functional.silu(vector)))[:, None] * self._tokens(noisy)
        return self._latents(found + kept)

    def with_known(
        self, noisy: Tensor, known: Tensor | None, is_known: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Noisy latents, known ones (zeros where none are) and which frames are known; these are clean in both."""
        c = self.config
        if noisy.shape[1] != c.channels or noisy.shape[3] != c.columns or noisy.shape[2] % c.patch:
            raise ValueError(
                f"latents of shape {tuple(noisy.shape)}: expected {c.channels} channels, a multiple of {c.patch} "
                f"frames and {c.columns} columns"
            )
        if known is None or is_known is None:
            return noisy, torch.zeros_like(noisy), noisy.new_zeros(len(noisy), noisy.shape[2])
        there = is_known.to(noisy)[:, None, :, None] > 0
        return torch.where(there, known, noisy), torch.where(there, known, 0.0), is_known.to(noisy)

    def _tokens(self, latents: Tensor) -> Tensor:
        """(B, channels, frames, columns) as (B, tokens, patch * channels * columns)."""
        return latents.unflatten(2, (-1, self.config.patch)).permute(0, 2, 3, 1, 4).flatten(2)

    def _latents(self, tokens: Tensor) -> Tensor:
        """The way back."""
        c = self.config
        return tokens.unflatten(2, (c.patch, c.channels, c.columns)).permute(0, 3, 1, 2, 4).flatten(2, 3)


class SteeredBlock(nn.Module):
    """Attention over time and a small network, each shifted, scaled and gated by what steers all blocks."""

    def __init__(self, dim: int, heads: int, mlp_ratio: int):
        super().__init__()
        self.heads = heads
        self.table = nn.Parameter(torch.zeros(6, dim))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, mlp_ratio * dim), nn.GELU(approximate="tanh"), nn.Linear(mlp_ratio * dim, dim)
        )
        with torch.no_grad():
            self.table[2::3] = 0.2  # gates: open enough to learn from the first step on

    def forward(self, tokens: Tensor, steer: Tensor, angles: Angles) -> Tensor:
        """Tokens (B, tokens, dim) to the same shape."""
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = (self.table[None] + steer[:, :6]).chunk(6, 1)
        seen = normed(tokens) * (1 + scale_1) + shift_1
        q, k, v = self.qkv(seen).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(rotated(q, angles), rotated(k, angles), v)
        tokens = tokens + gate_1 * self.out(mixed.transpose(1, 2).flatten(2))
        return tokens + gate_2 * self.mlp(normed(tokens) * (1 + scale_2) + shift_2)


def normed(tokens: Tensor) -> Tensor:
    """Tokens (..., dim) with mean 0 and spread 1."""
    return functional.layer_norm(tokens, tokens.shape[-1:])


def wiener(level: Tensor) -> Tensor:
    """Share of noisy latents at a noise level that is the best guess of clean ones of spread 1."""
    clean = 1 - level
    return clean / (clean.square() + level.square())


def waves(level: Tensor) -> Tensor:
    """Noise levels (B,) as cosines and sines (B, 2 * WAVES) of many rates."""
    rates = SLOWEST ** torch.linspace(0.0, 1.0, WAVES, device=level.device)
    angle = level.float()[:, None] * rates
    return torch.cat([angle.cos(), angle.sin()], 1)
