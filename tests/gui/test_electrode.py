"""One electrode in words: the worst is one key away, a click shows its numbers."""

import pytest
from PySide6.QtCore import QPoint, Qt

from bci_music.eeg.quality import QualityConfig, QualityMonitor
from bci_music.status import SoundStatus
from gui.bridge import Bridge
from gui.main_window import MainWindow

WATCHING = {"pack_name": "", "sound": SoundStatus(), "embedding": None, "playing": None, "timeline": ()}


@pytest.fixture
def window(qtbot, engine):
    engine.changes = dict(WATCHING)
    monitor = QualityMonitor(QualityConfig(), engine.montage.names, engine.sfreq_hz)
    engine.advance(6.0)
    rows = engine.ring.read(engine.ring.head - 6000)
    rows.samples[:, 50] = 7.0
    engine.changes["quality"] = monitor.process(rows.samples, rows.times, rows.flags, 0)[-1]
    made = MainWindow(Bridge(engine), "test")
    qtbot.addWidget(made)
    with qtbot.waitActive(made):
        made.show()
        made.activateWindow()
    made.tick()
    return made


def test_the_worst_is_one_key_away_and_the_next_another(qtbot, window):
    panel = window.view.electrode
    seen = []
    for _ in range(2):
        qtbot.keyClick(window, Qt.Key.Key_W)
        seen.append(panel.shown.name)
    assert seen == ["E37", "E51"]
    assert "flat line: electrode or cable is disconnected" in panel.accessibleDescription()
    qtbot.keyClick(window, Qt.Key.Key_Right)
    assert panel.shown.name == "E52"
    assert "1000.0 Hz" in panel.accessibleDescription()


def test_a_click_shows_an_electrode(qtbot, window):
    quality = window.view.quality
    quality.grab()
    place = quality._scalp.at(*quality._positions[10]) * quality.scale
    qtbot.mouseClick(quality, Qt.MouseButton.LeftButton, pos=QPoint(round(place.x()), round(place.y())))
    assert window.view.electrode.shown.name == "E11"
    assert "E11 good" in window.view.electrode.accessibleDescription()
