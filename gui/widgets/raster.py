"""Pixel columns of traces, painted with NumPy into a persistent ARGB picture.

A column of a trace is the stroke from its lowest to its highest value, with fractional ends (anti-aliased).
Strokes that share a pixel mix their colours and add up their cover; the result does not depend on how many
columns are painted at once, so a strip equals a full redraw bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gui.widgets.sweep import Columns

OPACITY = 0.95
STROKE_PX = 1.0
FULL_PX = 1.6  # strokes taller than this are fainter, as a beam that moves fast: slow waves stay readable
BATCH = 24  # columns painted at once in a full redraw; bounds memory


@dataclass(frozen=True)
class TraceLook:
    """Where and how traces are drawn.

    Attributes
    ----------
    middle_px : (C,) float
        Zero line of each channel.
    px_per_uv : float
        Scale.
    reach_px : float
        Strokes are clipped this far from their zero line.
    colours : (C, 3) float
        Red, green, blue in 0..255.
    emphasis : (C,) float
        Weight of a channel's colour where traces overlap.
    """

    middle_px: NDArray[np.float64]
    px_per_uv: float
    reach_px: float
    colours: NDArray[np.float64]
    emphasis: NDArray[np.float64]


def paint_columns(columns: Columns, look: TraceLook, height: int, ground: tuple[int, int, int]) -> NDArray[np.uint32]:
    """Return the columns as (height, n) ARGB32."""
    parts = [
        _paint(columns.low[i : i + BATCH], columns.high[i : i + BATCH], look, height, ground)
        for i in range(0, len(columns.low), BATCH)
    ]
    return np.concatenate(parts, axis=1) if parts else np.zeros((height, 0), np.uint32)


def _paint(low, high, look: TraceLook, height: int, ground: tuple[int, int, int]) -> NDArray[np.uint32]:
    n = len(low)
    pixel, cover, channel = _cover(low, high, look, height)
    size = height * n
    tint = cover * look.emphasis[channel]
    total = np.bincount(pixel, tint, size)
    opaque = 1.0 - np.exp(np.bincount(pixel, np.log1p(-OPACITY * cover), size))
    weight = opaque / np.where(total > 0, total, 1.0)
    argb = np.full(size, 0xFF, np.uint32)
    for i, below in enumerate(ground):
        mixed = np.bincount(pixel, tint * look.colours[channel, i], size) * weight + below * (1.0 - opaque)
        argb = (argb << np.uint32(8)) | np.rint(mixed).astype(np.uint32)
    return argb.reshape(height, n)


def _cover(low, high, look: TraceLook, height: int):
    """Share (0..1) of every touched pixel that its stroke covers: flat pixel, cover, channel."""
    n = len(low)
    reach = look.reach_px
    half = 0.5 * STROKE_PX
    top = look.middle_px - np.clip(high * look.px_per_uv, -reach, reach) - half
    bottom = look.middle_px - np.clip(low * look.px_per_uv, -reach, reach) + half
    drawn = np.isfinite(top) & (bottom > 0) & (top < height)
    column, channel = np.nonzero(drawn)
    top, bottom = top[drawn].astype(np.float64), bottom[drawn].astype(np.float64)
    first = np.maximum(np.floor(top), 0).astype(np.int64)
    count = np.maximum(np.minimum(np.ceil(bottom), height).astype(np.int64) - first, 0)
    which = np.repeat(np.arange(len(count)), count)
    offset = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    row = first[which] + offset
    cover = np.clip(np.minimum(row + 1.0, bottom[which]) - np.maximum(row, top[which]), 0.0, 1.0)
    light = np.sqrt(np.minimum(1.0, FULL_PX / (bottom - top)))
    return row * n + column[which], cover * light[which], channel[which]
