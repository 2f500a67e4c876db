"""Alignment: EEG windows are drawn to the embedding of the music heard in them, and pushed from other music."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from bci_music.config import Config
from bci_music.models.network import Network
from bci_music.models.pack import DecoderConfig
from bci_music.training.corpus import Batch, Corpus
from bci_music.training.loop import Loop, LoopConfig
from bci_music.training.losses import info_nce, same_music, top1


class AlignConfig(Config):
    """What is learned and how views are made. `keep` is the range of channels that stay in a view."""

    loop: LoopConfig = LoopConfig()
    batch: int = Field(64, ge=2)
    keep: tuple[int, int] = (16, 40)
    noise: float = Field(0.1, ge=0)
    jitter_s: float = Field(0.05, ge=0)
    temperature: float = Field(0.07, gt=0)
    bands_weight: float = Field(1.0, ge=0)
    window_s: float = Field(4.0, gt=0)
    seed: int = 0


class Aligner(nn.Module):
    """The network with what only training needs: a map of the music targets, a temperature, a readout of the bands.

    The targets themselves are frozen; their map into the shared space is linear.
    """

    def __init__(self, network: Network, targets: NDArray[np.float32], n_bands: int, temperature: float):
        super().__init__()
        self.network = network
        dim, shared = network.encoder.config.dim, network.head.config.shared
        self.music = nn.Linear(targets.shape[1], shared, bias=False)
        self.bands = nn.Linear(dim, n_bands)
        self.scale = nn.Parameter(torch.tensor(float(np.log(1.0 / temperature))))
        self.register_buffer("mean", torch.from_numpy(targets.mean(0)))
        with torch.no_grad():
            self.music.weight.copy_(_principal(targets, shared))

    def forward(self, x: Tensor, keep: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Unit EEG and music vectors (B, shared), and the bands read from the time slots (B, slots, n_bands)."""
        encoded = self.network.encoder(x, keep=keep)
        eeg = functional.normalize(self.network.head(encoded).float(), dim=1)
        music = functional.normalize(self.music(target - self.mean).float(), dim=1)
        return eeg, music, self.bands(encoded.times).float()


def _principal(targets: NDArray[np.float32], n: int) -> Tensor:
    """Start the map at the targets' principal axes, zero beyond their number."""
    centred = torch.from_numpy(targets - targets.mean(0))
    axes = torch.linalg.svd(centred, full_matrices=False)[2][:n]
    return functional.pad(axes, (0, 0, 0, n - len(axes)))


def align(
    corpus: Corpus, config: AlignConfig, decoder: DecoderConfig, directory: Path, *, network: Network | None = None,
    positions_m: NDArray[np.float64] | None = None, watch: Corpus | None = None, resume: bool = False,
    device: str = "cpu", report: Callable[[int, dict[str, float]], None] | None = None,
    until: Callable[[], bool] = lambda: False,
) -> Aligner:
    """Train and return the averaged aligner.

    Parameters
    ----------
    network : Network, optional
        Where to start from, e.g. with a warmed-up front end.
    watch : Corpus, optional
        Other takes, on which the share of windows found in a batch is followed.
    until : callable
        Ends the run early when true, e.g. when the time is used up.
    """
    torch.manual_seed(config.seed)
    network = network or Network(decoder, positions_m)
    targets = np.concatenate([corpus.music[song].targets for song in corpus.songs])
    probe = corpus.draw(np.random.default_rng(config.seed), 2)
    module = Aligner(network, targets, probe.bands.shape[2], config.temperature)

    def step(module: nn.Module, at: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.default_rng((config.seed, at))
        return align_step(module, corpus.draw(rng, config.batch, config.jitter_s), config, rng, device)

    def follow(module: nn.Module) -> dict[str, float]:
        return {} if watch is None else {"watch_top1": found_share(module, watch, config, device)}

    loop = Loop(module, step, config.loop, directory, device=device, watch=follow, report=report)
    if resume:
        loop.resume()
    loop.run(until)
    return loop.averaged  # type: ignore[return-value]


def align_step(
    module: nn.Module, batch: Batch, config: AlignConfig, rng: np.random.Generator, device: str
) -> tuple[Tensor, dict[str, float]]:
    """Loss of one batch: InfoNCE and, beside it, reading the music's bands from every time slot."""
    keep = channels_kept(batch.used, config.keep, rng)
    x = batch.x
    if config.noise:
        x = x + config.noise * rng.standard_normal(x.shape, dtype=np.float32)
    eeg, music, bands = module(_to(x, device), _to(keep, device), _to(batch.target, device))
    same = same_music(_to(batch.song, device), _to(batch.second, device), config.window_s)
    nce = info_nce(eeg, music, module.scale.exp().clamp(max=100.0), same)
    read = functional.mse_loss(bands, _to(batch.bands, device))
    figures = {"nce": float(nce.detach()), "bands": float(read.detach()), "top1": top1(eeg.detach(), music, same)}
    return nce + config.bands_weight * read, figures


def channels_kept(used: NDArray[np.bool_], keep: tuple[int, int], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw as many channels for every window, out of its usable ones: (B, K) indices, ascending."""
    n = min(int(rng.integers(keep[0], keep[1] + 1)), int(used.sum(1).min()))
    order = np.where(used, rng.random(used.shape), 2.0)
    return np.sort(np.argsort(order, axis=1)[:, :n], axis=1)


@torch.inference_mode()
def found_share(module: nn.Module, corpus: Corpus, config: AlignConfig, device: str, batches: int = 6) -> float:
    """Share of windows found among 50 in fixed batches of a corpus, with all usable channels."""
    shares = []
    for at in range(batches):
        batch = corpus.draw(np.random.default_rng((7, at)), 50)
        keep = channels_kept(batch.used, (999, 999), np.random.default_rng(0))
        with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=config.loop.bf16):
            eeg, music, _ = module(_to(batch.x, device), _to(keep, device), _to(batch.target, device))
        same = same_music(_to(batch.song, device), _to(batch.second, device), config.window_s)
        shares.append(top1(eeg, music, same))
    return float(np.mean(shares))


def _to(array: NDArray, device: str) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)
