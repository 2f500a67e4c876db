"""Words for the music: a slim line, and how much they count beside the EEG."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtWidgets import QLineEdit

from bci_music.status import PromptStatus, mix_words
from gui import theme
from gui.widgets.transport import Slider

PLACEHOLDER = "words, then Enter"
LONGEST = 200


class WordLine(QLineEdit):
    """One line of words; `asked` carries them when the operator presses Enter, "" for none."""

    asked = Signal(str)

    def __init__(self, placeholder: str, name: str, parent=None):
        super().__init__(parent)
        self.setMaxLength(LONGEST)
        self.setPlaceholderText(placeholder)
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.returnPressed.connect(self._ask)
        self.set_scale(1.0)

    def set_scale(self, scale: float) -> None:
        """Set widget pixels per design pixel."""
        self._scale = scale
        self.restyle()

    def restyle(self) -> None:
        """Take the colours of the theme."""
        scale = self._scale
        self.setStyleSheet(
            f"QLineEdit {{ background: {theme.PANEL}; color: {theme.TEXT}; border: 1px solid {theme.LINE};"
            f" border-radius: {round(6 * scale)}px; padding: 0 {round(8 * scale)}px; font-size: {round(13 * scale)}px;"
            f" selection-background-color: {theme.TRACK}; }}"
            f" QLineEdit:focus {{ border-color: {theme.ACCENT}; }}"
            f" QLineEdit:disabled {{ color: {theme.DIM}; }}"
        )

    def event(self, event) -> bool:
        """Escape leaves the line, not the program."""
        if event.type() == QEvent.Type.ShortcutOverride and event.key() == Qt.Key.Key_Escape:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Take words, or leave with what was there before."""
        if event.key() == Qt.Key.Key_Escape:
            self.setText(self.before())
            self.clearFocus()
        else:
            super().keyPressEvent(event)

    def before(self) -> str:
        """Return what Escape brings back."""
        return ""

    def _ask(self) -> None:
        self.asked.emit(self.text())
        self.clearFocus()


class PromptLine(WordLine):
    """The words that steer the music beside the EEG."""

    def __init__(self, parent=None):
        super().__init__(PLACEHOLDER, "Prompt", parent)
        self._status = PromptStatus()

    def before(self) -> str:
        """Return what steers."""
        return self._status.text

    def show_status(self, status: PromptStatus) -> None:
        """Follow the engine, but leave alone what the operator is typing."""
        if status == self._status:
            return
        self._status = status
        self.setEnabled(not status.unavailable)
        working = "  (being understood)" if status.text != status.heard else ""
        self.setToolTip(status.unavailable or f"{status.words}{working}")
        if not self.hasFocus() and self.text() != status.text:
            self.setText(status.text)


class ShareSlider(Slider):
    """How much the words count: left brain only, right prompt only."""

    def __init__(self, parent=None):
        super().__init__((0.0, 1.0), 100, parent)
        self.setSingleStep(5)
        self.setPageStep(10)
        self.setAccessibleName("Share of the prompt")
        self._status: PromptStatus | None = None

    def show_status(self, status: PromptStatus) -> None:
        """Follow the engine."""
        self.reflect(status.weight)
        if status != self._status:
            self._status = status
            self.setEnabled(not status.unavailable)
            self.setToolTip(status.unavailable or f"brain or prompt: {mix_words(status.weight)}")
