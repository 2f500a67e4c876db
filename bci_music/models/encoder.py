"""The channel-oriented encoder, in the order of the paper's figure.

Each electrode's signal is cut into time patches, all electrodes share one patch embedding, and every token says
where (channel) and when (time slot) it comes from. A channel that is dropped or masked gives no token at all.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bci_music.models.sizes import EncoderConfig

N_BASIS = 48
BASIS_SHARPNESS = 8.0  # a basis function falls to half within some 24 degrees


def head_basis(positions_m: NDArray[np.float64] | Tensor) -> Tensor:
    """Basis functions over the head at each electrode: (n_channels, N_BASIS).

    `N_BASIS` functions of one width are spread evenly over the sphere. Each electrode's values are scaled to unit norm,
    so that no position on the head has a larger gain than another.
    """
    at = torch.as_tensor(positions_m, dtype=torch.float32)
    at = at / at.norm(dim=1, keepdim=True).clamp_min(1e-9)
    basis = torch.exp(BASIS_SHARPNESS * (at @ _even_directions(N_BASIS).T - 1.0))
    return basis / basis.norm(dim=1, keepdim=True)


def smooth_patterns(positions_m: NDArray[np.float64], dim: int) -> Tensor:
    """Random smooth patterns over the head of unit variance: (n_channels, dim)."""
    unit = torch.as_tensor(positions_m, dtype=torch.float32)
    unit = unit / unit.norm(dim=1, keepdim=True)
    kernel = torch.exp(6.0 * (unit @ unit.T - 1.0))  # neighbours within some 45 degrees alike
    values, vectors = torch.linalg.eigh(kernel)
    patterns = vectors * values.clamp_min(0).sqrt() @ torch.randn(len(unit), dim)
    return patterns / patterns.std(0, keepdim=True)


def _even_directions(n: int) -> Tensor:
    """Unit vectors (n, 3) on a Fibonacci spiral."""
    step = torch.arange(n, dtype=torch.float64) + 0.5
    height = 1.0 - 2.0 * step / n
    turn = np.pi * (1.0 + 5.0**0.5) * step
    flat = torch.sqrt(1.0 - height**2)
    return torch.stack([flat * torch.cos(turn), flat * torch.sin(turn), height], dim=1).float()


# How training starts: size of the slot codes, sharpness of the attention to them, amplification of what it gathers.
SLOT_CODE, SHARPNESS, GAIN = 8.0, 0.6, 60.0


T = TypeVar("T")
_OLD_NAMES = ((re.compile(r"(^|\.)(blocks\.\d+)\.feed\."), r"\1\2.mlp."),
              (re.compile(r"(^|\.)place_map$"), r"\1position_map"))  # fmt: skip


def current_names(weights: dict[str, T]) -> dict[str, T]:
    """Weights of an encoder under the names they have now; files of the version before hold two other ones."""
    for pattern, new in _OLD_NAMES:
        weights = {pattern.sub(new, name): value for name, value in weights.items()}
    return weights


class Encoded(NamedTuple):
    """What comes out.

    `cls` (B, D), `times` (B, n_slots, D) averaged over channels, `attention` (B, C) or None, `tokens`
    (B, K, n_slots, D) of the kept channels; where rows keep different numbers of channels, `kept` (B,) says how
    many, and zeros follow them in `tokens`.
    """

    cls: Tensor
    times: Tensor
    attention: Tensor | None
    tokens: Tensor
    kept: Tensor | None = None


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
        block = config.tokens == "block"
        self.patch = nn.Linear(config.patch * (config.n_channels if block else 1), config.dim)
        self.by_position = config.positions == "coordinates" and not block  # a block is nowhere on the head
        if self.by_position:
            self.basis: Tensor
            self.register_buffer("basis", torch.zeros(config.n_channels, N_BASIS))
            self.gain_map = nn.Parameter(torch.zeros(N_BASIS, config.dim))
            self.position_map = nn.Parameter(torch.zeros(N_BASIS, config.dim))
            self.slot = nn.Parameter(torch.zeros(config.n_slots, config.dim))
        else:
            rows = 1 if block else config.n_channels
            self.gain = nn.Parameter(torch.ones(rows, config.dim), requires_grad=config.gains and not block)
            self.position = nn.Parameter(torch.zeros(rows, config.n_slots, config.dim))
        self.cls = nn.Parameter(torch.zeros(config.dim))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.dim)
        self._start(positions_m)

    def gains(self) -> Tensor:
        """How each channel weighs the dimensions of its tokens: (n_channels, D)."""
        return self.basis @ self.gain_map if self.by_position else self.gain

    def positions(self) -> Tensor:
        """Code of each channel and time slot: (n_channels, n_slots, D)."""
        if self.by_position:
            return (self.basis @ self.position_map)[:, None] + self.slot
        return self.position

    @property
    def filters(self) -> nn.Linear:
        """What all channels share: the patch embedding."""
        return self.patch

    def set_gains(self, gains: Tensor) -> None:
        """Set the gains (n_channels, D); from coordinates as closely as they can be."""
        with torch.no_grad():
            if self.by_position:
                self.gain_map.copy_(torch.linalg.pinv(self.basis) @ gains)
            else:
                self.gain.copy_(gains)

    def on(self, positions_m: NDArray[np.float64]) -> ChannelEncoder:
        """Return the same encoder for electrodes at other positions (n, 3); shares its weights."""
        if not self.by_position:
            raise ValueError("this encoder learned a table of its electrodes: train one with positions: coordinates")
        other = ChannelEncoder(self.config.model_copy(update={"n_channels": len(positions_m)}))
        for name, child in self.named_children():
            setattr(other, name, child)
        other.gain_map, other.position_map = self.gain_map, self.position_map
        other.slot, other.cls = self.slot, self.cls
        other.basis = head_basis(positions_m).to(self.cls.device)
        return other.train(self.training)

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
        """Cut, embed and place the kept channels: (B, K, slots, D); K is 1 for block tokens."""
        size = self.config.patch
        n_slots = x.shape[2] // size
        if self.config.tokens == "block":
            mask = torch.zeros(x.shape[:2], device=x.device, dtype=x.dtype).scatter(1, keep, 1.0)
            parts = (x * mask[:, :, None])[:, :, : n_slots * size].unflatten(2, (n_slots, size))
            return (self.patch(parts.transpose(1, 2).flatten(2)) + self.position[0, :n_slots])[:, None]
        kept = torch.take_along_dim(x, keep[:, :, None], dim=1)[:, :, : n_slots * size]
        tokens = self.patch(kept.unflatten(2, (n_slots, size)))
        if self.config.gains:
            tokens = tokens * functional.embedding(keep, self.gains())[:, :, None]
        # looked up as an embedding: the gradient of plain indexing is summed in no fixed order
        positions = functional.embedding(keep, self.positions()[:, :n_slots].flatten(1))
        return tokens + positions.unflatten(2, (n_slots, -1))

    def tokens_of(self, n_kept: int, n_times: int) -> int:
        """How many tokens a window of `n_times` samples with `n_kept` channels has, without the CLS."""
        return (1 if self.config.tokens == "block" else n_kept) * (n_times // self.config.patch)

    def attend(self, tokens: Tensor, return_attention: bool = False) -> tuple[Encoded, Tensor | None]:
        """Run the blocks over tokens (B, K, slots, D); also the CLS query's weights (B, heads, 1 + K * slots)."""
        n_kept = tokens.shape[1]
        cls = self.cls.expand(len(tokens), 1, -1)
        tokens = torch.cat([cls, tokens.flatten(1, 2)], dim=1)  # channel-major, CLS in front
        for block in self.blocks[:-1]:
            tokens, _ = block(tokens)
        tokens, weights = self.blocks[-1](tokens, cls_attention=return_attention)
        # mean over channels first: what all share is small beside one channel's noise, and the norm brings it up
        per_channel = tokens[:, 1:].unflatten(1, (n_kept, -1))
        times = self.norm(per_channel.mean(1))
        return Encoded(self.norm(tokens[:, 0]), times, None, per_channel), weights

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
        kept = [p.tokens.shape[1] for p in parts]
        tokens = [functional.pad(p.tokens, (0, 0, 0, 0, 0, max(kept) - p.tokens.shape[1])) for p in parts]
        each = torch.tensor(kept).repeat_interleave(torch.tensor([len(r) for r in rows])).to(x.device)
        return Encoded(
            torch.cat([p.cls for p in parts])[back], torch.cat([p.times for p in parts])[back], attention,
            torch.cat(tokens)[back], each[back],
        )  # fmt: skip

    def _per_channel(self, weights: Tensor, keep: Tensor) -> Tensor:
        """Sum the CLS query's weights over time, average over heads, give shares of the whole."""
        if self.config.tokens == "block":  # a block of all channels says nothing about single ones
            return torch.full((len(keep), self.config.n_channels), float("nan"), device=keep.device)
        share = weights[:, :, 1:].unflatten(2, (keep.shape[1], -1)).float().sum(3).mean(1)
        share = share / share.sum(1, keepdim=True)
        empty = torch.full((len(keep), self.config.n_channels), float("nan"), device=share.device)
        return empty.scatter(1, keep, share)

    def _load_from_state_dict(self, state_dict: dict[str, Any], *args: Any) -> None:
        """Read checkpoints of the version before as well (torch calls this on the way through `load_state_dict`)."""
        renamed = current_names(state_dict)
        state_dict.clear()  # in place: the blocks read from the same mapping after this
        state_dict.update(renamed)
        super()._load_from_state_dict(state_dict, *args)

    def _start(self, positions_m: NDArray[np.float64] | None) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        c = self.config
        for name in ("position_map", "slot") if self.by_position else ("position",):
            nn.init.trunc_normal_(getattr(self, name), std=0.02)
        nn.init.trunc_normal_(self.cls, std=0.02)
        if self.by_position and positions_m is not None:
            self.basis.copy_(head_basis(positions_m))
            nn.init.normal_(self.gain_map)
        elif c.gains and c.tokens == "channel" and positions_m is not None:
            self.set_gains(smooth_patterns(positions_m, c.dim))
        if c.start == "slots":
            codes = nn.init.orthogonal_(torch.empty(c.n_slots, c.dim))
            first = self.blocks[0]
            assert isinstance(first, Block)
            with torch.no_grad():
                (self.slot if self.by_position else self.position).add_(SLOT_CODE * codes)
                first.gather_slots(codes)


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
        hidden = config.mlp_ratio * dim
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: Tensor, cls_attention: bool = False) -> tuple[Tensor, Tensor | None]:
        """Return the tokens (B, N, D) and, when asked, the CLS query's attention (B, heads, N)."""
        q, k, v = self.qkv(self.norm_1(tokens)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        tokens = tokens + self.dropout(self.out(mixed))
        if torch.is_grad_enabled():
            tokens = tokens + self.dropout(self.mlp(self.norm_2(tokens)))
        else:  # no gradient needs the parts: changed where they stand, 2 % faster
            wide = torch.ops.aten.gelu_(self.mlp[0](self.norm_2(tokens)))
            tokens += self.dropout(self.mlp[2](wide))
        if not cls_attention:
            return tokens, None
        # one query only: the other tokens' attention stays inside the fused kernel
        scores = (q[:, :, :1] @ k.transpose(2, 3)).float() * q.shape[-1] ** -0.5
        return tokens, scores.softmax(-1)[:, :, 0]

    def gather_slots(self, codes: Tensor) -> None:
        """Start as a mean over the channels of a time slot, amplified above one channel's noise.

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
            self.out.weight *= GAIN
