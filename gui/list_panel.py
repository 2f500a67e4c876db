"""A panel with a title, a list to choose from, and a line that says how."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt
from PySide6.QtWidgets import QAbstractItemView, QLabel, QListWidget, QVBoxLayout, QWidget

from gui import theme


class Rows(QListWidget):
    """A list that keeps its keys from the window's shortcuts."""

    KEYS = (Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Home, Qt.Key.Key_End)

    def event(self, event) -> bool:
        """Take the keys that walk through the list."""
        if event.type() == QEvent.Type.ShortcutOverride and event.key() in self.KEYS:
            event.accept()
            return True
        return super().event(event)


class ListPanel(QWidget):
    """What the stream picker and the list of sessions share.

    Parameters
    ----------
    name, title, how : str
        For screen readers, above the list, below it.
    mode : QAbstractItemView.SelectionMode
    """

    SMALL, LARGE, PADDING = 13, 15, 6  # design pixels: title and hint, rows, around a row
    BORDERED = False

    def __init__(self, name: str, title: str, how: str, mode: QAbstractItemView.SelectionMode, parent: QWidget | None):
        super().__init__(parent)
        self.setAccessibleName(name)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.scale = 0.0
        self._title, self._how = QLabel(title, self), QLabel(how, self)
        self.rows = Rows(self)
        self.rows.setAccessibleName(name)
        self.rows.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.rows.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.rows.setSelectionMode(mode)
        self._title.setWordWrap(True)
        self._how.setWordWrap(True)
        layout = QVBoxLayout(self)
        for part in (self._title, self.rows, self._how):
            layout.addWidget(part, 1 if part is self.rows else 0)
        self.set_scale(1.0)

    def set_scale(self, scale: float) -> None:
        """Set widget pixels per design pixel."""
        if scale == self.scale:
            return
        self.scale = scale
        self.restyle()

    def restyle(self) -> None:
        """Take the colours of the theme."""
        scale, border = self.scale, f" border: 1px solid {theme.ACCENT};" if self.BORDERED else ""
        self.setStyleSheet(
            f"{type(self).__name__} {{ background: {theme.PANEL};{border}"
            f" border-radius: {round(theme.CORNER * scale)}px; }}"
            f" QLabel {{ color: {theme.MUTED}; font-size: {max(self.SMALL - 2, round(self.SMALL * scale))}px; }}"
            f" QListWidget {{ background: {theme.PANEL}; color: {theme.TEXT}; border: none; outline: none;"
            f" activate-on-singleclick: 0;"
            f" font-size: {max(self.LARGE - 3, round(self.LARGE * scale))}px; }}"
            f" QListWidget::item {{ padding: {round(self.PADDING * scale)}px; }}"
            f" QListWidget::item:selected {{ background: {theme.TRACK}; color: {theme.TEXT}; }}"
        )
