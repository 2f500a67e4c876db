"""What was decoded lately: which songs it went to."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter

from bci_music.status import Snapshot
from gui import theme
from gui.readings import decoded_shares, heard_now
from gui.widgets.panel import INSET, TITLE_PX, Panel
from gui.widgets.text import Run, draw, width

SECONDS = 44.0
ROW = 40.0
TOP = 56.0


class DecodedTally(Panel):
    """Shares of decoded time per song; the song being heard, where known, is the bright one."""

    def __init__(self, parent=None):
        super().__init__("What the decoder says", parent)
        self._shares: list[tuple[str, float]] = []
        self._heard = ""

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Count again."""
        shares, heard = decoded_shares(snapshot, SECONDS), heard_now(snapshot)
        if (shares, heard) != (self._shares, self._heard):
            self._shares, self._heard = shares, heard
            shown = ", ".join(f"{label} {100 * share:.0f} %" for label, share in shares[:3])
            self.describe(shown or "nothing decoded yet")
            self.update()

    def title_runs(self) -> list[Run]:
        """Return name and period."""
        period = f"  (share of the last {SECONDS:g} s)"
        return [Run(self.title, theme.MUTED, TITLE_PX), Run(period, theme.DIM, TITLE_PX)]

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint one bar per song."""
        if not self._shares:
            draw(painter, INSET, 68, [Run("nothing decoded yet", theme.MUTED, 15)], w - 2 * INSET)
            return
        rows = max(int((h - TOP - 8) // ROW), 1)
        for row, (label, share) in enumerate(self._shares[:rows]):
            y = TOP + row * ROW
            heard = label == self._heard
            name = [Run(label, theme.TEXT if heard or row == 0 else theme.MUTED, 15, heard)]
            if heard:
                name.append(Run("   is being heard", theme.ACCENT, 13))
            value = [Run(f"{100 * share:.0f} %", theme.TEXT if heard else theme.MUTED, 14, heard)]
            draw(painter, INSET, y + 12, name, w - 2 * INSET - 56)
            draw(painter, w - INSET - width(value), y + 12, value)
            length = w - 2 * INSET
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour(theme.LINE))
            painter.drawRoundedRect(QRectF(INSET, y + 20, length, 6), 3, 3)
            painter.setBrush(theme.colour(theme.ACCENT) if heard else theme.mixed(theme.MUTED, theme.PANEL, 0.5))
            painter.drawRoundedRect(QRectF(INSET, y + 20, max(share * length, 6), 6), 3, 3)
