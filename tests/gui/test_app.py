import os
import signal

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtGui import QImage

from bci_music.messages import UserError
from gui import app


def test_picture_is_taken_and_the_engine_stopped(qapp, engine, tmp_path):
    path = tmp_path / "new folder" / "window.png"
    assert app.run(engine, title="test", screenshot=path, seconds=0.4) == 0
    assert engine.stops >= 1
    picture = QImage(str(path))
    assert (picture.width(), picture.height()) == (1600, 900)


def test_picture_that_cannot_be_written_is_one_sentence(qapp, engine, tmp_path):
    with pytest.raises(UserError, match=r"ends in \.png"):
        app.run(engine, screenshot=tmp_path / "window.unknown", seconds=0.1)
    assert engine.stops >= 1


def test_interrupt_in_the_terminal_closes(qapp, engine):
    QTimer.singleShot(200, lambda: os.kill(os.getpid(), signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)
    assert app.run(engine) == 0
    assert engine.stops >= 1
    assert signal.getsignal(signal.SIGINT) is before


def test_no_screen_stops_the_engine_too(engine, monkeypatch):
    def no_screen():
        raise UserError("There is no screen.")

    monkeypatch.setattr(app, "application", no_screen)
    with pytest.raises(UserError, match="no screen"):
        app.run(engine)
    assert engine.stops == 1
