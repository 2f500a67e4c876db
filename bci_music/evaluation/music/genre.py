"""Which genre a piece of sound is: by a model of the hub, or by one fitted here on the genres of composed music."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import UserError
from bci_music.models.checkpoints.store import find_checkpoint, origin_of
from bci_music.models.embedder import Embedder
from bci_music.models.pretrained import load_whole

NO_GENRES = "some training music has no genre, or all has the same one: name a classifier with `--genres`"


class GenreClassifier(Protocol):
    """Anything that names the genre of sound."""

    @property
    def name(self) -> str:
        """What stands in the table."""

    @property
    def genres(self) -> tuple[str, ...]:
        """Names of the genres, in the order of their numbers."""

    def predict(self, audio: Sequence[NDArray[np.float32]], sfreq_hz: float) -> NDArray[np.int64]:
        """(n,) number in `genres` of each piece (m,) of mono sound."""


@dataclass(frozen=True)
class EmbeddingGenres:
    """Multinomial logistic regression on the embedder's vectors.

    Attributes
    ----------
    weights : (512, g)
    bias : (g,)
    """

    genres: tuple[str, ...]
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    embedder: Embedder
    name: str = "logistic regression on the embedder's vectors, fitted on the training seconds"

    @classmethod
    def fit(
        cls, embeddings: NDArray, genres: Sequence[str], embedder: Embedder, *, penalty: float = 1e-3
    ) -> Self:
        """Fit on (n, 512) embeddings of training seconds and their genres; `penalty` weighs the squared weights."""
        from scipy.optimize import minimize

        names, label = np.unique(np.asarray(genres), return_inverse=True)
        if len(names) < 2:
            raise UserError(f"A genre classifier needs music of at least 2 genres, got {', '.join(names) or 'none'}.")
        x = np.asarray(embeddings, np.float64)
        # one weight per class, so that a genre with more music is not favoured
        weight = (1.0 / np.bincount(label))[label] / len(names)
        shape = (x.shape[1] + 1, len(names))

        def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            w = flat.reshape(shape)
            logits = x @ w[:-1] + w[-1]
            logits -= logits.max(axis=1, keepdims=True)
            log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            slope = np.exp(log_p)
            slope[np.arange(len(x)), label] -= 1.0
            slope *= weight[:, None]
            gradient = np.concatenate([x.T @ slope + 2 * penalty * w[:-1], slope.sum(0)[None]])
            value = -(weight * log_p[np.arange(len(x)), label]).sum() + penalty * np.square(w[:-1]).sum()
            return float(value), gradient.ravel()

        found = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 200})
        w = found.x.reshape(shape)
        return cls(tuple(str(n) for n in names), w[:-1], w[-1], embedder)

    def predict(self, audio: Sequence[NDArray[np.float32]], sfreq_hz: float) -> NDArray[np.int64]:
        """(n,) number in `genres` of each piece (m,) of mono sound."""
        return self.predict_embeddings(np.stack([self.embedder.embed(piece, sfreq_hz) for piece in audio]))

    def predict_embeddings(self, embeddings: NDArray) -> NDArray[np.int64]:
        """(n,) number in `genres` of each (n, 512) embedding."""
        return (np.asarray(embeddings, np.float64) @ self.weights + self.bias).argmax(axis=1)


@dataclass(frozen=True)
class HubGenres:
    """An audio classifier of transformers, such as the paper's: dima806/music_genres_classification (Wav2Vec2).

    Attributes
    ----------
    name : str
        Checkpoint and commit, or its folder's name.
    genres : tuple of str
        Its labels, in its order.
    """

    name: str
    genres: tuple[str, ...]
    model: Any
    extractor: Any

    @classmethod
    def load(cls, where: str) -> Self:
        """Open ``NAME[@COMMIT]`` as it was pulled, or a folder; never goes online.

        Raises
        ------
        UserError
            If it is not here, or no classifier of sound.
        """
        from transformers import AutoModelForAudioClassification

        named, _, commit = (where, "", "") if Path(where).expanduser().is_dir() else where.partition("@")
        folder = find_checkpoint(named, commit or None)
        model = load_whole(AutoModelForAudioClassification, folder).eval().requires_grad_(False)
        labels: Mapping[int, str] = model.config.id2label
        if len(labels) < 2:
            raise UserError(f"The classifier in {folder} knows one genre only: give one that tells genres apart.")
        origin = origin_of(folder)
        name = f"{origin.name}@{(origin.revision or '')[:12]}" if origin else folder.resolve().name
        return cls(name, tuple(labels[i] for i in sorted(labels)), model, _load_extractor(folder))

    def predict(self, audio: Sequence[NDArray[np.float32]], sfreq_hz: float) -> NDArray[np.int64]:
        """(n,) number in `genres` of each piece (m,) of mono sound."""
        return np.array([self._label(np.asarray(piece, np.float32), sfreq_hz) for piece in audio], np.int64)

    def _label(self, piece: NDArray[np.float32], sfreq_hz: float) -> int:
        import soxr
        import torch

        rate_hz = self.extractor.sampling_rate
        sound = piece if sfreq_hz == rate_hz else soxr.resample(piece, sfreq_hz, rate_hz)
        with torch.inference_mode():
            given = self.extractor(sound, sampling_rate=rate_hz, return_tensors="pt")
            return int(self.model(**given).logits[0].argmax())


def _load_extractor(folder: Path) -> Any:
    from transformers import AutoFeatureExtractor

    try:
        extractor = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"The classifier in {folder} has no preprocessor_config.json that can be read, which says how it hears: "
            "add it."
        ) from error
    if not hasattr(extractor, "sampling_rate"):
        raise UserError(f"The classifier in {folder} does not hear sound: give an audio classifier.")
    return extractor
