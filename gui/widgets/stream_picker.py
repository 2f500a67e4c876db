"""The list of EEG streams on the network, to choose one from."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QAbstractItemView, QListWidgetItem, QWidget

from bci_music.status import StreamChoice
from gui.list_panel import ListPanel

ASK = "Which EEG stream?"
NONE_YET = "No EEG stream can be seen yet: is the amplifier's program running, on the same network?"
HOW = "Up and Down, then Enter. L shows and hides this list."
UID = Qt.ItemDataRole.UserRole


class StreamPicker(ListPanel):
    """Name, channels, rate, host and age of each stream; `chosen` carries the uid of one."""

    chosen = Signal(str)
    SMALL, LARGE, PADDING, BORDERED = 14, 16, 8, True

    def __init__(self, parent: QWidget | None = None):
        super().__init__("EEG streams", ASK, HOW, QAbstractItemView.SelectionMode.SingleSelection, parent)
        self.rows.itemActivated.connect(self._choose)
        self.rows.itemClicked.connect(self._choose)
        self.hide()

    def show_streams(self, streams: tuple[StreamChoice, ...], joined: str) -> None:
        """Show what there is to choose from; `joined` is the source id of the stream that runs."""
        self._title.setText(ASK if streams else NONE_YET)
        known = {self.rows.item(n).data(UID): self.rows.item(n) for n in range(self.rows.count())}
        for uid in set(known) - {s.uid for s in streams}:
            self.rows.takeItem(self.rows.row(known[uid]))
        for stream in streams:
            item = known.get(stream.uid)
            if item is None:
                item = QListWidgetItem(self.rows)
                item.setData(UID, stream.uid)
            lines = words(stream, bool(joined) and stream.source_id == joined)
            item.setText(lines)
            item.setToolTip(lines)
        if self.rows.currentRow() < 0 and self.rows.count():
            self.rows.setCurrentRow(0)

    def _choose(self, item: QListWidgetItem) -> None:
        self.chosen.emit(item.data(UID))


def words(stream: StreamChoice, joined: bool) -> str:
    """Describe a stream on two lines."""
    rate = f"{stream.sfreq_hz:g} Hz" if stream.sfreq_hz > 0 else "no stated rate"
    channels = f"{stream.n_channels} channel{'' if stream.n_channels == 1 else 's'}"
    age = f"{'up for' if stream.here else 'seen for'} {_duration(stream.age_s)}"
    name = stream.name or "(no name)"
    return f"{name}{'  (joined)' if joined else ''}\n{channels}  ·  {rate}  ·  on {stream.host}  ·  {age}"


def _duration(seconds: float) -> str:
    """Return a time as people say it: "12 s", "5 min", "3 h", "2 days"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
