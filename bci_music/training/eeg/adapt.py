"""Adapter fit: from the shared space into the generator's space, in closed form."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from bci_music.messages import UserError
from bci_music.models.adapter import RidgeAdapter
from bci_music.models.device import mixed
from bci_music.models.network import EegModel
from bci_music.training.eeg.corpus import Batch, Corpus

FOLD_S = 12.0

def fit_adapter(
    network: EegModel, corpus: Corpus, *, hop_s: float = 2.0, alpha: float | None = None, bf16: bool = True,
    report: Callable[[int], None] | None = None,
) -> RidgeAdapter:
    """Ridge from the network's output on all windows of a corpus to their targets.

    Folds of the inner cross-validation are excerpts of song time, so that no music is on both sides.

    Raises
    ------
    UserError
        If there is too little music to choose `alpha`.
    """
    if alpha is None and len(np.unique(_fold(np.array([start for _, start in corpus.windows(hop_s)])))) < 2:
        raise UserError(
            f"All training windows lie within {FOLD_S:g} s of song time, too little to choose the ridge penalty: give "
            "adapt.alpha (`adapt --alpha 0.1`), or more music."
        )

    def rows() -> Iterator[tuple[NDArray, NDArray, NDArray]]:
        for batch, vectors in encode_all(network, corpus, hop_s=hop_s, bf16=bf16):
            yield vectors, batch.target, _fold(batch.second)
            if report:
                report(len(vectors))

    return RidgeAdapter.fit(rows(), alpha=alpha)


def _fold(second: NDArray[np.float64]) -> NDArray[np.int64]:
    return (second // FOLD_S).astype(np.int64) % 4


def encode_all(
    network: EegModel, corpus: Corpus, *, hop_s: float, bf16: bool = True, size: int = 32
) -> Iterator[tuple[Batch, NDArray[np.float32]]]:
    """Batches of a corpus's windows with their unit vectors (B, embed_dim)."""
    places = list(corpus.windows(hop_s))
    network.eval()
    for first in range(0, len(places), size):
        batch = corpus.gather(places[first : first + size])
        with torch.inference_mode(), mixed("cpu", bf16):
            vectors, _ = network.infer(torch.from_numpy(batch.x), torch.from_numpy(batch.used))
        yield batch, vectors.float().numpy()
