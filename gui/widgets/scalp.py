"""The head seen from above: outline, nose and ears, and where an electrode falls on it."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPen

from gui import theme


@dataclass(frozen=True, slots=True)
class Scalp:
    """A head of `radius` px around (`x`, `y`); head units are x right, y front, outline at 1."""

    x: float
    y: float
    radius: float

    def at(self, right: float, front: float) -> QPointF:
        """Painter position of a place in head units."""
        return QPointF(self.x + right * self.radius, self.y - front * self.radius)

    def draw(self, painter: QPainter, name: str = "", px: float = 1.3) -> None:
        """Draw the outline."""
        painter.setPen(QPen(theme.colour(name or theme.TEXT), px, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap,
                            Qt.PenJoinStyle.RoundJoin))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawEllipse(QPointF(self.x, self.y), self.radius, self.radius)
        painter.drawPath(self._nose())
        painter.drawPath(self._ear(1.0))
        painter.drawPath(self._ear(-1.0))

    def _nose(self) -> QPainterPath:
        path = QPainterPath(self.at(-0.18, 0.984))
        path.quadTo(self.at(-0.05, 1.12), self.at(0.0, 1.13))
        path.quadTo(self.at(0.05, 1.12), self.at(0.18, 0.984))
        return path

    def _ear(self, side: float) -> QPainterPath:
        path = QPainterPath(self.at(side * 0.988, 0.155))
        path.cubicTo(self.at(side * 1.04, 0.24), self.at(side * 1.115, 0.19), self.at(side * 1.105, 0.06))
        path.cubicTo(self.at(side * 1.09, -0.03), self.at(side * 1.115, -0.10), self.at(side * 1.085, -0.19))
        path.cubicTo(self.at(side * 1.06, -0.26), self.at(side * 1.02, -0.25), self.at(side * 0.973, -0.225))
        return path
