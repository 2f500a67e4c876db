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
CHANGING = "ending the run before"
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


def nothing_follows() -> bool:
    """The window ends with what it shows."""
    return False


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
        self.title = title  # of what is shown
        self._wanted: tuple[EngineView, Picture] = (self.starting, nothing_to_save)
        self._shown: tuple[EngineView, Picture] = self._wanted  # by the window
        self._over = False
        self._let_go = threading.Event()  # the window shows no engine any more
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
        picture: Picture = nothing_to_save, goes_on: Callable[[], bool] = nothing_follows,
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
            Says just before the window leaves the engine where to write a picture of it (.png), None for none.
        goes_on
            Asked when it is over: whether something else will be shown, so that the window stays.

        Raises
        ------
        Incomplete
            The picture could not be written.
        """
        self._wanted = engine, picture
        until = float("inf") if seconds is None else time.monotonic() + seconds
        stays = False
        try:
            while not self._gone.wait(0.1) and not over() and time.monotonic() < until:
                pass
            stays = goes_on() and not self._gone.is_set()
        finally:
            if stays:
                self._hand_back()
            else:
                self._over = True
                self._gone.wait()
        if self._unsaved is not None:
            raise Incomplete(f"The picture could not be written to {self._unsaved}: give a path that ends in .png.")

    def watch(self, engine: EngineView) -> None:
        """Show this from now on, and return at once."""
        self._wanted = engine, nothing_to_save

    def _hand_back(self) -> None:
        """Show steps again, and return once the window has let go of the engine."""
        self.ending.building()
        self.starting = Starting(CHANGING)
        self._let_go.clear()
        self._wanted = self.starting, nothing_to_save
        while not self._let_go.wait(0.1) and not self._gone.is_set():
            pass

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
        wanted = self._wanted
        if wanted is not self._shown:
            self._save_picture()
            self._shown = wanted
            self._bridge.connect(wanted[0])
            self._let_go.set()
        self.window.rename(self.title)
        if self._over or self.ending.asked.is_set():
            self.window.close()

    def _leave(self) -> None:
        """Take the picture while the window is whole, then let the run end."""
        self._save_picture()
        self.ending.leave()
        self._gone.set()
        self._app.quit()

    def _save_picture(self) -> None:
        """Write what the window shows where the run that it shows wants it."""
        path = self._shown[1]()
        if path is None:
            return
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))  # it may show somebody's EEG
        if not self.window.grab().save(str(path)):
            self._unsaved = path


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
