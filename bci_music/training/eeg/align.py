"""Alignment: EEG windows are drawn to the embedding of the music heard in them, and pushed from other music."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from bci_music.config import Config
from bci_music.models import parallel
from bci_music.models.device import mixed
from bci_music.models.heads import SteppedHead, normalised
from bci_music.models.network import EegModel, Network
from bci_music.training.eeg.adapt import encode_all
from bci_music.training.eeg.corpus import Batch, Corpus
from bci_music.training.eeg.views import crop, kept_channels, to_tensor
from bci_music.training.loop import Loop, LoopConfig, compile_blocks
from bci_music.training.sampling import Prefetcher, draw_batch, least_used, noise_like, own_samples, rng_of


def info_nce(eeg: Tensor, music: Tensor, scale: Tensor, same: Tensor) -> Tensor:
    """Symmetric InfoNCE of unit rows eeg, music (B, d).

    `same` (B, B) is True where two windows hold (partly) the same music; such pairs are no negatives.
    """
    logits = scale * eeg @ music.T
    others = same & ~torch.eye(len(eeg), dtype=torch.bool, device=eeg.device)
    logits = logits.masked_fill(others, float("-inf"))
    target = torch.arange(len(eeg), device=eeg.device)
    return 0.5 * (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target))


def same_music(song: Tensor, second: Tensor, window_s: float) -> Tensor:
    """Which pairs of windows overlap in the same song, whoever heard it: (B, B) bool."""
    near = (second[:, None] - second[None, :]).abs() < window_s
    return near & (song[:, None] == song[None, :])


def top1(eeg: Tensor, music: Tensor, same: Tensor) -> float:
    """Share of rows whose own music is the nearest among those that are no double of it."""
    others = same & ~torch.eye(len(eeg), dtype=torch.bool, device=eeg.device)
    similarity = (eeg @ music.T).masked_fill(others, float("-inf"))
    return float((similarity.argmax(1) == torch.arange(len(eeg), device=eeg.device)).float().mean())


class Aligner(nn.Module):
    """An `EegModel` with what only training needs.

    The music targets are frozen; their map into the shared space is linear and starts at their principal axes. Centre
    and axes are those of the music in the corpus's segments: of held-out music nothing is known.

    Parameters
    ----------
    network : EegModel
        A `Network`, or anything else that embeds EEG (then with `embed_dim`, and without `bands`).
    embed_dim : int, optional
        Size of the shared space; by default that of the network's head.
    bands : bool
        Also read the loudness of the music's bands from every time slot (needs an encoder with time slots).
    """

    def __init__(
        self, network: EegModel, corpus: Corpus, temperature: float = 0.07, *, embed_dim: int | None = None,
        bands: bool = True,
    ):
        super().__init__()
        targets = corpus.heard_targets()
        self.network = network
        embed_dim = embed_dim or self.ours.head.config.embed_dim
        self.music = nn.Linear(targets.shape[1], embed_dim, bias=False)
        self.course: nn.Linear | None = None  # of the music's bands, what the steps of the EEG are to follow
        self.bands: nn.Linear | None = None
        n_bands = corpus.draw(np.random.default_rng(0), 1).bands.shape[2]
        if isinstance(network, Network) and network.head.config.step_dim:
            self.course = nn.Linear(n_bands, network.head.config.step_dim, bias=False)
        if bands:
            self.bands = nn.Linear(self.ours.encoder.config.dim, n_bands)
        self.scale = nn.Parameter(torch.tensor(float(np.log(1.0 / temperature))))
        self.mean: Tensor
        self.register_buffer("mean", torch.from_numpy(targets.mean(0)))
        with torch.no_grad():
            self.music.weight.copy_(_principal(targets, embed_dim))

    @property
    def ours(self) -> Network:
        """The network, where it is ours: only it has time slots and a head of its own."""
        assert isinstance(self.network, Network)
        return self.network

    def place_music(self, target: Tensor, bands: Tensor | None = None) -> Tensor:
        """Unit vectors of music as the network gives them of EEG: of targets (B, d) and, for a head that goes step by
        step, bands (B, slots, n_bands).
        """
        whole = self.music(target - self.mean)
        if self.course is None:
            return normalised(whole)
        head = self.ours.head
        assert isinstance(head, SteppedHead)
        assert bands is not None
        return head.joined(whole, self.course(bands))

    def read(self, batch: Batch, keep: NDArray[np.int64] | None, device: str) -> tuple[Tensor, Tensor | None]:
        """Unit EEG vectors (B, embed_dim) and, where they are learned, the bands read (B, slots, n_bands)."""
        x = to_tensor(batch.x, device)
        chosen = None if keep is None else to_tensor(keep, device)
        used = to_tensor(batch.used, device) if keep is None else None
        if self.bands is None:
            return normalised(self.network.embed(x, used, chosen)), None
        encoded = self.ours.encoder(x, used, chosen)
        return normalised(self.ours.head(encoded)), self.bands(encoded.times).float()


def continued(network: Network, corpus: Corpus, hop_s: float = 8.0) -> Aligner:
    """An aligner of a network that reads already: the music begins where the network says that it lies (ridge)."""
    aligner = Aligner(network, corpus)
    rows, courses = [], []
    whole = network.head.config.embed_dim
    for batch, vectors in encode_all(network, corpus, hop_s=hop_s):
        rows.append((batch.target - aligner.mean.numpy(), vectors[:, :whole]))
        if aligner.course is not None:
            bands = batch.bands - batch.bands.mean(1, keepdims=True)
            steps = vectors[:, whole:].reshape(-1, network.head.config.step_dim)
            courses.append((bands.reshape(len(steps), -1), steps))
    with torch.no_grad():
        aligner.music.weight.copy_(_ridge(rows))
        if aligner.course is not None:
            aligner.course.weight.copy_(_ridge(courses))
    return aligner


def _ridge(pairs: list[tuple[NDArray, NDArray]]) -> Tensor:
    """Weights (outputs, inputs) of a ridge regression of rows of outputs on rows of inputs."""
    given, wanted = (np.concatenate(side).astype(np.float64) for side in zip(*pairs, strict=True))
    spread = given.T @ given
    penalty = 0.01 * np.trace(spread) / len(spread) * np.eye(len(spread))
    return torch.from_numpy(np.linalg.solve(spread + penalty, given.T @ wanted).T)


def alignment_loss(
    module: Aligner, batch: Batch, eeg: Tensor, bands: Tensor | None, *, window_s: float, spare: bool,
    bands_weight: float, device: str,
) -> tuple[Tensor, dict[str, float]]:
    """Symmetric InfoNCE over the rows of all processes, plus the reading of the bands.

    `spare`: overlapping music heard by somebody else is no negative.
    """
    music = parallel.gather(module.place_music(to_tensor(batch.target, device), to_tensor(batch.bands, device)))
    eeg = parallel.gather(eeg)
    song, second = (parallel.gather(to_tensor(rows, device)) for rows in (batch.song, batch.second))
    same = same_music(song, second, window_s)
    alone = torch.eye(len(eeg), dtype=torch.bool, device=eeg.device)
    loss = info_nce(eeg, music, module.scale.exp().clamp(max=100.0), same if spare else alone)
    metrics = {"nce": float(loss.detach()), "top1": top1(eeg.detach(), music.detach(), same)}
    if bands is not None and bands_weight:
        read = functional.mse_loss(bands, to_tensor(batch.bands, device))
        metrics["bands"] = float(parallel.mean(read))
        loss = loss + bands_weight * read
    return loss, metrics


def _principal(targets: NDArray[np.float32], n: int) -> Tensor:
    """Start the map at the targets' principal axes, zero beyond their number."""
    centred = torch.from_numpy(targets - targets.mean(0))
    axes = torch.linalg.svd(centred, full_matrices=False)[2][:n]
    return functional.pad(axes, (0, 0, 0, n - len(axes)))


class AlignConfig(Config):
    """What is learned and how views are made.

    `keep` is the range of channels that stay in a view (drawn once per step); all of them when it is None.
    `spare_same_music`: the same seconds of a song heard by another listener are no negative (the paper's are).
    `crop`: share of the window that is cut and stretched back, (1, 1) for none; the paper's is (0.4, 1).
    """

    REMOVED: ClassVar = {"views": ("channels",), "virtual": None}

    loop: LoopConfig = LoopConfig()
    batch: int = Field(64, ge=2)
    keep: tuple[int, int] | None = (16, 40)
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
        Other segments, on which the share of windows found in a batch is followed.
    until : callable
        Ends the run early when true, e.g. when the time is used up.
    """
    torch.manual_seed(config.seed)
    if config.encoder == "fixed":
        module.ours.encoder.requires_grad_(False)

    def make(at: int) -> tuple[Batch, NDArray[np.int64] | None]:
        return _channel_view(corpus, config, at)

    def step(module: Aligner, at: int) -> tuple[Tensor, dict[str, float]]:
        batch, keep = prefetcher.get(at)
        eeg, bands = module.read(batch, keep, device)
        cost: dict[str, float] = {"waited": round(prefetcher.waited_s, 4)}
        if isinstance(module.network, Network):  # others do not spare what a dropped channel costs
            kept = batch.x.shape[1] if keep is None else keep.shape[1]
            cost["tokens"] = module.network.encoder.tokens_of(kept, batch.x.shape[2]) * config.batch
        loss, metrics = alignment_loss(
            module, batch, eeg, bands, window_s=config.window_s, spare=config.spare_same_music,
            bands_weight=config.bands_weight, device=device,
        )
        return loss, metrics | cost

    def follow(module: Aligner) -> dict[str, float]:
        if watch is None:
            return {}
        recompute_batchnorm(module.network, corpus, windows=96, device=device)
        return {"watch_top1": found_share(module, watch, config, device)}

    loop = Loop(
        module, step, config.loop, directory, device=device, watch=follow, report=report, tensorboard=tensorboard
    )
    if config.loop.compile:
        compile_blocks(module.network)
    if resume:
        loop.resume()
    prefetcher = Prefetcher(make, loop.at, config.loop.steps)
    try:
        loop.run(until)
    finally:
        prefetcher.close()
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


@torch.no_grad()
def recompute_batchnorm(
    network: EegModel, corpus: Corpus, *, windows: int = 160, bf16: bool = True, seed: int = 0, device: str = "cpu"
) -> None:
    """Measure the batch norms' statistics again, on all usable channels and with the weights as they are now.

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
            network.embed(to_tensor(batch.x, device), to_tensor(batch.used, device))
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
            music = module.place_music(to_tensor(batch.target, device), to_tensor(batch.bands, device))
        same = same_music(to_tensor(batch.song, device), to_tensor(batch.second, device), config.window_s)
        shares.append(top1(eeg, music, same))
    return float(np.mean(shares))
