"""The denoiser: AudioLDM's UNet class, small, conditioned on the embedding of the music itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from bci_music.config import Config
from bci_music.messages import EMBEDDING_DIM
from bci_music.training.audioldm.batches import Figures, pieces, places, spread_evenly
from bci_music.training.audioldm.vae import LATENT_CHANNELS
from bci_music.training.loop import LoopConfig
from bci_music.training.sampling import own_samples, rng_of

if TYPE_CHECKING:
    from diffusers import DDIMScheduler, UNet2DConditionModel

LEVELS = (100, 300, 500, 700, 900)  # of 1000: noise levels at which the figures are taken


class UnetConfig(Config):
    """Size, loss and schedule.

    `attention` says which levels have transformer blocks, `frames` how many latent frames (40 ms each) a training
    piece has.
    """

    channels: tuple[int, ...] = (48, 96, 144)
    attention: tuple[bool, ...] = (False, False, True)
    heads: int = 4
    groups: int = 8
    frames: int = Field(128, ge=8)
    batch: int = Field(8, ge=1)
    drop: float = Field(0.1, ge=0, lt=1, description="share of rows that learn without condition, for guidance")
    blur: float = Field(0.4, ge=0, description="most noise on the condition, in spreads: decoded ones are never exact")
    prediction: Literal["v_prediction", "epsilon"] = "v_prediction"
    snr_clip: float = Field(5.0, gt=0)
    loop: LoopConfig = LoopConfig(
        steps=10_000, lr=5e-4, warmup=200, weight_decay=0.01, ema=0.999, bf16=False, watch_every=1000
    )
    held: int = Field(64, ge=2)
    seed: int = 0


def new_unet(config: UnetConfig, conditions: NDArray[np.float32]) -> UNet2DConditionModel:
    """Make an untrained UNet that sees conditions like `conditions` (n, 512) with mean 0 and spread 1.

    Unit vectors of 512 numbers that lie in a narrow cone would hardly move it; what spreads them is folded into the
    projection it has for them.
    """
    from diffusers import UNet2DConditionModel

    across = [c if a else None for c, a in zip(config.channels, config.attention, strict=True)]
    unet = UNet2DConditionModel(
        sample_size=(config.frames, 16), in_channels=LATENT_CHANNELS, out_channels=LATENT_CHANNELS,
        block_out_channels=config.channels, layers_per_block=1, norm_num_groups=config.groups,
        down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in config.attention),
        up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(config.attention)),
        mid_block_type="UNetMidBlock2D", attention_head_dim=config.heads, cross_attention_dim=tuple(across),
        class_embed_type="simple_projection", class_embeddings_concat=True, resnet_time_scale_shift="scale_shift",
        projection_class_embeddings_input_dim=EMBEDDING_DIM,
    )  # fmt: skip
    mean, std = condition_moments(conditions)
    with torch.no_grad():
        layer = unet.class_embedding
        layer.weight /= torch.from_numpy(std)
        layer.bias -= layer.weight @ torch.from_numpy(mean)
    return unet


def condition_moments(conditions: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and spread of every number of the conditions; the mean is also the condition of the unguided branch."""
    rows = np.asarray(conditions, np.float32)
    std = rows.std(0)
    return rows.mean(0), np.maximum(std, 0.1 * float(std.mean()) + 1e-6)


def draw_condition(
    rng: np.random.Generator, condition: NDArray[np.float32], mean: NDArray[np.float32], spread: NDArray[np.float32],
    drop: float, blur: float,
) -> NDArray[np.float32]:
    """A condition (512,) to learn from: blurred by up to `blur` spreads, or with probability `drop` the mean."""
    absent, most = rng.random() < drop, blur * rng.random()
    blurred = condition + most * spread * rng.standard_normal(len(condition))
    return np.asarray(mean if absent else blurred / np.linalg.norm(blurred), np.float32)


def new_scheduler(config: UnetConfig) -> DDIMScheduler:
    """AudioLDM's noise levels, with steps counted down from pure noise."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=True,
        prediction_type=config.prediction, timestep_spacing="trailing",
    )  # fmt: skip


class UnetTask:
    """Learn to tell noise from latents, with and without condition.

    Parameters
    ----------
    latents, held_latents : (n, 8, frames, 16)
    conditions, held_conditions : (n, 512)
    """

    def __init__(
        self, module: UNet2DConditionModel, latents: NDArray, conditions: NDArray[np.float32], held_latents: NDArray,
        held_conditions: NDArray[np.float32], config: UnetConfig, device: str = "cpu",
    ):
        self.module, self.config, self._device = module, config, device
        self._latents, self._conditions = latents.swapaxes(1, 2), np.asarray(conditions, np.float32)  # frames first
        self._held, self._held_conditions = held_latents, np.asarray(held_conditions, np.float32)
        self.unconditional, self._spread = condition_moments(self._conditions)
        self._scheduler = new_scheduler(config)
        self._powers = self._scheduler.alphas_cumprod.to(device)

    def step(self, module: Any, at: int) -> tuple[Tensor, Figures]:
        """Squared error of the prediction, weighted by min-SNR."""
        c = self.config
        clean, condition = self.draw(at)
        n = len(clean)
        rows = [rng_of(c.seed + 1, at, s).random() for s in own_samples(c.batch)]
        even = (np.array(rows) + np.arange(n)) / n  # spread over all noise levels in every batch
        time = torch.from_numpy((even * len(self._powers)).astype(np.int64)).to(self._device)
        noise = torch.randn(clean.shape, device=self._device)
        error = self._errors(module, clean, noise, time, condition)
        snr = self._powers[time] / (1 - self._powers[time])
        weight = snr.clamp_max(c.snr_clip) / (snr + 1 if c.prediction == "v_prediction" else snr)
        return (weight * error).mean(), {"error": float(error.detach().mean())}

    def draw(self, at: int) -> tuple[Tensor, Tensor]:
        """Latents (B, 8, frames, 16) and conditions (B, 512) of step `at`, some blurred, some absent."""
        c = self.config
        n, frames = self._latents.shape[:2]
        cut = min(c.frames, frames)
        where = places(n, frames, cut, seed=c.seed, step=at, batch=c.batch)
        clean = pieces(self._latents, where, cut, self._device).transpose(1, 2)
        rows = []
        for (clip, _), sample in zip(where, own_samples(c.batch), strict=True):
            rng = rng_of(c.seed + 2, at, sample)
            rows.append(draw_condition(rng, self._conditions[clip], self.unconditional, self._spread, c.drop, c.blur))
        return clean.contiguous(), torch.from_numpy(np.stack(rows)).to(self._device)

    def held(self, most: int) -> tuple[Tensor, Tensor]:
        """Latents and conditions of held-out clips."""
        chosen = spread_evenly(len(self._held), most)
        clean = torch.from_numpy(np.asarray(self._held[chosen], np.float32)).to(self._device)
        return clean, torch.from_numpy(self._held_conditions[chosen]).to(self._device)

    @torch.no_grad()
    def evaluate(self, module: Any) -> Figures:
        """Error on held-out clips by noise level, with their own condition and with another clip's.

        Predicting nothing has an error of about 1 at every level.
        """
        chosen = spread_evenly(len(self._held), self.config.held)
        chance = torch.Generator().manual_seed(7)
        sums = np.zeros((3, len(LEVELS)))
        for i, row in enumerate(chosen):
            other = chosen[(i + 1 + len(chosen) // 2) % len(chosen)]
            clean = torch.from_numpy(np.asarray(self._held[row], np.float32)).to(self._device)
            pair = np.stack([self._held_conditions[row], self._held_conditions[other], self.unconditional])
            condition = torch.from_numpy(pair.astype(np.float32)).to(self._device)
            noise = torch.randn((len(LEVELS), *clean.shape), generator=chance).to(self._device)
            time = torch.tensor(LEVELS, device=self._device).repeat(3)
            errors = self._errors(
                module, clean.expand(len(time), *clean.shape), noise.repeat(3, 1, 1, 1), time,
                condition.repeat_interleave(len(LEVELS), 0),
            )  # fmt: skip
            sums += errors.reshape(3, len(LEVELS)).cpu().numpy()
        sums /= len(chosen)
        metrics = {f"error_{level}": float(value) for level, value in zip(LEVELS, sums[0], strict=True)}
        own, other_s, unconditional = sums.mean(1).tolist()
        return metrics | {"own": own, "another": other_s, "without": unconditional, "held_clips": len(chosen)}

    def _errors(self, module: Any, clean: Tensor, noise: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """(B,) squared error at the given times."""
        noisy = self._scheduler.add_noise(clean, noise, time)
        velocity = self.config.prediction == "v_prediction"
        wanted = self._scheduler.get_velocity(clean, noise, time) if velocity else noise
        found = module(noisy, time, encoder_hidden_states=None, class_labels=condition).sample.float()
        return functional.mse_loss(found, wanted, reduction="none").mean((1, 2, 3))
