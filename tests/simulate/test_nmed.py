"""A simulated study lies in files as the published ones do, the same every time, and is called simulated."""

import hashlib

import numpy as np
import pytest
import soundfile
import yaml
from scipy.io import loadmat
from typer.testing import CliRunner

from bci_music.cli.simulate import app
from bci_music.messages import UserError
from bci_music.simulate.nmed import simulate_nmed
from bci_music.simulate.study_plan import NmedSimConfig, files, preset

pytestmark = pytest.mark.learning

TINY = preset("tiny")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    progress = []
    text = simulate_nmed(out, TINY, lambda *what: progress.append(what), workers=2)
    return out, text, progress


def hashes(out):
    return {p.relative_to(out): hashlib.sha256(p.read_bytes()).hexdigest() for p in out.rglob("*") if p.is_file()}


@pytest.mark.parametrize(("path", "name"), [("nmed-t/{}song22", "22"), ("nmed-h/{}song21_b", "21_b")])
def test_variables_and_shapes_are_the_published_ones(tiny, path, name):
    during = loadmat(tiny[0] / f"{path.format('')}_Imputed.mat")
    before = loadmat(tiny[0] / f"{path.format('before_')}_Imputed.mat")
    assert during[f"data{name}"].shape == (125, 2500, 2)
    assert before[f"before{name}"].shape == (125, 750, 2)
    for variables in (during, before):
        assert variables["fs"].item() == 125
        ids = [cell.item() for cell in variables[f"subs{name}"].ravel()]
        assert ids == (["S02", "S03"] if name == "22" else ["S01", "S02"])
    assert np.isfinite(during[f"data{name}"]).all()
    assert 5 < np.median(during[f"data{name}"].std(1)) < 40  # microvolts


def test_the_eeg_runs_on_from_before_into_the_music(tiny):
    before = loadmat(tiny[0] / "nmed-t/before_song21_Imputed.mat")["before21"]
    during = loadmat(tiny[0] / "nmed-t/song21_Imputed.mat")["data21"]
    steps = np.abs(np.diff(during, axis=1))
    join = np.abs(during[:, 0] - before[:, -1])
    assert np.mean(join) < 2 * np.mean(steps)


def test_everything_is_called_simulated(tiny):
    out, text, _ = tiny
    assert "simulated" in text
    for study in ("nmed-t", "nmed-h"):
        mark = yaml.safe_load((out / study / "SIMULATED.yaml").read_text())
        assert mark["simulated"] is True
        assert NmedSimConfig.parse(mark["config"]) == TINY
        assert all(b"simulated" in p.read_bytes()[:116] for p in (out / study).glob("*.mat"))


def test_the_music_lies_beside_it_as_long_as_the_eeg(tiny):
    songs = yaml.safe_load((tiny[0] / "nmed-t/audio.yaml").read_text())["songs"]
    assert list(songs) == ["nmed-t/21", "nmed-t/22"]
    assert all(song["genre"] and song["name"] and song["offset_s"] == 0 for song in songs.values())
    info = soundfile.info(tiny[0] / "nmed-t" / songs["nmed-t/21"]["file"])
    assert (info.samplerate, info.channels, info.duration) == (16_000, 1, 20.0)


def test_what_is_there_is_kept_and_what_is_missing_is_made_again_to_the_byte(tiny):
    out, _, progress = tiny
    assert progress[-1][0] == progress[-1][1] == 8 * 20.0
    first = hashes(out)
    kept, lost = out / "nmed-t/song22_Imputed.mat", out / "nmed-h/song21_a_Imputed.mat"
    stamp = kept.stat().st_mtime_ns
    lost.unlink()
    simulate_nmed(out, TINY)
    assert kept.stat().st_mtime_ns == stamp
    assert hashes(out) == first


def test_other_settings_do_not_mix_with_what_is_there(tiny):
    before = hashes(tiny[0])
    with pytest.raises(UserError, match="other settings"):
        simulate_nmed(tiny[0], TINY.model_copy(update={"seed": 1}))
    assert hashes(tiny[0]) == before


def test_recorded_files_are_never_mixed_with_simulated_ones(tmp_path):
    (tmp_path / "nmed-t").mkdir()
    (tmp_path / "nmed-t/song21_Imputed.mat").write_bytes(b"somebody's")
    with pytest.raises(UserError, match="not simulated here"):
        simulate_nmed(tmp_path, TINY)
    assert not (tmp_path / "nmed-t/SIMULATED.yaml").exists()


def test_full_has_the_published_size():
    plan = files(preset("full"))
    listeners = {(f.study, t.listener) for f in plan for t in f.trials}
    assert len(listeners) == 68
    assert 29.4 < sum(f.seconds for f in plan) / 3600 < 30.5
    assert [f.stimulus.n_samples for f in plan[:2]] == [34795, 33891]
    assert [t.listener for t in plan[0].trials][-4:] == ["S19", "S20", "S21", "S23"]
    assert {f.name for f in plan if f.study == "nmed-h"} == {
        f"song{n}_{r}_Imputed.mat" for n in range(21, 29) for r in "ab"
    }
    of_h = [(t.listener, f.stimulus.song.id, f.repeat) for f in plan if f.study == "nmed-h" for t in f.trials]
    assert len(set(of_h)) == len(of_h)  # nobody hears a song in two versions


def test_no_two_trials_share_their_draws():
    trials = [t for f in files(preset("full")) for t in f.trials]
    assert len({t.seed for t in trials}) == len(trials)
    of_t = {t.listener_seed for t in trials if t.stimulus.study == "nmed-t"}
    assert not of_t & {t.listener_seed for t in trials if t.stimulus.study == "nmed-h"}


@pytest.mark.parametrize(("options", "word"), [
    (["--preset", "huge"], "huge"), (["--listeners-t", "21"], "listeners_t"), (["--song-seconds", "1"], "song_seconds"),
])
def test_a_wrong_option_is_one_sentence(tmp_path, options, word):
    result = CliRunner().invoke(app, ["nmed", "--out", str(tmp_path / "x"), *options])
    assert isinstance(result.exception, UserError)
    assert word in str(result.exception)
    assert not (tmp_path / "x").exists()
