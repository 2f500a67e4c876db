"""Words for the music: typed, sent, shown, and refused with a reason."""

import dataclasses
from itertools import pairwise

import pytest
from PySide6.QtCore import Qt

from bci_music.status import Command, FallbackSteps, PromptStatus
from gui.bridge import Bridge
from gui.main_window import MainWindow
from gui.readings import late_words, now_playing


@pytest.fixture
def window(engine, qtbot):
    def change(**prompt):
        sound = dataclasses.replace(engine._snapshot().sound, prompt=PromptStatus(**prompt))
        engine.changes = {"sound": sound}
        made._show_words(made._bridge.refresh())

    made = MainWindow(Bridge(engine), "test")
    made.change = change
    qtbot.addWidget(made)
    made.show()
    qtbot.waitExposed(made)
    yield made
    made.close()


def test_words_and_their_share_are_sent(window, engine, qtbot):
    window.change(text="", heard="", weight=0.0)
    line, share = window.view.playing.prompt, window.view.playing.share
    assert line.isEnabled()
    qtbot.mouseClick(line, Qt.MouseButton.LeftButton)
    qtbot.keyClicks(line, "slow piano")
    assert engine.commands == []  # neither while typing, nor does the space mute
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert engine.commands == [Command("prompt", text="slow piano")]
    qtbot.mousePress(share, Qt.MouseButton.LeftButton, pos=share.rect().center())
    qtbot.mouseRelease(share, Qt.MouseButton.LeftButton, pos=share.rect().center())
    assert engine.commands[-1].name == "prompt_weight"
    assert engine.commands[-1].value == pytest.approx(0.5, abs=0.05)


def test_what_steers_is_shown_and_nothing_is_sent_by_showing(window, engine):
    window.change(text="slow piano", heard="slow piano", weight=0.3)
    assert window.view.playing.prompt.text() == "slow piano"
    assert window.view.playing.share.amount == pytest.approx(0.3)
    assert "brain 70 % + prompt 30 %" in window.view.playing.prompt.toolTip()
    assert "brain 70 % + prompt 30 %" in window.view.playing.share.toolTip()
    window.change(text="fast drums", heard="slow piano", weight=0.3)
    assert "being understood" in window.view.playing.prompt.toolTip()
    assert engine.commands == []


def test_without_a_text_tower_the_reason_is_reported(window, qtbot, engine):
    window.change(unavailable="pack demo has no text tower")
    for control in (window.view.playing.prompt, window.view.playing.share):
        assert control.isVisible()
        assert not control.isEnabled()
        assert control.toolTip() == "pack demo has no text tower"
    qtbot.keyClicks(window.view.playing.prompt, "x")
    assert engine.commands == []


def test_escape_leaves_the_line_and_not_the_program(window, engine, qtbot):
    window.change(text="old", heard="old", weight=0.5)
    line = window.view.playing.prompt
    qtbot.mouseClick(line, Qt.MouseButton.LeftButton)
    qtbot.keyClicks(line, " and new")
    qtbot.keyClick(line, Qt.Key.Key_Escape)
    assert line.text() == "old"
    assert window.isVisible()
    assert engine.stops == 0


def test_the_rows_of_the_panel_do_not_touch(window):
    playing = window.view.playing
    rows = [playing.meters, playing.prompt, playing.stop]
    edges = [(row.geometry().top(), row.geometry().bottom()) for row in rows]
    assert all(above[1] < below[0] for above, below in pairwise(edges))
    assert not playing.prompt.geometry().intersects(playing.share.geometry())
    assert edges[-1][1] < playing.height() - 18  # the counters stand below


def test_span_and_lateness_in_words(engine):
    snapshot = engine.snapshot()
    span = dataclasses.replace(snapshot.playing, kind="generated", prompt_weight=0.3)
    sentence = now_playing(dataclasses.replace(snapshot, playing=span))
    assert "brain 70 % + prompt 30 %" in sentence.first
    late = dataclasses.replace(span, kind="looped", late="loop")
    assert "last bar is looped" in now_playing(dataclasses.replace(snapshot, playing=late)).second
    library = dataclasses.replace(span, kind="retrieved", late="library")
    assert "late: from the library" in now_playing(dataclasses.replace(snapshot, playing=library)).second
    assert late_words(FallbackSteps()) == "0"
    assert late_words(FallbackSteps(hold=2, loop=1)) == "3 (2 held, 1 looped)"


def test_the_way_is_switched_by_button_and_key_where_there_are_two(window, engine, qtbot):
    playing = window.view.playing
    window.change()
    assert not playing.way.isVisible()
    two = {"way": "echoes", "ways": ("style", "echoes"), "lag_s": 6.2}
    engine.changes = {"sound": dataclasses.replace(engine._snapshot().sound, **two)}
    window._show_words(window._bridge.refresh())
    assert (playing.way.isVisible(), playing.way.text()) == (True, "Way B")
    assert "6.2 s behind the EEG" in playing.way.toolTip()
    assert not playing.way.geometry().intersects(playing.volume.geometry())
    qtbot.keyClick(window, Qt.Key.Key_E)
    assert engine.commands[-1] == Command("way", text="style")
    qtbot.mouseClick(playing.way, Qt.MouseButton.LeftButton)
    assert engine.commands[-2:] == [Command("way", text="style")] * 2
