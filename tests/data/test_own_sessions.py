"""Own recordings as a study: listeners, songs and the quiet before them, from markers alone."""

import json

import numpy as np
import pytest
import soundfile
import yaml

from bci_music.data.open_study import open_study
from bci_music.messages import UserError


@pytest.fixture
def record(write_xdf):
    """Write a recording: EEG at 100 Hz, music from `quiet` to the end; returns its samples."""
    def write(name, seconds=20.0, quiet=8.0, song="tune"):
        times = 50.0 + np.arange(round(100 * seconds)) / 100.0
        eeg = write_xdf.Stream(name="amp", times=times, labels=tuple(f"E{i}" for i in range(1, 13)))
        text = json.dumps({"song": song, "title": "A tune", "song_start_s": 3.0}) if song else "button"
        marks = write_xdf.Stream(
            name="songs", kind="Markers", labels=("m",), rate=0.0, format="string", times=np.array([50.0 + quiet]),
            values=[text],
        )  # fmt: skip
        write_xdf(eeg, marks, name=name)
        return eeg.values
    return write


def test_folders_are_listeners_and_markers_tell_the_song(tmp_path, record):
    (tmp_path / "anna").mkdir()
    samples = record("anna/one.xdf")
    record("sub-02_run1.xdf", quiet=1.0)
    study = open_study("sessions", tmp_path)
    first, second = study.recordings
    assert [r.listener for r in study.recordings] == ["sessions anna", "sessions sub-02"]
    assert (first.name, first.songs) == ("sessions anna/one", ("tune",))
    assert first.duration_s == pytest.approx(20.0, abs=0.02)
    assert study.stimuli["tune"].title == "A tune"
    (span,) = first.open().heard()
    assert (span.song, span.song_start_s) == ("tune", 3.0)
    before = first.open_before()
    np.testing.assert_array_equal(before.samples_uv, samples[:800])
    assert before.heard() == ()
    assert second.open_before is None  # one second is no control


def test_music_must_last_as_long_as_it_was_heard(tmp_path, record):
    record("one.xdf")
    soundfile.write(tmp_path / "tune.wav", np.zeros(10 * 8000), 8000)
    (tmp_path / "audio.yaml").write_text(yaml.safe_dump({"songs": {"tune": {"file": "tune.wav"}}}))
    with pytest.raises(UserError, match=r"tune\.wav lasts 10\.0 s.*one\.xdf.*15\.0 s"):
        open_study("sessions", tmp_path)


def test_what_tells_no_song_is_left_out_or_refused(tmp_path, record):
    record("a.xdf", song=None)
    with pytest.raises(UserError, match="song markers"):
        open_study("sessions", tmp_path)
    record("b.xdf")
    study = open_study("sessions", tmp_path)
    assert len(study.recordings) == 1
    assert any("a.xdf" in note for note in study.notes)


def test_a_folder_without_recordings_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="no XDF recording"):
        open_study("sessions", tmp_path)
