"""Tokens of the look: colours, fonts and the colour map; nothing here paints."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from PySide6.QtGui import QColor, QFont

from bci_music.messages import ChannelState, StreamState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GROUND, PANEL, LINE = "#0e1116", "#151a21", "#27303a"
TEXT, MUTED = "#e8ecf1", "#8a95a3"
DIM = "#66717f"  # asides
ACCENT, WARM, BAD, GOOD, SECOND = "#4cc9b0", "#f2b260", "#ef6a5b", "#7bd88f", "#a394f5"
TRACK = "#232e3d"  # bars that are there but not chosen

REGIONS = {"front": "#5aa9e6", "left": "#4cc9b0", "centre": "#9ccf6e", "right": "#c9b458", "back": "#a394f5"}
UNPLACED = DIM  # channels that have no place on the head

CHANNEL_COLOURS = {
    ChannelState.GOOD: GOOD,
    ChannelState.DOUBTFUL: WARM,
    ChannelState.BAD: BAD,
    ChannelState.ABSENT: MUTED,
    ChannelState.UNKNOWN: MUTED,
}
STREAM_COLOURS = {
    StreamState.SEARCHING: MUTED,
    StreamState.LIVE: ACCENT,
    StreamState.STALLED: WARM,
    StreamState.LOST: BAD,
    StreamState.RECONNECTING: WARM,
    StreamState.ENDED: MUTED,
}
SONG_COLOURS = (SECOND, WARM, ACCENT, "#5aa9e6", "#9ccf6e", "#e58fb1")

CORNER = 10  # px
FAMILIES = ["Inter", "Noto Sans", "Segoe UI", "SF Pro Text", "Helvetica Neue", "DejaVu Sans", "sans-serif"]
ATTENTION_STOPS = ("#151c24", "#1a2f38", "#1f5a58", "#319482", "#4cc9b0", "#b5ecd6", "#fdfff8")


@lru_cache(maxsize=64)
def colour(name: str, alpha: float = 1.0) -> QColor:
    """Return a token as a colour, with `alpha` in 0..1."""
    made = QColor(name)
    made.setAlphaF(alpha)
    return made


def mixed(name: str, over: str, share: float) -> QColor:
    """Return `name` painted with opacity `share` over `over`, as an opaque colour."""
    return QColor(*(round(share * a + (1 - share) * b) for a, b in zip(rgb(name), rgb(over), strict=True)))


def rgb(name: str) -> tuple[int, int, int]:
    """Red, green and blue (0..255) of a token."""
    return int(name[1:3], 16), int(name[3:5], 16), int(name[5:7], 16)


@lru_cache(maxsize=64)
def font(px: int, bold: bool = False) -> QFont:
    """Return the interface font at `px` pixels."""
    made = QFont()
    made.setFamilies(FAMILIES)
    made.setPixelSize(px)
    made.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
    return made


def song_colour(song: str, order: dict[str, int]) -> str:
    """Colour of a song: the same as long as the window lives; `order` remembers when each was first seen."""
    return SONG_COLOURS[order.setdefault(song, len(order)) % len(SONG_COLOURS)]


def attention_table() -> NDArray[np.uint32]:
    """Return 256 opaque ARGB32 colours from the panel's ground through the accent to near white."""
    import numpy as np

    stops = np.array([rgb(stop) for stop in ATTENTION_STOPS], float)
    at = np.linspace(0, len(stops) - 1, 256)
    table = np.stack([np.interp(at, np.arange(len(stops)), stops[:, i]) for i in range(3)], axis=1)
    red, green, blue = np.rint(table).astype(np.uint32).T
    return np.uint32(0xFF000000) | (red << 16) | (green << 8) | blue


def decibels(ratio: float) -> float:
    """Return 20 log10 of an amplitude ratio, not below -120."""
    return 20.0 * math.log10(max(ratio, 1e-6))
