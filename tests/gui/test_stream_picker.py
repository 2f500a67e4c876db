"""The list of streams: it asks where several match, every word has its place, and the keyboard is enough."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QFontMetricsF

from bci_music.messages import StreamState
from bci_music.status import Command, StreamChoice, StreamStatus
from gui.bridge import Bridge
from gui.main_window import MainWindow

TEXT = "2 streams match: 'A' (EEG, ...); choose one with --stream \"source_id='...'\"."
STREAMS = (
    StreamChoice("u1", "EGI-128", "egi", "lab-left", 129, 1000.0, 7320.0, True),
    StreamChoice("u2", "Muse", "muse", "stage", 1, 0.0, 12.0, False),
)


@pytest.fixture
def window(qtbot, engine):
    engine.changes = {"stream": StreamStatus(text=TEXT), "streams": STREAMS, "quality": None}
    made = MainWindow(Bridge(engine), "test")
    made.resize(1280, 680)
    qtbot.addWidget(made)
    with qtbot.waitActive(made):
        made.show()
        made.activateWindow()
    return made


def tick(window, times=13):
    for _ in range(times):
        window.tick()


def looks(engine):
    return [c.value for c in engine.commands if c.name == "look"]


def test_two_streams_are_asked_for_and_enter_chooses(window, engine, qtbot):
    picker = window.pickers.streams.panel
    assert picker.isVisible()
    assert [picker.rows.item(n).text() for n in range(2)] == [
        "EGI-128\n129 channels  ·  1000 Hz  ·  on lab-left  ·  up for 2 h",
        "Muse\n1 channel  ·  no stated rate  ·  on stage  ·  seen for 12 s",
    ]
    assert looks(engine) == [1.0]
    qtbot.keyClick(picker.rows, Qt.Key.Key_Down)
    qtbot.keyClick(picker.rows, Qt.Key.Key_Return)
    assert engine.commands[-1] == Command("choose", text="u2")
    assert not picker.isVisible()
    tick(window)
    assert not picker.isVisible()  # asked once
    del engine.changes["stream"]
    tick(window, 26)
    assert looks(engine) == [1.0, 0.0]  # nobody looks any more


def test_no_word_is_cut(window):
    rows = window.pickers.streams.panel.rows
    metrics = QFontMetricsF(rows.font())
    assert window.rect().contains(window.pickers.streams.panel.geometry())
    for n in range(rows.count()):
        for line in rows.item(n).text().split("\n"):
            assert metrics.horizontalAdvance(line) < rows.visualItemRect(rows.item(n)).width() - 16
    assert "L" in window.view.traces.note
    assert "--stream" not in window.view.traces.note + window.bar.accessibleDescription()
    assert QFontMetricsF(window.font()).horizontalAdvance(window.view.traces.note) < window.view.traces.width()


def test_key_shows_the_list_while_a_stream_runs_and_escape_leaves_it_first(qtbot, engine, window):
    del engine.changes["stream"]
    qtbot.keyClick(window.pickers.streams.panel.rows, Qt.Key.Key_Escape)
    assert not window.pickers.streams.panel.isVisible()
    tick(window, 26)
    qtbot.keyClick(window, Qt.Key.Key_L)
    assert window.pickers.streams.panel.isVisible()
    qtbot.mouseClick(
        window.pickers.streams.panel.rows.viewport(), Qt.MouseButton.LeftButton,
        pos=window.pickers.streams.panel.rows.visualItemRect(window.pickers.streams.panel.rows.item(0)).center(),
    )  # fmt: skip
    assert engine.commands[-1] == Command("choose", text="u1")
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    assert not window.isVisible()


def test_list_follows_the_network(engine, window):
    engine.changes["streams"] = STREAMS[1:]
    tick(window)
    rows = window.pickers.streams.panel.rows
    assert [rows.item(n).data(Qt.ItemDataRole.UserRole) for n in range(rows.count())] == ["u2"]
    engine.changes["streams"] = ()
    tick(window)
    assert "No EEG stream can be seen yet" in window.pickers.streams.panel._title.text()
    engine.changes["streams"] = None
    tick(window)
    assert not window.pickers.streams.panel.isVisible()


def test_a_run_on_a_file_has_no_list(engine, window, qtbot):
    engine.changes = {"stream": StreamStatus(StreamState.LIVE)}
    tick(window)
    qtbot.keyClick(window, Qt.Key.Key_L)
    assert not window.pickers.streams.panel.isVisible()
