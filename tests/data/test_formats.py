import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
from typer.testing import CliRunner

from bci_music.cli.data import app
from bci_music.data.formats import open_session
from bci_music.data.info import file_info
from bci_music.messages import UserError
from bci_music.timing.rows import stamp_report

pytestmark = pytest.mark.learning


@pytest.fixture
def raw():
    """10 s of 4 channels: 3 EEG, one trigger."""
    import mne

    rng = np.random.default_rng(0)
    info = mne.create_info(["Fz", "Cz", "Pz", "STI"], 100.0, ["eeg"] * 3 + ["stim"])
    values = np.vstack([1e-5 * rng.standard_normal((3, 1000)), np.zeros((1, 1000))])
    made = mne.io.RawArray(values, info, verbose="ERROR")
    made.set_annotations(mne.Annotations([1.0, 2.0], [0.5, 0.0], ["a", "b"]))
    return made


def save(raw, path):
    raw.save(path, verbose="ERROR")
    return path


def test_fif_and_edf_give_the_same_session(raw, tmp_path):
    import mne

    fif = open_session(save(raw, tmp_path / "made_raw.fif"))
    mne.export.export_raw(tmp_path / "made.edf", raw.copy().pick("eeg"), verbose="ERROR")
    edf = open_session(tmp_path / "made.edf")
    assert fif.labels == edf.labels == ("Fz", "Cz", "Pz")
    assert fif.excluded == ("STI (STIM)",)
    assert np.allclose(fif.samples_uv, raw.get_data("eeg").T * 1e6, atol=1e-4)
    assert np.allclose(fif.samples_uv, edf.samples_uv, atol=0.01)
    assert np.array_equal(fif.times_s, np.arange(1000) / 100)
    assert [(e.time_s, e.text, e.duration_s) for e in fif.events] == [(1.0, "a", 0.5), (2.0, "b", 0.0)]
    assert fif.samples_uv.flags.c_contiguous


def test_what_was_not_acquired_is_a_gap_and_a_boundary_a_break(raw, tmp_path):
    import mne

    raw.set_annotations(mne.Annotations([3.0, 6.0, 8.0], [0.4, 0, 0], ["BAD_ACQ_SKIP", "boundary", "after"]))
    session = open_session(save(raw, tmp_path / "made_raw.fif"))
    assert len(session.times_s) == 960
    assert session.segments() == ((0, 300), (300, 560), (560, 960))
    report = stamp_report(session.times_s, 100.0)
    assert (report.gaps, report.missing_samples) == (2, 40 + 30)
    assert [e.text for e in session.events] == ["BAD_ACQ_SKIP", "boundary", "after"]
    assert session.events[2].time_s == pytest.approx(8.3)  # the shown break moves what comes after it
    assert any("40 samples annotated as not acquired" in note for note in session.notes)
    assert any("interrupted at 6.000 s" in note for note in session.notes)


def test_nan_is_kept(raw, tmp_path):
    raw._data[1, 100] = np.nan
    path = save(raw, tmp_path / "made_raw.fif")
    assert np.flatnonzero(np.isnan(open_session(path).samples_uv[:, 1])).tolist() == [100]
    assert file_info(path).streams[0].nan_samples == 1


def test_without_eeg_it_is_refused(raw, tmp_path):
    path = save(raw.copy().pick("stim"), tmp_path / "made_raw.fif")
    with pytest.raises(UserError, match="no EEG channel"):
        open_session(path)


@pytest.mark.parametrize(("name", "content", "sentence"), [
    ("gone.edf", None, "There is no file"),
    ("empty.xdf", b"", r"empty \(0 bytes\)"),
    ("no.xdf", b"PK\x03\x04 something else", "cannot be read as XDF"),
    ("no.edf", b"not an EDF header", "cannot be read"),
    ("no.vhdr", b"[Common Infos]", "names no data file"),
    ("notes.txt", b"1,2,3", "XDF, EDF, BDF"),
    ("data.npz", b"PK", "convert it"),
    ("rest.eeg", b"123", "samples without a header"),
    ("rest.vmrk", b"Brain", r"open rest\.vhdr"),
    ("half.fdt", b"123", r"open half\.set"),
])  # fmt: skip
def test_what_cannot_be_opened_is_explained_in_one_sentence(tmp_path, name, content, sentence):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    for opener in (open_session, file_info):
        with pytest.raises(UserError, match=sentence) as raised:
            opener(path)
        assert "\n" not in str(raised.value)


def test_a_plain_folder_is_no_recording(tmp_path):
    with pytest.raises(UserError, match="convert it"):
        open_session(tmp_path)


REFUSED = {
    "handFive.xdf", "empty_streams.xdf", "empty_streams_v1.xdf", "twochannel_string_marker.xdf", "chunk_length_lie.xdf",
    "out_of_order_clock_offsets.xdf", "out_of_order_sample_chunk.xdf", "testmff.mff",
    "OpenBCI_GUI-v6-blinks-jawClench-alpha.txt",
}  # fmt: skip
PARTS = {".fdt", ".eeg", ".vmrk", ".npz"}  # data beside a header, or arrays without one
SHARED = [
    "MagicBlinkEMG/handFive.xdf", "MagicBlinkEMG/handTwo.xdf", "MagicBlinkEMG/markersPlusEKG.xdf",
    "MagicBlinkEMG/three_motion_four.xdf", "MagicBlinkEMG/three_motion_one.xdf",
    "MagicBlinkEMG/three_motion_six.xdf", "MagicBlinkEMG/three_motion_three.xdf",
    "MagicBlinkEMG/three_motion_two_a.xdf", "MuseLSL2/sub-P001_eeg.xdf", "MuseLSL2/sub-P003_eeg.xdf",
    "MuseLSL2/sub-P031_eeg.xdf", "MuseLSL2/sub-P050_eeg.xdf", "eeglab/test.xdf", "example-files/clock_resets.xdf",
    "example-files/empty_streams.xdf", "example-files/empty_streams_v1.xdf", "example-files/minimal.xdf",
    "example-files/twochannel_string_marker.xdf", "xdf_rs/chunk_length_lie.xdf", "xdf_rs/minimal.xdf",
    "xdf_rs/out_of_order_clock_offsets.xdf", "xdf_rs/out_of_order_sample_chunk.xdf",
]  # fmt: skip


def looked_at(path):
    """Look as `data info` does and check what every answer promises; returns the refusal, "" where it opened."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = file_info(path)
        except UserError as error:
            return str(error)
    json.dumps(found.as_json(), allow_nan=False)
    summary = next(s for s in found.streams if s.decoded)
    assert summary.samples > 1
    assert summary.segments[0][0] == 0.0
    if found.bytes < 600_000:
        session = open_session(path)
        assert summary.samples == len(session.times_s) == len(session.samples_uv)
        assert len(summary.segments) == len(session.segments())
    return ""


@pytest.mark.parametrize("name", SHARED)
def test_every_shared_xdf_opens_or_is_refused(shared_data, name):
    path = shared_data / "xdf" / name
    refusal = looked_at(path)
    assert bool(refusal) == (path.name in REFUSED)
    assert "\n" not in refusal
    assert not refusal or path.name in refusal


def test_every_other_shared_recording_opens_or_is_refused(shared_data):
    paths = sorted((shared_data / "eeg" / "other").iterdir())
    assert paths
    for path in paths:
        refusal = looked_at(path)
        assert bool(refusal) == (path.name in REFUSED or path.suffix in PARTS), path.name
        assert "\n" not in refusal


def test_the_list_of_shared_xdf_is_whole(shared_data):
    there = {str(p.relative_to(shared_data / "xdf")) for p in (shared_data / "xdf").rglob("*.xdf")}
    assert there == set(SHARED)


def test_clock_reset_files_are_aligned(shared_data):
    info = file_info(shared_data / "xdf" / "example-files" / "clock_resets.xdf")
    eeg = next(s for s in info.streams if s.decoded)
    assert eeg.samples == 27815
    assert eeg.duration_s == pytest.approx(573.0, abs=0.5)
    assert info.markers == 175


def test_an_interrupted_brainvision_file_shows_how_long_it_was(shared_data):
    info = file_info(shared_data / "eeg" / "other" / "test_CA_208_amp_disconnection.vhdr")
    assert info.streams[0].missing_samples == pytest.approx(6346, abs=2)
    assert [round(b, 2) for _, b in info.streams[0].segments] == [6.07, 15.92]


def test_the_egi_gap_is_left_out(shared_data):
    session = open_session(shared_data / "eeg" / "other" / "test_egi_multiepoch_eprime.mff")
    assert session.n_channels == 257
    assert [round(float(session.times_s[a]), 3) for a, _ in session.segments()] == [0.0, 1.804]
    assert session.positions_m.shape == (257, 3)


def test_the_command_shows_tables_or_json(raw, tmp_path):
    path = save(raw, tmp_path / "made_raw.fif")
    shown = CliRunner().invoke(app, ["info", str(path)])
    assert shown.exit_code == 0
    for word in ("made_raw.fif", "100 Hz", "10.00 s", "Fz, Cz, Pz", "STI (STIM)"):
        assert word in shown.stdout
    raised = json.loads(CliRunner().invoke(app, ["info", str(path), "--json"]).stdout)
    assert raised["streams"][0]["nominal_hz"] == 100.0
    assert raised["markers"] == 2


def test_a_refusal_is_one_sentence_and_exit_code_2(tmp_path):
    (tmp_path / "empty.xdf").touch()
    start = "import sys; from bci_music.cli.main import main; main()"
    refused = subprocess.run(
        [sys.executable, "-c", start, "data", "info", str(tmp_path / "empty.xdf")], capture_output=True, text=True
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.count("\n") == 1
    assert "Traceback" not in refused.stderr
