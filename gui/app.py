"""Open the window on an engine and wait until it closes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bci_music.messages import UserError
from gui.bridge import EngineView
from gui.display import check_display
from gui.frame_times import FrameStats


def run(
    engine: EngineView, *, title: str = "", screenshot: str | Path | None = None, seconds: float | None = None
) -> int:
    """Show the window on a started engine until it is closed; closing stops the engine.

    Parameters
    ----------
    engine
        Started by the caller.
    title
        What runs, shown beside the name.
    screenshot
        Where to write a picture of the window just before it closes (.png).
    seconds
        Close by itself after this time; None waits for the operator.

    Returns
    -------
    int
        Exit code of the event loop.
    """
    try:
        return _show(engine, title, Path(screenshot) if screenshot is not None else None, seconds)
    finally:
        engine.stop()


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

    app = application()
    app.setFont(theme.font(14))
    window = MainWindow(Bridge(engine), "bench")
    QTimer.singleShot(round(1000 * seconds), window.close)
    window.show()
    window.start()
    app.exec()
    stats = window.frame_stats()
    window.deleteLater()
    app.processEvents()
    return stats


def _show(engine: EngineView, title: str, screenshot: Path | None, seconds: float | None) -> int:
    from PySide6.QtCore import QTimer

    from gui import theme
    from gui.bridge import Bridge
    from gui.main_window import MainWindow

    app = application()
    app.setFont(theme.font(14))
    window = MainWindow(Bridge(engine), title)
    saved: list[bool] = []

    def take_picture() -> None:
        if screenshot is not None:
            screenshot.parent.mkdir(parents=True, exist_ok=True)
            saved.append(window.grab().save(str(screenshot)))

    window.closing.connect(take_picture)
    window.closing.connect(app.quit)
    if seconds is not None:
        QTimer.singleShot(round(1000 * seconds), window.close)
    window.show()
    window.start()
    with _closing_on_interrupt(window):
        code = app.exec()
    window.deleteLater()
    app.processEvents()
    if saved == [False]:
        raise UserError(f"The picture could not be written to {screenshot}: give a path that ends in .png.")
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
