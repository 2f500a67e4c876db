"""The Study view by keys and buttons: what lies on disk, two compared, the replay moved, a recording, sham."""

import pytest
from PySide6.QtCore import QPoint, Qt

from bci_music.status import Command, ReplayStatus, ShamStatus, Shelf, Shelved, TimelineSpan
from gui.bridge import Bridge
from gui.main_window import MainWindow
from gui.views.perform import Perform
from gui.views.registry import view_classes
from gui.views.study import Study
from gui.widgets.study.details import compared

KEY = Qt.Key
ENTRIES = (
    Shelved("/d/evening", "evening", "session", "whole", "2026-11-28 19:30:12", (("consent", "FORM-12"),)),
    Shelved("/d/show", "show", "run", "report", "2026-11-28 19:40:00", (("sham", "none"), ("windows", "38"))),
    Shelved("/d/sham", "sham", "run", "report", "2026-11-27 19:40:00", (("sham", "once"), ("windows", "38")), ("x",)),
)
REPLAY = ReplayStatus(90.0, 150.0, 1.0, 1, (TimelineSpan("heard", 0.0, 60.0, "Night Bus"),), ((12.0, "eyes closed"),))


@pytest.fixture
def study(qtbot, engine):
    """A window that begins with the Study view."""
    engine.changes = {"shelf": Shelf(ENTRIES, "/d"), "replay": REPLAY}
    window = MainWindow(Bridge(engine), "test", "study")
    qtbot.addWidget(window)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    go_on(window, engine)
    return window


def go_on(window, engine, frames=13):
    for _ in range(frames):
        engine.advance(1 / 60)
        window.tick()


def press(qtbot, widget):
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)


def test_the_list_is_asked_for_while_it_is_looked_at(study, engine, qtbot):
    assert isinstance(study.view, Study)
    assert engine.commands == [Command("shelf", 1.0)]
    qtbot.keyClick(study, KEY.Key_F1)
    assert isinstance(study.view, Perform)
    assert engine.commands[-1] == Command("shelf", 0.0)


def test_one_is_shown_and_two_are_compared(study, engine, qtbot):
    view = study.view
    assert view.details.accessibleDescription().startswith("evening; state whole; started 2026")
    qtbot.keyClick(view.shelf.rows, KEY.Key_Down)
    qtbot.keyClick(view.shelf.rows, KEY.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    assert [e.name for e in view.shelf.chosen] == ["show", "sham"]
    assert "sham none against once; windows 38 against 38; x" in view.details.accessibleDescription()
    assert [row for row in compared(ENTRIES[1:]) if row[2]] == [
        ("started", ("2026-11-28 19:40:00", "2026-11-27 19:40:00"), True), ("sham", ("none", "once"), True),
    ]
    engine.changes["shelf"] = Shelf(ENTRIES[1:], "/d")
    go_on(study, engine)
    assert [e.name for e in view.shelf.chosen] == ["show", "sham"]


@pytest.mark.parametrize(("key", "modifier", "command"), [
    (KEY.Key_Space, None, Command("speed", 0.0)),
    (KEY.Key_Left, None, Command("seek", 80.0)),
    (KEY.Key_Right, Qt.KeyboardModifier.ShiftModifier, Command("seek", 150.0)),
    (KEY.Key_Left, Qt.KeyboardModifier.ShiftModifier, Command("seek", 30.0)),
    (KEY.Key_Right, None, Command("seek", 100.0)),
    (KEY.Key_Home, None, Command("seek", 0.0)),
    (KEY.Key_Period, None, Command("speed", 2.0)),
    (KEY.Key_Comma, None, Command("speed", 0.5)),
    (KEY.Key_S, None, Command("sham", text="sham")),
    (KEY.Key_D, None, Command("sham", text="blind")),
    (KEY.Key_B, None, Command("sham", text="off")),
])  # fmt: skip
def test_keys(study, engine, qtbot, key, modifier, command):
    qtbot.keyClick(study, key, modifier or Qt.KeyboardModifier.NoModifier)
    assert engine.commands[-1] == command


def test_every_button(study, engine, qtbot):
    view = study.view
    sent = {
        view.replay.hold: Command("speed", 0.0), view.replay.back: Command("seek", 80.0),
        view.replay.on: Command("seek", 100.0), view.replay.faster: Command("speed", 2.0),
        view.replay.slower: Command("speed", 1.0), view.trial.modes["sham"]: Command("sham", text="sham"),
        view.trial.modes["blind"]: Command("sham", text="blind"), view.trial.modes["off"]: Command("sham", text="off"),
        view.trial.formats["bids"]: Command("export", text="bids /d/evening"),
        view.trial.formats["edf"]: Command("export", text="edf /d/evening"),
        view.trial.formats["fif"]: Command("export", text="fif /d/evening"),
    }  # fmt: skip
    assert set(sent) == {*view.replay.buttons, *view.trial.controls} - {view.trial.record}
    for button, command in sent.items():
        press(qtbot, button)
        assert engine.commands[-1] == command
    bar = view.replay
    qtbot.mouseClick(bar, Qt.MouseButton.LeftButton, pos=QPoint(bar.width() // 2, 80))
    assert engine.commands[-1].value == pytest.approx(75, abs=0.2)


def test_a_session_of_the_list_is_replayed_by_one_action(study, engine, qtbot):
    view, wanted = study.view, Command("open", text="/d/evening")
    qtbot.keyClick(study, "O")
    assert wanted not in engine.commands  # whoever shows this run can show no other
    engine.changes["others"] = ("open", "back")
    go_on(study, engine)
    for action in (
        lambda: qtbot.keyClick(study, "O"), lambda: press(qtbot, view.replay.open),
        lambda: qtbot.keyClick(view.shelf.rows, KEY.Key_Return),
    ):
        action()
        assert engine.commands.pop() == wanted
    qtbot.keyClick(view.shelf.rows, KEY.Key_Down)
    go_on(study, engine)
    assert not view.replay.open.isEnabled()  # the report of a run has no EEG
    qtbot.keyClick(view.shelf.rows, KEY.Key_Return)
    assert engine.commands[-1].name == "shelf"
    qtbot.keyClick(study, KEY.Key_Backspace)
    assert engine.commands.pop() == Command("back")
    press(qtbot, view.replay.leave)
    assert engine.commands.pop() == Command("back")


def test_a_click_beside_the_songs_goes_nowhere(study, engine, qtbot):
    bar = study.view.replay
    before = len(engine.commands)
    qtbot.mouseClick(bar, Qt.MouseButton.LeftButton, pos=QPoint(bar.width() // 2, bar.height() - 10))
    assert len(engine.commands) == before


def test_recording_needs_a_consent_and_ends(study, engine, qtbot):
    trial = study.view.trial
    assert not trial.record.isEnabled()  # a replay
    engine.changes["replay"] = None
    go_on(study, engine)
    before = len(engine.commands)
    qtbot.keyClick(study, KEY.Key_R)
    assert len(engine.commands) == before
    assert trial.consent.hasFocus()
    qtbot.keyClicks(trial.consent, "FORM 9")
    qtbot.keyClick(trial.consent, KEY.Key_Return)
    assert engine.commands[-1] == Command("record", text="FORM 9")
    engine.changes["recording"] = "recording, consent FORM 9"
    go_on(study, engine)
    assert trial.record.text() == "End"
    press(qtbot, trial.record)
    assert engine.commands[-1] == Command("record", text="")


def test_a_held_replay_goes_on_at_its_speed(study, engine, qtbot):
    qtbot.keyClick(study, KEY.Key_Period)
    engine.changes["replay"] = ReplayStatus(90.0, 150.0, 0.0)
    go_on(study, engine)
    assert study.view.replay.hold.text() == "Go on"
    assert study.view.replay.accessibleDescription() == "1:30 of 2:30, held"
    qtbot.keyClick(study, KEY.Key_Space)
    assert engine.commands[-1] == Command("speed", 2.0)


def test_a_blind_trial_is_said_and_its_answer_is_not(study, engine):
    engine.changes["sham"] = ShamStatus("blind", True, "0123456789abcdef")
    go_on(study, engine)
    trial = study.view.trial
    assert [mode for mode, button in trial.modes.items() if button.isChecked()] == ["blind"]
    assert "BLIND: brain or sham, sealed as 0123456789ab" in trial.accessibleDescription()


@pytest.mark.parametrize(("mode", "word", "asked"), [("off", "Sham off", "sham"), ("sham", "Sham on", "off"),
                                                     ("blind", "Reveal", "off")])  # fmt: skip
def test_sham_is_one_button_beside_the_verdict(study, engine, qtbot, mode, word, asked):
    engine.changes["sham"] = ShamStatus(mode, True, "0123456789abcdef")
    qtbot.keyClick(study, KEY.Key_F1)
    go_on(study, engine)
    button = study.view.chance.sham
    assert button.text() == word
    press(qtbot, button)
    assert engine.commands[-1] == Command("sham", text=asked)


def test_another_place_has_signals_of_its_own(study, engine, qtbot):
    qtbot.keyClick(study, KEY.Key_F1)
    go_on(study, engine)
    given = engine.given
    engine.changes["replay"] = ReplayStatus(10.0, 150.0, 1.0, 2)
    go_on(study, engine)
    assert engine.given == given + 1


def test_the_sheet_names_every_key(study, qtbot, engine):
    kinds = sorted(view_classes(), key=lambda kind: kind.key)
    for kind, key in zip(kinds, (KEY.Key_F1, KEY.Key_F2, KEY.Key_F3, KEY.Key_F4), strict=True):
        if type(study.view) is not kind:
            qtbot.keyClick(study, key)
        assert type(study.view) is kind
        named = {name for keys, _ in kind.help for name in keys.split()}
        assert named == set(study.view.keys())
        qtbot.keyClick(study, "?")
        assert study.keys.isVisible()
        assert all(words in study.keys.accessibleDescription() for _, words in kind.help)
        qtbot.keyClick(study, KEY.Key_Escape)
        assert not study.keys.isVisible()
        assert study.isVisible()


def test_a_name_in_the_bar_shows_its_view(study, engine, qtbot):
    study.bar.grab()  # drawn once, so that it knows where they stand
    for name, box in list(study.bar._tabs.items()):
        point = (box.center() * study.bar.scale).toPoint()
        qtbot.mouseClick(study.bar, Qt.MouseButton.LeftButton, pos=point)
        assert study.view.name == name
    assert list(study.bar._tabs) == ["Perform", "Monitor", "Study", "Calibrate"]
