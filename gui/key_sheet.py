"""The sheet of keys that `?` shows: those of the window, then those of the view."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPen
from PySide6.QtWidgets import QWidget

from gui import theme
from gui.views.view import Keys
from gui.widgets.panel import Panel
from gui.widgets.text import Run, draw, width

WINDOW_KEYS: Keys = (
    ("F1", "the Perform view; the same key again goes back to the one that fits"),
    ("F2", "the Monitor view"),
    ("F3", "the Study view"),
    ("F4", "the Calibrate view"),
    ("L A P", "choose among EEG streams, sound devices, packs"),
    ("T", "dark or light"),
    ("F11", "full screen"),
    ("?", "this sheet"),
    ("Esc Ctrl+Q", "leave: a list or this sheet first, then the program"),
)
ROW, COLUMN, TOP = 26.0, 170.0, 48.0
SHOWN = {"Return": "Enter", "Left": "←", "Right": "→", "Up": "↑", "Down": "↓", "Shift+Left": "Shift ←",
         "Shift+Right": "Shift →"}  # fmt: skip


def shown_keys(keys: str) -> str:
    """Return keys as people read them."""
    return "   ".join(SHOWN.get(key, key) for key in keys.split())


class KeySheet(Panel):
    """Two columns: keys and what they do."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__("Keys", parent)
        self._rows: Keys = ()
        self.hide()

    def show_keys(self, view: str, keys: Keys) -> None:
        """Show the window's keys and those of the view of this name."""
        self.title = f"Keys  ·  the last are of the {view} view" if keys else "Keys"
        self._rows = (*WINDOW_KEYS, *keys)
        self.describe("; ".join(f"{name}: {words}" for name, words in self._rows))
        self.update()

    def size_in_design(self) -> tuple[float, float]:
        """Width and height that hold all rows, design px."""
        widest = max((width([Run(words, px=15)]) for _, words in self._rows), default=0.0)
        return COLUMN + widest + 56, TOP + ROW * len(self._rows) + 16

    def mousePressEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Go away."""
        self.hide()

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint an edge, since it lies above other panels, and the rows."""
        painter.setPen(QPen(theme.colour(theme.ACCENT), 1.5))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(QRectF(1, 1, w - 2, h - 2), theme.CORNER, theme.CORNER)
        for n, (keys, words) in enumerate(self._rows):
            y = TOP + ROW * n + 16
            draw(painter, 24, y, [Run(shown_keys(keys), px=15, bold=True)], COLUMN - 12)
            draw(painter, 24 + COLUMN, y, [Run(words, theme.MUTED, 15)], w - COLUMN - 40)
