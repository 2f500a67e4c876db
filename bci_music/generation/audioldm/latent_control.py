"""A ControlNet on the latent transformer, in the order of its figure: EEG leads a base whose weights stay as they are.

```
EEG step by step (tokens, E) --linear--+
music vector ----------------linear----+--> condition --zero linear--> + tokens of the base before its first block
listener's vector -----------linear----+                                  |
                                                     copy of block 1 --zero linear--> before the base's block 2
                                                     copy of block 2 --zero linear--> before the base's block 3 ...
```

The structure is that of "Echoes of the Brain" (its figure), with the first half of the blocks copied. Zero linears make
it silent at first: the base's output is the same to the bit. Two switches are ours: the EEG comes token by token
(`sequence`) or as its mean on all of them (`pooled`, as in the figure), and in place of copies the frozen blocks may be
used once more, each followed by a small adapter (`adapters`, after LiLAC).
"""

from __future__ import annotations

import copy
from typing import Literal

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from bci_music.generation.audioldm.latent_transformer import Angles, LatentTransformer, SteeredBlock, normed
from bci_music.messages import EMBEDDING_DIM

N_LISTENERS = 64  # vectors in the table of listeners
LISTENER_DIM = 32


class LatentControl(ModelMixin, ConfigMixin):
    """What EEG adds between the blocks of a `LatentTransformer`.

    Parameters
    ----------
    dim, heads, mlp_ratio : int
        Those of the base.
    copied : int
        Blocks that are copied, from the first on.
    eeg_dim : int
        Numbers of an EEG step.
    style_dim : int
        Of the music vector.
    form : "sequence" or "pooled"
    kind : "copies" or "adapters"
    adapter_dim : int
        Width of an adapter.
    seed : int
        Of the listeners' vectors, a frozen random table in place of a text encoder.
    """

    @register_to_config
    def __init__(
        self, dim: int = 128, heads: int = 4, mlp_ratio: int = 4, copied: int = 6, eeg_dim: int = 416,
        style_dim: int = EMBEDDING_DIM, form: Literal["sequence", "pooled"] = "sequence",
        kind: Literal["copies", "adapters"] = "copies", adapter_dim: int = 768, seed: int = 0,
    ):
        super().__init__()
        self.eeg_mean: Tensor
        self.eeg_scale: Tensor
        self.listeners: Tensor
        self.register_buffer("eeg_mean", torch.zeros(eeg_dim))
        self.register_buffer("eeg_scale", torch.ones(eeg_dim))
        self.register_buffer("listeners", _unit_rows(N_LISTENERS, LISTENER_DIM, seed))
        self.eeg = nn.Linear(eeg_dim + 1, dim)
        self.music = nn.Linear(style_dim, dim)
        self.listener = nn.Linear(LISTENER_DIM, dim, bias=False)
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(dim, dim))
        self.enter = zero_linear(dim)
        if kind == "copies":
            self.copies = nn.ModuleList(SteeredBlock(dim, heads, mlp_ratio) for _ in range(copied))
        else:
            self.adapters = nn.ModuleList(_adapter(dim, adapter_dim) for _ in range(copied))
        self.leave = nn.ModuleList(zero_linear(dim) for _ in range(copied))

    @classmethod
    def over(cls, base: LatentTransformer, eeg_dim: int, copied: int | None = None, **more: object) -> LatentControl:
        """Make an untrained ControlNet over `base`: copies of the first half of its blocks, or of `copied` of them."""
        c = base.config
        n = len(base.blocks) // 2 if copied is None else copied
        if not 0 < n < len(base.blocks):
            raise ValueError(f"{n} copies of {len(base.blocks)} blocks: expected at least 1 and at most one less")
        control = cls(
            c.dim, c.heads, c.mlp_ratio, n, eeg_dim, c.style_dim,
            **more,  # type: ignore[arg-type]
        )
        if control.config.kind == "copies":
            for made, block in zip(control.copies, base.blocks, strict=False):
                made.load_state_dict(copy.deepcopy(block.state_dict()))
        return control

    def condition(self, eeg: Tensor, there: Tensor, style: Tensor, listener: Tensor | None = None) -> Tensor:
        """Say in (B, tokens, dim) what EEG, music and listener ask for, before the zero linear.

        Parameters
        ----------
        eeg : (B, tokens, eeg_dim)
            Of the moment of each token; anything finite where there is none.
        there : (B, tokens)
            1 where there is EEG.
        style : (B, style_dim)
            The music vector that comes to the ControlNet as the base sees it: with mean 0 and spread 1; 0 for none.
        listener : (B,) int64, optional
            Rows of the table; -1, or no argument, for an unknown listener.
        """
        seen = steps_seen(eeg, there, self.eeg_mean, self.eeg_scale, pooled=self.config.form == "pooled")
        found = self.eeg(seen) + self.music(style)[:, None]
        if listener is not None:
            known = (listener >= 0).to(found)
            found = found + self.listener(self.listeners[listener.clamp_min(0)] * known[:, None])[:, None]
        return self.mix(found)

    def forward(
        self, tokens: Tensor, steer: Tensor, angles: Angles, condition: Tensor, base: LatentTransformer,
        scale: float = 1.0,
    ) -> list[Tensor]:
        """Give what is added before the base's second block, its third, and so on: each (B, tokens, dim).

        Parameters
        ----------
        tokens, steer, angles
            What the base's `begin` gave.
        condition : (B, tokens, dim)
        scale : float
            Of all that is added; 0 leaves the base alone.
        """
        hidden, added = tokens + self.enter(condition), []
        for number, leave in enumerate(self.leave):
            if self.config.kind == "copies":
                hidden = self.copies[number](hidden, steer, angles)
            else:
                hidden = base.blocks[number](hidden, steer, angles)
                hidden = hidden + self.adapters[number](normed(hidden))
            added.append(scale * leave(hidden))
        return added


class Controlled(nn.Module):
    """A frozen base and its ControlNet as one network: the base's arguments, and then what the EEG says."""

    def __init__(self, base: LatentTransformer, control: LatentControl):
        super().__init__()
        if control.config.dim != base.config.dim or control.config.copied >= len(base.blocks):
            raise ValueError(
                f"a ControlNet of width {control.config.dim} with {control.config.copied} blocks does not fit a base "
                f"of width {base.config.dim} with {len(base.blocks)}"
            )
        self.base, self.control = base.requires_grad_(False), control

    def forward(
        self, noisy: Tensor, level: Tensor, style: Tensor, known: Tensor | None, is_known: Tensor | None, eeg: Tensor,
        there: Tensor, listener: Tensor | None = None, control_style: Tensor | None = None, scale: float = 1.0,
    ) -> Tensor:
        """Clean latents; see `LatentTransformer.forward` and `LatentControl.condition`.

        `control_style` (B, style_dim) is the music vector that comes to the ControlNet, `style` unless given.
        """
        base, control = self.base, self.control
        noisy, known, is_known = base.with_known(noisy, known, is_known)
        tokens, steer, angles = base.begin(noisy, level, style, known, is_known)
        music = (style if control_style is None else control_style) - base.style_mean
        asked = control.condition(eeg, there, music / base.style_scale, listener)
        tokens = base.through(tokens, steer, angles, control(tokens, steer, angles, asked, base, scale))
        return base.end(tokens, steer, noisy, level)


def steps_seen(eeg: Tensor, there: Tensor, mean: Tensor, scale: Tensor, *, pooled: bool) -> Tensor:
    """EEG steps (B, tokens, E) as a ControlNet sees them, and last whether there are any: (B, tokens, E + 1).

    `pooled` gives all tokens the mean of those that are there.
    """
    seen = (eeg - mean) / scale * there[:, :, None]
    if pooled:
        share = there / there.sum(1, keepdim=True).clamp_min(1.0)
        seen = (seen * share[:, :, None]).sum(1, keepdim=True) * there[:, :, None]
    return torch.cat([seen, there[:, :, None]], 2)


def zero_linear(dim: int) -> nn.Linear:
    """A square linear map that gives 0 until it has learned."""
    linear = nn.Linear(dim, dim)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


def _adapter(dim: int, hidden: int) -> nn.Sequential:
    last = nn.Linear(hidden, dim)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(dim, hidden), nn.GELU(approximate="tanh"), last)


def _unit_rows(n: int, dim: int, seed: int) -> Tensor:
    rows = torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))
    return rows / rows.norm(dim=1, keepdim=True)
