"""The window measured while a real engine runs behind it."""

from __future__ import annotations

from gui.bridge import EngineView
from gui.frame_times import FrameStats


def measure_window(engine: EngineView, seconds: float) -> FrameStats:
    """Show the window on a started engine for `seconds` and return what the signals cost per frame."""
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    from gui import theme
    from gui.bridge import Bridge
    from gui.display import check_display
    from gui.main_window import MainWindow

    check_display()
    app = QApplication.instance() or QApplication(["bci-music"])
    assert isinstance(app, QApplication)
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
