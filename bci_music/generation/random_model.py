"""A small AudioLDM with random weights: the real classes end to end, for tests and for trying the machinery.

What it sounds like says nothing about any style; it is marked as not trained everywhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bci_music.generation.loading import NOTE, quiet_loading
from bci_music.messages import EMBEDDING_DIM

NAME = "random AudioLDM (not trained)"


def write_random_audioldm(directory: str | Path, seed: int = 0) -> Path:
    """Write UNet, VAE, vocoder and scheduler with random weights (about 1 M parameters) into `directory`."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=32, in_channels=8, out_channels=8, block_out_channels=(16, 32, 32), layers_per_block=1,
            norm_num_groups=8, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=8,
            cross_attention_dim=(None, 32, 32), class_embed_type="simple_projection", class_embeddings_concat=True,
            projection_class_embeddings_input_dim=EMBEDDING_DIM,
        )
        vae = AutoencoderKL(
            in_channels=1, out_channels=1, latent_channels=8, block_out_channels=(16, 16, 32), norm_num_groups=8,
            down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3, sample_size=64,
        )
        vocoder = SpeechT5HifiGan(SpeechT5HifiGanConfig(
            model_in_dim=64, sampling_rate=16_000, upsample_initial_channel=64, upsample_rates=[5, 4, 2, 2, 2],
            upsample_kernel_sizes=[15, 8, 4, 4, 4], resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1, 3]],
            normalize_before=False, initializer_range=0.12,  # loud enough to hear that the latents matter
        ))
    scheduler = DDIMScheduler(
        beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False
    )
    parts: dict[str, Any] = {"unet": unet, "vae": vae, "vocoder": vocoder, "scheduler": scheduler}
    with quiet_loading():
        for name, part in parts.items():
            part.save_pretrained(directory / name)
    (directory / NOTE).write_text(json.dumps({"trained": False, "name": NAME}), encoding="utf-8")
    return directory
