"""What the listener hears, how much of it is left, and the last that was said; at the end what came of it."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter

from bci_music.status import CalibrationStatus
from gui import theme
from gui.widgets.panel import INSET, Panel
from gui.widgets.text import Run, draw, width, wrapped

LINE = 19.0


def minutes(seconds: float) -> str:
    """Return a time as minutes and seconds: "1:30"."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Heard(Panel):
    """Title, place in it, and how many there are."""

    def __init__(self, parent=None):
        super().__init__("What is heard", parent)
        self._shown = CalibrationStatus("")

    def show_calibration(self, now: CalibrationStatus | None) -> None:
        """Show what plays."""
        now = now or CalibrationStatus("")
        if now != self._shown:
            self._shown = now
            self.describe("; ".join(part for part in self._words() if part))
            self.update()

    def _words(self) -> tuple[str, str]:
        """Headline, and how far it is."""
        now = self._shown
        if now.step == "songs":
            count = f"{now.heard} of {now.wanted} heard, {minutes(now.left_s)} left"
            return now.title or "silence", count
        if now.step in ("fit", "done"):
            return "all is heard", ""
        return "nothing yet", ""

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint the headline, the place in it and the count."""
        headline, count = self._words()
        now = self._shown
        tint = theme.TEXT if now.title else theme.MUTED
        draw(painter, INSET, 66, [Run(headline, tint, 26, True)], w - 2 * INSET)
        place = f"{minutes(max(now.position_s, 0.0))} of {minutes(now.length_s)}" if now.title else ""
        draw(painter, INSET, 92, [Run(place, theme.MUTED, 15)], w - 2 * INSET)
        _bar(painter, INSET, 112, w - 2 * INSET, now.position_s / now.length_s if now.length_s else 0.0)
        if count:
            draw(painter, INSET, 152, [Run(count, px=15)], w - 2 * INSET)
            _bar(painter, INSET, 168, w - 2 * INSET, now.heard / max(now.wanted, 1))
        for row, line in enumerate(wrapped(now.electrodes, 14, w - 2 * INSET)):
            draw(painter, INSET, 206 + LINE * row, [Run(line, theme.MUTED, 14)], w - 2 * INSET)


class Messages(Panel):
    """The last that was said, or what came of it."""

    def __init__(self, parent=None):
        super().__init__("Messages", parent)
        self._lines: tuple[str, ...] = ()
        self._compared: tuple[tuple[str, tuple[float, ...], tuple[float, ...]], ...] = ()

    def show_calibration(self, now: CalibrationStatus | None) -> None:
        """Show the newest lines, at the end the results."""
        lines = () if now is None else now.results or now.lines
        if (lines, self._compared) != (self._lines, now.compared if now is not None else ()):
            self._lines, self._compared = lines, now.compared if now is not None else ()
            self.title = "Before and after" if self._compared else "Messages"
            self.describe("; ".join(lines))
            self.setToolTip("\n".join(lines))
            self.update()

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint bars of what was compared, or the lines."""
        if self._compared:
            self._draw_compared(painter, w, h)
            return
        rows: list[str] = []
        for line in self._lines:
            rows += wrapped(line, 14, w - 2 * INSET, 3)
        most = max(1, int((h - 48) / LINE))
        for row, line in enumerate(rows[-most:]):
            draw(painter, INSET, 54 + LINE * row, [Run(line, theme.MUTED, 14)], w - 2 * INSET)

    def _draw_compared(self, painter: QPainter, w: float, h: float) -> None:
        """One pair of intervals for each question, from 0 to 1."""
        half = (w - 2 * INSET - 24) / 2
        row = 68.0
        for n, (name, before, after) in enumerate(self._compared[: 2 * max(1, int((h - 40) / row))]):
            x, y = INSET + (n % 2) * (half + 24), 56 + row * (n // 2)
            draw(painter, x, y, [Run(name, px=14)], half)
            for k, (word, (value, low, high)) in enumerate((("before", before), ("after", after))):
                tint = theme.ACCENT if k else theme.MUTED
                base = y + 19 + 18 * k
                draw(painter, x, base, [Run(word, theme.MUTED, 13)])
                left, length = x + 56, half - 56 - 48
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(theme.colour(theme.LINE))
                painter.drawRoundedRect(QRectF(left, base - 7, length, 6), 3, 3)
                painter.setBrush(theme.mixed(tint, theme.PANEL, 0.5))
                painter.drawRoundedRect(QRectF(left + low * length, base - 7, max((high - low) * length, 3), 6), 3, 3)
                painter.setBrush(theme.colour(tint))
                painter.drawRoundedRect(QRectF(left + value * length - 2, base - 10, 4, 12), 2, 2)
                number = [Run(f"{value:.2f}", tint, 13, True)]
                draw(painter, x + half - width(number), base, number)


def _bar(painter: QPainter, x: float, y: float, length: float, share: float) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.colour(theme.LINE))
    painter.drawRoundedRect(QRectF(x, y, length, 6), 3, 3)
    if share > 0:
        painter.setBrush(theme.colour(theme.ACCENT))
        painter.drawRoundedRect(QRectF(x, y, max(min(share, 1.0) * length, 6), 6), 3, 3)
