"""The Calibrate view: from the name of the listener to the listener's pack, by keys and by buttons."""

import json

import pytest
from PySide6.QtCore import Qt

from bci_music.status import CalibrationStatus, Command, GateLook
from gui.bridge import Bridge
from gui.main_window import MainWindow
from gui.views.calibrate import Calibrate
from gui.views.perform import Perform

KEY = Qt.Key
LIVE, OWN = ("open", "pack", "calibrate"), ("pack", "calibrate", "back")
LOOKS = (GateLook(60.0, 0.03, 0.05, False), GateLook(120.0, 0.07, 0.04, True))
SENTENCE = "your recording carries the sound: r .07, p = .005, above its control since 2:00"


@pytest.fixture
def calibrate(qtbot, engine):
    """A window that begins with the Calibrate view, on a headset that is decoded."""
    engine.changes = {"others": LIVE}
    window = MainWindow(Bridge(engine), "test", "calibrate")
    qtbot.addWidget(window)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    go_on(window, engine)
    return window


def go_on(window, engine, *, others=OWN, **status):
    if status:
        engine.changes = {"others": others, "calibration": CalibrationStatus(**status)}
    for _ in range(13):
        engine.advance(1 / 60)
        window.tick()


def test_it_begins_with_a_name_and_a_consent(calibrate, engine, qtbot):
    lines = calibrate.view.guide.lines
    for name, words in (("listener", "Anna B."), ("consent", "FORM 7")):
        before = len(engine.commands)
        qtbot.keyClick(calibrate, KEY.Key_Return)
        assert len(engine.commands) == before
        assert lines[name].hasFocus()
        qtbot.keyClicks(lines[name], words)
        lines[name].clearFocus()
    qtbot.mouseClick(calibrate.view.guide.go, Qt.MouseButton.LeftButton)
    assert engine.commands[-1].name == "calibrate"
    assert json.loads(engine.commands[-1].text) == {"listener": "Anna B.", "consent": "FORM 7", "songs": ""}


def test_a_run_without_a_listener_says_so(calibrate, engine, qtbot):
    engine.changes = {"others": ("open",)}
    go_on(calibrate, engine)
    guide = calibrate.view.guide
    assert "while their EEG comes live" in guide.accessibleDescription()
    assert not guide.go.isEnabled()
    qtbot.keyClick(calibrate, KEY.Key_Return)
    qtbot.keyClick(calibrate, KEY.Key_Backspace)
    assert engine.commands == []


@pytest.mark.parametrize(("status", "word", "command"), [
    ({"step": "electrodes"}, "Start", None),
    ({"step": "electrodes", "waits": True}, "Start", Command("start")),
    ({"step": "songs"}, "End for now", Command("stop")),
    ({"step": "fit"}, "Fitting", None),
    ({"step": "done", "out": "packs/anna"}, "Play with it", Command("pack", text="packs/anna")),
    ({"step": "ended", "doing": "No EEG.", "again": "{}"}, "Go on", Command("calibrate", text="{}")),
])  # fmt: skip
def test_one_button_goes_on_at_every_step(calibrate, engine, qtbot, status, word, command):
    go_on(calibrate, engine, **status)
    guide = calibrate.view.guide
    assert (guide.go.text(), guide.go.isEnabled()) == (word, command is not None)
    qtbot.keyClick(calibrate, KEY.Key_Return)
    assert engine.commands == ([command] if command else [])
    qtbot.mouseClick(guide.leave, Qt.MouseButton.LeftButton)
    assert engine.commands[-1] == Command("back")


def test_it_shows_itself_while_a_listener_is_calibrated(calibrate, engine, qtbot):
    qtbot.keyClick(calibrate, KEY.Key_F1)
    assert isinstance(calibrate.view, Perform)
    qtbot.keyClick(calibrate, KEY.Key_F1)
    go_on(calibrate, engine, step="songs", title="Night Bus", position_s=7.0, length_s=12.0, heard=3, wanted=28,
          left_s=400.0, gate=SENTENCE, looks=LOOKS, lines=("2 of 28 heard: Low Tide",))  # fmt: skip
    view = calibrate.view
    assert isinstance(view, Calibrate)
    assert view.heard.accessibleDescription() == "Night Bus; 3 of 28 heard, 6:40 left"
    assert view.gate.accessibleDescription() == f"yes, as it looks; {SENTENCE}"
    assert view.messages.accessibleDescription() == "2 of 28 heard: Low Tide"
    go_on(calibrate, engine, step="songs", gate="not shown", looks=LOOKS[:1])
    assert view.gate.accessibleDescription() == "not yet; not shown"
    go_on(calibrate, engine, step="done", results=("7.3 minutes", "better"), looks=LOOKS, gate=SENTENCE,
          compared=(("time held out", (0.6, 0.5, 0.7), (0.8, 0.72, 0.88)),))  # fmt: skip
    assert view.messages.accessibleDescription() == "7.3 minutes; better"
    assert view.messages.title == "Before and after"
