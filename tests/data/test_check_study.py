"""`bci-music data check` and `prepare`: what is there, what is missing, and bad data in one sentence with exit 2."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from scipy.io import savemat
from typer.testing import CliRunner

from bci_music.cli import main as entry
from bci_music.data.audio_map import read_audio_map
from bci_music.data.check_study import check_study
from bci_music.messages import UserError
from bci_music.training.lab.prepared import Prepared

pytestmark = pytest.mark.learning


def write_mat(folder, number=21, *, rows=125, fs=125.0, n_times=1500, bad=False, scale=10.0):
    data = scale * np.random.default_rng(number).standard_normal((rows, n_times, 2))
    if bad:
        data[3, 5, 0] = np.nan
    cell = np.empty((1, 2), object)
    cell[0, :] = ["S02", "S03"]
    savemat(folder / f"song{number}_Imputed.mat", {f"data{number}": data, f"subs{number}": cell, "fs": fs})


@pytest.fixture
def folder(tmp_path):
    write_mat(tmp_path)
    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(12 * 8000) ** 1.1), 8000)
    (tmp_path / "audio.yaml").write_text(yaml.safe_dump({"songs": {"nmed-t/21": {"file": "a.wav"}}}))
    return tmp_path


def run(*words):
    """Exit code, standard output and standard error of the command, by the entry point's own rules."""
    result = CliRunner().invoke(entry.app, ["data", *map(str, words)])
    if isinstance(result.exception, UserError):
        return 2, result.stdout, str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_a_part_of_the_published_set_lists_the_rest_with_its_address(folder):
    code, out, _ = run("check", "nmed-t", folder)
    assert code == 1
    assert "9 files are missing" in out
    assert "https://stacks.stanford.edu/file/druid:jn859kj8079/song30_Imputed.mat" in out
    assert "125 channels at 125 Hz" in out
    assert "12.0 s" in out


def test_simulated_data_are_whole_as_they_are(folder):
    (folder / "SIMULATED.yaml").write_text("simulated: true")
    code, out, _ = run("check", "nmed-t", folder)
    assert code == 0
    assert "simulated" in out


def test_json_holds_the_same(folder):
    code, out, _ = run("check", "nmed-t", folder, "--json")
    found = json.loads(out)
    assert (code, found["complete"], len(found["missing"])) == (1, False, 9)
    (row,) = found["rows"]
    assert (row["listeners"], row["seconds"], row["audio_s"], row["n_channels"]) == (2, 12.0, 12.0, 125)
    assert row["spread_uv"] == pytest.approx(10.0, rel=0.05)


def test_audio_is_the_users_own_and_asked_for(folder):
    (folder / "audio.yaml").unlink()
    assert "no audio is known for nmed-t/21" in run("check", "nmed-t", folder)[1]


def test_another_unit_is_noticed(folder):
    write_mat(folder, scale=1e-5)
    assert any("another unit" in note for note in check_study("nmed-t", folder).notes)
    assert not any("another unit" in note for note in check_study("nmed-t", folder, deep=False).notes)


@pytest.mark.parametrize("verb", ["check", "prepare"])
@pytest.mark.parametrize(("spoil", "words"), [
    (lambda f: write_mat(f, rows=124), ("song21_Imputed.mat", "124 rows, expected 125")),
    (lambda f: write_mat(f, fs=1000.0), ("song21_Imputed.mat", "1000 Hz, expected 125 Hz")),
    (lambda f: write_mat(f, bad=True), ("song21_Imputed.mat", "NaN", "S02")),
    (lambda f: write_mat(f, n_times=2000), ("a.wav", "12.0 s", "song21_Imputed.mat", "expected at least 16.0 s")),
    (lambda f: (f / "song21_Imputed.mat").write_bytes((f / "song21_Imputed.mat").read_bytes()[:-9000]),
     ("song21_Imputed.mat", "cut off")),
    (lambda f: (f / "audio.yaml").write_text('songs: {"nmed-t/24": {file: a.wav}}'), ("nmed-t/24", "no EEG of it")),
    (lambda f: (f / "song21_Imputed.mat").unlink(), ("song21_Imputed.mat", "https://purl.stanford.edu")),
])  # fmt: skip
def test_bad_data_are_one_sentence_and_exit_2(folder, verb, spoil, words):
    spoil(folder)
    more = ["--out", folder / "out", "--no-quality", "--workers", 1] if verb == "prepare" else []
    code, _, sentence = run(verb, "nmed-t", folder, *more)
    assert code == 2
    assert [w for w in words if w not in sentence] == []
    assert "\n" not in sentence


def test_prepare_says_what_it_made_and_takes_only_songs_asked_for(folder):
    write_mat(folder, 22)
    code, out, _ = run("prepare", "nmed-t", folder, "--out", folder / "out", "--no-quality", "--workers", 1,
                       "--song", "nmed-t/21")
    assert code == 0
    assert "2 recordings" in out
    assert {t.song for t in Prepared.open(folder / "out").segments} == {"nmed-t/21"}
    code, _, sentence = run("prepare", "nmed-t", folder, "--out", folder / "out", "--song", "nmed-t/25")
    assert (code, "nmed-t/25" in sentence) == (2, True)
    assert run("prepare", "nmed-t", "--out", folder / "out")[0] == 2


def test_the_documented_mapping_is_one(tmp_path):
    page = Path(__file__).resolve().parents[2] / "docs" / "data.md"
    (tmp_path / "audio.yaml").write_text(re.search(r"```yaml\n(.*?)```", page.read_text(), re.S)[1])
    entries = read_audio_map(tmp_path / "audio.yaml")
    assert entries["nmed-t/22"].offset_s == 0.35
    assert entries["nmed-h/25"].reversed
