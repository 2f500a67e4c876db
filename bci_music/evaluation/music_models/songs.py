"""Pictures of composed music: what a listener would judge, for those who cannot listen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bci_music.compose.composer import Song, render
from bci_music.compose.harmony import NOTE_NAMES
from bci_music.compose.score import SongSpec
from bci_music.models.log_mel import log_mel
from bci_music.models.music_features import chroma_frames


def draw_songs(path: Path, specs: Sequence[SongSpec], seconds: float = 10.24, columns: int = 2) -> Path:
    """Draw an excerpt of each song: log mel with its onsets and bar lines, and which notes sound."""
    from matplotlib.figure import Figure

    rows = -(-len(specs) // columns)
    figure = Figure(figsize=(6.6 * columns, 2.0 * rows), layout="constrained")
    axes = figure.subplots(rows, 2 * columns, squeeze=False)
    for axis in axes.ravel():
        axis.set_axis_off()
    for number, spec in enumerate(specs):
        row, column = divmod(number, columns)
        song = render(spec, seconds, start_s=round(20 / spec.bar_s) * spec.bar_s)
        _sound(axes[row, 2 * column], song, seconds)
        _notes(axes[row, 2 * column + 1], song)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
    return path


def _sound(axis: Any, song: Song, seconds: float) -> None:
    mel = log_mel(song.samples[:, 0])
    axis.imshow(mel.T, origin="lower", aspect="auto", extent=(0, seconds, 0, 64), cmap="magma", vmin=-8, vmax=2)
    onsets = np.maximum(np.diff(mel, axis=0), 0).mean(1)
    axis.plot(np.arange(len(onsets)) / 100, onsets / (onsets.max() + 1e-9) * 14, color="white", linewidth=0.4)
    for bar_s in song.bars_s:
        axis.axvline(bar_s, color="cyan", linewidth=0.4)
    spec = song.spec
    axis.set_title(f"{spec.id}: {spec.bpm:.0f} bpm, {spec.tonic} {spec.scale}, {spec.mood}", fontsize=7)


def _notes(axis: Any, song: Song) -> None:
    chroma = chroma_frames(song.samples[:, 0])
    axis.imshow((chroma / (chroma.max(1, keepdims=True) + 1e-12)).T, origin="lower", aspect="auto")
    axis.set_axis_on()
    axis.set_xticks([])
    axis.set_yticks(range(12), NOTE_NAMES, fontsize=4)
    players = dict.fromkeys(part.instrument for part in song.spec.parts if part.role != "drums")
    axis.set_title(", ".join(players), fontsize=6)
