"""A view is one file and one line; the window shows the one that fits, or the one asked for."""

import sys
from types import ModuleType

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QAbstractButton

from bci_music.engine.commands import COMMANDS
from bci_music.status import CalibrationStatus, GateLook, ReplayStatus, Shelf, SoundStatus, StreamStatus
from gui.bridge import Bridge
from gui.layout import MARGIN
from gui.main_window import MainWindow
from gui.views import registry
from gui.views.monitor import Monitor
from gui.views.perform import Perform
from gui.views.view import View
from gui.widgets.notice import Notice

WATCHING = {"pack_name": "", "sound": SoundStatus(), "embedding": None, "playing": None, "timeline": ()}


class Plain(View):
    """A fifth view: one panel."""

    key = "F5"

    def __init__(self, bridge, parent=None):
        super().__init__(bridge, parent)
        self.panel = Notice("plain", "#ffffff", self)
        self.parts = {"panel": self.panel}
        self.shown = []

    @staticmethod
    def places(w, h, top):
        return {"panel": (MARGIN, top, w - 2 * MARGIN, h - top - MARGIN)}

    def show_words(self, snapshot):
        self.shown.append(snapshot)


@pytest.fixture
def with_a_fifth(monkeypatch):
    module = ModuleType("gui.views.plain")
    module.Plain = Plain
    monkeypatch.setitem(sys.modules, "gui.views.plain", module)
    monkeypatch.setattr(registry, "VIEWS", (*registry.VIEWS, "gui.views.plain.Plain"))


def test_one_line_in_the_list_brings_a_view_with_its_key_and_layout(qtbot, engine, with_a_fifth):
    window = MainWindow(Bridge(engine), "test")
    qtbot.addWidget(window)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    before = window.view
    assert isinstance(before, Perform)
    qtbot.keyClick(window, Qt.Key.Key_F5)
    assert isinstance(window.view, Plain)
    assert window.view.shown
    assert not before.isVisible()
    for _ in range(30):
        engine.advance(1 / 60)
        window.tick()
    assert isinstance(window.view, Plain)  # chosen by hand, it stays
    assert (window.view.panel.x(), window.view.panel.width()) == (MARGIN, 1600 - 2 * MARGIN)
    qtbot.keyClick(window, Qt.Key.Key_F5)  # the same key again goes back
    window.tick()
    assert window.view is before


def test_the_first_view_that_fits_is_shown(qtbot, engine):
    kinds = registry.view_classes()
    assert next(kind for kind in kinds if kind.fits(engine.snapshot())) is Perform
    engine.changes = WATCHING
    assert next(kind for kind in kinds if kind.fits(engine.snapshot())) is Monitor


def test_keys_of_a_view_that_is_hidden_do_nothing(qtbot, engine):
    engine.changes = WATCHING
    window = MainWindow(Bridge(engine), "test")
    qtbot.addWidget(window)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    qtbot.keyClick(window, Qt.Key.Key_Space)
    assert engine.commands == []


KINDS = {
    "plays": {},
    "watches": WATCHING,
    "replays": {"replay": ReplayStatus(3.0, 9.0), "shelf": Shelf()},
    "may be followed": {"others": ("open", "back", "pack", "calibrate"), "shelf": Shelf()},
    "calibrates": {"calibration": CalibrationStatus("songs", looks=(GateLook(60.0, 0.1, 0.05, True),)),
                   "others": ("pack", "calibrate", "back")},
    "has nothing yet": {**WATCHING, "stream": StreamStatus(), "quality": None},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("view", ["perform", "monitor", "study", "calibrate"])
def test_every_key_and_every_button_does_what_it_can_in_every_run(qtbot, engine, view, kind):
    engine.changes = KINDS[kind]
    window = MainWindow(Bridge(engine), "test", view)
    qtbot.addWidget(window)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()

    def go_on(frames=1):
        for _ in range(frames):
            engine.advance(1 / 60)
            window.tick()

    go_on(13)
    assert window.view.name.lower() == view
    for name in [*window.view.keys(), *"LAAPPTT??"]:
        qtbot.keySequence(window, QKeySequence(name))
        go_on()
    pressed = [b for b in window.findChildren(QAbstractButton) if b.isVisible() and b.isEnabled()]
    for button in pressed:
        assert button.toolTip()
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        go_on()
    go_on(13)
    assert window.view.name.lower() == view
    assert all(command.name in COMMANDS for command in engine.commands)
