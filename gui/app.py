"""Open the window on an engine and wait until it closes; asks first whether a window can open here."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bci_music.files import shown
from bci_music.messages import Incomplete, UserError
from gui.bridge import EngineView

if TYPE_CHECKING:
    from gui.widgets.traces import FrameStats

WITHOUT_SCREEN = ("offscreen", "minimal", "vnc", "eglfs", "linuxfb")
ASK_MS = 100
OR = "or run with --headless"
PROBE_S = 30.0


def run(
    engine: EngineView, *, title: str = "", screenshot: str | Path | Callable[[], Path | None] | None = None,
    seconds: float | None = None, over: Callable[[], bool] | None = None,
) -> int:
    """Show the window on a started engine until it is closed; closing stops the engine.

    Parameters
    ----------
    engine
        Started by the caller.
    title
        What runs, shown beside the name.
    screenshot
        Where to write a picture of the window just before it closes (.png), or what says so then; None for none.
    seconds
        Close by itself after this time; None waits for the operator.
    over
        Asked ten times a second: close once it says so, or raises, which is raised again when the window is gone.
        Without it Ctrl-C closes the window.

    Returns
    -------
    int
        Exit code of the event loop.
    """
    try:
        return _show(engine, title, screenshot, seconds, over)
    finally:
        engine.stop(wait=False)


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


def measure_frames(engine: EngineView, seconds: float) -> FrameStats:
    """Show the window on a started engine for `seconds` and return what the signals cost per frame."""
    from PySide6.QtCore import QTimer

    from gui import theme
    from gui.bridge import Bridge
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


def _show(
    engine: EngineView, title: str, screenshot: str | Path | Callable[[], Path | None] | None, seconds: float | None,
    over: Callable[[], bool] | None,
) -> int:
    from PySide6.QtCore import QTimer

    from gui import theme
    from gui.bridge import Bridge
    from gui.main_window import MainWindow

    app = application()
    app.setFont(theme.font(14))
    window = MainWindow(Bridge(engine), title)
    unsaved: list[Path] = []
    wrong: list[Exception] = []

    def take_picture() -> None:
        path = screenshot() if callable(screenshot) else screenshot
        if path is not None:
            path = Path(path)
            with suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))  # it may show somebody's EEG
            if not window.grab().save(str(path)):
                unsaved.append(path)

    def ask() -> None:
        try:
            if over is not None and over():
                window.close()
        except Exception as error:
            asking.stop()
            wrong.append(error)
            window.close()

    window.closing.connect(take_picture)
    window.closing.connect(app.quit)
    if seconds is not None:
        QTimer.singleShot(round(1000 * seconds), window.close)
    asking = QTimer(window)
    asking.timeout.connect(ask)
    window.show()
    window.start()
    asking.start(ASK_MS)
    with _closing_on_interrupt(window) if over is None else nullcontext():
        code = app.exec()
    asking.stop()
    window.deleteLater()
    app.processEvents()
    if wrong:
        raise wrong[0]
    if unsaved:
        raise Incomplete(f"The picture could not be written to {unsaved[0]}: give a path that ends in .png.")
    return code


@contextmanager
def _closing_on_interrupt(window) -> Iterator[None]:
    """Ctrl-C in the terminal closes the window; the frame timer lets Python see the signal."""
    try:
        before = signal.signal(signal.SIGINT, lambda *_: window.close())
    except ValueError:  # not the main thread of the interpreter: Ctrl-C belongs to somebody else
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def check_display(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Callable[[], None]:
    """Raise `UserError` if no window can open: asked before Qt, which ends the process when it cannot.

    Linux only, other systems always have a screen.

    Returns
    -------
    callable
        Call it once Qt is connected: an X server may start again when its only client, our probe, leaves.
    """
    chosen = environment.get("QT_QPA_PLATFORM", "").split(":")[0]
    if not platform.startswith("linux") or chosen in WITHOUT_SCREEN:
        return _nothing
    screen, wayland = environment.get("DISPLAY", ""), environment.get("WAYLAND_DISPLAY", "")
    if not screen and not wayland:
        raise UserError(f"There is no screen (neither DISPLAY nor WAYLAND_DISPLAY is set): log in to a desktop {OR}.")
    if wayland and chosen != "xcb":
        return _nothing
    if not _loads("libxcb-cursor.so.0"):
        raise UserError(f"Qt needs the library libxcb-cursor: install it (apt install libxcb-cursor0) {OR}.")
    return _connect(screen)


def why_no_window() -> str:
    """Say in a sentence why no window can open here, "" where one can.

    Qt ends the process it cannot start in, so on Linux it is started in another one first.
    """
    try:
        check_display()()
    except UserError as error:
        return str(error)
    if not sys.platform.startswith("linux"):
        return ""
    code = "from PySide6.QtWidgets import QApplication; import pyqtgraph; QApplication(['probe'])"
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PROBE_S)
    except subprocess.TimeoutExpired:
        return f"Qt did not start within {PROBE_S:.0f} s: check the screen {OR}."
    lines = done.stderr.strip().splitlines()
    reason = shown(lines[-1]) if lines else f"code {done.returncode}"
    return "" if done.returncode == 0 else f"Qt cannot start ({reason}): `make system` installs what it needs {OR}."


def _nothing() -> None:
    """Let go of nothing."""


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _connect(screen: str) -> Callable[[], None]:
    """Connect to an X server as Qt will; returns what ends the connection."""
    if not _loads("libxcb.so.1"):
        raise UserError(f"Qt needs the library libxcb: install it (apt install libxcb1) {OR}.")
    xcb = ctypes.CDLL("libxcb.so.1")
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connection_has_error.argtypes = xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    connection = xcb.xcb_connect(screen.encode(), None)
    if xcb.xcb_connection_has_error(connection):
        xcb.xcb_disconnect(connection)
        raise UserError(f"The screen {screen!r} does not answer: check DISPLAY {OR}.")
    return lambda: xcb.xcb_disconnect(connection)
