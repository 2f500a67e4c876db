"""Values with their intervals and controls, one line each: systems, ablations and splits are drawn alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bci_music.evaluation.report import wording
from bci_music.evaluation.report.palette import DARK, look, svg
from bci_music.metrics.metric import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Shape, colour, and where it sits under the bar, in lines.
MARKS = {"mismatched": ("o", "warm", 0.13), "before_song": ("^", "bad", 0.26), "mean_embedding": ("s", "second", 0.39)}
CHANCE = (0, (3, 3))
ROW_IN = 0.56  # inches of one line
LEFT_IN, RIGHT_IN, PLOT_IN = 2.5, 1.5, 6.8


@dataclass(frozen=True)
class Line:
    """One line of the drawing: its words, its metric (None: not run), and whether it is the one the page is about.

    `note` is written small under the title.
    """

    title: str
    metric: Metric | None
    chosen: bool = False
    note: str = ""


def bars(lines: list[Line], key: str, title: str, limit: float | None = None) -> str:
    """Draw `lines` from top to bottom as inline SVG; at least one of them has a metric.

    A bar that is longer than `limit` (what the others need) runs off the scale, with an arrow that says so.
    """
    from matplotlib.figure import Figure as Canvas

    with look():
        height = ROW_IN * len(lines) + 0.85
        canvas = Canvas(figsize=(LEFT_IN + PLOT_IN + RIGHT_IN, height))
        width = LEFT_IN + PLOT_IN + RIGHT_IN
        axes = canvas.add_axes((LEFT_IN / width, 0.42 / height, PLOT_IN / width, 1 - 0.85 / height))
        for y, line in enumerate(lines):
            _line(axes, y, line)
        _frame(axes, lines)
        _cut(axes, lines, limit)
        return svg(canvas, key, title)


def _line(axes: Axes, y: int, line: Line) -> None:
    metric = line.metric
    weight = "bold" if line.chosen else "normal"
    if line.note:
        axes.annotate(line.note, (0, y + 0.24), (-8, 0), axes.get_yaxis_transform(), "offset points", ha="right",
                      va="center", color=DARK["muted"], size=7.5)  # fmt: skip
    middle = y - 0.1 if line.note else y
    axes.annotate(line.title, (0, middle), (-8, 0), axes.get_yaxis_transform(), "offset points", ha="right",
                  va="center", color=DARK["text" if metric else "muted"], weight=weight)  # fmt: skip
    if metric is None:
        _beside(axes, y, "not run", "muted")
        return
    axes.barh(y - 0.17, metric.value, height=0.32, color=DARK["accent" if line.chosen else "muted"],
              alpha=0.9 if line.chosen else 0.55, linewidth=0)  # fmt: skip
    if metric.chance is not None:
        axes.plot([metric.chance] * 2, [y - 0.5, y + 0.5], color=DARK["muted"], linewidth=1.0, linestyle=CHANCE,
                  zorder=0)  # fmt: skip
    if metric.ci95 is not None:
        axes.plot(metric.ci95, [y - 0.17] * 2, color=DARK["text"], linewidth=1.6, solid_capstyle="butt")
        for end in metric.ci95:
            axes.plot([end, end], [y - 0.26, y - 0.08], color=DARK["text"], linewidth=1.6)
    for name, control in metric.controls.items():
        mark, colour, below = MARKS.get(name, ("D", "front", 0.26))
        if control.ci95 is not None:
            axes.plot(control.ci95, [y + below] * 2, color=DARK[colour], linewidth=1.2)
        axes.plot(control.value, y + below, mark, color=DARK[colour], markersize=4.5, markerfacecolor=DARK["panel"])
    _beside(axes, y - 0.17, wording.number(metric.value), "text", weight)
    _beside(axes, y + 0.17, wording.interval(metric.ci95), "muted", size=7.5)


def _cut(axes: Axes, lines: list[Line], limit: float | None) -> None:
    if limit is None or axes.get_xlim()[1] <= limit:
        return
    axes.set_xlim(axes.get_xlim()[0], limit)
    for y, line in enumerate(lines):
        if line.metric is not None and line.metric.value > limit:
            axes.annotate("off the scale ▶", (1, y - 0.17), (-6, 0), axes.get_yaxis_transform(), "offset points",
                          ha="right", va="center", color=DARK["text"], size=8)  # fmt: skip


def _beside(axes: Axes, y: float, text: str, colour: str, weight: str = "normal", size: float = 9.0) -> None:
    axes.annotate(text, (1, y), (10, 0), axes.get_yaxis_transform(), "offset points", va="center",
                  color=DARK[colour], weight=weight, size=size)  # fmt: skip


def _frame(axes: Axes, lines: list[Line]) -> None:
    from matplotlib.lines import Line2D

    metrics = [line.metric for line in lines if line.metric is not None]
    shown = [name for name in MARKS if any(name in f.controls for f in metrics)]
    handles = [
        Line2D([], [], marker=MARKS[name][0], color=DARK[MARKS[name][1]], markerfacecolor=DARK["panel"], markersize=5,
               linewidth=1.2, label=wording.CONTROLS[name]) for name in shown
    ]  # fmt: skip
    if any(f.chance is not None for f in metrics):
        handles.append(Line2D([], [], color=DARK["muted"], linewidth=1.0, linestyle=CHANCE, label="chance"))
    if handles:
        axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=len(handles), borderpad=0.2,
                    handlelength=1.6, columnspacing=1.6)  # fmt: skip
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(min(axes.get_xlim()) >= 0)
    axes.grid(axis="x")
    axes.tick_params(length=0)
    labels = {f.label for f in metrics}
    axes.set_xlabel(labels.pop() if len(labels) == 1 else "identification, as named on the left")
