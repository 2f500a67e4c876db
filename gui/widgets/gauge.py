"""Is it above chance? One word, hits of n, and the interval against chance."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter

from bci_music.status import Identification, Snapshot
from gui import theme
from gui.readings import Verdict, verdict
from gui.widgets.panel import INSET, Panel
from gui.widgets.text import Run, draw, width

WORD_COLOURS = {"yes": theme.ACCENT, "not yet": theme.TEXT, "no": theme.WARM}


class ChanceGauge(Panel):
    """The running identification, in words first."""

    def __init__(self, parent=None):
        super().__init__("Is it above chance?", parent)
        self._found: Identification | None = None
        self._shown = Verdict("", "", "")

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show the newest count, or why nothing can be counted."""
        shown, self._found = verdict(snapshot), snapshot.identification
        if shown != self._shown:
            self._shown = shown
            self.describe(", ".join(part for part in (shown.word, shown.first, shown.second) if part))
            self.update()

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint the verdict and the interval."""
        shown = self._shown
        if not shown.word or self._found is None:
            draw(painter, INSET, 76, [Run(shown.first, theme.TEXT, 20, True)], w - 2 * INSET)
            draw(painter, INSET, 100, [Run(shown.second, theme.MUTED, 15)], w - 2 * INSET)
            return
        word = [Run(shown.word, WORD_COLOURS[shown.word], 38, True)]
        draw(painter, INSET, 84, word)
        x, y = INSET + width(word) + 14, 68.0
        if w - INSET - x < width([Run(shown.first, px=15)]):
            x, y = INSET, 112.0  # no space beside the word
        draw(painter, x, y, [Run(shown.first, px=15)], w - INSET - x)
        draw(painter, x, y + 20, [Run(shown.second, theme.MUTED, 15)], w - INSET - x)
        self._draw_interval(painter, self._found, w, max(y + 40, 126.0))

    def _draw_interval(self, painter: QPainter, found: Identification, w: float, y: float) -> None:
        left, length = INSET, w - 2 * INSET
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(theme.LINE))
        painter.drawRoundedRect(QRectF(left, y - 4, length, 8), 4, 4)
        low, high = found.ci95
        painter.setBrush(theme.mixed(theme.ACCENT, theme.PANEL, 0.5))
        painter.drawRoundedRect(QRectF(left + low * length, y - 4, max((high - low) * length, 8), 8), 4, 4)
        painter.setBrush(theme.colour(theme.ACCENT))
        painter.drawRoundedRect(QRectF(left + found.top1 * length - 2, y - 10, 4, 20), 2, 2)
        at = left + found.chance * length
        painter.setBrush(theme.colour(theme.WARM))
        painter.drawRect(QRectF(at - 1, y - 12, 2, 24))
        label = [Run("chance", theme.WARM, 12)]
        draw(painter, max(at - width(label) / 2, left), y + 30, label)
        for share, text in ((0.5, "50 %"), (1.0, "100 %")):
            tick = [Run(text, theme.MUTED, 12)]
            draw(painter, left + share * length - width(tick) * (0.5 if share < 1 else 1.0), y + 30, tick)
