"""Alignment heads: what the encoder gives, to the space EEG and music share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bci_music.models import parallel
from bci_music.models.encoder import Encoded
from bci_music.models.sizes import HeadConfig


def make_head(dim: int, config: HeadConfig) -> PooledHead | TemporalHead | LinearHead | SteppedHead:
    """Build the head of this kind."""
    if config.step_dim:
        return SteppedHead(dim, config)
    if config.kind == "temporal":
        return TemporalHead(dim, config)
    return PooledHead(dim, config) if config.kind == "pooled" else LinearHead(dim, config)


class SteppedHead(nn.Module):
    """A window as a whole and step by step: one head's vector beside the sequence, each of a learned weight.

    What follows the music in time is lost in any single vector for a window; here every step keeps `step_dim` numbers,
    and the cosine of two windows is a weighted mean of that of the whole and of the correlation in time.
    """

    def __init__(self, dim: int, config: HeadConfig):
        super().__init__()
        self.config = config
        self.whole = make_head(dim, config.model_copy(update={"step_dim": 0}))
        self.steps = nn.Linear(dim, config.step_dim, bias=False)
        self.balance = nn.Parameter(torch.zeros(()))

    def forward(self, encoded: Encoded) -> Tensor:
        """Unit vectors (B, embed_dim + S * step_dim)."""
        return self.joined(self.whole(encoded), self.steps(encoded.times))

    def joined(self, whole: Tensor, steps: Tensor) -> Tensor:
        """Unit vectors of a vector (B, embed_dim) and a sequence (B, S, step_dim) of EEG, or of music."""
        share = self.balance.sigmoid()
        return torch.cat([(1.0 - share).sqrt() * normalised(whole), share.sqrt() * unit_course(steps)], dim=1)


class PooledHead(nn.Module):
    """CLS beside the mean of all tokens, through one hidden layer: (B, embed_dim), not normalised.

    What differs between windows is small beside what all windows share; the batch norm brings it up.
    """

    def __init__(self, dim: int, config: HeadConfig):
        super().__init__()
        self.config = config
        self.norm = GatheredNorm(2 * dim, affine=False, momentum=0.05)
        hidden = config.hidden
        self.layers = nn.Sequential(nn.Linear(2 * dim, hidden), nn.GELU(), nn.Linear(hidden, config.embed_dim))

    def forward(self, encoded: Encoded) -> Tensor:
        """Pool and map."""
        return self.layers(self.norm(torch.cat([encoded.cls, encoded.times.mean(1)], dim=1)))


class TemporalHead(nn.Module):
    """The paper's temporal head: a convolution along the token sequence, pooled, two layers, LayerNorm.

    It reads the tokens as the last block leaves them (the released one after a LayerNorm of each token): with the mean
    over channels first, what they share is not lost in one channel's noise.

    The mean of a convolution is one linear map of the mean of the tokens and of those at the ends: computed like
    this it costs next to nothing, and exactly the tokens a window has count.
    """

    def __init__(self, dim: int, config: HeadConfig):
        super().__init__()
        self.config = config
        self.along = nn.Conv1d(dim, dim, 3, padding=1)
        self.layers = nn.Sequential(
            nn.Linear(dim, config.hidden), nn.GELU(), nn.Linear(config.hidden, config.embed_dim),
            nn.LayerNorm(config.embed_dim),
        )  # fmt: skip

    def forward(self, encoded: Encoded) -> Tensor:
        """CLS in front of the tokens, channel-major."""
        first, tokens = encoded.cls.float(), encoded.tokens.flatten(1, 2)
        total = first + tokens.sum(1, dtype=torch.float32)
        count: Tensor | int = tokens.shape[1]
        last = tokens[:, -1]
        if encoded.kept is not None:
            count = (encoded.kept * encoded.tokens.shape[2])[:, None]
            last = torch.take_along_dim(tokens, count[:, :, None] - 1, dim=1)[:, 0]
        # left neighbours of the sequence lack the last token, right ones the first
        neighbours = torch.cat([total - last, total, total - first], dim=1) / (count + 1)
        weight = self.along.weight.transpose(1, 2).flatten(1)
        return self.layers(functional.linear(neighbours, weight, self.along.bias))


class LinearHead(nn.Module):
    """One linear map of CLS beside the mean of all tokens; features are normalised, for a fixed encoder's scale."""

    def __init__(self, dim: int, config: HeadConfig):
        super().__init__()
        self.config = config
        self.norm = GatheredNorm(2 * dim, affine=False, momentum=0.05)
        self.layers = nn.Linear(2 * dim, config.embed_dim)

    def forward(self, encoded: Encoded) -> Tensor:
        """Pool and map."""
        return self.layers(self.norm(torch.cat([encoded.cls, encoded.times.mean(1)], dim=1)))


class GatheredNorm(nn.BatchNorm1d):
    """Batch norm over the whole batch, whichever process holds its rows (torch's own needs a GPU for that)."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise rows (n, d)."""
        if not self.training or parallel.world() == 1:
            return super().forward(input)
        rows = parallel.gather(input.float())
        mean, variance = rows.mean(0), rows.var(0, correction=0)
        self._remember(mean, rows.var(0))
        return ((input - mean) * torch.rsqrt(variance + self.eps)).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert isinstance(self.num_batches_tracked, Tensor)
        assert self.running_mean is not None
        assert self.running_var is not None
        self.num_batches_tracked.add_(1)
        share = self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.detach(), share)
        self.running_var.lerp_(variance.detach(), share)


def normalised(x: Tensor) -> Tensor:
    """Unit rows in float32."""
    return functional.normalize(x.float(), dim=1)


def unit_course(steps: Tensor) -> Tensor:
    """Unit rows (B, S * d) of sequences (B, S, d), each dimension of mean 0: their cosine is a correlation in time."""
    steps = steps.float()
    return normalised((steps - steps.mean(1, keepdim=True)).flatten(1))
