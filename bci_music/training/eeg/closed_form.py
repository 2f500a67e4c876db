"""Closed-form init: the encoder's first filters come from a backward model, before any step of training.

A ridge regression reads the music's bands from all channels and lags of a time slot (classic stimulus
reconstruction). The few head patterns it uses, each with a set of smooth time courses, are what channel gains and
shared patch embedding can hold; the transformer then starts from filters that already add up over the head.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config
from bci_music.models.adapter import Sums
from bci_music.models.network import AnyEncoder
from bci_music.training.eeg.corpus import Corpus

Array = NDArray[np.float64]
MEAN_TOKEN = 0.02  # standard deviation of the mean token of all channels: small beside the slot codes, see Block


class ClosedFormConfig(Config):
    """How the filters are found. `alpha` is the ridge penalty relative to the mean variance of the inputs."""

    lag_samples: int = Field(5, ge=1)  # lags are averaged in groups of so many samples
    alpha: float = Field(0.2, gt=0)
    windows: int = Field(4000, ge=1)
    patterns: int = Field(12, ge=1)
    seed: int = 0


def init_closed_form(
    encoder: AnyEncoder, corpus: Corpus, config: ClosedFormConfig, report: Callable[[int], None] | None = None
) -> float:
    """Set the encoder's shared filters and its gains in place; returns the share of variance read (in sample)."""
    filters = encoder.filters
    if filters.in_features != corpus.patch:  # a slot as long as the filters
        corpus = Corpus(
            corpus.segments, corpus.music, sfreq_hz=corpus.sfreq_hz, n_times=corpus.n_times, patch=filters.in_features
        )
    sums = _normal_equations(corpus, config, report)
    patterns, read = _patterns(sums, encoder.config.n_channels, config)
    which, courses, strength = _courses(sums, patterns, config)
    dim = min(filters.out_features, len(which))
    which, courses, strength = which[:dim], courses[:dim], strength[:dim]
    with torch.no_grad():
        gains = encoder.gains().clone()
        gains[:, :dim] = torch.from_numpy(patterns[:, which]).float()
        encoder.set_gains(gains)
        filters.weight[:dim] = torch.from_numpy(np.repeat(courses, config.lag_samples, axis=1)).float()
        size = MEAN_TOKEN * torch.from_numpy(np.sqrt(strength / strength[: dim // 4].mean())).float()
        gains[:, :dim] *= size / _spread_of_mean(encoder, corpus, config)[:dim]
        gains[:, dim:] *= 0.1 * MEAN_TOKEN
        encoder.set_gains(gains)
    return read


def _normal_equations(corpus: Corpus, config: ClosedFormConfig, report: Callable[[int], None] | None) -> Sums:
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


def _patterns(sums: Sums, n_channels: int, config: ClosedFormConfig) -> tuple[Array, float]:
    """Head patterns (n_channels, patterns) that keep most of the reading, and the share of variance it reads.

    They are the main axes of the regression weights, measured by what they do to the EEG: the weights are
    multiplied by the root of the channels' covariance first.
    """
    weights, intercept = sums.solve(config.alpha)
    n_lags = sums.n_in // n_channels
    blocks = sums.xx.reshape(n_channels, n_lags, n_channels, n_lags)
    covariance = np.einsum("albl->ab", blocks) / (sums.n * n_lags)
    values, axes = np.linalg.eigh(covariance)
    values = np.maximum(values, 0.3 * values.max())
    root = axes * np.sqrt(values) @ axes.T
    main = np.linalg.svd(root @ weights.reshape(n_channels, -1), full_matrices=False)[0][:, : config.patterns]
    spread = sums.yy - float(sums.y @ sums.y) / sums.n
    return np.linalg.solve(root, main), 1.0 - sums.error(weights, intercept) / spread


def _courses(
    sums: Sums, patterns: Array, config: ClosedFormConfig
) -> tuple[NDArray[np.int64], Array, Array]:
    """Which pattern, which time course (lags,) and how much it reads, of every filter; the strongest first."""
    n_lags = sums.n_in // len(patterns)
    to_lags = np.einsum("cp,lk->clpk", patterns, np.eye(n_lags)).reshape(sums.n_in, -1)
    small = Sums(to_lags.shape[1], sums.n_out, sums.n)
    small.xx, small.xy, small.x = to_lags.T @ sums.xx @ to_lags, to_lags.T @ sums.xy, sums.x @ to_lags
    small.y, small.yy = sums.y, sums.yy
    weights = small.solve(0.01)[0].reshape(patterns.shape[1], n_lags, -1)
    which, courses, strength = [], [], []
    for number, block in enumerate(weights):
        u, s, _ = np.linalg.svd(block, full_matrices=False)
        inside = small.xx.reshape(len(weights), n_lags, len(weights), n_lags)[number, :, number]
        which += [number] * len(s)
        courses += list(u.T)
        strength += list(s * np.sqrt(np.einsum("lk,lm,mk->k", u, inside, u) / sums.n))
    order = np.argsort(strength)[::-1]
    return np.array(which)[order], np.array(courses)[order], np.array(strength)[order]


def _spread_of_mean(encoder: AnyEncoder, corpus: Corpus, config: ClosedFormConfig) -> torch.Tensor:
    """Standard deviation of the mean token over the channels, per dimension."""
    batch = corpus.draw(np.random.default_rng((config.seed, 4)), 100)
    x, used = torch.from_numpy(batch.x), torch.from_numpy(batch.used).float()
    size = encoder.filters.in_features
    x = x[:, :, : x.shape[2] // size * size]
    weighted = (x * (used / used.sum(1, keepdim=True))[:, :, None]).transpose(1, 2) @ encoder.gains()
    tokens = (weighted.unflatten(1, (-1, size)) * encoder.filters.weight.T).sum(2)
    return tokens.flatten(0, 1).std(0).clamp_min(1e-9)
