"""Virtual electrodes: learn the transformer before it sees single channels, at a twentieth of the cost.

The front end is linear, so the mean of all channels' tokens is known beforehand for every instant of every segment. A
view is then a handful of tokens per slot: that mean plus noise as large as single channels' deviations from it, which
sums to zero over the tokens. What the blocks learn here (average over tokens of a slot, read rhythm and level over
slots) is what they need on real channels, on which they are trained afterwards.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from bci_music.models.encoder import ChannelEncoder
from bci_music.training.eeg.corpus import Batch, Corpus, Segment

STRIDE = 5  # samples between the instants at which mean tokens are kept


class MeanTokens:
    """Mean token of every segment at every `STRIDE`-th sample, without positions, and the channels' spread around it.

    Attributes
    ----------
    tokens : list of (n, dim) float16
    spread : (dim,) float32
    """

    def __init__(self, encoder: ChannelEncoder, corpus: Corpus, seed: int = 0):
        self._corpus = corpus
        self._slots = np.arange(encoder.config.n_slots) * (encoder.config.patch // STRIDE)
        with torch.inference_mode():
            self.tokens = [_mean_tokens(encoder, segment).numpy() for segment in corpus.segments]
            self.spread = _spread(encoder, corpus.draw(np.random.default_rng((seed, 3)), 16))

    def draw(self, rng: np.random.Generator, size: int, jitter_s: float) -> Batch:
        """Draw windows; `x` of the batch is their mean tokens (B, slots, dim), `used` is empty."""
        return self._draw(rng, size, jitter_s)[0]

    def draw_both(self, rng: np.random.Generator, size: int, jitter_s: float) -> tuple[Batch, NDArray[np.float32]]:
        """Draw windows with their EEG, and beside it their mean tokens (B, slots, dim)."""
        means, places, firsts = self._draw(rng, size, jitter_s)
        corpus = self._corpus
        eeg = [
            corpus.segments[segment].eeg[:, first : first + corpus.n_times]
            for (segment, _), first in zip(places, firsts, strict=True)
        ]
        used = np.stack([corpus.segments[segment].used for segment, _ in places])
        return corpus.heard(places, np.stack(eeg).astype(np.float32), used), means.x

    def _draw(
        self, rng: np.random.Generator, size: int, jitter_s: float
    ) -> tuple[Batch, list[tuple[int, float]], list[int]]:
        corpus = self._corpus
        places = corpus.places(rng, size)
        shift = np.rint(rng.uniform(-jitter_s, jitter_s, size) * corpus.sfreq_hz).astype(int)
        rows, firsts = [], []
        for (segment, start), moved in zip(places, shift, strict=True):
            at = corpus.first_sample(segment, start, int(moved)) // STRIDE
            rows.append(self.tokens[segment][at + self._slots])
            firsts.append(at * STRIDE)
        return corpus.heard(places, np.stack(rows).astype(np.float32), np.ones((size, 0), bool)), places, firsts


def virtual_tokens(
    encoder: ChannelEncoder, mean: Tensor, spread: NDArray[np.float32], n: int, rng: np.random.Generator
) -> Tensor:
    """Mean tokens (B, slots, dim) as `n` virtual electrodes (B, n, slots, dim), with the mean position of a slot."""
    noise = rng.standard_normal((len(mean), n, *mean.shape[1:]), dtype=np.float32) * spread
    deviation = torch.from_numpy(noise - noise.mean(1, keepdims=True)).to(mean.device)
    return mean[:, None] + deviation + encoder.positions().mean(0)[: mean.shape[1]]


def anchored_tokens(encoder: ChannelEncoder, x: Tensor, keep: Tensor, mean: Tensor) -> Tensor:
    """Tokens of the kept channels (B, K, slots, D), all moved alike so that their mean is that of all channels.

    A few channels then carry what all together know, with the deviations single channels really have.
    """
    with torch.no_grad():
        tokens = encoder.tokens(x, keep).float()
    position = encoder.positions()[:, : mean.shape[1]].mean(0)
    return tokens - tokens.mean(1, keepdim=True) + mean[:, None] + position


def _mean_tokens(encoder: ChannelEncoder, segment: Segment) -> Tensor:
    """Head pattern first, time course second: (n, dim) float16."""
    used = torch.from_numpy(segment.used)
    eeg = torch.from_numpy(segment.eeg)[used].float()
    courses = encoder.gains()[used].T @ eeg / len(eeg)
    kernel = encoder.patch.weight[:, None]
    tokens = functional.conv1d(courses[None], kernel, stride=STRIDE, groups=len(kernel))[0].T
    return (tokens + encoder.patch.bias * encoder.gains()[used].mean(0)).half()


def _spread(encoder: ChannelEncoder, batch: Batch) -> NDArray[np.float32]:
    """Standard deviation of single channels' tokens around the mean of the channels, per dimension."""
    x, used = torch.from_numpy(batch.x), torch.from_numpy(batch.used)
    tokens = encoder.patch(x.unflatten(2, (-1, encoder.config.patch))) * encoder.gains()[:, None]
    share = (used / used.sum(1, keepdim=True))[:, :, None, None]
    mean = (tokens * share).sum(1, keepdim=True)
    return ((tokens - mean).square() * share).sum(1).mean((0, 1)).sqrt().numpy()
