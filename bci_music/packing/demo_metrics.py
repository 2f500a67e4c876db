"""Metrics of a demo pack on held-out simulated recordings, each with its interval and its control."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bci_music.metrics.controls import derangement
from bci_music.metrics.identification import k_way, top1_hits
from bci_music.metrics.metric import Control, Metric, summarise
from bci_music.models.confidence import fit_confidence
from bci_music.models.decoder import Decoder
from bci_music.models.pack import ConfidenceFit
from bci_music.training.eeg.corpus import Music
from bci_music.training.eeg.sessions import HeardWindows


@dataclass(frozen=True)
class Decoded:
    """Decoded windows of several recordings, row by row."""

    raw: NDArray[np.float32]
    vector: NDArray[np.float32]
    attention: NDArray[np.float32]
    target: NDArray[np.float32]
    song: NDArray[np.int64]
    recording: NDArray[np.int64]

    def of(self, rows: NDArray[np.bool_]) -> Decoded:
        """Some of the rows."""
        return Decoded(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def decode_heard(
    decoder: Decoder, recordings: list[HeardWindows], music: dict[str, Music], songs: list[str],
    there: NDArray[np.bool_] | None = None,
) -> Decoded:
    """Decode the windows of all recordings.

    `songs` gives the order in which songs are numbered; `there` (n_channels,): electrodes that are there, of those in
    use.
    """
    parts: dict[str, list[NDArray]] = {name: [] for name in Decoded.__dataclass_fields__}
    for number, heard in enumerate(recordings):
        for first in range(0, len(heard.windows), 16):
            some = heard.windows[first : first + 16]
            used = np.stack([w.used for w in some])
            made = decoder.decode_many(np.stack([w.samples for w in some]), used if there is None else used & there)
            for name in ("raw", "vector", "attention"):
                parts[name].append(made[name])
        rows = zip(heard.songs, heard.second, strict=True)
        parts["target"].append(np.stack([music[s].targets[round(at / music[s].grid_s)] for s, at in rows]))
        parts["song"].append(np.array([songs.index(song) for song in heard.songs]))
        parts["recording"].append(np.full(len(heard.songs), number))
    return Decoded(**{name: np.concatenate(rows) for name, rows in parts.items()})


def identification(decoded: Decoded, name: str, protocol: str, k: int = 50, seed: int = 0) -> Metric:
    """k-way identification of the music's second within each recording.

    The control pairs every window with the music of another one.
    """
    rates, control = np.empty(len(decoded.song)), np.empty(len(decoded.song))
    for number in np.unique(decoded.recording):
        rows = decoded.recording == number
        vector, target = decoded.vector[rows], decoded.target[rows]
        rates[rows] = k_way(vector, target, k)
        control[rows] = k_way(vector, target[derangement(len(target), seed + int(number))], k)
    return _metric(decoded, name, protocol, rates, 1.0 / k, control)


def song_identification(
    decoded: Decoded, prototypes: NDArray[np.float32], name: str, protocol: str, seed: int = 0
) -> Metric:
    """Which of the library's songs is the nearest; the control pairs every window with another one's song."""
    hits = top1_hits(decoded.vector, prototypes, decoded.song)
    control = np.empty(len(hits))
    for number in np.unique(decoded.recording):
        rows = decoded.recording == number
        shuffled = decoded.song[rows][derangement(int(rows.sum()), seed + int(number))]
        control[rows] = top1_hits(decoded.vector[rows], prototypes, shuffled)
    return _metric(decoded, name, protocol, hits.astype(float), 1.0 / len(prototypes), control)


def confidence_of(decoded: Decoded, prototypes: NDArray[np.float32]) -> ConfidenceFit:
    """Fit the confidence on half of the recordings."""
    right = top1_hits(decoded.vector, prototypes, decoded.song)
    return fit_confidence(decoded.raw, decoded.attention, right, decoded.recording, prototypes)


def _metric(
    decoded: Decoded, name: str, protocol: str, values: NDArray[np.float64], chance: float, control: NDArray[np.float64]
) -> Metric:
    wrong = Control(value=float(control.mean()), protocol="windows paired with other music of their recording")
    return summarise(
        values, decoded.recording, name=name, protocol=protocol, chance=chance, controls={"mismatched": wrong}
    ).rounded()
