"""What the model weighs: attention per electrode spread over the scalp by a precomputed matrix."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QPainterPath, QPen

from bci_music.eeg.montage import Montage
from bci_music.eeg.topomap import MIN_CHANNELS, TopoMap
from bci_music.messages import Embedding
from bci_music.status import Snapshot
from gui import theme
from gui.widgets.panel import INSET, TITLE_PX, Panel
from gui.widgets.scalp import Scalp
from gui.widgets.text import Run, draw, width

SETTLE_S = 4.0  # the top of the scale follows with this time constant
OLD_S = 3.0  # attention older than this is dimmed and called held
REBUILD_AFTER = 15  # images
CALM_S = 0.6  # so do the values, for the eye
NOSE = 1.15  # how far the outline reaches, in head units
RIM = 0.975  # share of the map's extent that is shown
LEVELS = (0.3, 0.5, 0.7, 0.9)


class HeadMap(Panel):
    """Scalp map of channel attention; titled so that nobody mistakes it for brain activity."""

    def __init__(self, parent=None):
        super().__init__("What the model weighs (attention, not brain activity)", parent)
        self._montage: Montage | None = None
        self._map: TopoMap | None = None
        self._table = theme.attention_table()
        self._values: NDArray[np.float64] | None = None
        self._grid: NDArray[np.float32] | None = None
        self._top = 0.0
        self._then_s: float | None = None
        self._shown = -1
        self._changed = REBUILD_AFTER  # images since other channels than those of the matrix are known
        self._making: Future[TopoMap] | None = None
        self._held = ""  # how old the attention is, once it is old
        self._empty = "no decoder is loaded"
        self._pixels = np.zeros((1, 1), np.uint32)

    def restyle(self) -> None:
        """Take the colours of the theme."""
        self._table = theme.attention_table()

    def show_montage(self, montage: Montage | None) -> None:
        """Prepare the map of a montage."""
        self._montage = montage
        self._map = self._values = self._grid = self._making = None
        self._changed = REBUILD_AFTER
        self._top = 0.0
        self.update()

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Move towards the newest attention; call it about 15 times a second."""
        embedding, now_s = snapshot.embedding, snapshot.now_s
        self._empty = "comes with the first decoded window" if snapshot.pack_name else "no decoder is loaded"
        if embedding is not None:
            self._empty = "the map is being made"
        if embedding is None or self._montage is None:
            return
        age = now_s - embedding.made_s
        self._held = f"  held for {age:.0f} s" if age > OLD_S else ""
        self._follow(embedding, now_s)

    def _follow(self, embedding: Embedding, now_s: float) -> None:
        assert self._montage is not None
        if len(embedding.attention) != len(self._montage.names):
            return
        target = embedding.attention.astype(np.float64)
        elapsed = 1.0 if self._then_s is None else min(max(now_s - self._then_s, 0.0), 1.0)
        self._then_s = now_s
        if self._values is None:
            self._values, self._top = target.copy(), float(np.nanmax(target, initial=0.0))
        calm = 1.0 - np.exp(-elapsed / CALM_S)
        before = np.isfinite(self._values)
        self._values = np.where(before, self._values + calm * (target - self._values), target)
        peak = float(np.nanmax(self._values, initial=0.0))
        self._top += (1.0 - np.exp(-elapsed / SETTLE_S)) * (peak - self._top)
        self._grid = self._image(self._montage, self._values)
        if embedding.window_index != self._shown:
            self._shown = embedding.window_index
            self._name_heaviest(embedding)
        self.update()

    def _image(self, montage: Montage, values: NDArray[np.float64]) -> NDArray[np.float32] | None:
        """Spread over the head what is known; what is missing for a moment only counts as the mean."""
        known = np.isfinite(values)
        if known.sum() < MIN_CHANNELS:
            return None
        if self._making is not None and self._making.done():
            self._map, self._making = self._making.result(), None
        fits = self._map is not None and bool((known == self._map.good).all())
        self._changed = 0 if fits else self._changed + 1
        if self._changed > REBUILD_AFTER and self._making is None:
            self._making = _make_map(montage, known)
        if self._map is None:
            return None
        return self._map.image(np.where(known, values, values[known].mean()).astype(np.float32))

    def finish(self) -> None:
        """Wait for a matrix in the making, so that no thread outlives the window."""
        if self._making is not None:
            self._making.result()
            self._making = None

    def _name_heaviest(self, embedding: Embedding) -> None:
        assert self._montage is not None
        weights = np.nan_to_num(embedding.attention, nan=-1.0)
        heaviest = [self._montage.names[i] for i in np.argsort(-weights)[:3] if weights[i] > 0]
        self.describe("most weight on " + ", ".join(heaviest) if heaviest else "no attention yet")

    def title_runs(self) -> list[Run]:
        """Return the name with its caution, dimmer, and the age of what is held."""
        name, _, caution = self.title.partition(" (")
        return [Run(name + " ", theme.MUTED, TITLE_PX), Run("(" + caution, theme.DIM, TITLE_PX),
                Run(self._held, theme.WARM, TITLE_PX)]

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint map, contours, electrodes and head."""
        extent = self._map.extent[1] if self._map is not None else 1.0
        radius = min(w / 2 - INSET, (h - 56) / 2) / max(extent, NOSE)
        scalp = Scalp(w / 2, 40 + (h - 52) / 2, radius)
        shown = self._top > 0
        if self._grid is not None and shown:
            painter.save()
            painter.setOpacity(0.45 if self._held else 1.0)
            rim = QPainterPath()
            rim.addEllipse(scalp.at(0, 0), RIM * extent * radius, RIM * extent * radius)
            painter.setClipPath(rim)  # a smooth edge just inside the last pixels of the map
            self._draw_map(painter, scalp, self._grid / self._top, extent)
            painter.restore()
        if self._montage is not None:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour(theme.INK if shown else theme.MUTED))
            for right, front in self._montage.positions_2d():
                painter.drawEllipse(scalp.at(right, front), 1.2, 1.2)
        scalp.draw(painter, theme.TEXT if shown else theme.DIM)
        if not shown:
            words = [Run(self._empty, theme.MUTED, 15)]
            draw(painter, (w - width(words)) / 2, scalp.y + 5, words)

    def _draw_map(self, painter: QPainter, scalp: Scalp, shares: NDArray, extent: float) -> None:
        inside = np.isfinite(shares)
        index = np.clip(np.where(inside, shares, 0.0) * 232.0, 0, 255).astype(np.uint8)
        self._pixels = np.where(inside, self._table[index], np.uint32(0))[::-1].copy()  # the front is up
        n = len(self._pixels)
        image = QImage(self._pixels.data, n, n, 4 * n, QImage.Format.Format_ARGB32)
        reach = extent * scalp.radius * n / (n - 1)  # the outer pixels' middles lie on the extent
        painter.drawImage(QRectF(scalp.x - reach, scalp.y - reach, 2 * reach, 2 * reach), image)
        self._draw_contours(painter, scalp, shares, extent)

    def _draw_contours(self, painter: QPainter, scalp: Scalp, shares: NDArray, extent: float) -> None:
        n = len(shares)
        axis = np.linspace(-extent, extent, n)
        lines = contour_generator(axis, axis, np.ma.masked_invalid(shares))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(theme.colour(theme.INK, 0.75), 1.0))
        for level in LEVELS:
            for line in lines.lines(level):
                points = np.asarray(line).tolist()
                path = QPainterPath(scalp.at(*points[0]))
                for right, front in points[1:]:
                    path.lineTo(scalp.at(right, front))
                painter.drawPath(path)


def _make_map(montage: Montage, known: NDArray[np.bool_]) -> Future[TopoMap]:
    """Work out a matrix beside the main thread, where it would be a visible stop; the thread ends with it."""
    with_thread = ThreadPoolExecutor(1, thread_name_prefix="bci-music-map")
    made = with_thread.submit(TopoMap, montage, known)
    with_thread.shutdown(wait=False)
    return made
