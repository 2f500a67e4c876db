"""Levels of what leaves for the ears, left and right."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QPainter

from gui import theme
from gui.widgets.panel import Panel
from gui.widgets.text import Run, draw

FLOOR_DBFS, HOT_DBFS = -60.0, -1.0
FALL_DB_PER_S = 24.0
HOLD_S = 1.5


class Meter:
    """Ballistics of one channel: rises at once, falls slowly, the peak stays for a while."""

    def __init__(self) -> None:
        self.level = self.peak = FLOOR_DBFS
        self._peak_at = 0.0

    def take(self, dbfs: float, now_s: float, elapsed_s: float) -> None:
        """Follow the newest peak."""
        self.level = max(dbfs, self.level - FALL_DB_PER_S * elapsed_s, FLOOR_DBFS)
        if self.level >= self.peak or now_s - self._peak_at > HOLD_S:
            self.peak, self._peak_at = self.level, now_s


class LevelMeters(Panel):
    """Two bars from -60 dBFS to full scale; `pressed` asks for the list of sound devices."""

    pressed = Signal()

    def __init__(self, parent=None):
        super().__init__("Levels", parent, within=True)
        self._meters = (Meter(), Meter())
        self._then_s: float | None = None

    def show_peaks(self, peaks_dbfs: tuple[float, float], now_s: float) -> None:
        """Show the newest peaks of left and right."""
        elapsed = max(now_s - self._then_s, 0.0) if self._then_s is not None else 0.0
        self._then_s = now_s
        for meter, dbfs in zip(self._meters, peaks_dbfs, strict=True):
            meter.take(dbfs, now_s, elapsed)
        self.update()

    def show_device(self, device: str) -> None:
        """Say where the sound goes to."""
        self.setToolTip(f"the sound goes to {device}; click, or press A, for another device")

    def mousePressEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Ask for the list."""
        self.pressed.emit()

    def title_runs(self) -> list[Run]:
        """Return nothing: L and R are its title."""
        return []

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint both bars."""
        for row, (name, meter) in enumerate(zip("LR", self._meters, strict=True)):
            y = (row + 0.5) * h / 2
            draw(painter, 0, y + 4, [Run(name, theme.MUTED, 11)])
            left, length = 16.0, w - 18
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour(theme.LINE))
            painter.drawRoundedRect(QRectF(left, y - 2, length, 4), 2, 2)
            hot = meter.peak > HOT_DBFS
            painter.setBrush(theme.colour(theme.WARM if hot else theme.GOOD))
            if meter.level > FLOOR_DBFS:
                painter.drawRoundedRect(QRectF(left, y - 2, _share(meter.level) * length, 4), 2, 2)
                painter.drawRect(QRectF(left + _share(meter.peak) * length - 1, y - 4, 2, 8))


def _share(dbfs: float) -> float:
    return min(max(1.0 - dbfs / FLOOR_DBFS, 0.0), 1.0)
