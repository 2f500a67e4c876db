"""The small CLAP's sizes, how it hears, and how it learns."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from bci_music.config import Config
from bci_music.training.loop import LoopConfig

Preset = Literal["pack", "tiny"]


class ClapConfig(Config):
    """A `ClapModel` of at most 3.7 M parameters, cheap enough for a laptop.

    It hears 10 s at 16 kHz in 251 frames of 40 ms, which fill a picture of 128 x 128; shorter sound is repeated.
    """

    seed: int = Field(0, ge=0)
    # how it hears
    max_length_s: int = Field(10, ge=1)
    hop: int = Field(640, ge=160)
    n_fft: int = Field(1024, ge=256)
    spec_size: int = Field(128, ge=64)  # twice the mel bands: a picture of `spec_size` x `spec_size`
    # sizes
    patch_stride: int = Field(8, ge=2)
    width: int = Field(64, ge=8)  # of the first stage; each further one doubles it
    depths: tuple[int, ...] = (1, 2, 2)
    heads: tuple[int, ...] = (2, 4, 8)
    window: int = Field(4, ge=2)  # at most the side of the last stage's picture
    text_width: int = Field(128, ge=16)
    text_layers: int = Field(3, ge=1)
    text_heads: int = Field(4, ge=1)
    vocabulary: int = Field(1200, ge=300)
    longest_text: int = Field(72, ge=16)
    dropout: float = Field(0.05, ge=0, lt=1)
    # how it learns
    batch: int = Field(64, ge=2)
    # share of batches within one genre, where the words must tell songs apart; reached when half of the steps are done
    one_genre: float = Field(0.6, ge=0, le=1)
    naming: float = Field(2.0, ge=0)  # weight of naming the captions' words from the sound
    shortest_s: float = Field(4.0, gt=0)  # of the pieces it learns from; the longest are whole
    gain_db: float = Field(10.0, ge=0)
    noise_db: float = Field(-45.0)  # loudest noise added, below the sound's mean power
    loop: LoopConfig = LoopConfig(
        steps=1600, lr=1e-3, warmup=40, weight_decay=0.05, ema=0.995, bf16=False, checkpoint_every=100, watch_every=250
    )

    @classmethod
    def preset(cls, name: Preset) -> ClapConfig:
        """The pack's, or one that a test can train."""
        if name == "pack":
            return cls()
        tiny = LoopConfig(steps=100, lr=2e-3, warmup=4, ema=0.9, bf16=False, checkpoint_every=10, watch_every=20)
        return cls(
            max_length_s=2, hop=256, patch_stride=8, width=8, depths=(1, 1), heads=(2, 2), window=4,
            text_width=16, text_layers=1, text_heads=2, vocabulary=320, dropout=0.0, batch=8, shortest_s=1.0, loop=tiny,
        )  # fmt: skip

    def model(self, vocabulary: int) -> dict[str, Any]:
        """Arguments of transformers' `ClapConfig`."""
        audio = {
            "spec_size": self.spec_size, "num_mel_bins": 64, "patch_size": self.patch_stride,
            "patch_stride": [self.patch_stride, self.patch_stride], "window_size": self.window,
            "patch_embeds_hidden_size": self.width, "hidden_size": self.width * 2 ** (len(self.depths) - 1),
            "depths": list(self.depths), "num_attention_heads": list(self.heads),
            "num_hidden_layers": len(self.depths), "hidden_dropout_prob": self.dropout, "enable_fusion": False,
        }  # fmt: skip
        text = {
            "vocab_size": vocabulary, "hidden_size": self.text_width, "num_hidden_layers": self.text_layers,
            "num_attention_heads": self.text_heads, "intermediate_size": 4 * self.text_width,
            "max_position_embeddings": self.longest_text + 2, "hidden_dropout_prob": self.dropout,
            "attention_probs_dropout_prob": self.dropout,
        }  # fmt: skip
        return {"audio_config": audio, "text_config": text, "projection_dim": 512}
