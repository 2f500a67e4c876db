"""Where everything lies: one pure function from window size to rectangles, on the design's grid."""

from __future__ import annotations

from dataclasses import dataclass

DESIGN = (1600, 900)
MARGIN = GUTTER = 16
BAR, STRIP = 40, 40
BOTTOM = 216
SCALES = (0.6, 3.0)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in widget pixels."""

    x: int
    y: int
    w: int
    h: int


def scale_for(width: int, height: int) -> float:
    """Widget pixels per design pixel: text grows with the window, so that a wall screen reads from afar."""
    low, high = SCALES
    return min(max(min(width / DESIGN[0], height / DESIGN[1]), low), high)


def arrange(width: int, height: int, strips: int = 0, watching: bool = False) -> dict[str, Box]:
    """Rectangles of all parts when `strips` notices are shown.

    `watching` is for a run without decoder and sound: signals and electrodes take all the room.
    """
    s = scale_for(width, height)
    w, h = width / s, height / s
    parts: dict[str, tuple[float, float, float, float]] = {"bar": (MARGIN, 8.0, w - 2 * MARGIN, float(BAR))}
    top = 8.0 + BAR + 8
    for strip in range(strips):
        parts[f"strip{strip}"] = (MARGIN, top, w - 2 * MARGIN, STRIP - 8.0)
        top += STRIP
    parts.update(_watch(w, h, top) if watching else _perform(w, h, top))
    return {name: _snap(box, s) for name, box in parts.items()}


def _perform(w: float, h: float, top: float) -> dict[str, tuple[float, float, float, float]]:
    bottom = h - MARGIN - BOTTOM
    room = w - 2 * MARGIN - 2 * GUTTER
    left, middle = round(0.417 * room / 8) * 8.0, round(0.273 * room / 8) * 8.0
    right = room - left - middle
    x1 = MARGIN + left + GUTTER
    x2 = x1 + middle + GUTTER
    tall = bottom - GUTTER - top
    lower = min(208.0, 0.4 * tall)
    upper = tall - GUTTER - lower
    return {
        "playing": (MARGIN, bottom, w - 2 * MARGIN, float(BOTTOM)),
        "traces": (MARGIN, top, left, tall),
        "head": (x1, top, middle, upper),
        "tally": (x2, top, right, upper),
        "quality": (x1, top + upper + GUTTER, middle, lower),
        "chance": (x2, top + upper + GUTTER, right, lower),
    }


def _watch(w: float, h: float, top: float) -> dict[str, tuple[float, float, float, float]]:
    tall = h - MARGIN - top
    left = round(0.68 * w / 8) * 8.0
    x1 = MARGIN + left + GUTTER
    return {"traces": (MARGIN, top, left, tall), "quality": (x1, top, w - x1 - MARGIN, tall)}


def _snap(box: tuple[float, float, float, float], scale: float) -> Box:
    x, y, w, h = (round(v * scale) for v in box)
    return Box(x, y, max(w, 1), max(h, 1))
