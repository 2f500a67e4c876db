"""Alignment: EEG windows are drawn to the embedding of the music heard in them, and pushed from other music."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from bci_music.config import Config
from bci_music.models.encoder import Encoded
from bci_music.models.network import Network
from bci_music.training.corpus import Batch, Corpus
from bci_music.training.loop import Loop, LoopConfig
from bci_music.training.losses import info_nce, same_music, top1
from bci_music.training.virtual import MeanTokens, anchored_tokens, virtual_tokens


class AlignConfig(Config):
    """What is learned and how views are made. `keep` is the range of channels that stay in a view."""

    loop: LoopConfig = LoopConfig()
    views: Literal["virtual", "anchored", "channels"] = "channels"
    batch: int = Field(64, ge=2)
    keep: tuple[int, int] = (16, 40)
    virtual: tuple[int, int] = (2, 4)  # virtual electrodes in a view of that kind
    noise: float = Field(0.1, ge=0)
    jitter_s: float = Field(0.04, ge=0)
    temperature: float = Field(0.07, gt=0)
    bands_weight: float = Field(1.0, ge=0)
    window_s: float = Field(4.0, gt=0)
    seed: int = 0


class Aligner(nn.Module):
    """The network with what only training needs: a map of the music targets, a temperature, a readout of the bands.

    The targets themselves are frozen; their map into the shared space is linear.
    """

    def __init__(self, network: Network, corpus: Corpus, temperature: float = 0.07):
        super().__init__()
        targets = np.concatenate([corpus.music[song].targets for song in corpus.songs])
        n_bands = corpus.draw(np.random.default_rng(0), 1).bands.shape[2]
        self.network = network
        dim, shared = network.encoder.config.dim, network.head.config.shared
        self.music = nn.Linear(targets.shape[1], shared, bias=False)
        self.bands = nn.Linear(dim, n_bands)
        self.scale = nn.Parameter(torch.tensor(float(np.log(1.0 / temperature))))
        self.mean: Tensor
        self.register_buffer("mean", torch.from_numpy(targets.mean(0)))
        with torch.no_grad():
            self.music.weight.copy_(_principal(targets, shared))

    def forward(self, encoded: Encoded, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Unit EEG and music vectors (B, shared), and the bands read from the time slots (B, slots, n_bands)."""
        eeg = functional.normalize(self.network.head(encoded).float(), dim=1)
        music = functional.normalize(self.music(target - self.mean).float(), dim=1)
        return eeg, music, self.bands(encoded.times).float()


def _principal(targets: NDArray[np.float32], n: int) -> Tensor:
    """Start the map at the targets' principal axes, zero beyond their number."""
    centred = torch.from_numpy(targets - targets.mean(0))
    axes = torch.linalg.svd(centred, full_matrices=False)[2][:n]
    return functional.pad(axes, (0, 0, 0, n - len(axes)))


def align(
    module: Aligner, corpus: Corpus, config: AlignConfig, directory: Path, *, watch: Corpus | None = None,
    resume: bool = False, device: str = "cpu", report: Callable[[int, dict[str, float]], None] | None = None,
    until: Callable[[], bool] = lambda: False,
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
    means = MeanTokens(module.network.encoder, corpus, config.seed) if config.views != "channels" else None

    def step(module: Aligner, at: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.default_rng((config.seed, at))
        if means is None:
            batch = corpus.draw(rng, config.batch, config.jitter_s)
            return align_step(module, batch, _channel_view(module, batch, config, rng, device), config, device)
        if config.views == "anchored":
            batch, mean = means.draw_both(rng, config.batch, config.jitter_s)
            keep = _to(channels_kept(batch.used, config.keep, rng), device)
            tokens = anchored_tokens(module.network.encoder, _to(batch.x, device), keep, _to(mean, device))
            return align_step(module, batch, module.network.encoder.attend(tokens)[0], config, device)
        batch = means.draw(rng, config.batch, config.jitter_s)
        grown = min(1.0, 0.1 + 2.0 * at / config.loop.steps)  # deviations grow to their true size by half time
        n = int(rng.integers(config.virtual[0], config.virtual[1] + 1))
        tokens = virtual_tokens(module.network.encoder, _to(batch.x, device), grown * means.spread, n, rng)
        return align_step(module, batch, module.network.encoder.attend(tokens)[0], config, device)

    def follow(module: Aligner) -> dict[str, float]:
        if watch is None:
            return {}
        settle_norm(module.network, corpus, windows=96)
        return {"watch_top1": found_share(module, watch, config, device)}

    loop = Loop(module, step, config.loop, directory, device=device, watch=follow, report=report)
    if resume:
        loop.resume()
    loop.run(until)
    return loop.averaged


def align_step(
    module: Aligner, batch: Batch, encoded: Encoded, config: AlignConfig, device: str
) -> tuple[Tensor, dict[str, float]]:
    """Loss of one batch: InfoNCE and, beside it, reading the music's bands from every time slot."""
    eeg, music, bands = module(encoded, _to(batch.target, device))
    same = same_music(_to(batch.song, device), _to(batch.second, device), config.window_s)
    nce = info_nce(eeg, music, module.scale.exp().clamp(max=100.0), same)
    read = functional.mse_loss(bands, _to(batch.bands, device))
    figures = {"nce": float(nce.detach()), "bands": float(read.detach()), "top1": top1(eeg.detach(), music, same)}
    return nce + config.bands_weight * read, figures


def _channel_view(
    module: Aligner, batch: Batch, config: AlignConfig, rng: np.random.Generator, device: str
) -> Encoded:
    """Encode the windows with noise added and channels dropped."""
    keep = channels_kept(batch.used, config.keep, rng)
    x = batch.x
    if config.noise:
        x = x + config.noise * rng.standard_normal(x.shape, dtype=np.float32)
    return module.network.encoder(_to(x, device), keep=_to(keep, device))


def channels_kept(used: NDArray[np.bool_], keep: tuple[int, int], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw as many channels for every window, out of its usable ones: (B, K) indices, ascending."""
    n = min(int(rng.integers(keep[0], keep[1] + 1)), int(used.sum(1).min()))
    order = np.where(used, rng.random(used.shape), 2.0)
    return np.sort(np.argsort(order, axis=1)[:, :n], axis=1)


@torch.no_grad()
def settle_norm(network: Network, corpus: Corpus, *, windows: int = 160, bf16: bool = True, seed: int = 0) -> None:
    """Measure the head's batch norm anew, on all usable channels and with the weights as they are now."""
    norm = network.head.norm
    norm.reset_running_stats()
    momentum, norm.momentum = norm.momentum, None  # plain average over what follows
    network.eval()
    norm.train()
    for at in range(windows // 16):
        batch = corpus.draw(np.random.default_rng((seed, 5, at)), 16)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            network.head(network.encoder(torch.from_numpy(batch.x), torch.from_numpy(batch.used)))
    norm.momentum = momentum
    network.eval()


@torch.inference_mode()
def found_share(module: Aligner, corpus: Corpus, config: AlignConfig, device: str, batches: int = 4) -> float:
    """Share of windows found among 50 in fixed batches of a corpus, with all usable channels."""
    shares = []
    for at in range(batches):
        batch = corpus.draw(np.random.default_rng((7, at)), 50)
        keep = channels_kept(batch.used, (999, 999), np.random.default_rng(0))
        with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=config.loop.bf16):
            encoded = module.network.encoder(_to(batch.x, device), keep=_to(keep, device))
            eeg, music, _ = module(encoded, _to(batch.target, device))
        same = same_music(_to(batch.song, device), _to(batch.second, device), config.window_s)
        shares.append(top1(eeg, music, same))
    return float(np.mean(shares))


def _to(array: NDArray, device: str) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)
