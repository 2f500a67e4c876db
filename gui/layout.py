"""Where everything lies: one pure function from window size to rectangles, on the design's grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

DESIGN = (1600, 900)
MARGIN = GUTTER = 16
BAR, STRIP = 40, 40
SCALES = (0.6, 3.0)
TITLE_BAR = 40  # px that a desktop puts above a window


Places = dict[str, tuple[float, float, float, float]]  # x, y, w, h of each part, in design pixels


class Box(NamedTuple):
    """A rectangle in widget pixels."""

    x: int
    y: int
    w: int
    h: int


def opening(free_w: int, free_h: int) -> Box:
    """Return where a window opens on a screen with so much free space: at the design's size, or as large as fits."""
    w, h = min(DESIGN[0], free_w), min(DESIGN[1], free_h - TITLE_BAR)
    return Box((free_w - w) // 2, TITLE_BAR + (free_h - TITLE_BAR - h) // 2, w, h)


def scale_for(width: int, height: int) -> float:
    """Widget pixels per design pixel: text grows with the window, so that a wall screen reads from afar."""
    low, high = SCALES
    return min(max(min(width / DESIGN[0], height / DESIGN[1]), low), high)


def arrange(
    width: int, height: int, strips: int = 0, places: Callable[[float, float, float], Places] | None = None
) -> dict[str, Box]:
    """Return the rectangles of a view's parts while `strips` notices are shown, or those of the bar and the notices.

    Parameters
    ----------
    width, height : int
        Size of the window.
    strips : int
        Number of notices.
    places : callable, optional
        ``(w, h, top) -> Places``: where a view puts its parts below `top`. None: bar and notices.
    """
    s = scale_for(width, height)
    w, h = width / s, height / s
    parts: Places = {"bar": (MARGIN, 8.0, w - 2 * MARGIN, float(BAR))}
    top = 8.0 + BAR + 8
    for strip in range(strips):
        parts[f"strip{strip}"] = (MARGIN, top, w - 2 * MARGIN, STRIP - 8.0)
        top += STRIP
    return {name: _snap(box, s) for name, box in (places(w, h, top) if places else parts).items()}


def _snap(box: tuple[float, float, float, float], scale: float) -> Box:
    x, y, w, h = (round(v * scale) for v in box)
    return Box(x, y, max(w, 1), max(h, 1))
