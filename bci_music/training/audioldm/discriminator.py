"""Adversarial training of the vocoder: magnitudes that discriminators of spectra cannot tell from music's.

Vocoder and discriminators learn in one step of one optimiser: what each must not change for the other is detached.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from bci_music.config import Config
from bci_music.training.audioldm.batches import Figures
from bci_music.training.audioldm.vocoder import EDGE, VocoderTask, log_magnitudes, magnitude_loss

_SLOPE = 0.1
_SPREAD = 3.0  # of log magnitudes, roughly


class DiscriminatorConfig(Config):
    """Size of the discriminators and weights of the losses."""

    REMOVED: ClassVar = {"periods": None, "resolutions": None}

    channels: int = Field(32, ge=4)
    parts: int = Field(3, ge=1, description="of the spectrum, each with a discriminator of its own")
    spectra: float = Field(10.0, ge=0)
    features: float = Field(2.0, ge=0)


class Discriminator(nn.Module):
    """A tower of 2-d convolutions: features of every layer, the last of them the score."""

    def __init__(self, channels: int, kernel: tuple[int, int], stride: tuple[int, int]):
        super().__init__()
        widths = [1, channels, 2 * channels, 4 * channels]
        pad = (kernel[0] // 2, kernel[1] // 2)
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(i, o, kernel, stride, pad)) for i, o in pairwise(widths)
        )
        self.last = weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), 1, (1, 0)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of (B, 1, height, width)."""
        found = []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), _SLOPE)
            found.append(x)
        return [*found, self.last(x)]


class Discriminators(nn.Module):
    """One discriminator for each part of the spectrum."""

    def __init__(self, config: DiscriminatorConfig):
        super().__init__()
        self.parts = nn.ModuleList(Discriminator(config.channels, (3, 9), (1, 2)) for _ in range(config.parts))

    def forward(self, level: Tensor) -> list[list[Tensor]]:
        """Features by discriminator of log magnitudes (B, frames, 513)."""
        pieces = (level / _SPREAD)[:, None].tensor_split(len(self.parts), dim=3)
        return [discriminator(piece) for discriminator, piece in zip(self.parts, pieces, strict=True)]


class AdversarialPair(nn.Module):
    """A vocoder and its discriminators."""

    def __init__(self, vocoder: nn.Module, config: DiscriminatorConfig):
        super().__init__()
        self.vocoder, self.discriminators = vocoder, Discriminators(config)


class AdversarialTask:
    """Learn to sound like music to discriminators that learn to tell it from music.

    Parameters
    ----------
    inner : VocoderTask
        Draws the pieces and evaluates the vocoder.
    """

    def __init__(self, module: AdversarialPair, inner: VocoderTask, config: DiscriminatorConfig):
        self.module, self._inner, self._config = module, inner, config

    def step(self, module: Any, at: int) -> tuple[Tensor, Figures]:
        """Losses of both sides; each moves its own weights only."""
        c = self._config
        picture, sound = self._inner.draw(at)
        made, true = module.vocoder.log_magnitude(picture), log_magnitudes(sound)
        spectra, metrics = magnitude_loss(made, true)
        made, true = made[:, EDGE:-EDGE], true[:, EDGE:-EDGE]
        genuine, copied = module.discriminators(true), module.discriminators(made.detach())
        discriminating = sum(
            (1 - t[-1]).square().mean() + f[-1].square().mean() for t, f in zip(genuine, copied, strict=True)
        )
        fixed = {name: p.detach() for name, p in module.discriminators.named_parameters()}
        seen = functional_call(module.discriminators, fixed, (made,))
        fooling = sum((1 - f[-1]).square().mean() for f in seen)
        alike = sum(
            (a - b.detach()).abs().mean() for f, t in zip(seen, genuine, strict=True)
            for a, b in zip(f[:-1], t[:-1], strict=True)
        )  # fmt: skip
        loss = discriminating + fooling + c.features * alike + c.spectra * spectra
        return torch.as_tensor(loss), metrics | {"discriminators": float(torch.as_tensor(discriminating).detach())}

    def evaluate(self, module: Any) -> Figures:
        """Figures of the vocoder."""
        return self._inner.evaluate(module.vocoder)
