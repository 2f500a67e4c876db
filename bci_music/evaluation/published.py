"""AudioLDM's networks at their published sizes with random weights: as fast as the real ones, and nothing to hear.

Numbers are those of diffusers' conversion of the original checkpoints: s has 185 M parameters in its UNet, m 416 M.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from bci_music.generation.audioldm.loading import Parts
from bci_music.generation.audioldm.solver import SamplerSettings
from bci_music.messages import EMBEDDING_DIM

SIZES = {"s": 128, "m": 192}  # channels of the UNet's first level
MULTIPLES = (1, 2, 3, 5)


def published_parts(size: str) -> Parts:
    """Make UNet, VAE, vocoder and scheduler of AudioLDM-s or -m."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(
        beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1,
    )  # fmt: skip
    networks = (make_unet(SIZES[size]), make_vae(), make_vocoder())
    for network in networks:
        network.eval().requires_grad_(False)
    free = np.zeros(EMBEDDING_DIM, np.float32)
    return Parts(*networks, scheduler, free, trained=False, name=f"AudioLDM-{size}", settings=SamplerSettings())


def copied(parts: Parts) -> Parts:
    """The same model once more, so that it can be brought into another form."""
    return Parts(*(copy.deepcopy(part) for part in vars(parts).values()))


def make_unet(channels: int) -> Any:
    """The UNet whose first level has so many channels."""
    from diffusers import UNet2DConditionModel

    widths = tuple(channels * multiple for multiple in MULTIPLES)
    return UNet2DConditionModel(
        sample_size=128, in_channels=8, out_channels=8, block_out_channels=widths, layers_per_block=2,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * 3),
        up_block_types=(*("CrossAttnUpBlock2D",) * 3, "UpBlock2D"), cross_attention_dim=widths,
        class_embed_type="simple_projection", class_embeddings_concat=True,
        projection_class_embeddings_input_dim=EMBEDDING_DIM,
    )  # fmt: skip


def make_vae() -> Any:
    """The VAE of spectrograms, the same in both sizes."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        in_channels=1, out_channels=1, latent_channels=8, block_out_channels=(128, 256, 512), layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3, sample_size=512,
    )  # fmt: skip


def make_vocoder() -> Any:
    """The vocoder, the same in both sizes."""
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    return SpeechT5HifiGan(SpeechT5HifiGanConfig(
        model_in_dim=64, sampling_rate=16_000, upsample_initial_channel=1024, upsample_rates=[5, 4, 2, 2, 2],
        upsample_kernel_sizes=[16, 16, 8, 4, 4], resblock_kernel_sizes=[3, 7, 11],
        resblock_dilation_sizes=[[1, 3, 5]] * 3, normalize_before=False,
    ))  # fmt: skip
