"""Sizes of the network, apart from it so that a pack can be read without loading torch."""

from __future__ import annotations

from pydantic import Field

from bci_music.config import Config


class EncoderConfig(Config):
    """Size of the encoder. A window of `n_times` samples gives ``n_times // patch`` tokens per channel."""

    n_channels: int = Field(125, ge=1)
    n_times: int = Field(500, ge=1)
    patch: int = Field(50, ge=1)
    dim: int = Field(128, ge=2)
    depth: int = Field(4, ge=1)
    heads: int = Field(4, ge=1)
    widen: int = Field(4, ge=1)
    dropout: float = Field(0.0, ge=0.0, lt=1.0)

    @property
    def n_slots(self) -> int:
        """Time patches per channel."""
        return self.n_times // self.patch


class HeadConfig(Config):
    """Size of the pooled head."""

    hidden: int = Field(256, ge=1)
    shared: int = Field(256, ge=1)
