"""Which genre a piece of sound is: by a model of the hub, or by one fitted here on the genres of composed music."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import UserError
from bci_music.models.embedder import Embedder

HUB_GENRES = "dima806/music_genres_classification"  # the one the paper used: ten genres, Wav2Vec2


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


@dataclass
class HubGenres:
    """An audio classifier of the hub, loaded when first asked."""

    model: str = HUB_GENRES
    revision: str = "main"
    device: str = "cpu"
    _pipeline: Any = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """What stands in the table."""
        return f"{self.model}@{self.revision}"

    @property
    def genres(self) -> tuple[str, ...]:
        """The labels of the model, in its order."""
        labels: Mapping[int, str] = self._loaded().model.config.id2label
        return tuple(labels[i] for i in sorted(labels))

    def predict(self, audio: Sequence[NDArray[np.float32]], sfreq_hz: float) -> NDArray[np.int64]:
        """(n,) number in `genres` of each piece (m,) of mono sound."""
        pipeline, genres = self._loaded(), self.genres
        pieces = [{"raw": np.asarray(piece, np.float32), "sampling_rate": int(sfreq_hz)} for piece in audio]
        return np.array([genres.index(answer[0]["label"]) for answer in pipeline(pieces, top_k=1)])

    def _loaded(self) -> Any:
        if self._pipeline is None:
            from transformers import pipeline

            try:
                self._pipeline = pipeline(
                    "audio-classification", model=self.model, revision=self.revision, device=self.device
                )
            except (OSError, ValueError) as error:
                reason = str(error).splitlines()[0]
                raise UserError(
                    f"The genre model {self.model}@{self.revision} could not be loaded ({reason}): fetch it where "
                    "there is a network, or judge with the genres fitted here."
                ) from error
        return self._pipeline
