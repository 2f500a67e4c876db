"""Sizes of the network, apart from it so that a pack can be read without loading torch."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from bci_music.config import Config


class EncoderConfig(Config):
    """Size and kind of the encoder. A window of `n_times` samples gives ``n_times // patch`` tokens per channel.

    `tokens`: one per channel and time slot (ours and the paper's), or one block of all channels per slot (ablation).
    `positions`: where a token comes from is a learned table (paper), or follows from the electrode's position, so that
    another headset can be read. `gains`: channels weigh the shared patch embedding (ours; the paper has none).
    `start`: from the slots of time (ours, see `Block.gather_slots`), or small random numbers (paper).
    """

    RENAMED: ClassVar = {"widen": "mlp_ratio", "places": "positions"}

    n_channels: int = Field(125, ge=1)
    n_times: int = Field(500, ge=1)
    patch: int = Field(50, ge=1)
    dim: int = Field(128, ge=2)
    depth: int = Field(4, ge=1)
    heads: int = Field(4, ge=1)
    mlp_ratio: int = Field(4, ge=1)
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    tokens: Literal["channel", "block"] = "channel"
    positions: Literal["table", "coordinates"] = "table"
    gains: bool = True
    start: Literal["slots", "paper"] = "slots"

    @property
    def n_slots(self) -> int:
        """Time patches per channel."""
        return self.n_times // self.patch


class HeadConfig(Config):
    """Kind and size of the head: `pooled` (ours), `temporal` or `linear` (the paper's and its ablation)."""

    RENAMED: ClassVar = {"shared": "embed_dim"}

    kind: Literal["pooled", "temporal", "linear"] = "pooled"
    hidden: int = Field(256, ge=1)
    embed_dim: int = Field(256, ge=1)
