"""EEG from before the music, out of raw recordings: where it is cut, how it is filtered, and that no music is in it."""

import numpy as np
import pytest
from scipy.io import savemat

from bci_music.data import nmed_raw
from bci_music.data.nmed_raw import clean_as_published, quiet_before, quiet_eeg, write_before
from bci_music.data.open_study import open_study
from bci_music.messages import UserError

pytestmark = pytest.mark.learning

EVENTS = [(5, 500), (11, 13_800), (21, 15_000), (128, 16_010), (1, 19_000), (11, 30_000), (22, 31_000)]


def names(code):
    return f"D{code}" if code >= 100 else f"DI{code}" if code >= 10 else f"DIN{code}"


def write_raw(path, eeg, events=EVENTS, rate=1000.0, *, lying=False):
    """A raw file as MATLAB v7.3 lays it out: arrays transposed, cells as references."""
    h5py = pytest.importorskip("h5py", reason="raw files of NMED-T are HDF5, h5py is not installed")
    with h5py.File(path, "w") as file:
        file["X"] = eeg.T
        file["fs"] = np.array([[rate]])
        refs = np.empty((len(events), 2), h5py.ref_dtype)
        for i, (code, sample) in enumerate(events):
            text = file.create_dataset(f"#refs#/c{i}", data=np.array([[ord(c)] for c in names(code)], np.uint16))
            at = file.create_dataset(f"#refs#/s{i}", data=np.array([[float(sample)]]))
            refs[i] = [text.ref, at.ref]
        file.create_dataset("DIN_1", data=refs.T if lying else refs, dtype=h5py.ref_dtype)


def brain(n=32_000, seed=0):
    eeg = 10.0 * np.random.default_rng(seed).standard_normal((129, n), np.float32)
    eeg[128] = 0.0
    return eeg


def test_the_quiet_ends_at_the_onset_and_begins_after_what_came_before():
    first, second = quiet_before(EVENTS, 1000.0, 32_000, 12.0)
    assert (first.song, first.start, first.stop) == (21, 3000, 15_000)  # 12 s before the trigger: the click is later
    assert (second.song, second.start, second.stop) == (22, 19_000, 31_000)
    early = quiet_before([(21, 25_000), (128, 25_700)], 1000.0, 32_000, 12.0)
    assert early[0].stop == 24_700  # one second before the click
    after = quiet_before([(5, 20_500), (21, 25_000)], 1000.0, 32_000, 12.0)
    assert after == []  # 4.5 s after a rating is too little
    assert quiet_before([(21, 40_000)], 1000.0, 32_000, 12.0) == []


@pytest.mark.parametrize("lying", [False, True])
def test_nothing_of_the_music_gets_in(tmp_path, lying):
    """What happens from the onset on changes not one sample."""
    quiet, loud = brain(), brain()
    loud[:, 15_000:19_000] += 500.0
    write_raw(tmp_path / "02_1_raw.mat", quiet, lying=lying)
    write_raw(tmp_path / "03_1_raw.mat", loud, lying=lying)
    a, b = (quiet_eeg(tmp_path / f"{n}_1_raw.mat", 12.0) for n in ("02", "03"))
    assert a[21].shape == (125, 1500)
    np.testing.assert_array_equal(a[21], b[21])


def test_filters_pass_what_the_clean_files_hold():
    t = np.arange(20_000) / 1000.0
    gain = {}
    for hz in (0.05, 10.0, 60.0, 70.0):
        wave = np.zeros((129, len(t)))
        wave[0] = np.sin(2 * np.pi * hz * t)
        out = clean_as_published(wave, 1000.0)[0, 500:2000]
        gain[hz] = out.std() / (np.sin(2 * np.pi * hz * t[::8])[500:2000].std() * 124 / 125)
    assert gain[10.0] == pytest.approx(1.0, abs=0.03)
    assert max(gain[0.05], gain[60.0], gain[70.0]) < 0.05


def test_rows_are_the_published_ones_under_their_average():
    wave = np.zeros((129, 8000))
    wave[124] = np.sin(np.arange(8000) / 16.0)  # E125, a face electrode, is no row
    assert np.abs(clean_as_published(wave, 1000.0)).max() == 0.0
    out = clean_as_published(brain(8000), 1000.0)
    assert out.shape == (125, 1000)
    assert np.abs(out.mean(axis=0)).max() < 1e-4


def test_the_files_open_as_the_study_before_its_music(tmp_path):
    cell = np.empty((1, 2), object)
    cell[0, :] = ["S02", "S04"]
    savemat(tmp_path / "song21_Imputed.mat", {"data21": np.ones((125, 1500, 2)), "subs21": cell, "fs": 125.0})
    write_raw(tmp_path / "02_1_raw.mat", brain())
    write_raw(tmp_path / "04_2_raw.mat", brain(seed=1))
    sentence = write_before(tmp_path, 8.0)
    assert sentence[0] == "before_song21_Imputed.mat: 2 listeners, 8.0 s from before song 21"
    recording = open_study("nmed-t", tmp_path).recordings[1]
    expected = quiet_eeg(tmp_path / "04_2_raw.mat", 8.0)[21]
    np.testing.assert_allclose(recording.open_before().samples_uv, expected.T, rtol=1e-6)


def test_what_cannot_be_used_is_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"no raw file.*02_1_raw\.mat"):
        write_before(tmp_path)
    (tmp_path / "02_1_raw.mat").write_bytes(b"no hdf5")
    with pytest.raises(UserError, match=r"02_1_raw\.mat cannot be read"):
        write_before(tmp_path)
    write_raw(tmp_path / "02_1_raw.mat", brain()[:120])
    with pytest.raises(UserError, match="expected 129 channels at 1000 Hz"):
        write_before(tmp_path)
    write_raw(tmp_path / "02_1_raw.mat", brain(), [(21, 2000)])
    with pytest.raises(UserError, match="nothing is written"):
        write_before(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(UserError, match="pip install h5py"):
        nmed_raw.write_before(tmp_path)
