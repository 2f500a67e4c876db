"""Tracking as a picture: the correlation among its circular shifts, and every listener's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bci_music.evaluation.report import wording
from bci_music.evaluation.report.palette import DARK, look
from bci_music.evaluation.tracking.result import Evidence, Tracking

_MOST_LISTENERS = 40  # more are not told apart in a drawing


def draw_tracking(tracking: Tracking, path: Path) -> Path:
    """Write a PNG: for each decoder and each thing held out the shifts, the controls and r; beside it the listeners."""
    from matplotlib.figure import Figure

    shown = [*tracking.evidence, *tracking.decoder]
    with look():
        figure = Figure(figsize=(11, 2.3 * len(shown) + 0.9), layout="constrained")
        figure.set_facecolor(DARK["ground"])
        axes = figure.subplots(len(shown), 2, squeeze=False, width_ratios=(2, 1))
        for row, one in zip(axes, shown, strict=True):
            _shifts(row[0], one)
            _listeners(row[1], one)
        kind = "simulated EEG" if tracking.simulated else "EEG"
        verdict = "reads" if tracking.reads else "does not read"
        figure.suptitle(f"{verdict}: does this {kind} carry the heard sound?", color=DARK["text"], x=0.01, ha="left")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110, facecolor=DARK["ground"])
    return path


def _shifts(axis: Any, one: Evidence) -> None:
    axis.hist(one.draws, bins=40, color=DARK["muted"], alpha=0.7, label=f"circular shifts ({one.shifts.n})")
    axis.axvline(one.before, color=DARK["bad"], linestyle="--", label="EEG from before the sound")
    if one.mismatched is not None:
        axis.axvspan(
            one.mismatched.mean - one.mismatched.sd, one.mismatched.mean + one.mismatched.sd, color=DARK["warm"],
            alpha=0.25, linewidth=0, label="other pieces (± SD)",
        )  # fmt: skip
    axis.axvline(one.r, color=DARK["accent"], linewidth=2.4, label=f"r = {wording.number(one.r)}")
    if one.ci95 is not None:
        axis.axvspan(*one.ci95, color=DARK["accent"], alpha=0.2, linewidth=0)
    axis.set_title(f"{one.target}, {one.held_out}: {wording.p_value(one.p)}")
    axis.set_yticks([])
    axis.set_xlabel("mean correlation over recordings")
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.4)


def _listeners(axis: Any, one: Evidence) -> None:
    own = dict(list(one.by_listener().items())[:_MOST_LISTENERS])
    order = list(own)
    for row in one.rows:
        if row.listener in own:
            axis.plot(order.index(row.listener), row.r, ".", color=DARK["muted"], markersize=4)
    axis.plot(range(len(order)), list(own.values()), "o", color=DARK["accent"], markersize=5)
    axis.axhline(0.0, color=DARK["line"], linewidth=0.8)
    axis.axhline(one.shifts.largest, color=DARK["muted"], linewidth=0.8, linestyle=":")
    axis.set_xticks(range(len(order)), order, rotation=60, ha="right", fontsize=6)
    axis.set_title("r by listener; dots: recordings")
