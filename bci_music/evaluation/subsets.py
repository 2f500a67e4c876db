"""The same decoder with fewer electrodes: even subsets of the head, as other headsets would have them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bci_music.evaluation.outputs import Outputs
from bci_music.evaluation.predict import Trained, predict, predict_before
from bci_music.evaluation.protocol import judge_outputs
from bci_music.evaluation.results import Figure
from bci_music.training.lab.run import Material

SIZES = (64, 32)


def subset_figures(
    trained: Trained, given: Material, *, window_s: float, k: int, seed: int, sizes: Sequence[int] = SIZES
) -> tuple[Figure, ...]:
    """k-way identification of the same test windows when all electrodes but an even subset are absent."""
    positions = given.prepared.montage.positions_m
    figures: list[Figure] = []
    for size in sizes:
        if size >= len(positions):
            continue
        there = even_subset(positions, size)
        before = predict_before(trained, given, there)
        outputs: Outputs = predict(trained, given, given.split.test, there)
        first = judge_outputs(
            outputs, before=before, mean_embedding=None, split=given.split, seed=seed, window_s=window_s, k=k,
            sample_s=1.0 / given.windows.sfreq_hz,
        )[0]
        figures.append(first.model_copy(update={
            "name": f"{first.name}@{size}", "label": f"{first.label}, {size} electrodes",
            "protocol": f"{size} of {len(positions)} electrodes, spread evenly over the head, the others absent; "
                        f"{first.protocol}",
        }))  # fmt: skip
    return tuple(figures)


def even_subset(positions_m: NDArray[np.float64], size: int) -> NDArray[np.bool_]:
    """Choose electrodes that are far from each other: (n_channels,) bool.

    The vertex first, then always the one farthest from all that are chosen (Gonzalez 1985).
    """
    chosen = [int(positions_m[:, 2].argmax())]
    nearest = np.linalg.norm(positions_m - positions_m[chosen[0]], axis=1)
    while len(chosen) < size:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(positions_m - positions_m[chosen[-1]], axis=1))
    mask = np.zeros(len(positions_m), bool)
    mask[chosen] = True
    return mask
