"""Tokens of the look, dark and light: colours, fonts and the colour map; nothing here paints.

Colours are read as ``theme.TEXT`` when something is painted, never kept: `use` changes them while the window stands.
Text has a contrast of at least 4.5 on everything it stands on, marks of 3; states differ by shape too, and stay apart
for eyes that cannot tell red from green (tests/gui/test_theme.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from PySide6.QtGui import QColor, QFont

from bci_music.messages import ChannelState, StreamState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Palette:
    """One set of colours; regions are front, left, centre, right, back, and attention runs from none to most."""

    ground: str
    panel: str
    line: str
    text: str
    muted: str
    dim: str  # asides
    accent: str
    warm: str
    bad: str
    good: str
    track: str  # bars that are there but not chosen
    ink: str  # contours on the map of the attention
    regions: tuple[str, str, str, str, str]
    songs: tuple[str, ...]
    attention: tuple[str, ...]


PALETTES = {
    "dark": Palette(
        ground="#0e1116", panel="#151a21", line="#27303a", text="#e8ecf1", muted="#8a95a3", dim="#7b8694",
        accent="#4cc9b0", warm="#f2b260", bad="#ef6a5b", good="#7bd88f", track="#232e3d",
        ink="#0a0d11", regions=("#5aa9e6", "#4cc9b0", "#9ccf6e", "#c9b458", "#a394f5"),
        songs=("#a394f5", "#f2b260", "#4cc9b0", "#5aa9e6", "#9ccf6e", "#e58fb1"),
        attention=("#151c24", "#1a2f38", "#1f5a58", "#319482", "#4cc9b0", "#b5ecd6", "#fdfff8"),
    ),
    "light": Palette(
        ground="#eef1f4", panel="#ffffff", line="#d5dbe2", text="#171c22", muted="#505b69", dim="#5d6876",
        accent="#06705f", warm="#9a5b00", bad="#a3121c", good="#16703a", track="#dfe5ec",
        ink="#17302b", regions=("#1a66a8", "#06705f", "#3d8a2e", "#806000", "#5b46c8"),
        songs=("#5b46c8", "#9a5b00", "#06705f", "#1a66a8", "#4b7212", "#a8326b"),
        attention=("#ffffff", "#e3f1ee", "#b5ddd6", "#6fbdb0", "#2a9585", "#06705f", "#033d36"),
    ),
}  # fmt: skip

name = "dark"
_p = PALETTES[name]
GROUND, PANEL, LINE, TRACK = _p.ground, _p.panel, _p.line, _p.track
TEXT, MUTED, DIM = _p.text, _p.muted, _p.dim
ACCENT, WARM, BAD, GOOD = _p.accent, _p.warm, _p.bad, _p.good
INK = _p.ink
REGIONS: dict[str, str] = {}
UNPLACED = DIM  # channels that have no place on the head
CHANNEL_COLOURS: dict[ChannelState, str] = {}
STREAM_COLOURS: dict[StreamState, str] = {}


def use(wanted: str) -> None:
    """Paint with the "dark" or the "light" colours from now on."""
    global name, GROUND, PANEL, LINE, TRACK, TEXT, MUTED, DIM, ACCENT, WARM, BAD, GOOD, INK, UNPLACED
    name = wanted
    p = PALETTES[wanted]
    GROUND, PANEL, LINE, TRACK, INK = p.ground, p.panel, p.line, p.track, p.ink
    TEXT, MUTED, DIM = p.text, p.muted, p.dim
    ACCENT, WARM, BAD, GOOD, UNPLACED = p.accent, p.warm, p.bad, p.good, p.dim
    REGIONS.update(zip(("front", "left", "centre", "right", "back"), p.regions, strict=True))
    channel, stream = ChannelState, StreamState
    CHANNEL_COLOURS.update({
        channel.GOOD: GOOD, channel.DOUBTFUL: WARM, channel.BAD: BAD, channel.ABSENT: MUTED, channel.UNKNOWN: MUTED,
    })  # fmt: skip
    STREAM_COLOURS.update({
        stream.SEARCHING: MUTED, stream.LIVE: ACCENT, stream.STALLED: WARM, stream.LOST: BAD,
        stream.RECONNECTING: WARM, stream.ENDED: MUTED,
    })  # fmt: skip


use(name)


def token(colour_name: str) -> str:
    """Return the colour of a token by its name, "warm", or what is a colour already."""
    return colour_name if colour_name.startswith("#") else str(getattr(PALETTES[name], colour_name))


CORNER = 10  # px
FAMILIES = ["Inter", "Noto Sans", "Segoe UI", "SF Pro Text", "Helvetica Neue", "DejaVu Sans", "sans-serif"]


@lru_cache(maxsize=64)
def colour(value: str, alpha: float = 1.0) -> QColor:
    """Return a token as a colour, with `alpha` in 0..1."""
    made = QColor(value)
    made.setAlphaF(alpha)
    return made


def mixed(value: str, over: str, share: float) -> QColor:
    """Return `value` painted with opacity `share` over `over`, as an opaque colour."""
    return QColor(*(round(share * a + (1 - share) * b) for a, b in zip(rgb(value), rgb(over), strict=True)))


def rgb(value: str) -> tuple[int, int, int]:
    """Red, green and blue (0..255) of a token."""
    return int(value[1:3], 16), int(value[3:5], 16), int(value[5:7], 16)


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
    songs = PALETTES[name].songs
    return songs[order.setdefault(song, len(order)) % len(songs)]


def attention_table() -> NDArray[np.uint32]:
    """Return 256 opaque ARGB32 colours from the panel's ground through the accent to near white."""
    import numpy as np

    stops = np.array([rgb(stop) for stop in PALETTES[name].attention], float)
    at = np.linspace(0, len(stops) - 1, 256)
    table = np.stack([np.interp(at, np.arange(len(stops)), stops[:, i]) for i in range(3)], axis=1)
    red, green, blue = np.rint(table).astype(np.uint32).T
    return np.uint32(0xFF000000) | (red << 16) | (green << 8) | blue


def decibels(ratio: float) -> float:
    """Return 20 log10 of an amplitude ratio, not below -120."""
    return 20.0 * math.log10(max(ratio, 1e-6))
