"""Warm start: patch embedding and channel gains learn to read the music's bands, linearly and on all channels.

This is the classic backward model of stimulus reconstruction, factored into time course x head pattern. It costs a
few seconds of what the transformer costs, and leaves it filters that already add up over the head.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from bci_music.config import Config
from bci_music.models.encoder import ChannelEncoder
from bci_music.training.corpus import Corpus


class FrontendConfig(Config):
    """How long to learn the linear front end."""

    steps: int = Field(400, ge=0)
    batch: int = Field(48, ge=1)
    lr: float = Field(3e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    seed: int = 0


def read_linearly(encoder: ChannelEncoder, x: Tensor, used: Tensor) -> Tensor:
    """Mean over the used channels of the embedded, weighted patches: (B, slots, dim)."""
    size = encoder.config.patch
    weighted = x * (used / used.sum(1, keepdim=True))[:, :, None]
    # head pattern first, time course second: never a (B, C, slots, dim) array
    courses = (weighted.transpose(1, 2) @ encoder.gain).unflatten(1, (-1, size))
    return (courses * encoder.patch.weight.T).sum(2)


def warm_up_frontend(
    encoder: ChannelEncoder, corpus: Corpus, config: FrontendConfig,
    report: Callable[[int, dict[str, float]], None] | None = None,
) -> float:
    """Train `encoder.patch` and `encoder.gain` in place; returns the last share of variance read."""
    torch.manual_seed(config.seed)
    n_bands = corpus.draw(np.random.default_rng(config.seed), 1).bands.shape[2]
    readout = nn.Linear(encoder.config.dim, n_bands)
    nn.init.zeros_(readout.weight)
    learned = [encoder.patch.weight, encoder.gain, *readout.parameters()]
    optimizer = torch.optim.AdamW(learned, lr=config.lr, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.lr, total_steps=max(1, config.steps))
    read = 0.0
    for at in range(config.steps):
        batch = corpus.draw(np.random.default_rng((config.seed, 1, at)), config.batch)
        features = read_linearly(encoder, torch.from_numpy(batch.x), torch.from_numpy(batch.used).float())
        truth = torch.from_numpy(batch.bands)
        loss = functional.mse_loss(readout(features), truth)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        schedule.step()
        read = 0.95 * read + 0.05 * (1.0 - float(loss.detach()) / float(truth.var()))
        if report:
            report(at + 1, {"loss": float(loss.detach()), "variance_read": read})
    return read
