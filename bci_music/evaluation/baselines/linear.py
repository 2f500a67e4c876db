"""Linear EEG: ridge from the samples of a window straight to the music's embedding, no network at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import UserError
from bci_music.models.adapter import RidgeAdapter
from bci_music.training.eeg.corpus import Corpus

MAX_INPUTS = 8_000
ALPHAS = tuple(10.0**k for k in range(-3, 3))  # relative to the inputs' mean variance
_ROWS = 2_048  # so many rows are added to the normal equations at once
_FOLD_S = 12.0  # song time of one block of the inner cross-validation

# Windows (B, C, T), usable channels (B, C), embeddings (B, d), fold of the inner cross-validation (B,)
Rows = tuple[NDArray, NDArray, NDArray, NDArray]


@dataclass(frozen=True)
class LinearEeg:
    """A fitted linear decoder.

    Attributes
    ----------
    mean_of : int
        Samples averaged into one input; 125 Hz and 20 give inputs at 6.25 Hz.
    ridge : RidgeAdapter
        From n_channels x (n_times // mean_of) inputs to the embedding.
    """

    mean_of: int
    ridge: RidgeAdapter

    title = "Linear EEG (ridge)"
    initialised = "closed form"

    @classmethod
    def fit(
        cls, batches: Iterable[Rows], *, sfreq_hz: float, rate_hz: float = 6.25, alpha: float | None = None
    ) -> LinearEeg:
        """Fit from batches that are seen once and never held together.

        Parameters
        ----------
        rate_hz : float
            Rate of the averaged samples. A window may give 8,000 inputs at most, for the normal equations hold their
            square several times: 125 channels of 4 s at 6.25 Hz, 3,125 inputs, take 1 GB and half a minute.
        alpha : float, optional
            Penalty relative to the inputs' mean variance; without it the one that does best between the folds.
        """
        mean_of = max(1, round(sfreq_hz / rate_hz))
        ridge = RidgeAdapter.fit(_inputs(batches, mean_of), alpha=alpha, alphas=ALPHAS)
        return cls(mean_of, ridge)

    def clap(self, x: NDArray, used: NDArray) -> NDArray[np.float32]:
        """Embeddings (n, d), not normalised, of windows x (n, C, T) with usable channels used (n, C)."""
        return self.ridge(flattened(x, used, self.mean_of))

    @property
    def parameters(self) -> int:
        """Fitted numbers."""
        return self.ridge.weights.size + self.ridge.intercept.size

    def save(self, path: str | Path) -> None:
        """Write as safetensors; `mean_of` follows from the number of inputs when it is read."""
        self.ridge.save(path)

    @classmethod
    def load(cls, path: str | Path, *, n_channels: int, n_times: int) -> LinearEeg:
        """Read what `save` wrote, for windows of this shape."""
        ridge = RidgeAdapter.load(path)
        slots, rest = divmod(len(ridge.weights), n_channels)
        if rest or not 1 <= slots <= n_times:
            raise UserError(f"{Path(path).name} does not fit windows of {n_channels} channels: fit it on this data.")
        return cls(n_times // slots, ridge)


def fit_linear(corpus: Corpus, *, hop_s: float, rate_hz: float = 6.25, alpha: float | None = None) -> LinearEeg:
    """Fit on all windows of a corpus; the inner folds are blocks of song time, so that no music is on both sides."""

    def rows(size: int = 64) -> Iterator[Rows]:
        places = list(corpus.windows(hop_s))
        for first in range(0, len(places), size):
            batch = corpus.gather(places[first : first + size])
            yield batch.x, batch.used, batch.target, (batch.second // _FOLD_S).astype(int) % 2

    return LinearEeg.fit(rows(), sfreq_hz=corpus.sfreq_hz, rate_hz=rate_hz, alpha=alpha)


def flattened(x: NDArray, used: NDArray, mean_of: int) -> NDArray[np.float32]:
    """Inputs (n, C * (T // mean_of)): averaged samples, zero in unusable channels (the mean of z-scored EEG)."""
    n, n_channels, n_times = x.shape
    slots = n_times // mean_of
    kept = np.where(used[:, :, None], x[:, :, : slots * mean_of], 0.0)
    return kept.reshape(n, n_channels, slots, mean_of).mean(3, dtype=np.float32).reshape(n, -1)


def _inputs(batches: Iterable[Rows], mean_of: int) -> Iterator[tuple[NDArray, NDArray, NDArray]]:
    """Flatten, and join small batches: adding to the normal equations costs the same for one row as for hundreds."""
    held: list[tuple[NDArray, NDArray, NDArray]] = []
    for x, used, target, fold in batches:
        inputs = flattened(x, used, mean_of)
        if inputs.shape[1] > MAX_INPUTS:
            raise UserError(
                f"A window gives {inputs.shape[1]} inputs to the linear decoder, at most {MAX_INPUTS} are possible: "
                "choose a lower rate_hz."
            )
        held.append((inputs, target, fold))
        if sum(len(part[0]) for part in held) >= _ROWS:
            yield _joined(held)
            held = []
    if held:
        yield _joined(held)


def _joined(parts: list[tuple[NDArray, NDArray, NDArray]]) -> tuple[NDArray, NDArray, NDArray]:
    inputs, target, fold = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return inputs, target, fold
