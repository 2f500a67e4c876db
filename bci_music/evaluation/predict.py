"""What a trained model makes of windows: the `Outputs` that the judge looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bci_music.evaluation.outputs import Outputs
from bci_music.models.adapter import RidgeAdapter
from bci_music.models.device import mixed
from bci_music.training.eeg.align import Aligner
from bci_music.training.lab.run import ExperimentData
from bci_music.training.lab.windows import LabWindows, lab_windows

BATCH = 32
Decode = Callable[[NDArray[np.float32], NDArray[np.bool_]], NDArray[np.float32]]


@dataclass(frozen=True)
class Trained:
    """Something that decodes: an aligned network with its ridge, or a map straight into the embedder's space."""

    aligner: Aligner | None
    adapter: RidgeAdapter | None
    direct: Decode | None = None
    bf16: bool = True

    def decode(
        self, x: NDArray[np.float32], used: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32] | None, NDArray[np.float32], NDArray[np.float32] | None]:
        """Unit shared vectors, vectors in the embedder's space, attention; of windows (B, C, T), masks (B, C)."""
        if self.direct is not None:
            return None, self.direct(x, used), None
        assert self.aligner is not None
        assert self.adapter is not None
        network = self.aligner.network
        with torch.inference_mode(), mixed("cpu", self.bf16):
            shared, attention = network.infer(torch.from_numpy(x), torch.from_numpy(used))
        vectors = shared.float().numpy()
        return vectors, self.adapter(vectors), None if attention is None else attention.float().numpy()

    def clap(self, x: NDArray[np.float32], used: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Vectors in the embedder's space only, in batches."""
        parts = [self.decode(x[i : i + BATCH], used[i : i + BATCH])[1] for i in range(0, len(x), BATCH)]
        return np.concatenate(parts)

    @torch.inference_mode()
    def place_music(self, targets: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Unit vectors of music in the shared space, or None where there is no such space."""
        return None if self.aligner is None else self.aligner.place_music(torch.from_numpy(targets)).numpy()


def predict(
    trained: Trained, data: ExperimentData, rows: NDArray[np.int64], there: NDArray[np.bool_] | None = None
) -> Outputs:
    """Decode windows of the study, with what was heard in them; `there` (n_channels,): electrodes that are there."""
    table = data.windows.table
    target = true_targets(data, rows)
    return _outputs(
        trained, data.windows, rows, target, table.song[rows], table.name[rows], table.song_start_s[rows], there
    )


def predict_before(
    trained: Trained, data: ExperimentData, there: NDArray[np.bool_] | None = None
) -> Outputs | None:
    """Decode windows from before the music; None where the study has none."""
    segments = [t for t in data.prepared.before if t.eeg.shape[1] >= data.windows.n_times]
    if not segments:
        return None
    w = data.windows
    before = lab_windows(segments, {}, window_s=w.n_times / w.sfreq_hz, sfreq_hz=w.sfreq_hz)
    rows = np.arange(len(before.table))
    nothing = np.full((len(rows), 512), np.nan, np.float32)
    empty = np.full(len(rows), "")
    return _outputs(trained, before, rows, nothing, empty, empty, np.zeros(len(rows)), there)


def true_targets(data: ExperimentData, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Unit embeddings (n, 512) of the music heard in windows."""
    table = data.windows.table
    music = [data.music[song] for song in table.song[rows]]
    return np.stack([
        m.targets[round(at / m.grid_s)] for m, at in zip(music, table.song_start_s[rows], strict=True)
    ])


def _batches(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for first in range(0, len(rows), BATCH):
        yield rows[first : first + BATCH]


def _outputs(
    trained: Trained, windows: LabWindows, rows: NDArray[np.int64], target: NDArray, song: NDArray, name: NDArray,
    second: NDArray, there: NDArray[np.bool_] | None,
) -> Outputs:
    parts = []
    for some in _batches(rows):
        x, used = windows.gather(some)
        parts.append(trained.decode(x, used if there is None else used & there))
    shared = None if trained.aligner is None else np.concatenate([p[0] for p in parts if p[0] is not None])
    attention = None if any(p[2] is None for p in parts) else np.concatenate([p[2] for p in parts if p[2] is not None])
    music = None
    if shared is not None:
        placed = trained.place_music(np.nan_to_num(target))
        music = np.zeros_like(shared) if placed is None else placed
    table = windows.table
    return Outputs(
        shared, music, np.concatenate([p[1] for p in parts]), target, song, name, second, table.start_s[rows],
        table.recording[rows], table.listener[rows], attention,
    )  # fmt: skip
