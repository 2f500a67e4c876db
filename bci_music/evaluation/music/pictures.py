"""Pictures of music: spectrograms of pairs, heard above generated, and of composed songs for all who cannot listen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bci_music.compose.composer import Song, render
from bci_music.compose.harmony import NOTE_NAMES
from bci_music.compose.score import SongSpec
from bci_music.evaluation.music.fidelity import Evaluators, Heard, Row, compare, generate
from bci_music.messages import Log
from bci_music.models.log_mel import HOP, RATE_HZ, log_mel, normalised
from bci_music.models.music_features import chroma_frames
from bci_music.training.audioldm.batches import spread_evenly

if TYPE_CHECKING:
    from bci_music.generation.audioldm.sampler import AudioLdm


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


_DECIBEL = 20 / np.log(10)
_RANGE_DB = 70.0


def draw_pairs(
    path: Path, heard: Sequence[Heard], made: Mapping[str, Sequence[NDArray[np.float32]]], pairs: int = 8,
    columns: int = 4,
) -> Path:
    """Draw `pairs` pieces, evenly spread over the list (not chosen by how well they came out), heard above generated.

    Parameters
    ----------
    made : mapping of a title to sounds
        What was made of the same pieces, one below the other, e.g. ``{"before": ..., "generated": ...}``.
    """
    from matplotlib.figure import Figure

    chosen = spread_evenly(len(heard), pairs)
    rows, high = -(-len(chosen) // columns), 1 + len(made)
    figure = Figure(figsize=(3.4 * columns, 1.7 * high * rows), layout="constrained")
    axes = figure.subplots(high * rows, columns, squeeze=False)
    for axis in axes.ravel():
        axis.set_axis_off()
    for place, i in enumerate(chosen):
        row, column = divmod(place, columns)
        shown = [(f"heard: {heard[i].song}", heard[i].sound), *((what, sounds[i]) for what, sounds in made.items())]
        for below, (what, sound) in enumerate(shown):
            axis = axes[high * row + below, column]
            axis.set_axis_on()
            _draw(axis, sound, what, bottom=below == high - 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    return path


def follow(
    models: Mapping[str, AudioLdm], heard: Sequence[Heard], what: str, evaluators: Evaluators, picture: Path, tell: Log
) -> list[Row]:
    """Generate from the same pieces with each model, draw what came out one below the other, and evaluate it.

    Parameters
    ----------
    models : mapping of str to AudioLdm
        By what their rows begin with: nothing for the one that is evaluated, "before: " for one it is held against.
    """
    made = {
        name: generate(model, heard, progress=lambda done, of: tell(f"{what}: {done} of {of}"))
        for name, model in models.items()
    }
    draw_pairs(picture, heard, {f"{name}generated": made[name] for name in reversed(made)})
    return [compare(f"{name}{what}", sounds, heard, evaluators) for name, sounds in made.items()]


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
