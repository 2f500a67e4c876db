"""The transformer over the autoencoder's latents: learns what is clean, from style and from what went before.

Noisy latents lie on a straight line between clean ones and noise (rectified flow, arXiv 2209.03003), and the error is
that of the direction of this line. Pieces have several lengths, since blocks of a stream are short and clips are long;
half of them begin with latents that are known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from bci_music.config import Config
from bci_music.messages import UserError
from bci_music.training.audioldm.batches import Figures, pieces, places, spread_evenly
from bci_music.training.audioldm.diffusion import condition_moments, draw_condition
from bci_music.training.audioldm.vae import LATENT_CHANNELS
from bci_music.training.loop import LoopConfig
from bci_music.training.sampling import own_samples, rng_of

if TYPE_CHECKING:
    from bci_music.generation.audioldm.latent_transformer import LatentTransformer

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)  # noise levels at which the figures are taken
LEAST_LEVEL = 0.05  # below, errors count as they do here
COLUMNS = 16  # of the latents


class FlowConfig(Config):
    """Size, loss and schedule. `frames` are the lengths of the pieces, in latent frames of 40 ms."""

    dim: int = Field(128, ge=8)
    depth: int = Field(12, ge=1)
    heads: int = Field(4, ge=1)
    patch: int = Field(2, ge=1)
    frames: tuple[int, ...] = (64, 128, 256)
    batch: int = Field(16, ge=1, description="pieces of the middle length a step; as many seconds of the others")
    drop: float = Field(0.1, ge=0, lt=1, description="share of rows that learn without style, for guidance")
    blur: float = Field(0.4, ge=0, description="most noise on the style, in spreads: decoded ones are never exact")
    known: float = Field(0.5, ge=0, le=1, description="share of rows that begin with known latents")
    level_mean: float = Field(0.7, description="noise levels are drawn as the logistic of a normal with this mean")
    level_spread: float = Field(1.2, gt=0)
    loop: LoopConfig = LoopConfig(
        steps=10_000, lr=1e-3, warmup=200, weight_decay=0.01, ema=0.999, bf16=True, watch_every=1000
    )
    held: int = Field(60, ge=2)
    seed: int = 0


def new_transformer(config: FlowConfig, conditions: NDArray[np.float32]) -> LatentTransformer:
    """Make an untrained transformer that sees styles like `conditions` (n, 512) with mean 0 and spread 1."""
    from bci_music.generation.audioldm.latent_transformer import LatentTransformer

    network = LatentTransformer(
        config.dim, config.depth, config.heads, patch=config.patch, channels=LATENT_CHANNELS, columns=COLUMNS,
        style_dim=conditions.shape[1],
    )  # fmt: skip
    mean, std = condition_moments(conditions)
    network.style_mean.copy_(torch.from_numpy(mean))
    network.style_scale.copy_(torch.from_numpy(std))
    return network


class FlowTask:
    """Learn to say what latents are without noise.

    Parameters
    ----------
    latents, held_latents : (n, 8, frames, 16)
    conditions, held_conditions : (n, 512)
    """

    def __init__(
        self, module: LatentTransformer, latents: NDArray, conditions: NDArray[np.float32], held_latents: NDArray,
        held_conditions: NDArray[np.float32], config: FlowConfig, device: str = "cpu",
    ):
        self.module, self.config, self._device = module, config, device
        self._latents, self._conditions = latents.swapaxes(1, 2), np.asarray(conditions, np.float32)  # frames first
        self._held, self._held_conditions = held_latents, np.asarray(held_conditions, np.float32)
        self._moments = condition_moments(self._conditions)
        longest = self._latents.shape[1] // config.patch * config.patch
        self._lengths = sorted({min(length, longest) // config.patch * config.patch for length in config.frames})
        if not self._lengths or self._lengths[0] < 2 * config.patch:
            raise UserError(f"Pieces of {config.frames} latent frames are too short: give at least {2 * config.patch}.")

    def step(self, module: Any, at: int) -> tuple[Tensor, Figures]:
        """Squared error of the direction from what is found clean to the noise, over frames that are not known."""
        clean, style, level, known = self.draw(at)
        loss = self._errors(module, clean, torch.randn_like(clean), level, style, known).mean()
        return loss, {"frames": float(clean.shape[2])}

    def draw(self, at: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What step `at` learns from: latents (B, 8, frames, 16), styles, noise levels (B,), known (B, frames)."""
        c = self.config
        n, frames = self._latents.shape[:2]
        cut = self._lengths[int(rng_of(c.seed + 4, at).integers(len(self._lengths)))]
        batch = max(1, c.batch * self._lengths[len(self._lengths) // 2] // cut)
        where = places(n, frames, cut, seed=c.seed, step=at, batch=batch)
        clean = pieces(self._latents, where, cut, self._device).transpose(1, 2)
        styles, levels, known = [], [], np.zeros((len(where), cut), np.float32)
        for row, ((clip, _), sample) in enumerate(zip(where, own_samples(batch), strict=True)):
            rng = rng_of(c.seed + 2, at, sample)
            styles.append(draw_condition(rng, self._conditions[clip], *self._moments, c.drop, c.blur))
            levels.append(1 / (1 + np.exp(-rng.normal(c.level_mean, c.level_spread))))
            if rng.random() < c.known:
                known[row, : int(rng.integers(1, 3 * cut // 4 + 1))] = 1.0
        return (
            clean.contiguous(), torch.from_numpy(np.stack(styles)).to(self._device),
            torch.tensor(levels, dtype=torch.float32, device=self._device), torch.from_numpy(known).to(self._device),
        )  # fmt: skip

    @torch.no_grad()
    def evaluate(self, module: Any) -> Figures:
        """Error on held-out clips by noise level, with their own style, with another clip's, with none, and continued.

        `continued` knows the first half of each clip.
        """
        chosen = spread_evenly(len(self._held), self.config.held)
        chance = torch.Generator().manual_seed(7)
        sums = np.zeros((4, len(LEVELS)))
        cut = self._lengths[len(self._lengths) // 2]
        for i, row in enumerate(chosen):
            other = chosen[(i + 1 + len(chosen) // 2) % len(chosen)]
            clean = torch.from_numpy(np.asarray(self._held[row][:, :cut], np.float32)).to(self._device)
            own = self._held_conditions[row]
            styles = np.stack([own, self._held_conditions[other], self._moments[0], own]).astype(np.float32)
            noise = torch.randn((len(LEVELS), *clean.shape), generator=chance).to(self._device)
            known = torch.zeros(4, cut, device=self._device)
            known[3, : cut // 2] = 1.0
            errors = self._errors(
                module, clean.expand(4 * len(LEVELS), *clean.shape), noise.repeat(4, 1, 1, 1),
                torch.tensor(LEVELS, device=self._device).repeat(4),
                torch.from_numpy(styles).to(self._device).repeat_interleave(len(LEVELS), 0),
                known.repeat_interleave(len(LEVELS), 0),
            )  # fmt: skip
            sums += errors.reshape(4, len(LEVELS)).cpu().numpy()
        sums /= len(chosen)
        figures = {f"error_{level:g}": float(value) for level, value in zip(LEVELS, sums[0], strict=True)}
        names = ("own", "another", "without", "continued")
        return figures | dict(zip(names, sums.mean(1).tolist(), strict=True)) | {"held_clips": len(chosen)}

    def _errors(
        self, module: Any, clean: Tensor, noise: Tensor, level: Tensor, style: Tensor, known: Tensor
    ) -> Tensor:
        share = level[:, None, None, None]
        found = module((1 - share) * clean + share * noise, level, style, clean, known)
        return direction_errors(found, clean, level, known)


def direction_errors(found: Tensor, clean: Tensor, level: Tensor, known: Tensor) -> Tensor:
    """(B,) squared error of the direction noise - clean: that of the clean latents over the noise level.

    Frames that are `known` (B, frames) do not count.
    """
    asked = 1 - known
    square = (found.float() - clean).square().mean((1, 3)) / level.clamp_min(LEAST_LEVEL).square()[:, None]
    return (square * asked).sum(1) / asked.sum(1)
