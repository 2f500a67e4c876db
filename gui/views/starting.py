"""The Starting view: what is done until the run begins, step by step, in words."""

from __future__ import annotations

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QPainter, QPen
from PySide6.QtWidgets import QWidget

from bci_music.status import Snapshot
from gui import theme
from gui.bridge import Bridge
from gui.layout import MARGIN, Places
from gui.views.view import View
from gui.widgets.panel import Panel
from gui.widgets.text import Run, draw

LINE = 30.0
SHOWN = 12  # newest steps
PANEL_W = 720.0


class Steps(Panel):
    """Steps under each other: a tick before those that are done, a dot before the one that goes on."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__("Starting", parent)
        self._steps: tuple[str, ...] = ()

    def show_steps(self, steps: tuple[str, ...]) -> None:
        """Show the newest steps, the last of them as what goes on."""
        if steps != self._steps:
            self._steps = steps[-SHOWN:]
            self.describe("; ".join(self._steps))
            self.setToolTip("\n".join(self._steps))
            self.update()

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint the steps, centred."""
        left = max(48.0, (w - PANEL_W) / 2 + 48)
        y = (h - LINE * len(self._steps)) / 2 + LINE / 2
        for n, step in enumerate(self._steps):
            last = n == len(self._steps) - 1
            if last:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(theme.colour(theme.ACCENT))
                painter.drawEllipse(QPointF(left + 6, y), 5, 5)
            else:
                painter.setPen(QPen(theme.colour(theme.MUTED), 2))
                painter.drawPolyline([QPointF(left, y), QPointF(left + 4, y + 5), QPointF(left + 12, y - 6)])
            words = Run(step, theme.TEXT if last else theme.MUTED, 20 if last else 16, last)
            draw(painter, left + 28, y + 6, [words], w - left - 44)
            y += LINE


class StartingView(View):
    """What is being done until there is something to show."""

    def __init__(self, bridge: Bridge, parent: QWidget | None = None):
        super().__init__(bridge, parent)
        self.steps = Steps(self)
        self.parts = {"steps": self.steps}

    @staticmethod
    def places(w: float, h: float, top: float) -> Places:
        """One panel over everything."""
        return {"steps": (MARGIN, top, w - 2 * MARGIN, h - top - MARGIN)}

    def show_words(self, snapshot: Snapshot) -> None:
        """Show how far it is."""
        self.steps.show_steps(snapshot.starting)
