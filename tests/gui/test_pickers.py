"""Sound devices and packs are chosen from lists of the same kind as streams, by keys and by a click on their names."""

import dataclasses

import pytest
from PySide6.QtCore import Qt

from bci_music.status import Choice, Command, Shelf
from gui.bridge import Bridge
from gui.main_window import MainWindow

DEVICES = (Choice("0:USB", "USB", "number 0  ·  ALSA  ·  2 channels  ·  48000 Hz", True),
           Choice("none", "No device", "the sound runs on a clock, and is heard by nobody"))  # fmt: skip
PACKS = (Choice("/p/demo", "demo 0.1.0", "simulated EEG  ·  14 songs in 28 clips, makes music", True),
         Choice("/p/anna", "demo-anna 0.1.0", "real EEG  ·  14 songs in 28 clips"))  # fmt: skip
KINDS = {"devices": ("A", "device", DEVICES, "none"), "packs": ("P", "pack", PACKS, "/p/anna")}


@pytest.fixture
def window(qtbot, engine):
    made = MainWindow(Bridge(engine), "test")
    engine.changes = {"others": ("open", "pack"), "shelf": Shelf(packs=PACKS),
                      "sound": dataclasses.replace(engine.snapshot().sound, devices=DEVICES, device="USB")}  # fmt: skip
    made.resize(1280, 720)
    qtbot.addWidget(made)
    with qtbot.waitActive(made):
        made.show()
        made.activateWindow()
    tick(made)
    return made


def tick(window, times=13):
    for _ in range(times):
        window.tick()


@pytest.mark.parametrize("kind", KINDS)
def test_what_runs_is_marked_and_enter_chooses_another(window, engine, qtbot, kind):
    key, command, choices, other = KINDS[kind]
    qtbot.keyClick(window, key)
    panel = getattr(window.pickers, kind).panel
    assert panel.isVisible()
    assert engine.commands[-1] == Command(f"look_{kind}", 1.0)
    assert panel.rows.currentItem().text() == f"{choices[0].name}  (this one)\n{choices[0].facts}"
    qtbot.keyClick(panel.rows, Qt.Key.Key_Down)
    tick(window)
    assert panel.rows.currentRow() == 1
    qtbot.keyClick(panel.rows, Qt.Key.Key_Return)
    assert engine.commands[-1] == Command(command, text=other)
    assert not panel.isVisible()
    tick(window)
    assert engine.commands[-1] == Command(f"look_{kind}", 0.0)


def test_one_list_at_a_time_and_escape_leaves_it(window, qtbot):
    panels = [picker.panel for picker in window.pickers.all]
    for key, panel in (("A", panels[1]), ("P", panels[2])):
        qtbot.keyClick(window, key)
        assert [p for p in panels if p.isVisible()] == [panel]
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    assert not any(p.isVisible() for p in panels)
    assert window.isVisible()


def test_a_click_on_a_word_opens_its_list(window, engine, qtbot):
    window.bar.grab()  # drawn once, so that it knows where they stand
    at = (window.bar._lists["packs"].center() * window.bar.scale).toPoint()
    qtbot.mouseClick(window.bar, Qt.MouseButton.LeftButton, pos=at)
    assert window.pickers.packs.panel.isVisible()
    assert "USB" in window.view.playing.meters.toolTip()
    qtbot.mouseClick(window.view.playing.meters, Qt.MouseButton.LeftButton)
    assert window.pickers.devices.panel.isVisible()


def test_a_run_without_sound_and_decoder_has_neither(window, engine, qtbot):
    engine.changes = {"sound": dataclasses.replace(engine.snapshot().sound, generator=""), "others": ()}
    tick(window)
    for key in "AP":
        qtbot.keyClick(window, key)
    assert not any(picker.panel.isVisible() for picker in window.pickers.all)
