"""Song by song: where the decoder attends, and whether songs that are alike are decoded alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci_music.evaluation.decoded import DecodedWindows
from bci_music.metrics.identification import cosine


def song_attention(decoded: DecodedWindows) -> dict[str, list[float]]:
    """Each channel's share of the attention by song name, recordings counting alike; empty where there is none.

    An electrode that is absent in a window (NaN) counts in the others. It is what the model weighs (with latent queries
    each electrode's share of what is gathered), not brain activity.
    """
    if decoded.attention is None or np.isnan(decoded.attention).all():
        return {}
    whole = np.nansum(decoded.attention, axis=1, keepdims=True)
    shares = np.divide(decoded.attention, whole, out=np.full(decoded.attention.shape, np.nan), where=whole > 0)
    return {
        str(name): _share_of_present(shares[rows], decoded.recording[rows]).tolist()
        for name in np.unique(decoded.name)
        for rows in [decoded.name == name]
    }


def _share_of_present(rows: NDArray, recording: NDArray[np.str_]) -> NDArray[np.float64]:
    """Mean over recordings, each the mean of its windows, of what is not NaN; shares of the whole."""
    there = ~np.isnan(rows)
    values, counts = [], []
    for name in np.unique(recording):
        mine = recording == name
        counts.append(there[mine].sum(0))
        values.append(np.where(there[mine], rows[mine], 0.0).sum(0) / np.maximum(counts[-1], 1))
    present = np.array(counts) > 0
    mean = np.where(present, np.array(values), 0.0).sum(0) / np.maximum(present.sum(0), 1)
    return mean / max(float(mean.sum()), 1e-12)


def song_distances(decoded: DecodedWindows, *, permutations: int = 999, seed: int = 0) -> dict[str, Any]:
    """Cosine distance between the centroids of songs, of EEG and of music, and how far the two agree.

    Returns
    -------
    dict
        ``songs`` (names), ``eeg`` and ``music`` (matrices, rows of rows), ``space``, and with at least four songs
        ``correlation`` (Spearman, over all pairs) with its ``p`` by permuting the songs (Mantel's test).
        Centroids are less the mean over all songs, recordings counting alike.
    """
    shared = decoded.eeg is not None and decoded.music is not None
    eeg, music = (decoded.eeg, decoded.music) if shared else (decoded.clap, decoded.target)
    assert eeg is not None
    assert music is not None
    names = np.unique(decoded.name)
    ours, theirs = (_distances(vectors, decoded, names) for vectors in (eeg, music))
    result: dict[str, Any] = {
        "songs": [str(n) for n in names], "eeg": ours.round(6).tolist(), "music": theirs.round(6).tolist(),
        "space": "shared" if shared else "embedder",
    }  # fmt: skip
    if len(names) >= 4:
        result |= _mantel(ours, theirs, permutations, seed)
    return result


def _distances(vectors: NDArray, decoded: DecodedWindows, names: NDArray[np.str_]) -> NDArray[np.float64]:
    centroids = np.stack([
        _mean_of_recordings(vectors[rows].astype(np.float64), decoded.recording[rows])
        for name in names for rows in [decoded.name == name]
    ])  # fmt: skip
    if len(names) > 2:
        centroids = centroids - centroids.mean(axis=0)
    distance = 1.0 - np.nan_to_num(cosine(centroids, centroids))
    np.fill_diagonal(distance, 0.0)
    return distance


def _mean_of_recordings(rows: NDArray, recording: NDArray[np.str_]) -> NDArray[np.float64]:
    return np.mean([rows[recording == name].mean(axis=0) for name in np.unique(recording)], axis=0)


def _mantel(a: NDArray[np.float64], b: NDArray[np.float64], n: int, seed: int) -> dict[str, float]:
    """Spearman correlation of the upper triangles and the share of permuted songs that do as well."""
    upper = np.triu_indices(len(a), 1)
    rank_b = _ranks(b[upper])
    rng = np.random.default_rng(seed)
    own = float(np.corrcoef(_ranks(a[upper]), rank_b)[0, 1])
    as_good = 0
    for _ in range(n):
        order = rng.permutation(len(a))
        as_good += bool(np.corrcoef(_ranks(a[np.ix_(order, order)][upper]), rank_b)[0, 1] >= own - 1e-12)
    return {"correlation": own, "p": (1 + as_good) / (1 + n)}


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks with ties at their middle."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
