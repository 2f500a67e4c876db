"""Wrong inputs on the command line: one sentence, exit code 2, no traceback."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.install

START = "import sys; from bci_music.cli.main import main; main()"


def bci_music(*words, timeout=90):
    """Run the program as a user would."""
    environment = {**os.environ, "COLUMNS": "300", "QT_QPA_PLATFORM": "offscreen"}
    words = [sys.executable, "-c", START, *map(str, words)]
    return subprocess.run(words, capture_output=True, text=True, timeout=timeout, env=environment)


@pytest.fixture
def here(monkeypatch, capsys):
    """Run the program in this process, which spares what starting it takes."""

    def run(*words):
        from bci_music.cli.main import main

        monkeypatch.setenv("COLUMNS", "300")
        monkeypatch.setattr("sys.argv", ["bci-music", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        shown = capsys.readouterr()
        return subprocess.CompletedProcess(words, left.value.code or 0, shown.out, shown.err)

    return run


def assert_one_sentence(done, *parts):
    sentence = [line for line in done.stderr.splitlines() if line.startswith("bci-music: ")]
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert len(sentence) == 1
    for part in parts:
        assert part in sentence[0]


def shipped_pack():
    from bci_music.models.pack import Pack

    return Pack.open("demo").directory


def test_no_such_stream():
    done = bci_music("live", "--headless", "--wait", "1", "--stream", f"none-{uuid.uuid4().hex}")
    assert_one_sentence(done, "No LSL stream matches", "can be seen")


def test_empty_file(here, tmp_path):
    path = tmp_path / "empty.xdf"
    path.touch()
    assert_one_sentence(here("replay", path, "--headless"), "empty.xdf")
    assert_one_sentence(here("data", "info", path), "empty.xdf")


def test_markers_only(here, shared_data):
    path = shared_data / "xdf" / "MagicBlinkEMG" / "handFive.xdf"
    assert_one_sentence(here("replay", path, "--headless"), "no EEG stream")


def test_config_typo(here, tmp_path):
    path = tmp_path / "live.yaml"
    path.write_text("sound: {genrator: library}\n")
    assert_one_sentence(here("live", "--headless", "--config", path), "genrator", "did you mean 'generator'")


def test_pack_that_misses_a_file(here, tmp_path):
    pack = tmp_path / "pack"
    shutil.copytree(shipped_pack(), pack)
    (pack / "adapter.safetensors").unlink()
    assert_one_sentence(here("live", "--headless", "--pack", pack), "adapter.safetensors")


def test_recording_without_consent(here, tmp_path):
    assert_one_sentence(here("live", "--headless", "--record", tmp_path), "consent")


def test_a_folder_that_cannot_be_written(here, tmp_path):
    file = tmp_path / "file"
    file.touch()
    assert_one_sentence(here("demo", "--headless", "--out", file / "out"), str(file))


def test_too_few_electrodes(here, tmp_path):
    mne = pytest.importorskip("mne")
    info = mne.create_info(["Fz", "Cz", "Pz", "Oz"], 250.0, "eeg", verbose=False)
    path = tmp_path / "four_raw.fif"
    mne.io.RawArray(np.zeros((4, 5000)), info, verbose=False).save(path, verbose=False)
    assert_one_sentence(here("replay", path, "--headless"), "8")


@pytest.mark.soak
def test_a_nan_channel_is_bad_and_the_rest_is_decoded(tmp_path, noise_session):
    """NaN in one channel is no reason to stop: that electrode is bad, in words, and the rest is used."""
    mne = pytest.importorskip("mne")
    session = noise_session(12.0, 250.0)
    data = session.samples_uv.T.astype(float) * 1e-6
    data[36] = np.nan
    path = tmp_path / "nan_raw.fif"
    info = mne.create_info(list(session.labels), 250.0, "eeg", verbose=False)
    mne.io.RawArray(data, info, verbose=False).save(path, verbose=False)
    words = ("--headless", "--out", tmp_path / "out", "--sound-device", "none", "--consent", "F", "--keep-embeddings")
    done = bci_music("replay", path, *words)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["windows_decoded"] > 5
    attention = np.load(tmp_path / "out" / "embeddings.npz")["attention"]
    assert np.isnan(attention[:, 36]).all()
    assert np.isfinite(attention[-1]).sum() >= 120


def test_the_demo_runs_from_anywhere(tmp_path):
    words = ("demo", "--headless", "--seconds", "12", "--out", tmp_path / "out", "--sound-device", "none")
    done = subprocess.run(
        [sys.executable, "-c", START, *map(str, words)], capture_output=True, text=True, timeout=120, cwd=tmp_path,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    keys = (Path(__file__).parent / "report_keys.txt").read_text().split()
    assert set(keys) <= report.keys()
    assert report["underruns"] == 0
    assert report["silent_seconds"] < 0.5
    assert report["stream"]["simulated"]
    assert report["first_eeg_chosen_sound_s"] <= 4 + 8
    for name in ("music.wav", "overview.png", "run.yaml"):
        assert (tmp_path / "out" / name).stat().st_size > 100
