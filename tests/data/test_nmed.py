"""NMED files: who heard what for how long, and one sentence for every way in which a file can be wrong."""

import numpy as np
import pytest
import soundfile
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from bci_music.data import matlab
from bci_music.data.nmed_published import NMED_H, NMED_T
from bci_music.data.open_study import join, only, open_study
from bci_music.messages import UserError

pytestmark = pytest.mark.learning


def write_mat(path, variable, *, subs=("S02", "S07"), n_times=1500, rows=125, fs=125.0, seed=0, **more):
    """A clean file as published; returns its samples (rows, n_times, listeners)."""
    data = 10.0 * np.random.default_rng(seed).standard_normal((rows, n_times, len(subs)))
    cell = np.empty((1, len(subs)), object)
    cell[0, :] = subs
    named = {variable: data, variable.replace("data", "subs").replace("before", "subs"): cell, "fs": fs} | more
    savemat(path, {k: v for k, v in named.items() if v is not None}, do_compression=True)
    return data


def write_audio(folder, name="song21.wav", seconds=12.0, **entry):
    soundfile.write(folder / name, 0.1 * np.ones(round(seconds * 8000)), 8000)
    return {"file": name, **entry}


def write_map(folder, songs):
    (folder / "audio.yaml").write_text(yaml.safe_dump({"songs": songs}))


@pytest.fixture
def folder(tmp_path):
    """Two listeners and 12 s of song 21, with its music."""
    write_mat(tmp_path / "song21_Imputed.mat", "data21")
    write_map(tmp_path, {"nmed-t/21": write_audio(tmp_path, title="First", genre="folk")})
    return tmp_path


def test_a_recording_holds_the_published_samples(folder):
    data = write_mat(folder / "song21_Imputed.mat", "data21", seed=3)
    study = open_study("nmed-t", folder)
    assert [r.name for r in study.recordings] == ["nmed-t S02 song21", "nmed-t S07 song21"]
    assert [r.listener for r in study.recordings] == ["nmed-t S02", "nmed-t S07"]
    assert study.recordings[1].duration_s == 12.0
    session = study.recordings[1].open()
    np.testing.assert_array_equal(session.samples_uv, data[:, :, 1].T.astype(np.float32))
    assert (session.labels[0], session.labels[-1], session.sfreq_hz) == ("E1", "Cz", 125.0)
    (span,) = session.heard()
    assert (span.song, span.start_s, span.stop_s, span.song_start_s) == ("nmed-t/21", 0.0, 12.0, 0.0)
    assert not session.simulated
    assert study.stimuli["nmed-t/21"].genre == "folk"


def test_hearings_of_nmed_h_are_repeats_and_may_lie_as_unpacked(tmp_path):
    inner = tmp_path / "CleanEEG_aggregatedByStimulus_orig"
    inner.mkdir()
    for repeat in "ab":
        write_mat(inner / f"song22_{repeat}_Imputed.mat", f"data22_{repeat}")
    study = open_study("nmed-h", tmp_path)
    assert [(r.name, r.repeat) for r in study.recordings] == [
        ("nmed-h S02 song22 a", "a"), ("nmed-h S07 song22 a", "a"),
        ("nmed-h S02 song22 b", "b"), ("nmed-h S07 song22 b", "b"),
    ]
    assert study.stimuli["nmed-h/22"].title == "Daaru Desi"


def test_before_the_music_is_found_by_listener(folder):
    before = write_mat(folder / "before_song21_Imputed.mat", "before21", subs=("S07",), n_times=500, seed=9)
    first, second = open_study("nmed-t", folder).recordings
    assert first.open_before is None
    session = second.open_before()
    np.testing.assert_array_equal(session.samples_uv, before[:, :, 0].T.astype(np.float32))
    assert session.heard() == ()


def test_what_is_smaller_than_published_opens_and_says_so(folder):
    notes = " ".join(open_study("nmed-t", folder).notes)
    for fact in ("1 of 10 stimuli", "2 listeners, 20 are published", "12 s, 278.4 s are published"):
        assert fact in notes


def test_simulated_files_are_called_so_and_take_no_real_title(folder):
    (folder / "SIMULATED.yaml").write_text("simulated: true\nseed: 1\n")
    (folder / "audio.yaml").unlink()
    study = open_study("nmed-t", folder)
    assert study.simulated
    assert study.recordings[0].open().simulated
    assert "simulated" in study.notes[0]
    assert study.stimuli["nmed-t/21"].title == "composed music 21"


def test_versions_of_a_song_share_its_name():
    assert NMED_H.stimuli[27].name == NMED_H.stimuli[23].name == "Haule Haule"
    assert NMED_H.stimuli[27].title == "Haule Haule (reversed)"
    assert NMED_T.where(24).endswith("/song24_Imputed.mat")
    assert NMED_H.where(27).endswith("_rev.zip")


def test_a_title_in_the_mapping_does_not_part_the_versions_of_a_song(tmp_path):
    """Splits keep versions together by their name: two titles must not let one be learned and the other tested."""
    songs = {}
    for number in (23, 27):
        write_mat(tmp_path / f"song{number}_a_Imputed.mat", f"data{number}_a")
        songs[f"nmed-h/{number}"] = write_audio(tmp_path, f"{number}.wav", title=f"My file {number}")
    write_map(tmp_path, songs)
    stimuli = open_study("nmed-h", tmp_path).stimuli
    assert {s.name for s in stimuli.values()} == {"Haule Haule"}
    assert stimuli["nmed-h/27"].title == "My file 27"
    write_map(tmp_path, {key: {**entry, "name": "Mine"} for key, entry in songs.items()})
    assert {s.name for s in open_study("nmed-h", tmp_path).stimuli.values()} == {"Mine"}


@pytest.mark.parametrize(("change", "words"), [
    ({"rows": 124}, ("song21_Imputed.mat", "124 rows", "expected 125")),
    ({"fs": 250.0}, ("song21_Imputed.mat", "250 Hz", "expected 125 Hz")),
    ({"subs": ("S02", "S02")}, ("song21_Imputed.mat", "1 listeners", "2")),
    ({"subs21": None}, ("song21_Imputed.mat", "no variable subs21")),
    ({"data21": None, "data22": 1.0}, ("song21_Imputed.mat", "no variable data21")),
    ({"n_times": 1600}, ("song21.wav", "12.0 s", "12.8 s", "song21_Imputed.mat")),
])  # fmt: skip
def test_a_wrong_file_is_named_with_what_was_expected(folder, change, words):
    write_mat(folder / "song21_Imputed.mat", "data21", **change)
    with pytest.raises(UserError) as error:
        open_study("nmed-t", folder)
    assert [w for w in words if w not in str(error.value)] == []


def test_nan_is_named_when_the_recording_is_opened(folder):
    data = 10.0 * np.ones((125, 1500, 2))
    data[7, 250, 1] = np.nan
    write_mat(folder / "song21_Imputed.mat", "data21", data21=data)
    first, second = open_study("nmed-t", folder).recordings
    assert first.open().n_channels == 125
    with pytest.raises(UserError, match=r"song21_Imputed.mat holds NaN for S07 \(E8 at 2.00 s\)"):
        second.open()


def test_a_file_that_changed_is_read_again(folder):
    first = open_study("nmed-t", folder).recordings[0].open().samples_uv[0, 0]
    write_mat(folder / "song21_Imputed.mat", "data21", seed=5)
    assert open_study("nmed-t", folder).recordings[0].open().samples_uv[0, 0] != first


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0.0, 0.9999))
def test_a_file_cut_off_anywhere_is_one_sentence(tmp_path_factory, share):
    folder = tmp_path_factory.getbasetemp() / "cut"
    whole = folder / "whole.mat"
    if not whole.exists():
        folder.mkdir()
        write_mat(whole, "data21", n_times=40)
    content = whole.read_bytes()
    (folder / "song21_Imputed.mat").write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"song21_Imputed\.mat"):
        open_study("nmed-t", folder)


@pytest.mark.parametrize("content", [b"", b"no matlab" * 30, b"\x89HDF\r\n\x1a\n" + bytes(200)])
def test_what_is_no_v5_file_is_one_sentence(folder, content):
    (folder / "song21_Imputed.mat").write_bytes(content)
    with pytest.raises(UserError, match=r"song21_Imputed\.mat.*v5"):
        open_study("nmed-t", folder)


def test_an_empty_folder_says_what_to_fetch_and_where(tmp_path):
    with pytest.raises(UserError, match=r"song21_Imputed.mat.*https://purl.stanford.edu/jn859kj8079"):
        open_study("nmed-t", tmp_path)
    with pytest.raises(UserError, match="did you mean 'nmed-t'"):
        open_study("nmedt", tmp_path)
    with pytest.raises(UserError, match="no folder"):
        open_study("nmed-t", tmp_path / "absent")


@pytest.mark.parametrize(("songs", "words"), [
    ({"nmed-t/24": {"file": "song21.wav"}}, ("nmed-t/24", "no EEG")),
    ({"nmed-t/12": {"file": "song21.wav"}}, ("nmed-t/12", "did you mean")),
    ({"nmed-t/21": {"file": "song21.wav", "ofset_s": 1}}, ("ofset_s", "did you mean 'offset_s'")),
    ({"nmed-t/21": {"file": "gone.wav"}}, ("no audio file", "gone.wav")),
    ({"nmed-t/21": {"file": "audio.yaml"}}, ("audio.yaml", "cannot be read as audio")),
    ({"nmed-t/21": {"file": "song21.wav", "offset_s": 3.0}}, ("song21.wav", "12.0 s", "15.0 s", "offset of 3 s")),
    ({"nmed-t/21": "song21.wav"}, ("nmed-t/21", "expected {file")),
])  # fmt: skip
def test_a_wrong_mapping_is_one_sentence(folder, songs, words):
    write_map(folder, songs)
    with pytest.raises(UserError) as error:
        open_study("nmed-t", folder)
    assert [w for w in words if w not in str(error.value)] == []


def test_one_mapping_may_serve_both_studies(folder):
    songs = {"nmed-t/21": {"file": "song21.wav"}, "nmed-h/21": {"file": "absent.wav"}}
    write_map(folder, songs)
    assert open_study("nmed-t", folder).stimuli["nmed-t/21"].audio.name == "song21.wav"


def test_studies_join_and_songs_can_be_chosen(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("h")
    write_mat(other / "song21_a_Imputed.mat", "data21_a")
    (other / "SIMULATED.yaml").write_text("simulated: true")
    both = join([open_study("nmed-t", folder), open_study("nmed-h", other)])
    assert (both.kind, both.simulated, len(both.recordings)) == ("nmed-t+nmed-h", True, 4)
    assert both.notes[0] == "some of the EEG is simulated"
    assert [r.songs for r in only(both, ["nmed-h/21"]).recordings] == [("nmed-h/21",)] * 2
    with pytest.raises(UserError, match="no EEG of nmed-t/22"):
        only(both, ["nmed-t/22"])
    with pytest.raises(UserError, match="more than one"):
        join([both, open_study("nmed-t", folder)])


def test_only_one_file_is_held_in_memory(folder):
    write_mat(folder / "song22_Imputed.mat", "data22")
    for recording in open_study("nmed-t", folder).recordings:
        recording.open()
    assert matlab._loaded.cache_info().currsize == 1
    matlab.forget()
    assert matlab._loaded.cache_info().currsize == 0
