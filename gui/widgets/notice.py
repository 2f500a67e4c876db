"""A strip across the window for what must not be missed."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPolygonF

from gui import theme
from gui.widgets.panel import INSET, Panel
from gui.widgets.text import Run, draw


class Notice(Panel):
    """One sentence in a tinted strip; hidden while there is nothing to show."""

    def __init__(self, name: str, tint: str, parent=None):
        super().__init__(name, parent)
        self._tint = tint
        self.sentence = ""

    def show_sentence(self, sentence: str) -> bool:
        """Show `sentence`; returns whether the strip came or went, so that the rest can be laid out again."""
        changed = bool(sentence) != bool(self.sentence)
        if sentence != self.sentence:
            self.sentence = sentence
            self.describe(sentence)
            self.setToolTip(sentence)
            self.setVisible(bool(sentence))
            self.update()
        return changed

    def title_runs(self) -> list[Run]:
        """Return nothing: the sentence is all."""
        return []

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint sign and sentence."""
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.mixed(theme.token(self._tint), theme.GROUND, 0.16))
        painter.drawRoundedRect(QRectF(0, 0, w, h), theme.CORNER, theme.CORNER)
        painter.setBrush(theme.colour(theme.token(self._tint)))
        x, y = INSET + 8, h / 2
        painter.drawPolygon(QPolygonF([QPointF(x, y - 8), QPointF(x + 9, y + 7), QPointF(x - 9, y + 7)]))
        draw(painter, x + 18, y + 5, [Run(self.sentence, theme.token(self._tint), 15)], w - x - 18 - INSET)
