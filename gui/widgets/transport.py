"""Start and stop, mute, volume: the operator's hand on the sound, and what it is made of."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPen
from PySide6.QtWidgets import QAbstractButton, QSlider

from gui import theme
from gui.bridge import VOLUME_DB
from gui.widgets.panel import fill_ground
from gui.widgets.text import Run, draw, width

STEP_DB = 2.0
SUBSTEPS = 10  # slider positions per dB


class PillButton(QAbstractButton):
    """A quiet button of one word; bright while checked."""

    def __init__(self, text: str, hint: str, parent=None):
        super().__init__(parent)
        self.scale = 1.0
        self.setText(text)
        self.setAccessibleName(text)
        self.setToolTip(hint)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def set_word(self, word: str) -> None:
        """Change the word on the button."""
        if word != self.text():
            self.setText(word)
            self.setAccessibleName(word)

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return the size at the design's scale."""
        return QSize(72, 32)

    def paintEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Paint the pill."""
        painter = QPainter(self)
        fill_ground(painter, self, theme.PANEL)
        painter.scale(self.scale, self.scale)
        w, h = self.width() / self.scale, self.height() / self.scale
        edge = theme.ACCENT if self.hasFocus() else theme.LINE
        painter.setPen(QPen(theme.colour(edge), 1.2))
        held = self.isDown() or self.isChecked()
        painter.setBrush(theme.colour(theme.TRACK if held or self.underMouse() else theme.PANEL))
        painter.drawRoundedRect(QRectF(0.6, 0.6, w - 1.2, h - 1.2), 8, 8)
        tint = theme.DIM if not self.isEnabled() else theme.WARM if self.isChecked() else theme.TEXT
        word = [Run(self.text(), tint, 14)]
        draw(painter, (w - width(word)) / 2, h / 2 + 5, word)
        painter.end()


class Slider(QSlider):
    """A quiet slider; `moved` carries what the operator asks for, not what the engine reports.

    Parameters
    ----------
    between
        Values at its ends.
    substeps
        Positions per unit.
    """

    moved = Signal(float)

    def __init__(self, between: tuple[float, float], substeps: int, parent=None):
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.scale = 1.0
        self._substeps = substeps
        self.setRange(*(round(end * substeps) for end in between))
        self.valueChanged.connect(lambda value: self.moved.emit(value / substeps))

    @property
    def amount(self) -> float:
        """Where the slider stands."""
        return self.value() / self._substeps

    def reflect(self, amount: float) -> None:
        """Follow the engine without asking it for anything; not while the operator holds the slider."""
        if not self.isSliderDown() and self.value() != round(amount * self._substeps):
            self.blockSignals(True)
            self.setValue(round(amount * self._substeps))
            self.blockSignals(False)
            self.update()

    def mousePressEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Jump to where the operator presses."""
        self.setSliderDown(True)
        self._follow(event.position().x())

    def mouseMoveEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Follow the pointer."""
        if self.isSliderDown():
            self._follow(event.position().x())

    def mouseReleaseEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Let go."""
        self.setSliderDown(False)

    def _follow(self, x: float) -> None:
        inset = 8 * self.scale
        share = min(max((x - inset) / max(self.width() - 2 * inset, 1.0), 0.0), 1.0)
        self.setValue(round(self.minimum() + share * (self.maximum() - self.minimum())))

    def paintEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Paint track and knob."""
        painter = QPainter(self)
        fill_ground(painter, self, theme.PANEL)
        painter.scale(self.scale, self.scale)
        w, h = self.width() / self.scale, self.height() / self.scale
        share = (self.value() - self.minimum()) / (self.maximum() - self.minimum())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(theme.LINE))
        painter.drawRoundedRect(QRectF(8, h / 2 - 2, w - 16, 4), 2, 2)
        painter.setBrush(theme.colour(theme.MUTED if self.isEnabled() else theme.LINE))
        painter.drawRoundedRect(QRectF(8, h / 2 - 2, share * (w - 16), 4), 2, 2)
        knob = theme.ACCENT if self.hasFocus() or self.isSliderDown() else theme.TEXT
        painter.setBrush(theme.colour(knob if self.isEnabled() else theme.DIM))
        painter.drawEllipse(QRectF(8 + share * (w - 16) - 7, h / 2 - 7, 14, 14))
        painter.end()


class VolumeSlider(Slider):
    """Volume in dB."""

    def __init__(self, parent=None):
        super().__init__(VOLUME_DB, SUBSTEPS, parent)
        self.setSingleStep(round(STEP_DB * SUBSTEPS))
        self.setPageStep(6 * SUBSTEPS)
        self.reflect(VOLUME_DB[1])
        self.setAccessibleName("Volume in decibels")
        self.setToolTip("volume (+ and − keys)")

    @property
    def decibels(self) -> float:
        """Where the slider stands."""
        return self.amount
