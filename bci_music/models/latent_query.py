"""The latent-query encoder, in the order of its figure: filter every electrode, gather electrodes, follow time.

```
x (C, T) --shared temporal filters--> tokens (C, S, F) --gain by position--> values
                                          |                                    |
                 learned queries --score by position and content--> softmax over electrodes, per step and query
                                                                               |
                                              gathered (S, Q * F) --norm, linear--> steps (S, D)
                                                                               |
                                      transformer over time (rotary, causal if asked) --> sequence, pooled vector
```

Every electrode stays a token until a query gathers it, so an absent one is left out of the softmax and nothing of it
remains. Costs grow linearly with electrodes. The idea of learned queries over electrodes is that of LUNA
(arXiv 2510.22257); gains by position, filters without a nonlinearity before the gathering, and their start in closed
form are ours: what is weak in every electrode has to be added up before anything is bent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bci_music.models.encoder import N_BASIS, Encoded, head_basis
from bci_music.models.sizes import LatentQueryConfig

ROTARY_BASE = 100.0  # the slowest rotation turns once in some 600 steps, longer than any window


class LatentQueryEncoder(nn.Module):
    """EEG windows to a sequence of steps and a pooled vector.

    Parameters
    ----------
    config : LatentQueryConfig
    positions_m : (n_channels, 3) array, optional
        Electrode positions. Without them the encoder waits for weights that hold them.
    """

    def __init__(self, config: LatentQueryConfig, positions_m: NDArray[np.float64] | None = None):
        super().__init__()
        self.config = c = config
        self.filters = nn.Linear(c.kernel, c.filters, bias=False)
        self.basis: Tensor
        self.register_buffer("basis", torch.zeros(c.n_channels, N_BASIS))
        self.gain_map = nn.Parameter(torch.empty(N_BASIS, c.filters))
        scores = c.queries * c.heads
        self.where = nn.Parameter(torch.empty(N_BASIS, scores))  # what each query looks for: a place ...
        self.what = nn.Parameter(torch.empty(c.filters, scores))  # ... and a course of the signal
        self.gathered_norm = nn.LayerNorm(c.queries * c.filters)
        self.mix = nn.Linear(c.queries * c.filters, c.dim)
        self.blocks = nn.ModuleList(TimeBlock(c) for _ in range(c.depth))
        self.norm = nn.LayerNorm(c.dim)
        self.pool = nn.Linear(c.dim, c.heads, bias=False)
        self._start(positions_m)

    def _start(self, positions_m: NDArray[np.float64] | None) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.gain_map)
        nn.init.normal_(self.where, std=2.0)  # regions of the head that differ from query to query
        with torch.no_grad():
            self.where[:, : self.config.heads] = 0.0  # the first query begins as a plain mean
        nn.init.normal_(self.what, std=0.02)
        nn.init.zeros_(self.pool.weight)
        if positions_m is not None:
            self.basis.copy_(head_basis(positions_m))

    def gains(self) -> Tensor:
        """How each channel weighs the filters: (n_channels, filters)."""
        return self.basis @ self.gain_map

    def set_gains(self, gains: Tensor) -> None:
        """Set the gains (n_channels, filters) as closely as the electrodes' positions allow."""
        with torch.no_grad():
            # not lstsq: its pivots are at times wrong where there are fewer electrodes than basis functions
            self.gain_map.copy_(torch.linalg.pinv(self.basis) @ gains)

    def on(self, positions_m: NDArray[np.float64]) -> LatentQueryEncoder:
        """Return the same encoder for electrodes at other positions (n, 3); shares its weights."""
        other = LatentQueryEncoder(self.config.model_copy(update={"n_channels": len(positions_m)}))
        for name, child in self.named_children():
            setattr(other, name, child)
        other.gain_map, other.where, other.what = self.gain_map, self.where, self.what
        other.basis = head_basis(positions_m).to(self.gain_map.device)
        return other.train(self.training)

    def tokens_of(self, n_kept: int, n_times: int) -> int:
        """How many tokens a window of `n_times` samples with `n_kept` channels has."""
        return n_kept * (n_times // self.config.patch)

    def forward(
        self, x: Tensor, used: Tensor | None = None, keep: Tensor | None = None, return_attention: bool = False
    ) -> Encoded:
        """Encode a batch.

        Parameters
        ----------
        x : (B, n_channels, n_times) tensor
        used : (B, n_channels) bool tensor, optional
            Channels that are gathered; of the rest nothing remains, whatever they hold but NaN.
        keep : (B, K) int64 tensor, optional
            Indices of the channels that are gathered, instead of `used` (channel dropout in training).
        return_attention : bool
            Also give what each channel weighs: its share of what is gathered (`contributions`); NaN where absent.

        Returns
        -------
        Encoded
            `times` (B, S, D) is the sequence at its own rate, `cls` (B, D) the pooled vector, `tokens` (B, 1, S, D)
            the sequence once more, for heads that read tokens.
        """
        gathered, weights, values = self.gather(x, used, keep)
        steps = self.follow(gathered)
        share = self.pool(steps).softmax(1)  # (B, S, heads): which steps each part of the vector is read from
        pooled = torch.einsum("bsh,bshd->bhd", share, steps.unflatten(2, (self.config.heads, -1))).flatten(1)
        attention = None
        if return_attention:
            attention = self._per_channel(self.contributions(weights, values), used, keep)
        return Encoded(pooled, steps, attention, steps[:, None])

    def gather(
        self, x: Tensor, used: Tensor | None = None, keep: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gather electrodes in every step.

        Returns
        -------
        gathered : (B, S, Q * filters) tensor
        weights : (B, S, Q, heads, K) tensor
            The attention over electrodes; sums to 1 over the K of them.
        values : (B, K, S, heads, filters // heads) tensor
            What each electrode has to give: its filtered signal, with the gains of its position.
        """
        c = self.config
        basis = self.basis
        if keep is None:
            places = basis[None]
            gains = self.gains()[None]
        else:
            x = torch.take_along_dim(x, keep[:, :, None], dim=1)
            # looked up as an embedding: the gradient of plain indexing is summed in no fixed order
            places = functional.embedding(keep, basis)
            gains = functional.embedding(keep, self.gains())
        tokens = self.filtered(x)  # (B, K, S, F)
        scores = tokens @ self.what + (places @ self.where)[:, :, None]  # (B, K, S, Q * heads)
        if used is not None and keep is None:
            scores = scores.masked_fill(~used[:, :, None, None], float("-inf"))
            tokens = tokens.masked_fill(~used[:, :, None, None], 0.0)
        weights = scores.float().softmax(1).to(tokens.dtype).unflatten(3, (c.queries, c.heads))
        weights = weights.permute(0, 2, 4, 3, 1)  # (B, S, heads, Q, K)
        values = (tokens * gains[:, :, None]).unflatten(3, (c.heads, -1))
        gathered = (weights @ values.permute(0, 2, 3, 1, 4)).transpose(2, 3).flatten(2)
        return gathered, weights.transpose(2, 3), values

    def contributions(self, weights: Tensor, values: Tensor) -> Tensor:
        """Each electrode's share (B, K) of what comes out of the gathering; arguments as `gather` gives them.

        The attention that an electrode gets in a window, times the size of what its values become behind the next
        linear map (the norm of the transformed vectors, Kobayashi et al. 2020, arXiv 2004.10102, here the root of its
        mean square over steps), over all queries and heads. Attention alone misses how large a value is, and whether
        anything reads the query.
        """
        c = self.config
        onward = (self.mix.weight * self.gathered_norm.weight).unflatten(1, (c.queries, c.heads, -1)).float()
        products = torch.einsum("dqhf,dqhg->hfgq", onward, onward).flatten(1, 2)  # (heads, F * F, Q)
        values = values.float().transpose(2, 3)  # (B, K, heads, S, F)
        squares = (values.mT @ values / values.shape[3]).flatten(3).transpose(1, 2)  # (B, heads, K, F * F)
        sizes = (squares @ products).float().clamp_min(0.0).sqrt()  # (B, heads, K, Q)
        share = torch.einsum("bqhk,bhkq->bk", weights.float().mean(1), sizes)
        return share / share.sum(1, keepdim=True).clamp_min(1e-12)

    def filtered(self, x: Tensor) -> Tensor:
        """Outputs of the shared filters (B, K, S, filters); each step knows the samples up to its own end only."""
        c = self.config
        n_steps = x.shape[2] // c.patch
        padded = functional.pad(x[:, :, : n_steps * c.patch], (c.kernel - c.patch, 0))
        return self.filters(padded.unfold(2, c.kernel, c.patch))

    def follow(self, gathered: Tensor) -> Tensor:
        """The transformer over time: (B, S, Q * filters) to (B, S, D)."""
        steps = self.mix(self.gathered_norm(gathered))
        angles = rotation(steps.shape[1], self.config.dim // self.config.heads, steps.device)
        for block in self.blocks:
            steps = block(steps, angles)
        return self.norm(steps)

    def _per_channel(self, share: Tensor, used: Tensor | None, keep: Tensor | None) -> Tensor:
        """Shares (B, K) in the order of the montage, NaN where a channel is absent."""
        if keep is not None:
            empty = torch.full((len(keep), self.config.n_channels), float("nan"), device=share.device)
            return empty.scatter(1, keep, share)
        return share if used is None else share.masked_fill(~used, float("nan"))


class TimeBlock(nn.Module):
    """Pre-norm transformer block over steps of time, with rotary positions."""

    def __init__(self, config: LatentQueryConfig):
        super().__init__()
        dim = config.dim
        self.heads, self.causal, self.dropout = config.heads, config.causal, config.dropout
        self.norm_1 = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim)
        self.norm_2 = nn.LayerNorm(dim)
        hidden = config.mlp_ratio * dim
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def forward(self, steps: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
        """Steps (B, S, D) to the same shape."""
        q, k, v = self.qkv(self.norm_1(steps)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = rotated(q, angles), rotated(k, angles)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        steps = steps + self._drop(self.out(mixed.transpose(1, 2).flatten(2)))
        return steps + self._drop(self.mlp(self.norm_2(steps)))

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)


def rotation(n_steps: int, size: int, device: Any = None) -> tuple[Tensor, Tensor]:
    """Cosines and sines (n_steps, size // 2) of rotary positions (Su et al., arXiv 2104.09864)."""
    rate = ROTARY_BASE ** -(torch.arange(0, size, 2, device=device) / size)
    angle = torch.arange(n_steps, device=device)[:, None] * rate
    return angle.cos(), angle.sin()


def rotated(x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """Turn pairs of dimensions of x (..., S, size) by the angles of their step."""
    cos, sin = (a.to(x.dtype) for a in angles)
    one, other = x.chunk(2, dim=-1)
    return torch.cat([one * cos - other * sin, one * sin + other * cos], dim=-1)
