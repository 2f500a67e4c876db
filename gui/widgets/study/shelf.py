"""What lies on disk: recorded sessions and reports of runs, one or two of them chosen."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QAbstractItemView, QListWidgetItem, QWidget

from bci_music.status import Shelf, Shelved
from gui.list_panel import ListPanel

NOTHING = "No session and no run lies here yet. Record one on the right, or give a run --out FOLDER."
NONE_HERE = "This run only watches signals. Sessions are listed by demo, live and replay."
HOW = "Up and Down choose one, Enter replays it. With Shift or Ctrl choose two: they are compared."
PATH = Qt.ItemDataRole.UserRole


class ShelfList(ListPanel):
    """Name, kind, state and time of each; `picked` says that others are chosen, `opened` that one is to be replayed."""

    picked = Signal()
    opened = Signal()

    def __init__(self, parent: QWidget | None = None):
        mode = QAbstractItemView.SelectionMode.ExtendedSelection
        super().__init__("Sessions and runs", "Sessions and runs on disk", HOW, mode, parent)
        self._entries: tuple[Shelved, ...] = ()
        self.rows.itemSelectionChanged.connect(self.picked)
        self.rows.itemActivated.connect(self.opened)

    @property
    def chosen(self) -> tuple[Shelved, ...]:
        """The first two that are chosen, in the order of the list."""
        paths = {(item.data(PATH)) for item in self.rows.selectedItems()}
        return tuple(e for e in self._entries if e.path + e.kind in paths)[:2]

    def show_shelf(self, shelf: Shelf | None) -> None:
        """Show what there is; what was chosen stays chosen."""
        entries = shelf.entries if shelf is not None else ()
        place = f" below {shelf.place}" if shelf is not None and shelf.place else ""
        self._title.setText(f"Sessions and runs on disk{place}")
        self._title.setToolTip(self._title.text())
        self._how.setText(NONE_HERE if shelf is None else HOW if entries else NOTHING)
        if entries == self._entries:
            return
        before = {item.data(PATH) for item in self.rows.selectedItems()}
        self._entries = entries
        self.rows.blockSignals(True)
        self.rows.clear()
        for entry in entries:
            item = QListWidgetItem(words(entry), self.rows)
            item.setData(PATH, entry.path + entry.kind)
            item.setToolTip(f"{entry.path}\n{words(entry)}")
            item.setSelected(entry.path + entry.kind in before)
        if entries and not self.rows.selectedItems():
            self.rows.setCurrentRow(0)
        self.rows.blockSignals(False)
        self.picked.emit()


def words(entry: Shelved) -> str:
    """Describe one on two lines."""
    return f"{entry.name}\n{entry.kind}  ·  {entry.state}  ·  {entry.started or 'time unknown'} UTC"
