"""What learns in the alignment: the network, a map of the music, a temperature, a readout of the bands."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bci_music.models import parallel
from bci_music.models.heads import normalised
from bci_music.training.adapt import encode_all
from bci_music.training.corpus import Batch, Corpus
from bci_music.training.losses import info_nce, same_music, top1
from bci_music.training.views import to_tensor


class Aligner(nn.Module):
    """An `EegModel` with what only training needs.

    The music targets are frozen; their map into the shared space is linear and starts at their principal axes. Centre
    and axes are those of the music in the corpus's takes: of held-out music nothing is known.

    Parameters
    ----------
    network : EegModel
    shared : int, optional
        Size of the shared space; by default that of the network's head.
    bands : bool
        Also read the loudness of the music's bands from every time slot (needs an encoder with time slots).
    """

    def __init__(
        self, network: Any, corpus: Corpus, temperature: float = 0.07, *, shared: int | None = None, bands: bool = True
    ):
        super().__init__()
        targets = corpus.heard_targets()
        self.network = network
        shared = shared or int(network.head.config.shared)
        self.music = nn.Linear(targets.shape[1], shared, bias=False)
        self.bands: nn.Linear | None = None
        if bands:
            n_bands = corpus.draw(np.random.default_rng(0), 1).bands.shape[2]
            self.bands = nn.Linear(network.encoder.config.dim, n_bands)
        self.scale = nn.Parameter(torch.tensor(float(np.log(1.0 / temperature))))
        self.mean: Tensor
        self.register_buffer("mean", torch.from_numpy(targets.mean(0)))
        with torch.no_grad():
            self.music.weight.copy_(_principal(targets, shared))

    def place_music(self, target: Tensor) -> Tensor:
        """Unit vectors (B, shared) of music targets (B, d)."""
        return normalised(self.music(target - self.mean))

    def read(self, batch: Batch, keep: NDArray[np.int64] | None, device: str) -> tuple[Tensor, Tensor | None]:
        """Unit EEG vectors (B, shared) and, where they are learned, the bands read (B, slots, n_bands)."""
        x = to_tensor(batch.x, device)
        chosen = None if keep is None else to_tensor(keep, device)
        used = to_tensor(batch.used, device) if keep is None else None
        if self.bands is not None:
            return self.read_encoded(self.network.encoder(x, used, chosen))
        return normalised(self.network.shared(x, used, chosen)), None

    def read_encoded(self, encoded: Any) -> tuple[Tensor, Tensor | None]:
        """The same from what the encoder gave."""
        bands = None if self.bands is None else self.bands(encoded.times).float()
        return normalised(self.network.head(encoded)), bands


def continued(network: Any, corpus: Corpus, hop_s: float = 8.0) -> Aligner:
    """An aligner of a network that reads already: the music begins where the network says that it lies (ridge)."""
    aligner = Aligner(network, corpus)
    rows = [(batch.target - aligner.mean.numpy(), shared) for batch, shared in encode_all(network, corpus, hop_s=hop_s)]
    music, read = (np.concatenate(side).astype(np.float64) for side in zip(*rows, strict=True))
    spread = music.T @ music
    ridge = spread + 0.01 * np.trace(spread) / len(spread) * np.eye(len(spread))
    with torch.no_grad():
        aligner.music.weight.copy_(torch.from_numpy(np.linalg.solve(ridge, music.T @ read).T))
    return aligner


def alignment_loss(
    module: Aligner, batch: Batch, eeg: Tensor, bands: Tensor | None, *, window_s: float, spare: bool,
    bands_weight: float, device: str,
) -> tuple[Tensor, dict[str, float]]:
    """Symmetric InfoNCE over the rows of all processes, plus the reading of the bands.

    `spare`: overlapping music heard by somebody else is no negative.
    """
    music = parallel.gather(module.place_music(to_tensor(batch.target, device)))
    eeg = parallel.gather(eeg)
    song, second = (parallel.gather(to_tensor(rows, device)) for rows in (batch.song, batch.second))
    same = same_music(song, second, window_s)
    alone = torch.eye(len(eeg), dtype=torch.bool, device=eeg.device)
    loss = info_nce(eeg, music, module.scale.exp().clamp(max=100.0), same if spare else alone)
    figures = {"nce": float(loss.detach()), "top1": top1(eeg.detach(), music.detach(), same)}
    if bands is not None and bands_weight:
        read = functional.mse_loss(bands, to_tensor(batch.bands, device))
        figures["bands"] = float(parallel.mean(read))
        loss = loss + bands_weight * read
    return loss, figures


def _principal(targets: NDArray[np.float32], n: int) -> Tensor:
    """Start the map at the targets' principal axes, zero beyond their number."""
    centred = torch.from_numpy(targets - targets.mean(0))
    axes = torch.linalg.svd(centred, full_matrices=False)[2][:n]
    return functional.pad(axes, (0, 0, 0, n - len(axes)))
