"""Does the recording carry the sound? One word, the gate's sentence, and how r grew against its control."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPen

from bci_music.status import CalibrationStatus, GateLook
from gui import theme
from gui.widgets.calibrate.heard import minutes
from gui.widgets.panel import INSET, Panel
from gui.widgets.text import Run, draw, width, wrapped

LEAST_S, LEAST_R = 60.0, 0.1  # what the axes reach at least
LEFT, BELOW = 48.0, 30.0  # space for the axes' words
NOTHING = "It is looked at after every song, once a minute of them was heard."


class GatePanel(Panel):
    """A sign while it grows; the proof is the one look at the end."""

    def __init__(self, parent=None):
        super().__init__("Does the recording carry the sound?", parent)
        self._sentence = ""
        self._looks: tuple[GateLook, ...] = ()

    def show_calibration(self, now: CalibrationStatus | None) -> None:
        """Show every look so far."""
        sentence, looks = (now.gate, now.looks) if now is not None else ("", ())
        if (sentence, looks) != (self._sentence, self._looks):
            self._sentence, self._looks = sentence, looks
            self.describe("; ".join(part for part in (self._word, sentence) if part))
            self.setToolTip(sentence)
            self.update()

    @property
    def _word(self) -> str:
        if not self._looks:
            return ""
        return "yes, as it looks" if self._looks[-1].reads else "not yet"

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint the word and the sentence, and beside them the looks."""
        text = max(300.0, 0.4 * w)
        if not self._looks:
            for row, line in enumerate(wrapped(NOTHING, 15, w - 2 * INSET, 3)):
                draw(painter, INSET, 62 + 21 * row, [Run(line, theme.MUTED, 15)], w - 2 * INSET)
            return
        yes = self._looks[-1].reads
        draw(painter, INSET, 72, [Run(self._word, theme.ACCENT if yes else theme.TEXT, 28, True)], text)
        for row, line in enumerate(wrapped(self._sentence, 15, text - INSET, 6)):
            draw(painter, INSET, 102 + 20 * row, [Run(line, theme.MUTED, 15)], text - INSET)
        self._draw_looks(painter, QRectF(text + LEFT, 44, w - text - LEFT - INSET, h - 44 - BELOW - 8))

    def _draw_looks(self, painter: QPainter, box: QRectF) -> None:
        """R of each look as a dot on a line, and below it the largest r of shifted sound, dashed."""
        end_s = max(LEAST_S, self._looks[-1].seconds)
        highest = max(LEAST_R, *(look.r for look in self._looks), *(look.largest for look in self._looks))
        painter.setPen(QPen(theme.colour(theme.LINE), 1.2))
        painter.drawLine(box.bottomLeft(), box.bottomRight())
        painter.drawLine(box.bottomLeft(), box.topLeft())

        def place(seconds: float, r: float) -> QPointF:
            return QPointF(box.left() + seconds / end_s * box.width(),
                           box.bottom() - max(r, 0.0) / highest * (box.height() - 8))  # fmt: skip

        for value in (highest, highest / 2):
            label = [Run(f"{value:.2f}", theme.MUTED, 12)]
            draw(painter, box.left() - width(label) - 8, place(0, value).y() + 4, label)
        draw(painter, box.left(), box.bottom() + 18, [Run("0:00", theme.MUTED, 12)])
        last = [Run(minutes(end_s), theme.MUTED, 12)]
        draw(painter, box.right() - width(last), box.bottom() + 18, last)
        lines = ((theme.WARM, Qt.PenStyle.DashLine, [place(look.seconds, look.largest) for look in self._looks]),
                 (theme.ACCENT, Qt.PenStyle.SolidLine, [place(look.seconds, look.r) for look in self._looks]))
        for tint, style, points in lines:
            painter.setPen(QPen(theme.colour(tint), 2, style))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPolyline(points)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(theme.ACCENT))
        for point in lines[1][2]:
            painter.drawEllipse(point, 4, 4)
        names = [Run("r of the recording   ", theme.ACCENT, 12), Run("largest of shifted sound", theme.WARM, 12)]
        draw(painter, box.right() - width(names), box.top() - 4, names)
