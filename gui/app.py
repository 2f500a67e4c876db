"""Open the window at once, and let the run go on in a thread of its own until both have ended."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bci_music.engine.ending import Ending
from bci_music.messages import Incomplete
from gui.bridge import Bridge, EngineView, Starting
from gui.screen import check_display

if TYPE_CHECKING:
    from gui.widgets.traces import FrameStats

ASK_MS = 50
PAINT_S = 1.0  # a window that is not shown by then (another desktop) is not waited for
T = TypeVar("T")
Picture = Callable[[], Path | None]


def application():
    """Return the one QApplication of this process; raises `UserError` where Qt would end the process."""
    from PySide6.QtWidgets import QApplication

    existing = QApplication.instance()
    if existing is not None:
        return existing
    let_go = check_display()
    app = QApplication(["bci-music"])
    let_go()
    return app


def nothing_to_save() -> Path | None:
    """No picture is wanted."""
    return None


class Standing:
    """The window from before anything is built until the run has ended; Qt has the main thread, the run another.

    Parameters
    ----------
    title : str
        What runs, shown beside the name.
    view : str
        Name of the view to show, "" for the one that fits.
    light : bool
        Whether it begins with bright colours.
    """

    def __init__(self, title: str = "", view: str = "", light: bool = False):
        from gui import theme
        from gui.main_window import MainWindow

        theme.use("light" if light else "dark")
        self.ending = Ending(patient=True)
        self._app = application()
        self._app.setFont(theme.font(14))
        self.starting = Starting()
        self._bridge = Bridge(self.starting)
        self.window = MainWindow(self._bridge, title, view)
        self._gone = threading.Event()  # the window was closed
        self._engine: EngineView | None = None
        self._connected = False
        self._over = False
        self._picture: Picture = nothing_to_save
        self._unsaved: Path | None = None

    def carry(self, work: Callable[[], T]) -> T:
        """Show the window, call `work` in a thread, and return when both have ended; main thread only.

        Closing the window, Ctrl-C or SIGTERM ask `work` to end; that it ends closes the window.

        Returns
        -------
        object
            What `work` returned; what it raised is raised here.
        """
        from PySide6.QtCore import QTimer

        found: list[T] = []
        wrong: list[BaseException] = []

        def run() -> None:
            try:
                found.append(work())
            except BaseException as error:  # SystemExit too: it is the main thread's to leave by
                wrong.append(error)
            finally:
                self._over = True

        thread = threading.Thread(target=run, name="bci-music-run", daemon=True)
        asking = QTimer(self.window)
        asking.timeout.connect(self._ask)
        self.window.closing.connect(self._leave)
        with self.ending:
            self.window.show()
            self._paint()
            thread.start()
            self.window.start()
            asking.start(ASK_MS)
            self._app.exec()
            asking.stop()
            self.window.deleteLater()
            self._app.processEvents()
            while thread.is_alive():
                thread.join(0.1)  # a signal is heard in between
        if wrong:
            raise wrong[0]
        return found[0]

    def show(
        self, engine: EngineView, over: Callable[[], bool], seconds: float | None = None,
        picture: Picture = nothing_to_save,
    ) -> None:
        """Show a started engine until the window is closed: called by the work, in its thread.

        Parameters
        ----------
        engine
            Stopped by the caller.
        over
            Asked ten times a second: the window closes once it says so, or raises.
        seconds
            Close by itself after this time; None waits for the operator.
        picture
            Says just before the window closes where to write a picture of it (.png), None for none.

        Raises
        ------
        Incomplete
            The picture could not be written.
        """
        self._engine, self._picture = engine, picture
        until = float("inf") if seconds is None else time.monotonic() + seconds
        try:
            while not self._gone.wait(0.1) and not over() and time.monotonic() < until:
                pass
        finally:
            self._over = True
            self._gone.wait()
        if self._unsaved is not None:
            raise Incomplete(f"The picture could not be written to {self._unsaved}: give a path that ends in .png.")

    def _paint(self) -> None:
        """Have the window on the screen before anything else needs the processor."""
        until = time.monotonic() + PAINT_S
        while True:
            self._app.processEvents()
            handle = self.window.windowHandle()
            if (handle is not None and handle.isExposed()) or time.monotonic() > until:
                break
            time.sleep(0.002)
        self.window.repaint()
        self._app.processEvents()

    def _ask(self) -> None:
        """See what the run and its operator want (20 times a second)."""
        if self._engine is not None and not self._connected:
            self._connected = True
            self._bridge.connect(self._engine)
        if self._over or self.ending.asked.is_set():
            self.window.close()

    def _leave(self) -> None:
        """Take the picture while the window is whole, then let the run end."""
        path = self._picture() if self._connected else None
        if path is not None:
            with suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))  # it may show somebody's EEG
            if not self.window.grab().save(str(path)):
                self._unsaved = path
        self.ending.leave()
        self._gone.set()
        self._app.quit()


def measure_frames(engine: EngineView, seconds: float) -> FrameStats:
    """Show the window on a started engine for `seconds` and return what the signals cost per frame."""
    from PySide6.QtCore import QTimer

    from gui import theme
    from gui.main_window import MainWindow
    from gui.views.signals import SignalView

    app = application()
    app.setFont(theme.font(14))
    window = MainWindow(Bridge(engine), "bench")
    assert isinstance(window.view, SignalView)
    frame_times = window.view.traces.frame_times
    QTimer.singleShot(round(1000 * seconds), window.close)
    window.show()
    window.start()
    app.exec()
    stats = frame_times.stats()
    window.deleteLater()
    app.processEvents()
    return stats
