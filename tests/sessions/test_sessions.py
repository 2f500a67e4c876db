"""A session is one folder, never overwritten, whose every byte is vouched for and that other programs can read."""

import json
import shutil
import stat
import subprocess

import mne
import mne_bids
import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from bci_music.cli.main import app
from bci_music.data.formats import open_session
from bci_music.messages import UserError
from bci_music.sessions.checksums import SUMS
from bci_music.sessions.export import export_session
from bci_music.sessions.folder import RECORDING, SessionFolder
from bci_music.sessions.look import State, find_sessions, look_at

FILES = {"recording.xdf", "recording.json", "music.flac", "session.yaml", "samples.json", SUMS}


def run(*words):
    return CliRunner().invoke(app, ["session", *map(str, words)])


def test_a_closed_session_is_whole_private_and_says_what_it_holds(closed):
    assert {p.name for p in closed.iterdir()} == FILES
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in closed.iterdir() if p.name != "recording.xdf")
    look = look_at(closed, compare=True)
    assert (look.state, look.faults) == (State.WHOLE, [])
    assert look.music_s == 3.0
    assert max(look.samples.values()) == len(open_session(closed / RECORDING).times_s)
    assert soundfile.info(closed / "music.flac").frames == 3 * 48000
    done = run("verify", closed)
    assert done.exit_code == 0
    for words in ("whole", "consent FORM 7", "0" * 64, "music: 3.0 s"):
        assert words in done.stdout


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not here")
def test_the_sums_are_those_of_sha256sum(closed):
    assert subprocess.run(["sha256sum", "--strict", "-c", SUMS], cwd=closed, capture_output=True).returncode == 0


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_flipped_bit_of_any_file_is_found(closed, name):
    content = (closed / name).read_bytes()
    rng = np.random.default_rng(len(name))
    places = {0, len(content) - 1, *rng.integers(0, len(content), 4).tolist()}
    if name == SUMS:
        places = range(0, len(content), 7)
    for at in places:
        flipped = bytearray(content)
        flipped[at] ^= 1 << int(rng.integers(8))
        (closed / name).write_bytes(flipped)
        look = look_at(closed, compare=True)
        assert look.state is State.FAULTY, (name, at)
        assert any(name in fault for fault in look.faults)
    assert run("verify", closed).exit_code == 1
    (closed / name).write_bytes(content)
    assert look_at(closed, compare=True).state is State.WHOLE


@pytest.mark.parametrize("name", sorted(FILES - {SUMS}))
def test_a_missing_file_is_found(closed, name):
    (closed / name).unlink()
    look = look_at(closed, compare=True)
    assert any(name in fault and "missing" in fault for fault in look.faults)


def test_a_file_that_came_later_is_named_and_no_fault(closed):
    (closed / "report.json").write_text("{}")
    look = look_at(closed, compare=True)
    assert look.state is State.WHOLE
    assert "report.json is not of the session." in look.notes


def test_a_session_is_never_overwritten(closed):
    before = {p.name: p.read_bytes() for p in closed.iterdir()}
    second, third = (SessionFolder(closed, {}).folder for _ in range(2))
    assert [second.name, third.name] == ["session-2", "session-3"]
    assert {p.name: p.read_bytes() for p in closed.iterdir()} == before


def test_a_session_that_could_not_begin_leaves_nothing(tmp_path):
    session = SessionFolder(tmp_path / "new", {})
    session.discard()
    assert not (tmp_path / "new").exists()


def test_sessions_are_listed(closed, tmp_path):
    (tmp_path / "other").mkdir()
    assert find_sessions(tmp_path) == [closed]
    (listed,) = json.loads(run("list", tmp_path, "--json").stdout)
    assert (listed["state"], listed["music_s"]) == ("whole", 3.0)
    assert "FORM 7" in run("list", tmp_path).stdout
    assert run("list", tmp_path / "other").exit_code == 1


@pytest.mark.parametrize("verb", ["info", "verify"])
def test_what_is_no_session_is_one_sentence(tmp_path, verb):
    done = run(verb, tmp_path)
    assert isinstance(done.exception, UserError)
    assert "holds no session" in str(done.exception)


@pytest.mark.parametrize("kind", ["fif", "edf", "bids"])
def test_an_export_holds_the_same_eeg_and_markers(closed, tmp_path, kind):
    out = tmp_path / {"fif": "x_raw.fif", "edf": "x.edf", "bids": "bids"}[kind]
    path, notes = export_session(closed, out, kind, subject="07")
    if kind == "bids":
        where = mne_bids.BIDSPath(subject="07", task="music", datatype="eeg", root=out)
        raw = mne_bids.read_raw_bids(where, verbose="error").load_data()
    else:
        read = {"fif": mne.io.read_raw_fif, "edf": mne.io.read_raw_edf}[kind]
        raw = read(path, preload=True, verbose="error")
    session = open_session(closed / RECORDING)
    rows = np.concatenate([piece.samples for piece in session.grid_rows()])
    assert raw.ch_names == list(session.labels)
    assert raw.info["sfreq"] == session.sfreq_hz
    step_uv = np.ptp(rows, axis=0).max() / 65535
    assert np.abs(raw.get_data()[:, : len(rows)].T * 1e6 - rows).max() <= (step_uv if kind == "edf" else 1e-3)
    ours = [a for a in raw.annotations if "{" in a["description"]]
    wanted = [e for e in session.events if session.times_s[0] <= e.time_s <= session.times_s[-1]]
    assert [a["onset"] for a in ours] == pytest.approx([e.time_s - session.times_s[0] for e in wanted], abs=0.02)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert any("16 bits" in note for note in notes) == (kind == "edf")
    with pytest.raises(UserError, match="not overwritten"):
        export_session(closed, out, kind, subject="07")


def test_an_absent_library_and_odd_names_are_one_sentence(closed, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="no BIDS label"):
        export_session(closed, tmp_path / "b", "bids", subject="../x")
    with pytest.raises(UserError, match="one of bids, edf, fif"):
        export_session(closed, tmp_path / "b", "mat")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs mne_bids and pybv: .*bci-music\[export\]"):
        export_session(closed, tmp_path / "b", "bids")
    assert not (tmp_path / "b").exists()
