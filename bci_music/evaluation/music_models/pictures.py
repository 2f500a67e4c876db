"""Spectrograms of pairs, heard above generated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bci_music.evaluation.music_models.oracle import Heard
from bci_music.models.log_mel import HOP, RATE_HZ, log_mel, normalised
from bci_music.training.audioldm.batches import spread_evenly

_DECIBEL = 20 / np.log(10)
_RANGE_DB = 70.0


def draw_pairs(
    path: Path, heard: Sequence[Heard], made: Sequence[NDArray[np.float32]], pairs: int = 8, columns: int = 4
) -> Path:
    """Write a picture of `pairs` pieces, evenly spread over the list (not chosen by how well they came out)."""
    from matplotlib.figure import Figure

    chosen = spread_evenly(len(heard), pairs)
    rows = -(-len(chosen) // columns)
    figure = Figure(figsize=(3.4 * columns, 3.4 * rows), layout="constrained")
    axes = figure.subplots(2 * rows, columns, squeeze=False)
    for axis in axes.ravel():
        axis.set_axis_off()
    for place, i in enumerate(chosen):
        row, column = divmod(place, columns)
        for below, (what, sound) in enumerate((("heard", heard[i].sound), ("generated", made[i]))):
            axis = axes[2 * row + below, column]
            axis.set_axis_on()
            _draw(axis, sound, f"{what}: {heard[i].song}" if not below else what, bottom=below == 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    return path


def _draw(axis: object, sound: NDArray[np.float32], title: str, bottom: bool) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axis, Axes)
    level = log_mel(normalised(sound)).T * _DECIBEL
    top = float(level.max())
    seconds = level.shape[1] * HOP / RATE_HZ
    axis.imshow(
        level, origin="lower", aspect="auto", cmap="magma", vmin=top - _RANGE_DB, vmax=top, extent=(0, seconds, 0, 64)
    )
    axis.set_title(title, fontsize=8)
    axis.tick_params(labelsize=7, labelbottom=bottom)
    axis.set_yticks([])
    if bottom:
        axis.set_xlabel("s", fontsize=7)
