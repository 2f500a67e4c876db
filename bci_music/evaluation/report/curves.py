"""Curves: accuracy against electrodes lost, and how training went."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bci_music.evaluation.report.palette import DARK, SERIES, look, svg
from bci_music.evaluation.results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

KINDS = {"removed": "electrodes removed", "noise": "electrodes replaced by noise"}
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))
MAX_PANELS = 6
PANEL_IN = (3.55, 2.5)


def robustness(results: list[Result], label: str, key: str, title: str) -> str:
    """Draw a panel per way of losing electrodes, a curve with its interval per result, controls dashed; inline SVG."""
    kinds = list(dict.fromkeys(kind for result in results for kind in result.robustness))
    with look():
        canvas, panels = _grid(len(kinds), len(kinds), (5.3, 3.0))
        for kind, axes in zip(kinds, panels, strict=True):
            for number, result in enumerate(r for r in results if kind in r.robustness):
                _robust(axes, result, kind, number)
            axes.set_title(KINDS.get(kind, kind))
            axes.set_xlabel("share of electrodes lost")
            axes.set_xlim(-0.03, None)
            axes.set_ylim(0, None)
        panels[0].set_ylabel(label)
        _legend(canvas, panels, control=True)
        return svg(canvas, key, title)


def _robust(axes: Axes, result: Result, kind: str, number: int) -> None:
    points = sorted(result.robustness[kind], key=lambda point: point["share"])
    share = [p["share"] for p in points]
    colour = DARK[SERIES[number % len(SERIES)]]
    if all("low" in p and "high" in p for p in points):
        low, high = ([p[end] for p in points] for end in ("low", "high"))
        axes.fill_between(share, low, high, color=colour, alpha=0.16, lw=0)
    axes.plot(share, [p["value"] for p in points], color=colour, ls=DASHES[number % 3 if number else 0], marker="o",
              markersize=3.5, label=result.model.title)  # fmt: skip
    if all("control" in p for p in points):
        axes.plot(share, [p["control"] for p in points], color=colour, ls=(0, (2, 2)), lw=1.0, alpha=0.8)


def training(results: list[Result], key: str, title: str) -> tuple[str, list[str]]:
    """Draw a small panel per kind of curve with a line per result; also returns the curves that did not fit in."""
    names = list(dict.fromkeys(name for result in results for name in result.training.curves))
    shown, left = names[:MAX_PANELS], names[MAX_PANELS:]
    order = [result.name for result in results if result.training.curves]
    with look():
        canvas, panels = _grid(len(shown), min(3, len(shown)), PANEL_IN)
        for name, axes in zip(shown, panels, strict=True):
            for result in (r for r in results if r.training.curves.get(name)):
                number = order.index(result.name)
                points = [(step, value) for step, value in result.training.curves[name] if math.isfinite(value)]
                axes.plot(*zip(*points, strict=True), color=DARK[SERIES[number % len(SERIES)]],
                          ls=DASHES[number // len(SERIES) % len(DASHES)], lw=1.8 if number == 0 else 1.1,
                          label=result.model.title, zorder=3 if number == 0 else 2)  # fmt: skip
            axes.set_title(name.replace("_", " ").replace("/", ", "))
            axes.set_xlabel("step")
            axes.margins(x=0.02)
        _legend(canvas, panels, control=False)
        return svg(canvas, key, title), left


def _grid(n: int, columns: int, size: tuple[float, float]) -> tuple[Canvas, list[Axes]]:
    from matplotlib.figure import Figure as Canvas

    n_rows = math.ceil(n / columns)
    canvas = Canvas(figsize=(columns * size[0], n_rows * size[1] + 0.45), layout="constrained")
    axes = canvas.subplots(n_rows, columns, squeeze=False).ravel().tolist()
    for spare in axes[n:]:
        spare.set_visible(False)
    for panel in axes[:n]:
        panel.grid(axis="y")
        panel.tick_params(length=0, labelsize=8)
    return canvas, axes[:n]


def _legend(canvas: Canvas, panels: list[Axes], *, control: bool) -> None:
    from matplotlib.lines import Line2D

    by_label = {h.get_label(): h for axes in panels for h in axes.get_legend_handles_labels()[0]}
    handles = list(by_label.values())
    if control:
        handles.append(Line2D([], [], color=DARK["muted"], ls=(0, (2, 2)), lw=1.0, label="mismatched pairs"))
    canvas.legend(handles=handles, loc="outside upper left", ncols=min(4, len(handles)), handlelength=2.2)
