"""A list of streams, sound devices or packs, to choose one from."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QAbstractItemView, QListWidgetItem, QWidget

from bci_music.status import Choice
from gui.list_panel import ListPanel

KEY = Qt.ItemDataRole.UserRole


class ChoicePicker(ListPanel):
    """Name and facts of each on two lines; `chosen` carries the key of one.

    Parameters
    ----------
    name, ask, nothing, how : str
        For screen readers; above the list; above it while it is empty; below it.
    """

    chosen = Signal(str)
    SMALL, LARGE, PADDING, BORDERED = 14, 16, 8, True

    def __init__(self, name: str, ask: str, nothing: str, how: str, parent: QWidget | None = None):
        super().__init__(name, nothing, how, QAbstractItemView.SelectionMode.SingleSelection, parent)
        self._ask, self._nothing = ask, nothing
        self.rows.itemActivated.connect(self._choose)
        self.rows.itemClicked.connect(self._choose)
        self.hide()

    def show_choices(self, choices: tuple[Choice, ...]) -> None:
        """Show what there is to choose from; what runs is marked, and chosen until another one is."""
        self._title.setText(self._ask if choices else self._nothing)
        known = {self.rows.item(n).data(KEY): self.rows.item(n) for n in range(self.rows.count())}
        for key in set(known) - {choice.key for choice in choices}:
            self.rows.takeItem(self.rows.row(known[key]))
        for choice in choices:
            item = known.get(choice.key)
            if item is None:
                item = QListWidgetItem(self.rows)
                item.setData(KEY, choice.key)
                if choice.chosen:
                    self.rows.setCurrentItem(item)
            lines = f"{choice.name}{'  (this one)' if choice.chosen else ''}\n{choice.facts}"
            if item.text() != lines:
                item.setText(lines)
                item.setToolTip(lines)
        if self.rows.currentRow() < 0 and self.rows.count():
            self.rows.setCurrentRow(0)

    def _choose(self, item: QListWidgetItem) -> None:
        self.chosen.emit(item.data(KEY))
