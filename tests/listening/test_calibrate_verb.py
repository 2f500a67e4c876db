"""What `bci-music calibrate` refuses before anybody has to listen: one sentence each."""

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from bci_music.cli.main import app
from bci_music.listening.folder import PLAN
from bci_music.messages import UserError


@pytest.fixture
def ask(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        done = CliRunner().invoke(app, ["calibrate", "--headless", "--out", "pack", *words])
        assert isinstance(done.exception, UserError), done.output
        assert "\n" not in str(done.exception)
        return str(done.exception)

    return run


@pytest.fixture
def music(tmp_path):
    (tmp_path / "music").mkdir()
    for name in ("one", "two"):
        noise = 0.1 * np.random.default_rng(len(name)).standard_normal(60 * 8000)
        soundfile.write(tmp_path / "music" / f"{name}.wav", noise, 8000)


@pytest.mark.parametrize(("words", "expected"), [
    ((), "recorded only with their consent: give --consent"),
    (("--consent", " - "), "no reference to it was given"),
    (("--consent", "F", "--pack", "nowhere"), "There is no pack 'nowhere'"),
    (("--consent", "F", "--songs", "nowhere"), "There is no file nowhere"),
    (("--consent", "F", "--minutes", "1"), "The songs make up 1.0 minutes: calibration needs at least 1.5"),
    (("--consent", "F", "--audio", "a.yaml"), "--audio belongs to recordings"),
    (("--session", "x.xdf", "--consent", "F"), "--consent is for a listener who is present"),
])  # fmt: skip
def test_wrong_wishes_are_one_sentence(ask, tmp_path, words, expected):
    assert expected in ask(*words)
    assert not list(tmp_path.glob("pack*"))


def test_a_pack_that_is_there_is_not_listened_for(ask, tmp_path):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "x").touch()
    assert "is not empty" in ask("--consent", "F")


@pytest.mark.realtime
def test_without_a_stream_it_is_begun_and_says_so(ask, tmp_path, music):
    words = ("--consent", "F", "--songs", "music", "--wait", "1", "--stream", "nobody sends this")
    assert "No LSL stream matches the name or source id 'nobody sends this'" in ask(*words)
    assert (tmp_path / "pack-recordings" / PLAN).is_file()
    assert "was begun with the listener pack, not ben" in ask(*words, "--listener", "ben")
    assert "was begun with the music" in ask("--consent", "F")
