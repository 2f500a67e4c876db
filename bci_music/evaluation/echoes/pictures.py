"""Pictures of the table: spectrograms of eight pairs, and the lag curves of all rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bci_music.evaluation.echoes.evaluate import Evaluation, row_files
from bci_music.evaluation.echoes.figures import EARLIER, LATER, LagCurve, RowFigures
from bci_music.evaluation.echoes.rows import SPLITS, load_row
from bci_music.evaluation.report import wording
from bci_music.evaluation.report.palette import DARK, look

PAIRS = 8
COLUMNS = 4
_COURSES = {"flux-r": ("onset flux", "accent"), "envelope-r": ("envelope", "second")}


def draw_row_pairs(directory: Path, path: Path, pairs: int = PAIRS) -> Path | None:
    """Draw pairs of a row, evenly spread over its windows and not chosen by how well they came out, heard above made.

    The row is way B's sequence condition, then its pooled one, then the first that has sounds; None where none has.
    """
    from bci_music.evaluation.music.fidelity import Heard
    from bci_music.evaluation.music.pictures import draw_pairs

    paths = row_files(directory)
    first = [p for key in (LATER, EARLIER) for p in paths if p.stem.partition("--")[0] == key]
    for place in dict.fromkeys([*first, *paths]):
        row = load_row(place)
        if row.made is None:
            continue
        shown = np.linspace(0, len(row.song) - 1, min(pairs, len(row.song))).round().astype(int)
        none = np.zeros(0, np.float32)
        heard = [Heard(str(row.song[i]), "", row.heard[row.piece[i]].astype(np.float32), none) for i in shown]
        return draw_pairs(path, heard, {row.title: [row.made[i].astype(np.float32) for i in shown]}, pairs, COLUMNS)
    return None


def draw_lags(evaluation: Evaluation, path: Path) -> Path | None:
    """Draw the lag curves of every row with the band of its mismatched control; None where no row has any."""
    from matplotlib.figure import Figure

    rows = [row for row in evaluation.rows if row.curves]
    if not rows:
        return None
    high = -(-len(rows) // COLUMNS)
    with look():
        figure = Figure(figsize=(3.4 * COLUMNS, 2.3 * high + 0.7), layout="constrained")
        figure.set_facecolor(DARK["ground"])
        axes = figure.subplots(high, COLUMNS, squeeze=False, sharex=True, sharey=True).ravel()
        for axis, row in zip(axes, rows, strict=False):
            _curves(axis, row)
        for axis in axes[len(rows) :]:
            axis.set_axis_off()
        axes[0].legend(loc="upper left")
        kind = "simulated EEG" if evaluation.simulated else "EEG"
        figure.suptitle(
            f"Sound made of {kind} against the music heard: correlation at every lag, bands 95 %; grey: other songs",
            color=DARK["text"], x=0.01, ha="left",
        )  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=100, facecolor=DARK["ground"])
    return path


def _curves(axis: Any, row: RowFigures) -> None:
    for name, curve in row.curves.items():
        label, colour = _COURSES[name]
        _band(axis, curve, curve.mismatched_ci95, DARK["muted"], 0.3)
        _band(axis, curve, curve.ci95, DARK[colour], 0.2)
        axis.plot(curve.lags_s, curve.r, color=DARK[colour], label=label)
    axis.axvline(row.lag_s, color=DARK["line"], linewidth=0.8)
    axis.axhline(0.0, color=DARK["line"], linewidth=0.8)
    best = row.curves.get("flux-r")
    found = "" if best is None else f", largest at {wording.minus(f'{best.best_s:+.2f}')} s"
    axis.set_title(f"{row.title}\n{SPLITS.get(row.split, row.split)}{found}", fontsize=7)
    axis.set_xlabel("s that the sound made comes later", fontsize=7)
    axis.tick_params(labelsize=7)


def _band(axis: Any, curve: LagCurve, ends: Any, colour: str, alpha: float) -> None:
    if ends is not None:
        axis.fill_between(curve.lags_s, ends[0], ends[1], color=colour, alpha=alpha, linewidth=0)
