"""The window stands before the run is built, and both end together."""

import os
import signal
import threading
import time

import pytest
from PySide6.QtGui import QImage

from bci_music.messages import UserError
from gui import app
from gui.views.perform import Perform
from gui.views.starting import StartingView


def threads():
    return [t.name for t in threading.enumerate() if t.name.startswith("bci-music")]


def press_ctrl_c(after_s):
    threading.Timer(after_s, lambda: os.kill(os.getpid(), signal.SIGINT)).start()


@pytest.fixture
def standing(qapp):
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    yield app.Standing("test")
    assert {name: signal.getsignal(name) for name in before} == before
    assert threads() == []


def test_window_is_painted_before_the_work_begins_and_says_what_that_does(standing):
    seen = []

    def work():
        seen.append(standing.window.isVisible())
        for step in ("finding streams", "loading the decoder", "warming up, 1 of 3", "warming up, 2 of 3"):
            standing.starting.do(step)
        until = time.monotonic() + 10
        while "2 of 3" not in standing.window.view.steps.accessibleDescription() and time.monotonic() < until:
            time.sleep(0.02)
        seen.append(standing.window.view.steps.accessibleDescription())
        return 7

    assert standing.carry(work) == 7
    assert isinstance(standing.window.view, StartingView)
    assert seen == [True, "opening the window; finding streams; loading the decoder; warming up, 2 of 3"]
    assert not standing.window.isVisible()


def test_engine_takes_over_and_its_picture_is_taken(standing, engine, tmp_path):
    path = tmp_path / "new folder" / "window.png"

    def work():
        standing.ending.running()
        standing.show(engine, lambda: False, 0.8, lambda: path)

    standing.carry(work)
    assert isinstance(standing.window.view, Perform)
    picture = QImage(str(path))
    assert (picture.width(), picture.height()) == (1600, 900)


def test_picture_that_cannot_be_written_is_one_sentence(standing, engine, tmp_path):
    path = tmp_path / "window.unknown"
    with pytest.raises(UserError, match=r"ends in \.png"):
        standing.carry(lambda: standing.show(engine, lambda: False, 0.3, lambda: path))


def test_what_goes_wrong_while_it_is_built_ends_the_window(standing):
    def work():
        raise UserError("There is no pack 'x'.")

    with pytest.raises(UserError, match="no pack"):
        standing.carry(work)
    assert not standing.window.isVisible()


@pytest.mark.parametrize(("how", "code"), [("close", 0), ("Ctrl-C", 130)])
def test_leaving_while_it_is_built(standing, how, code):
    reached = []

    def work():
        threading.Timer(0.0, lambda: press_ctrl_c(0.1) if how == "Ctrl-C" else standing.ending.leave()).start()
        until = time.monotonic() + 10
        while time.monotonic() < until:
            time.sleep(0.02)
            standing.ending.check()
        reached.append("the end")

    with pytest.raises(SystemExit) as left:
        standing.carry(work)
    assert (left.value.code, reached) == (code, [])


@pytest.mark.parametrize("how", ["close", "Ctrl-C"])
def test_leaving_a_run_lets_it_end_in_its_own_time(standing, engine, how):
    ended = []

    def work():
        standing.ending.running()
        press_ctrl_c(0.3) if how == "Ctrl-C" else threading.Timer(0.3, lambda: setattr(standing, "_over", True)).start()
        standing.show(engine, lambda: False)
        time.sleep(0.3)  # it writes its report
        ended.append(True)
        return "report"

    assert standing.carry(work) == "report"
    assert ended == [True]


def test_what_streams_has_failed(standing, engine):
    def over():
        raise UserError("The process that streams failed.")

    with pytest.raises(UserError, match="that streams failed"):
        standing.carry(lambda: standing.show(engine, over))


def test_no_screen_is_one_sentence(monkeypatch):
    def no_screen():
        raise UserError("There is no screen.")

    monkeypatch.setattr(app, "application", no_screen)
    with pytest.raises(UserError, match="no screen"):
        app.Standing()
