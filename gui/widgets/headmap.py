"""What the model weighs: attention per electrode spread over the scalp by a precomputed matrix."""

from __future__ import annotations

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QPainterPath, QPen

from bci_music.eeg.montage import Montage
from bci_music.eeg.topomap import Topomap
from bci_music.messages import Embedding
from gui import theme
from gui.widgets.panel import INSET, TITLE_PX, Panel
from gui.widgets.scalp import Scalp
from gui.widgets.text import Run, draw

SETTLE_S = 4.0  # the top of the scale follows with this time constant
CALM_S = 0.6  # so do the values, for the eye
RIM = 0.97  # share of the map's extent that is shown
LEVELS = (0.3, 0.5, 0.7, 0.9)


class HeadMap(Panel):
    """Scalp map of channel attention; titled so that nobody takes it for brain activity."""

    def __init__(self, parent=None):
        super().__init__("What the model weighs (attention, not brain activity)", parent)
        self._montage: Montage | None = None
        self._map: Topomap | None = None
        self._table = theme.attention_table()
        self._values: NDArray[np.float64] | None = None
        self._grid: NDArray[np.float32] | None = None
        self._top = 0.0
        self._then_s: float | None = None
        self._shown = -1
        self._pixels = np.zeros((1, 1), np.uint32)

    def show_montage(self, montage: Montage | None) -> None:
        """Prepare the map of a montage."""
        self._montage = montage
        self._map = Topomap(montage) if montage is not None else None
        self._values = self._grid = None
        self.update()

    def show_embedding(self, embedding: Embedding | None, now_s: float) -> None:
        """Move towards the newest attention; call it about 15 times a second."""
        if embedding is None or self._map is None or self._montage is None:
            return
        if len(embedding.attention) != len(self._montage.names):
            return
        target = embedding.attention.astype(np.float64)
        elapsed = 1.0 if self._then_s is None else min(max(now_s - self._then_s, 0.0), 1.0)
        self._then_s = now_s
        if self._values is None:
            self._values, self._top = target.copy(), float(np.nanmax(target, initial=0.0))
        calm = 1.0 - np.exp(-elapsed / CALM_S)
        known = np.isfinite(self._values)
        self._values = np.where(known, self._values + calm * (target - self._values), target)
        peak = float(np.nanmax(self._values, initial=0.0))
        self._top += (1.0 - np.exp(-elapsed / SETTLE_S)) * (peak - self._top)
        self._grid = self._map(self._values)
        if embedding.window_index != self._shown:
            self._shown = embedding.window_index
            self._name_heaviest(embedding)
        self.update()

    def _name_heaviest(self, embedding: Embedding) -> None:
        assert self._montage is not None
        weights = np.nan_to_num(embedding.attention, nan=-1.0)
        heaviest = [self._montage.names[i] for i in np.argsort(-weights)[:3] if weights[i] > 0]
        self.say("most weight on " + ", ".join(heaviest) if heaviest else "no attention yet")

    def title_runs(self) -> list[Run]:
        """Return the name with its caution, dimmer."""
        name, _, caution = self.title.partition(" (")
        return [Run(name + " ", theme.MUTED, TITLE_PX), Run("(" + caution, "#66717f", TITLE_PX)]

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint map, contours, electrodes and head."""
        if self._montage is None or self._map is None:
            draw(painter, INSET, 68, [Run("no decoder is loaded", theme.MUTED, 15)], w - 2 * INSET)
            return
        extent = self._map.extent
        half = min(w / 2 - INSET, (h - 56) / 2)
        scalp = Scalp(w / 2, 40 + (h - 52) / 2, half / extent)
        if self._grid is not None and self._top > 0:
            shares = self._grid / self._top
            painter.save()
            rim = QPainterPath()
            rim.addEllipse(scalp.at(0, 0), RIM * half, RIM * half)
            painter.setClipPath(rim)  # a smooth edge just inside the last pixels of the map
            self._draw_map(painter, scalp, shares, extent)
            self._draw_contours(painter, scalp, shares, extent)
            painter.restore()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour("#0a0d11" if self._grid is not None else theme.MUTED))
        for right, front in self._montage.positions_2d():
            painter.drawEllipse(scalp.at(right, front), 1.2, 1.2)
        scalp.draw(painter)
        if self._grid is None:
            draw(painter, INSET, h - 16, [Run("comes with the first decoded window", theme.MUTED, 13)], w - 2 * INSET)

    def _draw_map(self, painter: QPainter, scalp: Scalp, shares: NDArray[np.float32], extent: float) -> None:
        inside = np.isfinite(shares)
        index = np.clip(np.where(inside, shares, 0.0) * 255.0, 0, 255).astype(np.uint8)
        self._pixels = np.where(inside, self._table[index], np.uint32(0))
        n = len(self._pixels)
        image = QImage(self._pixels.data, n, n, 4 * n, QImage.Format.Format_ARGB32)
        reach = extent * scalp.radius
        painter.drawImage(QRectF(scalp.x - reach, scalp.y - reach, 2 * reach, 2 * reach), image)

    def _draw_contours(self, painter: QPainter, scalp: Scalp, shares: NDArray[np.float32], extent: float) -> None:
        n = len(shares)
        axis = ((np.arange(n) + 0.5) / n * 2 - 1) * extent
        lines = contour_generator(axis, -axis, np.ma.masked_invalid(shares))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(theme.colour("#0a0d11", 0.75), 1.0))
        for level in LEVELS:
            for line in lines.lines(level):
                points = np.asarray(line).tolist()
                path = QPainterPath(scalp.at(*points[0]))
                for right, front in points[1:]:
                    path.lineTo(scalp.at(right, front))
                painter.drawPath(path)
