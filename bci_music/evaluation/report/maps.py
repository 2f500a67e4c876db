"""Attention per song as scalp maps, and how songs differ in EEG and in music as two matrices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bci_music.eeg.montage import Montage
from bci_music.eeg.topomap import TopoMap
from bci_music.evaluation.report.palette import DARK, IMAGE_HUE, look, svg
from bci_music.messages import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 7
MAP_IN = 1.5
PIXELS = 72
MAX_NAME = 18  # letters of a song's name beside a matrix


def scalp_maps(attention: dict[str, list[float]], montage: Montage, key: str, title: str) -> str:
    """Draw one head per song on one common scale from the smallest to the largest share; inline SVG.

    Parameters
    ----------
    attention : dict
        Song to the share of each of the montage's channels.
    """
    from matplotlib.figure import Figure as Canvas

    wrong = {song: len(shares) for song, shares in attention.items() if len(shares) != len(montage.names)}
    if wrong:
        song, n = next(iter(wrong.items()))
        raise UserError(
            f"The attention for {song!r} has {n} channels, the montage {montage.name!r} {len(montage.names)}: "
            "give the report the montage that was decoded."
        )
    topomap = TopoMap(montage, resolution=PIXELS)
    values = np.array(list(attention.values()), np.float32)
    low, high = float(values.min()), float(values.max())
    columns = min(COLUMNS, len(attention))
    n_rows = math.ceil(len(attention) / columns)
    with look():
        canvas = Canvas(figsize=(columns * MAP_IN, n_rows * (MAP_IN + 0.22)), layout="constrained")
        panels = canvas.subplots(n_rows, columns, squeeze=False).ravel()
        for axes in panels:
            axes.set_axis_off()
        for axes, song, shares in zip(panels, attention, values, strict=False):
            picture = (topomap.image(shares) - low) / ((high - low) or 1.0)
            axes.imshow(_pixels(picture), extent=topomap.extent, origin="lower", interpolation="none")
            _head(axes, topomap.extent[1])
            axes.set_title(song, size=8, loc="center")
        return svg(canvas, key, title)


def matrices(distances: dict[str, Any], key: str, title: str) -> str:
    """Draw the dissimilarity of every two songs, in EEG and in music side by side, each on its own scale; inline SVG.

    Parameters
    ----------
    distances : dict
        ``songs`` (n names), ``eeg`` and ``music`` (n, n).
    """
    from matplotlib.figure import Figure as Canvas

    songs = [song if len(song) <= MAX_NAME else song[: MAX_NAME - 1] + "…" for song in distances["songs"]]
    left, side, gap, foot, head = 1.4, 4.0, 0.4, 1.0, 0.35  # inches
    width, height = left + 2 * side + gap, foot + side + head
    with look():
        canvas = Canvas(figsize=(width, height))
        for number, name in enumerate(("eeg", "music")):
            place = (left + number * (side + gap)) / width, foot / height, side / width, side / height
            _matrix(canvas.add_axes(place), np.array(distances[name], float), songs, name)
        return svg(canvas, key, title)


def _matrix(axes: Axes, matrix: np.ndarray, songs: list[str], name: str) -> None:
    off = matrix[~np.eye(len(songs), dtype=bool)]
    low, high = float(off.min()), float(off.max())
    np.fill_diagonal(matrix, np.nan)
    axes.imshow(_pixels((matrix - low) / ((high - low) or 1.0)), interpolation="none")
    axes.set_title({"eeg": "decoded from EEG", "music": "music heard"}[name] + f",  {low:.2f} to {high:.2f}")
    axes.set_xticks(range(len(songs)), songs, rotation=45, ha="right", rotation_mode="anchor", size=8)
    axes.set_yticks(range(len(songs)), songs if name == "eeg" else [""] * len(songs), size=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _pixels(share: np.ndarray) -> np.ndarray:
    """(rows, columns, 4) uint8 from 0..1: one hue from see-through to solid; NaN is see-through."""
    hue = [int(IMAGE_HUE[i : i + 2], 16) for i in (1, 3, 5)]
    alpha = np.nan_to_num(np.clip(share, 0, 1) * 255)
    return np.dstack([*(np.full(share.shape, part) for part in hue), alpha]).astype(np.uint8)


def _head(axes: Axes, reach: float) -> None:
    from matplotlib.patches import Circle

    axes.add_patch(Circle((0, 0), 1.0, fill=False, color=DARK["muted"], linewidth=0.9))
    axes.plot([-0.12, 0, 0.12], [0.99, 1.13, 0.99], color=DARK["muted"], linewidth=0.9)
    axes.set_xlim(-1.02 * reach, 1.02 * reach)
    axes.set_ylim(-1.02 * reach, 1.02 * max(reach, 1.13))
