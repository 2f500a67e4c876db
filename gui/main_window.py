"""The window: bar and notices, and under them one view; reads the engine on a timer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QColor, QGuiApplication, QKeySequence, QPalette, QShortcut
from PySide6.QtWidgets import QWidget

from bci_music.status import Snapshot
from gui import theme
from gui.bridge import Bridge
from gui.key_sheet import KeySheet
from gui.layout import DESIGN, arrange, opening, scale_for
from gui.pickers import Pickers
from gui.readings import failure_sentence
from gui.screen import WITHOUT_SCREEN
from gui.views.registry import view_classes
from gui.views.starting import StartingView
from gui.views.view import View
from gui.widgets.notice import Notice
from gui.widgets.status_bar import StatusBar

FRAME_MS = 16
MOTION, MAP, WORDS = 2, 4, 12  # every so many frames


class MainWindow(QWidget):
    """Hosts the view that fits what runs.

    Parameters
    ----------
    bridge
        The engine.
    title
        What runs, e.g. "demo".
    view
        Name of the view to show, "" for the one that fits.
    """

    closing = Signal()  # still whole and visible
    view: View

    def __init__(self, bridge: Bridge, title: str = "", view: str = ""):
        super().__init__()
        self._bridge = bridge
        self._frame = 0
        self._closed = False
        self._classes: tuple[type[View], ...] = ()  # loaded once there is something to show
        self._views: dict[type[View], View] = {}  # made when first shown
        self._chosen: type[View] | None = None  # by the operator
        self._wanted = view.lower() or None
        self._title = title
        self.setWindowTitle(f"bci-music · {title}" if title else "bci-music")
        self.setAccessibleName("bci-music")
        self._paint_ground()
        self.setMinimumSize(960, 540)
        self.bar = StatusBar("bci-music", title, self)
        self.warning = Notice("Warning", "warm", self)
        self.failure = Notice("Failure", "bad", self)
        self.warning.hide()
        self.failure.hide()
        self.keys = KeySheet(self)
        self.bar.view_asked.connect(self._choose_named)
        self.pickers = Pickers(bridge, self)
        self.bar.list_asked.connect(self._toggle_named)
        self._bind({"F11": self._toggle_full_screen, "Esc": self._leave, "Ctrl+Q": self.close}, self)
        self._bind({"?": self._toggle_keys, "T": self._toggle_theme}, self)
        pickers = {"L": self.pickers.streams, "A": self.pickers.devices, "P": self.pickers.packs}
        self._bind({key: partial(self.pickers.toggle, picker) for key, picker in pickers.items()}, self)
        self._fit_screen()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.tick)
        self._show_view(self._fitting(bridge.snapshot))
        self._show_words(bridge.snapshot)

    def rename(self, title: str) -> None:
        """Say what runs."""
        if title != self._title:
            self._title = title
            self.setWindowTitle(f"bci-music · {title}" if title else "bci-music")
            self.bar.show_title(title)

    # which view

    def _fitting(self, snapshot: Snapshot) -> type[View]:
        if snapshot.starting:
            return StartingView
        if not self._classes:
            self._classes = view_classes()
            self._bind({kind.key: partial(self._choose, kind) for kind in self._classes if kind.key}, self)
            self._chosen = next((kind for kind in self._classes if kind.name.lower() == self._wanted), None)
        return self._chosen or next(kind for kind in self._classes if kind.fits(snapshot))

    def _choose(self, kind: type[View]) -> None:
        """Show a view whatever fits; the same key again goes back to the one that fits."""
        self._chosen = None if self._chosen is kind else kind
        self._show_words(self._bridge.refresh())

    def _choose_named(self, name: str) -> None:
        """Show the view of a name that was clicked in the bar."""
        self._chosen = next(kind for kind in self._classes if kind.name == name)
        self._show_words(self._bridge.refresh())

    def _toggle_named(self, name: str) -> None:
        """Show or hide the list of a name that was clicked: "streams", "devices" or "packs"."""
        self.pickers.toggle(getattr(self.pickers, name))

    def _toggle_keys(self) -> None:
        """Show what the keys do, or hide it."""
        self.keys.show_keys(self.view.name, self.view.help)
        self.keys.setVisible(not self.keys.isVisible())
        self.keys.raise_()
        self._lay_out()

    def _show_view(self, kind: type[View]) -> None:
        """Show the view of this class in place of the one before."""
        for other in self._views.values():
            other.hide()
        if kind not in self._views:
            made = self._views[kind] = kind(self._bridge, self)
            made.list_asked.connect(self._toggle_named)
            self._bind(made.keys(), made)
        self.view = self._views[kind]
        self.view.lower()
        self.view.show()
        self._bridge.drop_cursor()
        self.view.follow_stream(self._bridge.snapshot)

    def _leave(self) -> None:
        """Escape leaves the sheet of keys and an open list first."""
        if self.keys.isVisible():
            self.keys.hide()
        elif not self.pickers.leave():
            self.close()

    # size and keys

    def _fit_screen(self) -> None:
        """Open at the size of the design, or as large as the screen allows, in its middle."""
        if QGuiApplication.platformName() in WITHOUT_SCREEN:
            self.resize(*DESIGN)
            return
        free = self.screen().availableGeometry()
        x, y, width, height = opening(free.width(), free.height())
        self.setGeometry(free.x() + x, free.y() + y, width, height)

    def _bind(self, keys: Mapping[str, Callable[[], object]], owner: QWidget) -> None:
        """Let keys act while `owner` is visible."""
        for name, action in keys.items():
            QShortcut(QKeySequence(name), owner).activated.connect(action)

    def _paint_ground(self) -> None:
        palette = QPalette()
        palette.setColor(QPalette.ColorRole.Window, QColor(theme.GROUND))
        self.setPalette(palette)

    def _toggle_theme(self) -> None:
        """Paint dark for a stage, light for daylight."""
        theme.use("light" if theme.name == "dark" else "dark")
        self._paint_ground()
        for part in self.findChildren(QWidget):
            restyle = getattr(part, "restyle", None)
            if restyle is not None:
                restyle()
            part.update()

    def _toggle_full_screen(self) -> None:
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    # time

    def start(self) -> None:
        """Begin to move, 60 times a second."""
        self._timer.start(FRAME_MS)

    def tick(self) -> None:
        """Draw one frame: signals always, the rest less often."""
        self._frame += 1
        if self._frame % MOTION == 1:
            self.view.follow_stream(self._bridge.refresh())
            self.view.show_motion(self._bridge.snapshot)
            if self._frame % WORDS == 1:
                self._show_words(self._bridge.snapshot)
        if self._frame % MAP == 0:
            self.view.show_maps(self._bridge.snapshot)
        self.view.advance()

    def _show_words(self, snapshot: Snapshot) -> None:
        fitting = self._fitting(snapshot)
        changed = type(self.view) is not fitting
        if changed:
            self._show_view(fitting)
            self.keys.show_keys(self.view.name, self.view.help)
        names = tuple(kind.name for kind in sorted(self._classes, key=lambda kind: kind.key) if kind.name)
        self.bar.show_views(names, self.view.name)
        self.bar.show_snapshot(snapshot)
        self.pickers.show_snapshot(snapshot)
        self.view.show_words(snapshot)
        came = self.warning.show_sentence(snapshot.warning)
        failed = self.failure.show_sentence(failure_sentence(snapshot.failures, snapshot.now_s))
        if came or failed or changed:
            self._lay_out()

    # Qt

    def _lay_out(self) -> None:
        notices = [notice for notice in (self.warning, self.failure) if notice.sentence]
        parts: dict[str, StatusBar | Notice] = {"bar": self.bar}
        parts.update({f"strip{i}": notice for i, notice in enumerate(notices)})
        scale = scale_for(self.width(), self.height())
        for name, box in arrange(self.width(), self.height(), len(notices)).items():
            part = parts[name]
            part.show()
            if part.scale != scale:
                part.set_scale(scale)
            part.setGeometry(*box)
        self.pickers.lay_out(self.width(), self.height(), scale)
        self.keys.set_scale(scale)
        w, h = (round(side * scale) for side in self.keys.size_in_design())
        self.keys.setGeometry((self.width() - w) // 2, (self.height() - h) // 2, w, h)
        self.view.setGeometry(self.rect())
        self.view.lay_out(len(notices))

    def resizeEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Lay everything out again."""
        self._lay_out()

    def closeEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Say so while the window is whole, then let go."""
        self._timer.stop()
        if not self._closed:
            self._closed = True
            self.closing.emit()
        self.hide()
        for view in self._views.values():
            view.finish()
        event.accept()
