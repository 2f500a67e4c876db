"""MUSIN-G in its BIDS layout: who heard which song, from which second on, and its own audio."""

import json

import numpy as np
import pytest
import soundfile

from bci_music.data.open_study import open_study
from bci_music.messages import UserError


@pytest.fixture
def write(tmp_path):
    """Write one recording of 10 s of silence and 14 s of song as EEGLAB, with the JSON that BIDS puts beside it."""
    pytest.importorskip("eeglabio", reason="eeglabio writes the EEGLAB files of this test, it is not installed")
    import mne

    def make(subject, song, seconds=24.0):
        folder = tmp_path / f"sub-{subject:03d}" / f"ses-{song:02d}" / "eeg"
        folder.mkdir(parents=True)
        labels = [f"E{i}" for i in range(1, 130)]
        rng = np.random.default_rng(subject)
        eeg = 1e-5 * rng.standard_normal((129, round(250 * seconds)))
        eeg[128] = 0.0
        raw = mne.io.RawArray(eeg, mne.create_info(labels, 250.0, "eeg"), verbose="ERROR")
        raw.set_annotations(mne.Annotations([2.0], [0.0], ["stm+"]))  # misplaced, as in the published files
        path = folder / f"sub-{subject:03d}_ses-{song:02d}_task-MusicListening_run-{song}_eeg.set"
        raw.export(path, verbose="ERROR")
        path.with_suffix(".json").write_text(json.dumps({"RecordingDuration": seconds, "SamplingFrequency": 250}))
        return eeg
    return make


def write_song(folder, song, seconds):
    audio = folder / "Code" / "ESongs"
    audio.mkdir(parents=True, exist_ok=True)
    soundfile.write(audio / f"{song}.esh.wav", np.zeros(round(seconds * 8000)), 8000)


def test_the_song_begins_ten_seconds_in_whatever_the_events_say(tmp_path, write):
    eeg = write(1, 2)
    write(7, 2)
    write_song(tmp_path, 2, 14.2)
    study = open_study("musin-g", tmp_path)
    assert [(r.name, r.listener) for r in study.recordings] == [
        ("musin-g 001 song02", "musin-g 001"), ("musin-g 007 song02", "musin-g 007"),
    ]
    assert study.stimuli["musin-g/2"].audio.name == "2.esh.wav"
    session = study.recordings[0].open()
    (span,) = session.heard()
    assert (span.song, span.start_s) == ("musin-g/2", pytest.approx(9.938))
    np.testing.assert_allclose(session.samples_uv, 1e6 * eeg.T, rtol=1e-3, atol=1e-3)
    before = study.recordings[0].open_before()
    assert before.duration_s == pytest.approx(9.936)
    assert before.heard() == ()


def test_audio_shorter_than_the_song_is_named(tmp_path, write):
    write(1, 2)
    write_song(tmp_path, 2, 9.0)
    with pytest.raises(UserError, match=r"2\.esh\.wav lasts 9\.0 s"):
        open_study("musin-g", tmp_path)


def test_an_empty_folder_says_what_to_fetch(tmp_path):
    with pytest.raises(UserError, match=r"sub-001.*https://openneuro\.org/datasets/ds003774"):
        open_study("musin-g", tmp_path)
