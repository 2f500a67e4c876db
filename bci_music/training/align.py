"""Alignment: EEG windows are drawn to the embedding of the music heard in them, and pushed from other music."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from bci_music.config import Config
from bci_music.models import parallel
from bci_music.models.device import mixed
from bci_music.models.network import Network
from bci_music.training.aligner import Aligner, alignment_loss
from bci_music.training.corpus import Batch, Corpus
from bci_music.training.draws import Ahead, draw_batch, least_used, noise_like, own_samples, rng_of
from bci_music.training.loop import Loop, LoopConfig, compile_blocks
from bci_music.training.losses import same_music, top1
from bci_music.training.views import crop, kept_channels, to_tensor
from bci_music.training.virtual import MeanTokens, anchored_tokens, virtual_tokens


class AlignConfig(Config):
    """What is learned and how views are made.

    `keep` is the range of channels that stay in a view (drawn once per step); all of them when it is None.
    `spare_same_music`: the same seconds of a song heard by another listener are no negative (the paper's are).
    `crop`: share of the window that is cut and stretched back, (1, 1) for none; the paper's is (0.4, 1).
    """

    loop: LoopConfig = LoopConfig()
    views: Literal["virtual", "anchored", "channels"] = "channels"
    batch: int = Field(64, ge=2)
    keep: tuple[int, int] | None = (16, 40)
    virtual: tuple[int, int] = (2, 4)  # virtual electrodes in a view of that kind
    noise: float = Field(0.1, ge=0)
    jitter_s: float = Field(0.04, ge=0)
    crop: tuple[float, float] = (1.0, 1.0)
    temperature: float = Field(0.07, gt=0)
    bands_weight: float = Field(1.0, ge=0)
    spare_same_music: bool = True
    encoder: Literal["tuned", "fixed"] = "tuned"
    window_s: float = Field(4.0, gt=0)
    seed: int = 0


Report = Callable[[int, dict[str, float]], None]


def align(
    module: Aligner, corpus: Corpus, config: AlignConfig, directory: Path, *, watch: Corpus | None = None,
    resume: bool = False, device: str = "cpu", report: Report | None = None,
    until: Callable[[], bool] = lambda: False, tensorboard: bool = False,
) -> Aligner:
    """Train an aligner and return its average over the steps.

    Parameters
    ----------
    watch : Corpus, optional
        Other takes, on which the share of windows found in a batch is followed.
    until : callable
        Ends the run early when true, e.g. when the time is used up.
    """
    torch.manual_seed(config.seed)
    if config.encoder == "fixed":
        module.network.encoder.requires_grad_(False)
    special = config.views != "channels"
    means = MeanTokens(module.network.encoder, corpus, config.seed) if special else None

    def make(at: int) -> tuple[Batch, NDArray[np.int64] | None]:
        return _channel_view(corpus, config, at)

    def step(module: Aligner, at: int) -> tuple[Tensor, dict[str, float]]:
        cost: dict[str, float] = {}
        if means is not None:
            batch, (eeg, bands) = _token_view(module, means, config, at, device)
        else:
            assert ahead is not None
            batch, keep = ahead.get(at)
            eeg, bands = module.read(batch, keep, device)
            cost = {"waited": round(ahead.waited_s, 4)}
            if isinstance(module.network, Network):
                kept = batch.x.shape[1] if keep is None else keep.shape[1]
                cost["tokens"] = module.network.encoder.tokens_of(kept, batch.x.shape[2]) * config.batch
        loss, figures = alignment_loss(
            module, batch, eeg, bands, window_s=config.window_s, spare=config.spare_same_music,
            bands_weight=config.bands_weight, device=device,
        )
        return loss, figures | cost

    def follow(module: Aligner) -> dict[str, float]:
        if watch is None:
            return {}
        settle_norm(module.network, corpus, windows=96, device=device)
        return {"watch_top1": found_share(module, watch, config, device)}

    loop = Loop(
        module, step, config.loop, directory, device=device, watch=follow, report=report, tensorboard=tensorboard
    )
    if config.loop.compile:
        compile_blocks(module.network)
    if resume:
        loop.resume()
    ahead = None if special else Ahead(make, loop.at, config.loop.steps)
    try:
        loop.run(until)
    finally:
        if ahead is not None:
            ahead.close()
    return loop.averaged


def _channel_view(corpus: Corpus, config: AlignConfig, at: int) -> tuple[Batch, NDArray[np.int64] | None]:
    """Draw windows, crop, add noise, choose the channels that stay."""
    batch = draw_batch(corpus, config.seed, at, config.batch, config.jitter_s)
    samples = own_samples(config.batch)
    x = batch.x
    if config.crop != (1.0, 1.0):
        x = crop(x, config.crop, x.shape[2], config.seed, at, samples, 0)
    x = noise_like(x, config.seed + 1, at, samples, config.noise)
    keep = None
    if config.keep is not None:
        n = int(rng_of(config.seed + 2, at).integers(config.keep[0], config.keep[1] + 1))
        alone = parallel.world() == 1  # its rows are all there are
        least = int(batch.used.sum(1).min()) if alone else least_used(corpus, config.seed, at, config.batch)
        keep = kept_channels(batch.used, n, least, config.seed + 3, at, samples)
    return Batch(x, batch.used, batch.target, batch.bands, batch.song, batch.second), keep


def _token_view(
    module: Aligner, means: MeanTokens, config: AlignConfig, at: int, device: str
) -> tuple[Batch, tuple[Tensor, Tensor | None]]:
    """Views made of the channels' mean token: see `training.virtual`. One process only."""
    rng, encoder = np.random.default_rng((config.seed, at)), module.network.encoder
    if config.views == "anchored":
        batch, mean = means.draw_both(rng, config.batch, config.jitter_s)
        keep = config.keep or (batch.x.shape[1],) * 2
        n = int(rng.integers(keep[0], keep[1] + 1))
        least = int(batch.used.sum(1).min())
        chosen = to_tensor(kept_channels(batch.used, n, least, config.seed + 3, at, range(len(batch.x))), device)
        tokens = anchored_tokens(encoder, to_tensor(batch.x, device), chosen, to_tensor(mean, device))
    else:
        batch = means.draw(rng, config.batch, config.jitter_s)
        grown = min(1.0, 0.1 + 2.0 * at / config.loop.steps)  # deviations grow to their true size by half time
        n = int(rng.integers(config.virtual[0], config.virtual[1] + 1))
        tokens = virtual_tokens(encoder, to_tensor(batch.x, device), grown * means.spread, n, rng)
    return batch, module.read_encoded(encoder.attend(tokens)[0])


@torch.no_grad()
def settle_norm(
    network: Any, corpus: Corpus, *, windows: int = 160, bf16: bool = True, seed: int = 0, device: str = "cpu"
) -> None:
    """Measure the batch norms anew, on all usable channels and with the weights as they are now.

    Every process measures the same windows.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # plain average over what follows
        norm.train()
    for at in range(windows // 16 if norms else 0):
        batch = corpus.draw(np.random.default_rng((seed, 5, at)), 16)
        with parallel.apart(), mixed(device, bf16):
            network.shared(to_tensor(batch.x, device), to_tensor(batch.used, device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


@torch.inference_mode()
def found_share(module: Aligner, corpus: Corpus, config: AlignConfig, device: str, batches: int = 4) -> float:
    """Share of windows found among 50 in fixed batches of a corpus, with all usable channels."""
    shares = []
    for at in range(batches):
        batch = corpus.draw(np.random.default_rng((7, at)), 50)
        with mixed(device, config.loop.bf16):
            eeg, _ = module.read(batch, None, device)
            music = module.place_music(to_tensor(batch.target, device))
        same = same_music(to_tensor(batch.song, device), to_tensor(batch.second, device), config.window_s)
        shares.append(top1(eeg, music, same))
    return float(np.mean(shares))
