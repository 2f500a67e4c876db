"""The autoencoder of spectrograms: AudioLDM's class and shape, small.

Latents leave it with mean 0 and spread 1 in every channel: what was measured is folded into its two 1×1 convolutions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from bci_music.config import Config
from bci_music.models.log_mel import BANDS
from bci_music.training.audioldm.batches import Figures, moments, over_clips, pieces, places
from bci_music.training.loop import LoopConfig

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

LATENT_CHANNELS = 8
DECIBEL = 20 / float(np.log(10))  # of one unit of log mel


class VaeConfig(Config):
    """Size, loss and schedule. Losses are in spreads of the music's log mel."""

    channels: tuple[int, int, int] = (24, 48, 96)
    groups: int = 8
    frames: int = Field(128, ge=16, multiple_of=4)
    batch: int = Field(8, ge=1)
    kl: float = Field(2e-3, ge=0)
    slopes: float = Field(0.5, ge=0, description="weight of differences between neighbours, for sharp onsets and lines")
    loop: LoopConfig = LoopConfig(
        steps=2000, lr=1e-3, warmup=100, weight_decay=0.0, ema=0.995, bf16=False, watch_every=500
    )
    held: int = Field(64, ge=1)
    seed: int = 0


def new_vae(config: VaeConfig, mel: NDArray[np.float16]) -> AutoencoderKL:
    """Make an untrained autoencoder that sees the music of `mel` (n, frames, 64) with mean 0 and spread 1."""
    from diffusers import AutoencoderKL

    vae = AutoencoderKL(
        in_channels=1, out_channels=1, latent_channels=LATENT_CHANNELS, block_out_channels=config.channels,
        norm_num_groups=config.groups, layers_per_block=1, down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3, sample_size=BANDS, mid_block_add_attention=False,
    )
    mean, std = (float(v) for v in moments(mel, (0, 1, 2)))
    first, last = vae.encoder.conv_in, vae.decoder.conv_out
    with torch.no_grad():
        first.weight /= std
        first.bias -= mean * first.weight.sum((1, 2, 3))
        last.weight *= std
        last.bias.fill_(mean)
    return vae


class VaeTask:
    """Learn to give spectrograms back through the latents."""

    def __init__(
        self, module: AutoencoderKL, mel: NDArray[np.float16], held: NDArray[np.float16], config: VaeConfig,
        device: str = "cpu",
    ):
        self.module, self._mel, self._held, self._config, self._device = module, mel, held, config, device
        self._std = float(moments(mel, (0, 1, 2))[1])

    def step(self, module: Any, at: int) -> tuple[Tensor, Figures]:
        """Absolute error of values and of slopes at three scales, and a little Kullback-Leibler divergence."""
        c = self._config
        where = places(len(self._mel), self._mel.shape[1], c.frames, seed=c.seed, step=at, batch=c.batch)
        picture = pieces(self._mel, where, c.frames, self._device)[:, None]
        posterior = module.encode(picture).latent_dist
        error = (module.decode(posterior.sample()).sample.float() - picture) / self._std
        absolute = error.abs().mean()
        kl = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar).mean()
        loss = absolute + c.slopes * _slopes(error) + c.kl * kl
        return loss, {"mel_db": float(absolute.detach()) * self._std * DECIBEL, "kl": float(kl.detach())}

    def evaluate(self, module: Any) -> Figures:
        """Mean absolute error of held-out spectrograms in dB, and that of the best constant picture per band."""
        n = min(len(self._held), self._config.held)
        parts = over_clips(self._held, lambda x: _error(module, x), self._device, n)
        middle = torch.from_numpy(moments(self._mel, (0, 1))[0]).to(self._device)
        trivial = over_clips(self._held, lambda x: (x - middle).abs().mean((1, 2)), self._device, n)
        return {
            "mel_l1_db": float(torch.cat(parts).mean()) * DECIBEL,
            "mean_picture_db": float(torch.cat(trivial).mean()) * DECIBEL, "held_clips": n,
        }


@torch.no_grad()
def settle_latents(vae: AutoencoderKL, mel: NDArray[np.float16], device: str = "cpu", clips: int = 128) -> None:
    """Fold the latents' measured mean and spread into the autoencoder; `scaling_factor` is measured after that."""
    vae.to(device).eval()
    z = torch.cat(over_clips(mel, lambda x: vae.encode(x[:, None]).latent_dist.mode(), device, clips))
    mean, std = z.mean((0, 2, 3)), z.std((0, 2, 3)).clamp_min(1e-4)
    into, out = vae.quant_conv, vae.post_quant_conv
    n = len(mean)
    into.weight[:n] /= std[:, None, None, None]
    into.bias[:n] = (into.bias[:n] - mean) / std
    into.bias[n:] -= 2 * std.log()
    out.bias += out.weight[:, :, 0, 0] @ mean
    out.weight *= std[None, :, None, None]
    z = torch.cat(over_clips(mel, lambda x: vae.encode(x[:, None]).latent_dist.mode(), device, clips))
    vae.register_to_config(scaling_factor=1.0 / float(z.std()))


@torch.no_grad()
def encode(vae: AutoencoderKL, mel: Tensor) -> Tensor:
    """Latents (B, 8, frames / 4, 16) as the UNet sees them, of pictures (B, frames, 64)."""
    return vae.encode(mel[:, None]).latent_dist.mode() * vae.config.scaling_factor


@torch.no_grad()
def rebuild(vae: AutoencoderKL, mel: Tensor) -> Tensor:
    """Pictures (B, frames, 64) as they come back."""
    return vae.decode(vae.encode(mel[:, None]).latent_dist.mode()).sample[:, 0]


def _error(vae: AutoencoderKL, mel: Tensor) -> Tensor:
    return (rebuild(vae, mel) - mel).abs().mean((1, 2))


def _slopes(error: Tensor) -> Tensor:
    """Absolute error of differences between neighbours in time and pitch, of the picture at 1, 1/2 and 1/4 size."""
    total = error.new_zeros(())
    for _ in range(3):
        total = total + error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
        error = functional.avg_pool2d(error, 2)
    return total / 6
