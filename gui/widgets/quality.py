"""Electrodes: how many are in use, where the others are, and what to do about the worst."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Signal
from PySide6.QtGui import QPainter

from bci_music.eeg.montage import Montage
from bci_music.messages import ChannelState, Quality
from gui import theme
from gui.readings import in_use, unused_words, worst
from gui.widgets.glyphs import draw_channel
from gui.widgets.panel import INSET, TITLE_PX, Panel
from gui.widgets.scalp import Scalp
from gui.widgets.text import Run, draw, wrapped

HEAD_WIDTH = 192.0  # px of width for the head


class QualityMap(Panel):
    """Electrodes by state: shape, colour and words."""

    picked = Signal(str)  # name of the electrode that was clicked

    def __init__(self, parent=None):
        super().__init__("Electrodes", parent)
        self._scalp = Scalp(0.0, 0.0, 1.0)
        self._positions: NDArray[np.float64] | None = None
        self._quality: Quality | None = None

    def show_montage(self, montage: Montage | None) -> None:
        """Take electrode places."""
        self._positions = montage.positions_2d() if montage is not None else None
        self.update()

    def show_quality(self, quality: Quality | None) -> None:
        """Show new verdicts; does nothing when they are the ones on screen."""
        if quality is self._quality:
            return
        self._quality = quality
        shown = [f"{c.name} {what}: {advice}" for c, what, advice in worst(quality)]
        self.describe("; ".join([in_use(quality), *shown]))
        self.update()

    def mousePressEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Pick the electrode nearest to the pointer."""
        if self._quality is None or self._positions is None or not len(self._positions):
            return
        at = event.position() / self.scale
        right, front = (at.x() - self._scalp.x) / self._scalp.radius, (self._scalp.y - at.y()) / self._scalp.radius
        nearest = int(((self._positions - [right, front]) ** 2).sum(axis=1).argmin())
        if nearest < len(self._quality.channels):
            self.picked.emit(self._quality.channels[nearest].name)

    def title_runs(self) -> list[Run]:
        """Return name and count."""
        return [Run(f"{self.title}  ·  {in_use(self._quality)}", theme.MUTED, TITLE_PX)]

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint head and words: side by side, in a tall panel one above the other."""
        if h > w:
            radius = (w - 4 * INSET) / 2
            self._draw_head(painter, w / 2, 48 + radius, radius)
            self._draw_words(painter, INSET, 2 * radius + 96, w - 2 * INSET, h)
        else:
            radius = min((h - 56) / 2, HEAD_WIDTH / 2 - 8)
            self._draw_head(painter, INSET + radius, 42 + radius, radius)
            self._draw_words(painter, INSET + HEAD_WIDTH, 58, w - HEAD_WIDTH - 2 * INSET, h)

    def _draw_head(self, painter: QPainter, x: float, y: float, radius: float) -> None:
        positions = self._positions if self._positions is not None else np.zeros((0, 2))
        reach = max(1.13, float(np.abs(positions).max(initial=0.0)) + 0.04)
        scalp = self._scalp = Scalp(x, y, radius / reach)
        scalp.draw(painter, theme.MUTED, 1.2)
        channels = self._quality.channels if self._quality is not None else ()
        size = radius / 84 * float(np.clip(36.0 / np.sqrt(len(positions) + 1), 2.6, 5.0))
        trouble = []
        for i, (right, front) in enumerate(positions):
            state = channels[i].state if i < len(channels) else ChannelState.UNKNOWN
            place = scalp.at(right, front)
            if state in (ChannelState.BAD, ChannelState.DOUBTFUL):
                trouble.append((state, place))
            else:
                draw_channel(painter, state, place.x(), place.y(), size)
        for state, place in trouble:  # above the others
            draw_channel(painter, state, place.x(), place.y(), 1.25 * size)

    def _draw_words(self, painter: QPainter, x: float, y: float, space: float, h: float) -> None:
        if self._quality is None:
            for row, line in enumerate(wrapped("assessed on the first seconds of data", 15, space)):
                draw(painter, x, y + 8 + 21 * row, [Run(line, theme.MUTED, 15)], space)
            return
        shown = worst(self._quality, 3 if h < 400 else 8)
        if not shown:
            draw(painter, x, y + 8, [Run("all electrodes are good", theme.TEXT, 15)], space)
            return
        for channel, what, advice in shown:
            lines = wrapped(f"{channel.name} {what}", 14, space - 24, 3)
            if y + 19 * len(lines) + 18 * len(wrapped(advice, 13, space - 18)) - 19 > h - 10:
                break
            draw_channel(painter, channel.state, x + 5, y - 5, 5)
            first = lines[0].removeprefix(channel.name)
            draw(painter, x + 18, y, [Run(channel.name, px=14, bold=True), Run(first, px=14)], space - 18)
            for line in lines[1:]:
                y += 19
                draw(painter, x + 18, y, [Run(line, px=14)], space - 18)
            for line in wrapped(advice, 13, space - 18):
                y += 18
                draw(painter, x + 18, y, [Run(line, theme.MUTED, 13)], space - 18)
            y += 24
        counted = unused_words(self._quality)
        if counted and y <= h - 30:
            draw(painter, x, h - 14, [Run(counted, theme.MUTED, 12)], space)
