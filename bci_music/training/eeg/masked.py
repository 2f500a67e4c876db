"""Masked prediction: what electrodes recorded in spans of time that the encoder does not see, and where it sees none.

The masked-autoencoder objective (He et al., CVPR 2022, arXiv 2111.06377) on the sequence of steps: some electrodes are
given, spans of their time are silenced, and every electrode's slow signal is read from the steps by its position.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bci_music.messages import UserError
from bci_music.models import parallel
from bci_music.models.network import AnyEncoder
from bci_music.training.sampling import rng_of

POINTS = 4  # means of the signal in a step, what is predicted of it


class MaskedPredictor(nn.Module):
    """An encoder with what reads every electrode's signal from its steps.

    Parameters
    ----------
    encoder : ChannelEncoder or LatentQueryEncoder
        Learns in place; it has to know where its electrodes lie.
    """

    def __init__(self, encoder: AnyEncoder):
        super().__init__()
        places = getattr(encoder, "basis", None)
        if places is None or not bool(places.any()):
            raise UserError(
                "Masked prediction reads electrodes by their position, which this encoder does not know: take kind "
                "latent-queries or positions: coordinates, or pretrain.objective: distil."
            )
        self.encoder = encoder
        self.read = nn.Linear(encoder.config.dim, places.shape[1] * POINTS)

    @property
    def pretrained(self) -> AnyEncoder:
        """The encoder that alignment goes on with."""
        return self.encoder

    def forward(self, x: Tensor, keep: Tensor, hidden: Tensor) -> Tensor:
        """Predict (B, n_channels, S, POINTS) from the electrodes keep (B, K) where hidden (B, S) is False."""
        steps = self.encoder(silenced(x, hidden), keep=keep).times
        by_place = self.read(steps).unflatten(2, (-1, POINTS))  # (B, S, basis, points)
        return torch.einsum("cr,bsrp->bcsp", self.encoder.basis, by_place)

    def loss(self, x: Tensor, used: Tensor, keep: Tensor, hidden: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Mean squared error where nothing was given, over that of predicting nothing (1 when nothing is learned)."""
        wanted = step_means(x, hidden.shape[1])
        given = torch.zeros_like(used).scatter(1, keep, True)[:, :, None] & ~hidden[:, None]
        scored = (used[:, :, None] & ~given)[:, :, :, None].float()
        error = ((self(x, keep, hidden).float() - wanted).square() * scored).sum()
        loss = error / (wanted.square() * scored).sum().clamp_min(1e-9)
        return loss, {"masked": float(parallel.mean(loss.detach()))}


def silenced(x: Tensor, hidden: Tensor) -> Tensor:
    """Windows x (B, C, T) that are zero in the hidden steps (B, S)."""
    length = x.shape[2] // hidden.shape[1]
    samples = hidden.repeat_interleave(length, dim=1)
    samples = nn.functional.pad(samples, (0, x.shape[2] - samples.shape[1]))
    return x.masked_fill(samples[:, None], 0.0)


def step_means(x: Tensor, n_steps: int) -> Tensor:
    """Means of x (B, C, T) in `POINTS` equal parts of every step, whole samples each: (B, C, S, POINTS)."""
    length = x.shape[2] // n_steps
    part = max(1, length // POINTS)
    steps = x[:, :, : n_steps * length].unflatten(2, (n_steps, length))
    return steps[..., : part * POINTS].unflatten(3, (POINTS, part)).mean(4)


def hidden_steps(n_steps: int, share: float, span: int, seed: int, step: int, samples: range) -> NDArray[np.bool_]:
    """Draw for every sample which steps are hidden: (B, n_steps), spans of `span` steps that make up about `share`."""
    hidden = np.zeros((len(samples), n_steps), bool)
    for row, sample in enumerate(samples):
        rng = rng_of(seed, step, sample)
        for _ in range(max(1, round(share * n_steps / span))):
            first = int(rng.integers(0, max(1, n_steps - span + 1)))
            hidden[row, first : first + span] = True
    return hidden
