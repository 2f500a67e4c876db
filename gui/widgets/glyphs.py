"""Small shapes that show a state without colour."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPen, QPolygonF

from bci_music.messages import ChannelState, StreamState
from gui import theme


def _pen(name: str, px: float) -> QPen:
    return QPen(theme.colour(name), px, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)


def draw_channel(painter: QPainter, state: ChannelState, x: float, y: float, radius: float) -> None:
    """Electrode at (x, y): disc good, triangle doubtful, square bad, ring absent, small disc unknown."""
    colour = theme.colour(theme.CHANNEL_COLOURS[state])
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    if state is ChannelState.GOOD:
        painter.drawEllipse(QPointF(x, y), radius, radius)
    elif state is ChannelState.DOUBTFUL:
        r = 1.35 * radius
        painter.drawPolygon(QPolygonF([QPointF(x, y - r), QPointF(x + r, y + 0.8 * r), QPointF(x - r, y + 0.8 * r)]))
    elif state is ChannelState.BAD:
        r = 1.1 * radius
        painter.drawRect(QRectF(x - r, y - r, 2 * r, 2 * r))
    elif state is ChannelState.ABSENT:
        painter.setPen(QPen(colour, 1.0))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawEllipse(QPointF(x, y), radius - 0.5, radius - 0.5)
    else:
        painter.drawEllipse(QPointF(x, y), 0.5 * radius, 0.5 * radius)


def draw_stream(painter: QPainter, state: StreamState, x: float, y: float, r: float) -> None:
    """Shape of a stream state around (x, y)."""
    name = theme.STREAM_COLOURS[state]
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.colour(name))
    if state is StreamState.LIVE:
        painter.drawEllipse(QPointF(x, y), r, r)
    elif state is StreamState.STALLED:
        for left in (-0.9 * r, 0.3 * r):
            painter.drawRect(QRectF(x + left, y - r, 0.6 * r, 2 * r))
    elif state is StreamState.ENDED:
        painter.drawRect(QRectF(x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r))
    else:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(_pen(name, 2.0))
        if state is StreamState.LOST:
            painter.drawLine(QPointF(x - r, y - r), QPointF(x + r, y + r))
            painter.drawLine(QPointF(x - r, y + r), QPointF(x + r, y - r))
        else:  # searching: ring; reconnecting: open ring
            sweep = 360 if state is StreamState.SEARCHING else 270
            painter.drawArc(QRectF(x - r, y - r, 2 * r, 2 * r), 90 * 16, sweep * 16)
