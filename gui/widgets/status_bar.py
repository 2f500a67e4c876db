"""The line at the top: stream, age of the data, latency, pack, device, recording."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPen

from bci_music.messages import StreamState
from bci_music.status import Snapshot
from gui import theme
from gui.readings import BrainToEar, data_age, stream_detail
from gui.widgets.glyphs import draw_stream
from gui.widgets.panel import Panel, fill_ground
from gui.widgets.text import Run, draw, width

OLD_S = 1.0  # data older than this are shown in warm
GAP = 24.0
PILL = 28.0


class StatusBar(Panel):
    """State in words: who is connected, how fresh, through which decoder.

    `view_asked` carries a view's name, `list_asked` "streams" or "packs": what is to be chosen from.
    """

    view_asked = Signal(str)
    list_asked = Signal(str)

    def __init__(self, name: str, title: str, parent=None):
        super().__init__("Status", parent)
        self._name, self._subtitle = name, title
        self._snapshot: Snapshot | None = None
        self._latency = BrainToEar()
        self._views: tuple[str, ...] = ()
        self._view = ""
        self._tabs: dict[str, QRectF] = {}  # where the views' names stand, design px
        self._lists: dict[str, QRectF] = {}  # and the words that open a list

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show the newest state."""
        self._snapshot = snapshot
        stream = snapshot.stream
        shown = f"{stream.state.value}: {stream_detail(stream)}, data age {data_age(stream)[0]}"
        self.describe("starting" if snapshot.starting else shown)
        self.update()

    def show_title(self, title: str) -> None:
        """Show what runs, beside the name."""
        self._subtitle = title
        self.update()

    def show_views(self, names: tuple[str, ...], shown: str) -> None:
        """Show which views there are, and which is shown."""
        if (names, shown) != (self._views, self._view):
            self._views, self._view = names, shown
            self.update()

    def mousePressEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Ask for the view whose name is pressed, or for the list behind a word."""
        for boxes, signal in ((self._tabs, self.view_asked), (self._lists, self.list_asked)):
            for name, box in boxes.items():
                if box.contains(event.position() / self.scale):
                    signal.emit(name)
                    return

    def paintEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Paint on the bare ground: this is no panel."""
        painter = QPainter(self)
        fill_ground(painter, self, theme.GROUND)
        painter.scale(self.scale, self.scale)
        with self.noting_cuts():
            self.draw(painter, self.width() / self.scale, self.height() / self.scale)
        painter.end()

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint from the left the name and the stream, from the right recording, device and pack."""
        self._lists = {}
        base = h / 2 + 5
        x = draw(painter, 4, base + 2, [Run(self._name, px=20, bold=True)])
        x = self._draw_tabs(painter, x + 12, h, base)
        x = draw(painter, x + 8, base, [Run(self._subtitle, theme.MUTED, 15)], 200) + 16
        snapshot = self._snapshot
        if snapshot is None or snapshot.starting:
            return
        right = self._draw_right(painter, snapshot, w - 4, h, base)
        x = self._draw_stream(painter, snapshot, x, h, base, right)
        age, remark = data_age(snapshot.stream)
        old = snapshot.stream.data_age_s is not None and snapshot.stream.data_age_s > OLD_S
        words = [Run("data age ", theme.MUTED, 15), Run(age, theme.WARM if old else theme.TEXT, 15, True)]
        if remark:
            words.append(Run(f"  {remark}", theme.MUTED, 13))
        latency = self._latency.read(snapshot)
        if latency is not None:
            words += [Run("      brain to ear ", theme.MUTED, 15), Run(f"{latency:.1f} s", px=15, bold=True)]
        draw(painter, x, base, words, right - x)

    def _draw_tabs(self, painter: QPainter, x: float, h: float, base: float) -> float:
        """Draw the views' names, the one that is shown as a pill; returns where they end."""
        self._tabs = {}
        for name in self._views:
            shown = name == self._view
            run = [Run(name, theme.GROUND if shown else theme.MUTED, 14, shown)]
            box = QRectF(x, (h - PILL) / 2, width(run) + 18, PILL)
            if shown:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(theme.colour(theme.ACCENT))
                painter.drawRoundedRect(box, PILL / 2, PILL / 2)
            draw(painter, x + 9, base, run)
            self._tabs[name] = box
            x += box.width() + 2
        return x

    def _draw_stream(self, painter: QPainter, snapshot: Snapshot, x: float, h: float, base: float, end: float) -> float:
        """Draw the pill: shape, word and colour of the state, then the stream; returns where it ends."""
        stream = snapshot.stream
        tint = theme.STREAM_COLOURS[stream.state]
        live = stream.state is StreamState.LIVE
        words = [Run(stream.state.value.upper(), tint, 14, True),
                 Run(f"   {stream_detail(stream)}", tint if live else theme.TEXT, 14)]
        length = min(width(words) + 48, end - x - 150)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.mixed(tint, theme.GROUND, 0.2))
        painter.drawRoundedRect(QRectF(x, (h - PILL) / 2, length, PILL), PILL / 2, PILL / 2)
        self._lists["streams"] = QRectF(x, (h - PILL) / 2, length, PILL)
        draw_stream(painter, stream.state, x + 18, h / 2, 5)
        draw(painter, x + 32, base, words, length - 44)
        return x + length + 16

    def _draw_right(self, painter: QPainter, snapshot: Snapshot, right: float, h: float, base: float) -> float:
        if snapshot.recording:
            words = [Run(snapshot.recording, theme.WARM, 14)]
            length = min(width(words) + 48, 320)
            box = QRectF(right - length, (h - PILL) / 2, length, PILL)
            painter.setPen(QPen(theme.colour(theme.WARM), 1.2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(box, PILL / 2, PILL / 2)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour(theme.WARM))
            painter.drawEllipse(QRectF(box.left() + 14, h / 2 - 5, 10, 10))
            draw(painter, box.left() + 32, base, words, length - 44)
            right = box.left() - 24
        device = [Run(snapshot.device, theme.MUTED, 15)]
        right -= width(device)
        draw(painter, right, base, device)
        if not snapshot.pack_name:
            return right - 24
        pack = [Run("pack ", theme.MUTED, 15), Run(snapshot.pack_name, px=15, bold=True)]
        right -= width(pack) + GAP
        draw(painter, right, base, pack)
        self._lists["packs"] = QRectF(right, (h - PILL) / 2, width(pack), PILL)
        return right - 24
