"""What one session or run holds, or two of them side by side with what differs marked."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter

from bci_music.status import Shelved
from gui import theme
from gui.widgets.panel import INSET, Panel
from gui.widgets.text import Run, draw, wrapped

ROW = 26.0
NAMES = 132.0  # width of the column of names


def compared(chosen: tuple[Shelved, ...]) -> list[tuple[str, tuple[str, ...], bool]]:
    """Name, the value of each, and whether they differ; names in the order of the first, then of the second."""
    tables = [dict([("state", e.state), ("started", e.started), *e.facts]) for e in chosen]
    names = list(dict.fromkeys(name for table in tables for name in table))
    rows = []
    for name in names:
        values = tuple(table.get(name, "–") for table in tables)
        rows.append((name, values, len(set(values)) > 1))
    return rows


class Details(Panel):
    """A table of facts."""

    def __init__(self, parent=None):
        super().__init__("Chosen", parent)
        self._chosen: tuple[Shelved, ...] = ()
        self._rows: list[tuple[str, tuple[str, ...], bool]] = []

    def show_chosen(self, chosen: tuple[Shelved, ...]) -> None:
        """Show one, or two compared."""
        if chosen == self._chosen:
            return
        self._chosen, self._rows = chosen, compared(chosen)
        parts = [f"{name} {' against '.join(values)}" for name, values, _ in self._rows]
        faults = [text for entry in chosen for text in entry.faults]
        named = " and ".join(entry.name for entry in chosen) or "nothing chosen"
        self.describe("; ".join([named, *parts, *faults]))
        self.setToolTip("\n".join([*parts, *faults]))
        self.update()

    def title_runs(self) -> list[Run]:
        """Say whether two are compared."""
        word = "Two compared: what differs is bright" if len(self._chosen) == 2 else self.title
        return [Run(word, theme.MUTED, 13)]

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint one column of names and one for each that is chosen."""
        if not self._chosen:
            draw(painter, INSET, 64, [Run("choose a session or a run on the left", theme.MUTED, 15)], w - 2 * INSET)
            return
        column = (w - 2 * INSET - NAMES) / len(self._chosen)
        for n, entry in enumerate(self._chosen):
            x = INSET + NAMES + n * column
            draw(painter, x, 58, [Run(entry.name, px=18, bold=True)], column - 12)
        y = 58 + ROW + 4
        for name, values, differs in self._rows:
            if y > h - 12:
                break
            if differs:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(theme.colour(theme.ACCENT))
                painter.drawRect(QRectF(INSET, y - 10, 3, 12))
            draw(painter, INSET + 10, y, [Run(name, theme.MUTED, 14)], NAMES - 16)
            for n, value in enumerate(values):
                bright = differs or len(values) == 1
                run = Run(value, theme.TEXT if bright else theme.MUTED, 14, differs)
                draw(painter, INSET + NAMES + n * column, y, [run], column - 12)
            y += ROW
        for text in [text for entry in self._chosen for text in entry.faults]:
            for line in wrapped(text, 14, w - 2 * INSET, 2):
                if y <= h - 12:
                    draw(painter, INSET + 10, y, [Run(line, theme.BAD, 14)], w - 2 * INSET - 10)
                y += ROW
