"""Warm start in closed form: a backward model becomes the encoder's first filters.

A ridge regression reads the music's bands from all channels and lags of a time slot (classic stimulus
reconstruction). Its main components, each split into head pattern x time course, are what the shared patch embedding
and the channel gains can hold; the transformer then starts from filters that already add up over the head.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config
from bci_music.models.adapter import Sums
from bci_music.models.encoder import ChannelEncoder
from bci_music.training.corpus import Corpus

Array = NDArray[np.float64]


class BackwardConfig(Config):
    """How the filters are found. `alpha` is the ridge penalty relative to the mean variance of the inputs."""

    lag_samples: int = Field(5, ge=1)  # lags are averaged in groups of so many samples
    alpha: float = Field(0.3, gt=0)
    windows: int = Field(4000, ge=1)
    components: int = Field(16, ge=1)
    seed: int = 0


def warm_start(
    encoder: ChannelEncoder, corpus: Corpus, config: BackwardConfig, report: Callable[[int], None] | None = None
) -> float:
    """Set `encoder.patch` and `encoder.gain` in place; returns the share of variance read (in sample)."""
    sums = _normal_equations(corpus, config, report)
    parts, read = _components(sums, encoder.config.n_channels, config)
    dim = min(encoder.config.dim, len(parts))
    patterns = np.stack([pattern for _, pattern, _ in parts[:dim]], axis=1)
    courses = np.stack([np.repeat(course, config.lag_samples) for _, _, course in parts[:dim]])
    patterns *= np.sqrt(len(patterns)) / np.linalg.norm(patterns, axis=0)
    courses /= np.linalg.norm(courses, axis=1, keepdims=True)
    with torch.no_grad():
        encoder.gain[:, :dim] = torch.from_numpy(patterns).float()
        encoder.patch.weight[:dim] = torch.from_numpy(courses).float()
    return read


def _normal_equations(corpus: Corpus, config: BackwardConfig, report: Callable[[int], None] | None) -> Sums:
    """Sums over random windows; every time slot is one row."""
    sums: Sums | None = None
    for at in range(0, config.windows, 50):
        batch = corpus.draw(np.random.default_rng((config.seed, 2, at)), 50)
        x = batch.x * batch.used[:, :, None]
        n_slots, n_lags = batch.bands.shape[1], corpus.patch // config.lag_samples
        x = x[:, :, : n_slots * corpus.patch].reshape(len(x), x.shape[1], n_slots, n_lags, -1).mean(4)
        rows = x.transpose(0, 2, 1, 3).reshape(len(x) * n_slots, -1)
        sums = sums or Sums(rows.shape[1], batch.bands.shape[2])
        sums.add(rows, batch.bands.reshape(len(rows), -1))
        if report:
            report(at + 50)
    assert sums is not None
    return sums


def _components(sums: Sums, n_channels: int, config: BackwardConfig) -> tuple[list[tuple[float, Array, Array]], float]:
    """Rank-one parts (strength, pattern (C,), time course (lags,)) of the main components of the reading."""
    weights, intercept = sums.solve(config.alpha)
    covariance = weights.T @ sums.xx @ weights / sums.n
    values, axes = np.linalg.eigh(covariance)
    parts = []
    for value, axis in list(zip(values[::-1], axes.T[::-1], strict=True))[: config.components]:
        u, s, v = np.linalg.svd((weights @ axis).reshape(n_channels, -1), full_matrices=False)
        share = s**2 / (s**2).sum()
        parts += [(float(value * share[k]), u[:, k], v[k]) for k in range(len(s))]
    parts.sort(key=lambda part: -part[0])
    spread = sums.yy - float(sums.y @ sums.y) / sums.n
    return parts, 1.0 - sums.error(weights, intercept) / spread
