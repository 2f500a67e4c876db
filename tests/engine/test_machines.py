"""Machines as they are: no home, no such user, folders that cannot be written, terminals that cannot show it all."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from started import START, Run, report_of

from bci_music.engine.config import LiveConfig
from bci_music.engine.run_folder import prepare
from bci_music.engine.sample import find_sample
from bci_music.files import home, try_folder
from bci_music.messages import UserError

pytestmark = pytest.mark.realtime

NOBODY = """
import os, pwd
os.environ.pop("HOME", None)
def gone(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = gone
"""


def bci_music(*words, code=START, cwd=None, **env):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, timeout=150, cwd=cwd,
        env={**os.environ, **env}, encoding=env.get("PYTHONIOENCODING", "utf-8"),
    )  # fmt: skip


def one_sentence(done):
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


@pytest.fixture
def locked(tmp_path):
    """A folder that not even root can write to."""
    folder = tmp_path / "locked"
    folder.mkdir()
    if os.getuid():
        folder.chmod(0o500)
        yield folder
        folder.chmod(0o700)
        return
    mount = shutil.which("mount")
    if not mount or subprocess.run([mount, "-t", "tmpfs", "-o", "ro", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here, and root may write everywhere else")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


REPLAY = ("--headless", "--sound-device", "none", "--seconds", "4")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param(("replay", find_sample(), *REPLAY, "--out", "out"), 0, marks=pytest.mark.soak),
        (("monitor", "--headless", "--stream", "nobody streams this", "--wait", "1"), 2),
        (("models", "list"), 0),
        (("doctor", "--json"), 0),
    ],
)
def test_without_a_home_and_without_an_entry_among_the_users_it_goes_on(tmp_path, words, code):
    done = bci_music(*words, code=NOBODY + START, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


def test_there_is_no_home_where_there_is_none(monkeypatch):
    def gone():
        raise RuntimeError("Could not determine home directory.")

    assert home() == Path.home()
    monkeypatch.setattr(Path, "home", gone)
    assert not (home() / "lsl_api.cfg").is_file()
    with pytest.raises(OSError, match="directory"):
        (home() / ".cache").mkdir(parents=True)


@pytest.mark.parametrize("option", ["--out", "--record"])
def test_a_folder_that_cannot_be_written_is_said_before_anything_starts(locked, tmp_path, option):
    given = ("--consent", "form 7") if option == "--record" else ()
    for where in (locked, locked / "new", Path("here")):
        done = bci_music("live", "--headless", option, where, *given, cwd=locked)
        sentence = one_sentence(done)
        assert option in sentence
        assert "you may write to" in sentence


def test_a_folder_that_is_a_file_is_said_before_anything_starts(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=r"--out a folder"):
        try_folder(tmp_path / "file" / "out", "--out")
    with pytest.raises(UserError, match=r"--out a folder"):
        try_folder(tmp_path / "file", "--out")
    assert (tmp_path / "file").read_text() == "mine"


def test_in_a_folder_that_cannot_be_written_a_run_plays(locked):
    done = bci_music("replay", find_sample(), *REPLAY, cwd=locked)
    assert done.returncode == 0, done.stderr
    assert list(locked.iterdir()) == []


CODES = ["ascii", *(pytest.param(code, marks=pytest.mark.soak) for code in ("latin-1", "cp1252", "utf-8"))]


@pytest.mark.parametrize("encoding", CODES)
def test_a_terminal_that_cannot_show_everything_shows_the_rest(encoding):
    done = bci_music("doctor", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert "Python" in done.stdout
    assert "Traceback" not in done.stderr


def test_json_for_programs_is_json_on_any_terminal(tmp_path):
    """The unit is µV."""
    done = bci_music("data", "info", find_sample(), "--json", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["streams"]


@pytest.mark.soak
def test_where_nobody_reads_what_is_written_a_run_writes_its_report(tmp_path):
    """Its terminal was piped into a program that left."""
    reading, writing = os.pipe()
    words = ["replay", find_sample(), *REPLAY, "--out", tmp_path / "out"]
    process = subprocess.Popen([sys.executable, "-c", START, *map(str, words)], stdout=writing, stderr=writing)
    os.close(writing)
    os.close(reading)
    process.wait(120)
    assert report_of(tmp_path / "out")["lost"] == []


def test_a_run_never_writes_into_the_folder_of_another(tmp_path):
    config = LiveConfig()
    out = prepare(config, tmp_path / "out")
    assert out == tmp_path / "out"
    assert list(out.iterdir()) == []
    for file in ("music.wav", "report.json"):
        (out / file).write_text("mine")
    (tmp_path / "out-2").mkdir()
    (tmp_path / "out-2" / "run.yaml").write_text("mine, too")
    (tmp_path / "out-3").mkdir()
    (tmp_path / "out-3" / "notes.txt").write_text("no run")
    assert prepare(config, out) == tmp_path / "out-3"
    assert (out / "music.wav").read_text() == "mine"
    assert prepare(config, None) is None


@pytest.mark.soak
def test_a_second_run_says_where_it_goes(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.json").write_text("{}")
    run = Run(tmp_path / "log", "replay", find_sample(), *REPLAY, "--out", tmp_path / "out")
    assert run.process.wait(120) == 0, run.text()
    assert "holds a run already" in run.text()
    assert report_of(tmp_path / "out") == {}
    assert report_of(tmp_path / "out-2")["windows_decoded"] >= 0
