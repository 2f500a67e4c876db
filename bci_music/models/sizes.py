"""Sizes of the network, apart from it so that a pack can be read without loading torch."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from bci_music.config import Config


class EncoderConfig(Config):
    """The paper's kind of encoder, a transformer over the tokens of all channels, and its sizes.

    A window of `n_times` samples gives ``n_times // patch`` tokens per channel.

    `tokens`: one per channel and time slot (ours and the paper's), or one block of all channels per slot (ablation).
    `positions`: where a token comes from is a learned table (paper), or follows from the electrode's position, so that
    another headset can be read. `gains`: channels weigh the shared patch embedding (ours; the paper has none).
    `start`: from the slots of time (ours, see `Block.gather_slots`), or small random numbers (paper).
    """

    RENAMED: ClassVar = {"widen": "mlp_ratio", "places": "positions"}

    kind: Literal["channel-tokens"] = "channel-tokens"
    n_channels: int = Field(125, ge=1, le=1_024)
    n_times: int = Field(500, ge=1, le=100_000)
    patch: int = Field(50, ge=1, le=100_000)
    dim: int = Field(128, ge=2, le=16_384)
    depth: int = Field(4, ge=1, le=256)
    heads: int = Field(4, ge=1, le=256)
    mlp_ratio: int = Field(4, ge=1, le=64)
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    tokens: Literal["channel", "block"] = "channel"
    positions: Literal["table", "coordinates"] = "table"
    gains: bool = True
    start: Literal["slots", "paper"] = "slots"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.dim % self.heads or self.n_times < self.patch:
            raise ValueError(f"dim has to be a multiple of heads ({self.heads}), and a window longer than a patch")
        return self

    @property
    def n_slots(self) -> int:
        """Time patches per channel."""
        return self.n_times // self.patch


class LatentQueryConfig(Config):
    """Our encoder: electrodes are filtered, gathered by learned queries, and followed over time.

    `patch` is the stride of the shared `filters` in samples and `kernel` their length; a window has
    ``n_times // patch`` steps. Each of the `queries` weighs the electrodes in every step, separately for each of the
    `heads`. `dim`, `depth` and `heads` are those of the transformer over time. `causal`: a step of the sequence knows
    nothing later than itself.
    """

    kind: Literal["latent-queries"] = "latent-queries"
    n_channels: int = Field(125, ge=1, le=1_024)
    n_times: int = Field(500, ge=1, le=100_000)
    patch: int = Field(20, ge=1, le=100_000)
    kernel: int = Field(50, ge=1, le=100_000)
    filters: int = Field(64, ge=2, le=16_384)
    queries: int = Field(8, ge=1, le=1_024)
    dim: int = Field(128, ge=2, le=16_384)
    depth: int = Field(3, ge=1, le=256)
    heads: int = Field(4, ge=1, le=256)
    mlp_ratio: int = Field(4, ge=1, le=64)
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    causal: bool = False

    @property
    def n_slots(self) -> int:
        """Steps of a window."""
        return self.n_times // self.patch

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kernel < self.patch:
            raise ValueError(f"kernel {self.kernel} is shorter than patch {self.patch}: samples would be skipped")
        if self.filters % self.heads or self.dim % (2 * self.heads):
            raise ValueError(f"filters and half of dim have to be multiples of heads ({self.heads})")
        return self


def _kind_of(values: Any) -> str:
    """Which encoder is described; configurations from before there were two name no kind."""
    given = values.get("kind") if isinstance(values, dict) else getattr(values, "kind", None)
    return str(given or "channel-tokens")


AnyEncoderConfig = Annotated[
    Annotated[EncoderConfig, Tag("channel-tokens")] | Annotated[LatentQueryConfig, Tag("latent-queries")],
    Discriminator(_kind_of),
]


class HeadConfig(Config):
    """Kind and size of the head: `pooled` (ours), `temporal` or `linear` (the paper's and its ablation).

    `step_dim` numbers of every step of the sequence follow the music in time, beside one vector of `embed_dim` for the
    whole window; 0: that vector alone.
    """

    RENAMED: ClassVar = {"shared": "embed_dim"}

    kind: Literal["pooled", "temporal", "linear"] = "pooled"
    hidden: int = Field(256, ge=1, le=65_536)
    embed_dim: int = Field(256, ge=1, le=65_536)
    step_dim: int = Field(0, ge=0, le=16_384)

    def size(self, encoder: AnyEncoderConfig) -> int:
        """Numbers that a window becomes in the space EEG and music share."""
        return self.embed_dim + self.step_dim * encoder.n_slots
