"""A panel: rounded, borderless, with a muted title; everything in it is painted in units of the 1600 × 900 design."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from PySide6.QtCore import QEvent, QRectF, Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QToolTip, QWidget

from gui import theme
from gui.widgets import text
from gui.widgets.text import Run, draw

INSET = 16.0  # px from the panel's edge to its content
TITLE_BASELINE = 25.0
TITLE_PX = 13


def fill_ground(painter: QPainter, widget: QWidget, name: str) -> None:
    """Cover the whole widget, also where its edge falls between device pixels, then switch to smooth edges."""
    painter.fillRect(widget.rect().adjusted(-1, -1, 1, 1), theme.colour(name))
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)


class Panel(QWidget):
    """Base of the painted panels.

    Parameters
    ----------
    title
        Shown at the top left; also the accessible name.
    within
        Whether it lies inside another panel and has no corners of its own.
    """

    def __init__(self, title: str, parent: QWidget | None = None, within: bool = False):
        super().__init__(parent)
        self._within = within
        self.title = title
        self.scale = 1.0
        self.cut: tuple[str, ...] = ()  # lines that did not fit when it was painted last; its tooltip has them
        self.setAccessibleName(title)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    def set_scale(self, scale: float) -> None:
        """Set widget pixels per design pixel."""
        self.scale = scale
        self.update()

    def describe(self, sentence: str) -> None:
        """Publish what the panel shows, for assistive technology and tests."""
        if self.accessibleDescription() != sentence:
            self.setAccessibleDescription(sentence)

    @contextmanager
    def noting_cuts(self) -> Iterator[None]:
        """Keep which lines are cut while it is painted."""
        text.cut.clear()
        yield
        self.cut = tuple(dict.fromkeys(text.cut))

    @property
    def hint(self) -> str:
        """What the tooltip says: what there is to say, and every line that is cut."""
        return "\n".join(dict.fromkeys(part for part in (self.toolTip(), *self.cut) if part))

    def event(self, event) -> bool:
        """Show the tooltip with what is cut."""
        if event.type() == QEvent.Type.ToolTip and self.cut:
            QToolTip.showText(event.globalPos(), self.hint, self)
            return True
        return super().event(event)

    def title_runs(self) -> list[Run]:
        """Return the title's runs; a panel may add its state behind the name."""
        return [Run(self.title, theme.MUTED, TITLE_PX)]

    def paintEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Paint ground, panel, title and content."""
        painter = QPainter(self)
        fill_ground(painter, self, theme.PANEL if self._within else theme.GROUND)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.scale(self.scale, self.scale)
        w, h = self.width() / self.scale, self.height() / self.scale
        if not self._within:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour(theme.PANEL))
            painter.drawRoundedRect(QRectF(0, 0, w, h), theme.CORNER, theme.CORNER)
        with self.noting_cuts():
            draw(painter, INSET, TITLE_BASELINE, self.title_runs(), w - 2 * INSET)
            self.draw(painter, w, h)
        painter.end()

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint the content into (0, 0, w, h) in design pixels."""
