"""Music to a unit vector: what a decoder is trained towards and a library is searched by.

`StatisticsEmbedder` has no trained weights: it measures spectrum, modulation, onsets, envelope and chroma of a
4 s window and whitens them with stored constants. It serves wherever no trained embedder is at hand.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bci_music.files import opening, read_arrays, shown
from bci_music.messages import EMBEDDING_DIM, UserError
from bci_music.models.music_features import FEATURES_VERSION, RATE_HZ, group_sizes, window_features

_FILE = "statistics.npz"


class Embedder(Protocol):
    """Anything that maps sound to a unit vector of 512 numbers."""

    @property
    def sha(self) -> str:
        """Fingerprint of everything that decides what `embed` returns."""

    def embed(self, audio: NDArray[np.float32], sfreq_hz: float) -> NDArray[np.float32]:
        """Embed (n,) or (n, 2) audio: unit vector (512,)."""


class FrameEmbedder(Embedder, Protocol):
    """One that also embeds every window of a longer sound."""

    @property
    def name(self) -> str:
        """What it is, for people."""

    def embed_frames(
        self, audio: NDArray[np.float32], sfreq_hz: float, window_s: float = 4.0, hop_s: float = 1.0
    ) -> NDArray[np.float32]:
        """Embed every window of `window_s` at a hop of `hop_s`: (m, 512) unit rows."""

    def save(self, directory: str | Path) -> None:
        """Write what `load_embedder` reads."""

    def embed_text(self, text: str) -> NDArray[np.float32]:
        """Embed words: unit vector (512,). Only a CLAP can.

        Raises
        ------
        UserError
            If this embedder knows no words.
        """
        raise UserError(f"The embedder {self.name} is no CLAP and knows no words: give a sound, or take a CLAP.")


def to_mono_16k(audio: ArrayLike, sfreq_hz: float) -> NDArray[np.float32]:
    """Mix (n,) or (n, 2) down to (m,) float32 at 16 kHz."""
    samples = np.asarray(audio, np.float32)
    if samples.ndim == 2:
        samples = samples.mean(1)
    if samples.ndim != 1 or samples.size == 0:
        raise UserError(f"Audio to embed has shape {np.shape(audio)}, expected (n,) or (n, 2) with n > 0.")
    if sfreq_hz == RATE_HZ:
        return samples
    import soxr

    return np.asarray(soxr.resample(samples, sfreq_hz, RATE_HZ), np.float32)


class StatisticsEmbedder(FrameEmbedder):
    """Whitened music statistics.

    Parameters
    ----------
    mean, scale : (d,) float64
        Centre of the features, and the weight per feature that makes the groups count alike.
    whitening : (d, k) float64
        Principal axes, each divided by its shrunken standard deviation.
    """

    def __init__(self, mean: NDArray[np.float64], scale: NDArray[np.float64], whitening: NDArray[np.float64]):
        self._mean, self._scale, self._whitening = mean, scale, whitening
        self._out = _orthonormal(whitening.shape[1])

    @classmethod
    def fit(cls, audio: list[NDArray[np.float32]], sfreq_hz: float = RATE_HZ, *, n_axes: int = 64,
            shrinkage: float = 0.4, hop_s: float = 0.5) -> Self:
        """Fit the whitening on pieces of music, each (n,) or (n, 2) at `sfreq_hz` and at least 4 s long.

        `shrinkage` in 0..1 draws the spread of every axis towards their mean, so that axes holding
        little but noise are not blown up.
        """
        rows = np.concatenate([window_features(to_mono_16k(piece, sfreq_hz), hop_s) for piece in audio])
        if len(rows) < 2 * n_axes:
            raise UserError(f"{len(rows)} windows are too few to fit {n_axes} axes: give more music to fit on.")
        mean = rows.mean(0)
        scale = _group_scale(rows - mean)
        centred = (rows - mean) * scale
        _, spread, axes = np.linalg.svd(centred / np.sqrt(len(rows)), full_matrices=False)
        spread, axes = spread[:n_axes], axes[:n_axes]
        signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])
        variance = spread**2
        shrunk = (1 - shrinkage) * variance + shrinkage * variance.mean()
        return cls(mean, scale, (axes * signs[:, None] / np.sqrt(shrunk)[:, None]).T)

    @property
    def sha(self) -> str:
        """SHA-256 over the constants and the version of the features."""
        digest = hashlib.sha256(f"statistics {FEATURES_VERSION}".encode())
        for array in (self._mean, self._scale, self._whitening):
            digest.update(np.ascontiguousarray(array, "<f4").tobytes())
        return digest.hexdigest()

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"statistics {self.sha[:12]} (no trained weights)"

    def embed(self, audio: ArrayLike, sfreq_hz: float) -> NDArray[np.float32]:
        """Embed (n,) or (n, 2) audio: (512,) float32 of length one.

        Less than 4 s is repeated until it fills a window; of more, the windows (hop 1 s) are averaged.
        """
        return _unit(self.embed_frames(audio, sfreq_hz, hop_s=1.0).mean(0))

    def embed_frames(self, audio: ArrayLike, sfreq_hz: float, window_s: float = 4.0,
                     hop_s: float = 1.0) -> NDArray[np.float32]:
        """Embed every window of `window_s` at a hop of `hop_s` (both in whole 10 ms): (m, 512) float32, unit rows.

        Row i covers the sound from ``i * hop_s`` to ``i * hop_s + window_s``; the spectrogram is made once.
        """
        rows = window_features(to_mono_16k(audio, sfreq_hz), hop_s, window_s)
        return _unit(((rows - self._mean) * self._scale) @ self._whitening @ self._out)

    def save(self, directory: str | Path) -> None:
        """Write the constants into `directory` (made if absent)."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        header = np.frombuffer(json.dumps({"kind": "statistics", "features": FEATURES_VERSION}).encode(), np.uint8)
        np.savez(directory / _FILE, header=header, mean=self._mean.astype(np.float32),
                 scale=self._scale.astype(np.float32), whitening=self._whitening.astype(np.float32))

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """Read what `save` wrote; nothing in it is unpickled."""
        path = Path(directory) / _FILE
        if not path.is_file():
            raise UserError(f"There is no {_FILE} in {path.parent}: expected the folder of a statistics embedder.")
        again = "build the pack again"
        stored = read_arrays(path, ("header", "mean", "scale", "whitening"), again)
        with opening(path, "a statistics embedder", again):
            header = json.loads(stored["header"].tobytes())
            if header.get("features") != FEATURES_VERSION:
                raise UserError(
                    f"{path} was made for music features {shown(header.get('features'))}, this program has "
                    f"{FEATURES_VERSION}: {again}."
                )
            mean, scale, whitening = (stored[name].astype(np.float64) for name in ("mean", "scale", "whitening"))
            if mean.ndim != 1 or scale.shape != mean.shape or whitening.shape[:-1] != mean.shape:
                raise ValueError("the shapes of its constants do not fit each other")
            return cls(mean, scale, whitening)


def load_embedder(directory: str | Path) -> FrameEmbedder:
    """Open the embedder in a directory, weight-free statistics or a CLAP; or a pulled CLAP by name, or a `.pt` file."""
    if (Path(directory) / _FILE).is_file():
        return StatisticsEmbedder.load(directory)
    from bci_music.models.clap import ClapEmbedder

    return ClapEmbedder.load(directory)


def _group_scale(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight per feature: unit variance within its group on average, and every group the same total."""
    scale = np.empty(centred.shape[1])
    start = 0
    for size, weight in group_sizes():
        group = centred[:, start:start + size]
        scale[start:start + size] = np.sqrt(weight / (np.square(group).mean(0).sum() + 1e-12))
        start += size
    return scale


def _orthonormal(n: int) -> NDArray[np.float64]:
    """A fixed (n, 512) map with orthonormal rows: spreads the axes over all 512 numbers, keeps every angle."""
    if n > EMBEDDING_DIM:
        raise ValueError(f"at most {EMBEDDING_DIM} axes, got {n}")
    q, r = np.linalg.qr(np.random.default_rng(512).standard_normal((EMBEDDING_DIM, n)))
    return (q * np.sign(np.diag(r))).T


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    norm = np.linalg.norm(rows, axis=-1, keepdims=True)
    return (rows / np.maximum(norm, 1e-12)).astype(np.float32)
