"""A ControlNet on Stable Audio's diffusion transformer: the form of the second way for weights of the hub.

```
noisy latents --linear--> tokens, one for the clip's length before them ----------> 24 blocks --> prediction
                            |                                                  (blocks look at the words)
EEG, music, listener --> condition --zero linear--> + tokens                              ^
                                                     |                                    |
                                     copy of block 1 --zero linear--> before block 2 of the base
                                     copy of block 2 --zero linear--> before block 3 ...  copy 12: before block 13
```

No diffusion transformer of diffusers takes what a ControlNet adds, so the loop over the blocks of its
`StableAudioDiTModel` is here; with nothing to add it gives the same bits as diffusers' own. The structure is that of
`LatentControl`; a listener is known by the base's text encoder here, from a few words, as in the figure of "Echoes of
the Brain".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.transformers.stable_audio_transformer import StableAudioDiTBlock, StableAudioDiTModel
from torch import Tensor, nn

from bci_music.generation.audioldm.latent_control import steps_seen, zero_linear
from bci_music.messages import EMBEDDING_DIM

Angles = tuple[Tensor, Tensor]


class StableAudioControl(ModelMixin, ConfigMixin):
    """What EEG adds between the blocks of a `StableAudioDiTModel`.

    Parameters
    ----------
    heads, kv_heads, head_dim, cross_dim : int
        Those of the base's blocks.
    copied : int
        Blocks that are copied, from the first on: half of the base's.
    eeg_dim : int
        Numbers of an EEG step.
    style_dim : int
        Of the music vector.
    text_dim : int
        Of the base's text encoder; 0 where it has none, and no listener is known.
    form : "sequence" or "pooled"
        EEG token by token, or its mean on all of them.
    """

    @register_to_config
    def __init__(
        self, heads: int = 24, kv_heads: int = 12, head_dim: int = 64, cross_dim: int = 768, copied: int = 12,
        eeg_dim: int = 416, style_dim: int = EMBEDDING_DIM, text_dim: int = 768,
        form: Literal["sequence", "pooled"] = "sequence",
    ):
        super().__init__()
        dim = heads * head_dim
        self.eeg_mean: Tensor
        self.eeg_scale: Tensor
        self.register_buffer("eeg_mean", torch.zeros(eeg_dim))
        self.register_buffer("eeg_scale", torch.ones(eeg_dim))
        self.eeg = nn.Linear(eeg_dim + 1, dim)
        self.music = nn.Linear(style_dim, dim, bias=False)
        self.listener = nn.Linear(text_dim, dim, bias=False) if text_dim else None
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(dim, dim))
        self.enter = zero_linear(dim)
        self.copies = nn.ModuleList(
            StableAudioDiTBlock(dim, heads, kv_heads, head_dim, cross_attention_dim=cross_dim) for _ in range(copied)
        )
        self.leave = nn.ModuleList(zero_linear(dim) for _ in range(copied))

    @classmethod
    def over(cls, base: StableAudioDiTModel, eeg_dim: int, text_dim: int = 0, **more: Any) -> StableAudioControl:
        """Make an untrained ControlNet over `base`: copies of the first half of its blocks."""
        control = cls(**shape_of(base), eeg_dim=eeg_dim, text_dim=text_dim, **more)
        for made, block in zip(control.copies, base.transformer_blocks, strict=False):
            made.load_state_dict(block.state_dict())
        return control

    @property
    def silent(self) -> bool:
        """Whether it adds nothing yet."""
        return not any(bool(part.any()) for linear in self.leave for part in linear.parameters())

    def condition(
        self, eeg: Tensor, there: Tensor, style: Tensor | None = None, listener: Tensor | None = None
    ) -> Tensor:
        """Say in (B, tokens, dim) what EEG, music and listener ask for, before the zero linear.

        Parameters
        ----------
        eeg : (B, tokens, eeg_dim)
            Of the moment of each latent frame; anything finite where there is none.
        there : (B, tokens)
            1 where there is EEG.
        style : (B, style_dim), optional
            The music vector, predicted from EEG; none unless given.
        listener : (B, text_dim), optional
            What the text encoder says of the listener; unknown unless given.
        """
        seen = steps_seen(eeg, there, self.eeg_mean, self.eeg_scale, pooled=self.config.form == "pooled")
        found = self.eeg(seen)
        if style is not None:
            found = found + self.music(style)[:, None]
        if listener is not None and self.listener is not None:
            found = found + self.listener(listener)[:, None]
        return self.mix(found)

    def forward(self, tokens: Tensor, words: Tensor, angles: Angles, condition: Tensor) -> list[Tensor]:
        """Give what is added before the base's second block, its third, and so on: each (B, 1 + frames, dim).

        Parameters
        ----------
        tokens, words
            What `begin` gave.
        angles : pair of tensors
            Rotary positions of the tokens.
        condition : (B, frames, dim)
        """
        asked = nn.functional.pad(self.enter(condition), (0, 0, 1, 0))  # the token of the length is asked nothing
        hidden, added = tokens + asked, []
        for block, leave in zip(self.copies, self.leave, strict=True):
            hidden = block(hidden, encoder_hidden_states=words, rotary_embedding=angles)
            added.append(leave(hidden))
        return added


def shape_of(base: StableAudioDiTModel) -> dict[str, int]:
    """What a ControlNet over `base` has to be made for."""
    c = base.config
    return {
        "heads": c.num_attention_heads, "kv_heads": c.num_key_value_attention_heads, "head_dim": c.attention_head_dim,
        "cross_dim": c.cross_attention_dim, "copied": c.num_layers // 2,
    }  # fmt: skip


def begin(
    base: StableAudioDiTModel, noisy: Tensor, level: Tensor, words: Tensor, length: Tensor
) -> tuple[Tensor, Tensor]:
    """Tokens (B, 1 + frames, dim) before the first block, and the words as blocks look at them.

    Parameters
    ----------
    noisy : (B, channels, frames)
    level : (1,) or (B,)
        Noise level, as the scheduler names it.
    words : (B, W, cross_attention_input_dim)
    length : (B, 1, global_states_input_dim)
        Where the clip begins and ends.
    """
    words = base.cross_attention_proj(words)
    first = base.global_proj(length) + base.timestep_proj(base.time_proj(level.to(base.dtype))).unsqueeze(1)
    frames = base.proj_in((base.preprocess_conv(noisy) + noisy).transpose(1, 2))
    return torch.cat([first, frames], dim=-2), words


def through(
    base: StableAudioDiTModel, tokens: Tensor, words: Tensor, angles: Angles, residuals: Sequence[Tensor] = ()
) -> Tensor:
    """Tokens behind the last block; `residuals` are added before the second block, the third, and so on."""
    if len(residuals) >= len(base.transformer_blocks):
        raise ValueError(
            f"{len(residuals)} residuals for the {len(base.transformer_blocks) - 1} places between the blocks"
        )
    for number, block in enumerate(base.transformer_blocks):
        if 0 < number <= len(residuals):
            tokens = tokens + residuals[number - 1]
        tokens = block(tokens, encoder_hidden_states=words, rotary_embedding=angles)
    return tokens


def denoise(
    base: StableAudioDiTModel, noisy: Tensor, level: Tensor, words: Tensor, length: Tensor, angles: Angles,
    control: StableAudioControl | None = None, condition: Tensor | None = None, scale: float = 1.0,
) -> Tensor:
    """Prediction (B, channels, frames) of the base, led by a ControlNet where one is given.

    Parameters
    ----------
    noisy, level, words, length, angles
        As `begin` and `StableAudioControl.forward` take them.
    condition : (K, frames, dim), optional
        For the last K rows of the batch; the others, those of guidance, are the base's alone.
    scale : float
        Of all that is added.
    """
    tokens, words = begin(base, noisy, level, words, length)
    residuals: list[Tensor] = []
    if control is not None and condition is not None:
        alone = len(tokens) - len(condition)
        added = control(tokens[alone:], words[alone:], angles, condition)
        residuals = [nn.functional.pad(scale * part, (0, 0, 0, 0, alone, 0)) for part in added]
    tokens = through(base, tokens, words, angles, residuals)
    found = base.proj_out(tokens).transpose(1, 2)[:, :, 1:]
    return base.postprocess_conv(found) + found
