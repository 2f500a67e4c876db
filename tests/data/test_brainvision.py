"""BrainVision headers: files they name, units, code pages and decimal commas; values compared."""

import contextlib
import os
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bci_music.data.formats import open_session
from bci_music.data.session import Reading
from bci_music.messages import UserError

RATE, LABELS = 250, ("Fp1", "Fp2", "Cz")
HEADER = """Brain Vision Data Exchange Header File Version 1.0
; made for a test
[Common Infos]
{codepage}DataFile={data}
MarkerFile={markers}
DataFormat=BINARY
DataOrientation=MULTIPLEXED
NumberOfChannels=3
SamplingInterval={interval}
[Binary Infos]
BinaryFormat=INT_16
[Channel Infos]
{channels}
"""
MARKERS = """Brain Vision Data Exchange Marker File, Version 1.0
[Common Infos]
DataFile=made.eeg
[Marker Infos]
Mk1=New Segment,,1,1,0,20240302101112000000
Mk2=Stimulus,S  7,501,1,0
Mk3=New Segment,,1001,1,0,20240302101126000000
"""


def sines():
    return np.sin(2 * np.pi * 10 * np.arange(8 * RATE) / RATE)[:, None] * (20.0 + np.arange(3))


@pytest.fixture
def write(tmp_path):
    """Write 8 s of 10 Hz, 20, 21 and 22 µV, with a marker at 2 s and 10 s missing after 4 s."""
    def write(unit="µV", to_uv=1.0, resolution=None, encoding="utf-8", codepage="", data="made.eeg",
              markers="made.vmrk", interval="4000", folder=tmp_path):  # fmt: skip
        resolution = resolution or f"{0.1 / to_uv:.10g}"
        (folder / "made.eeg").write_bytes(np.rint(sines() / 0.1).astype("<i2").tobytes())
        (folder / "made.vmrk").write_text(MARKERS)
        listed = "\n".join(f"Ch{k}={label},,{resolution},{unit}" for k, label in enumerate(LABELS, 1))
        text = HEADER.format(codepage=codepage, data=data, markers=markers, interval=interval, channels=listed)
        (folder / "made.vhdr").write_bytes(text.encode(encoding))
        return folder / "made.vhdr"
    return write


def check(session):
    assert (session.labels, session.sfreq_hz) == (LABELS, RATE)
    assert np.abs(session.samples_uv - sines()).max() < 0.06
    assert session.segments() == ((0, 1000), (1000, 2000))
    assert session.times_s[1000] == pytest.approx(14.0)
    assert any(e.time_s == 2.0 and "S  7" in e.text for e in session.events)


@pytest.mark.parametrize(("unit", "to_uv"), [
    ("µV", 1), ("μV", 1), ("uV", 1), ("UV", 1), ("microvolts", 1), ("mV", 1e3), ("V", 1e6), ("nV", 1e-3), ("", 1),
    (".V", 1),
])  # fmt: skip
def test_any_unit_gives_microvolts(write, unit, to_uv):
    check(open_session(write(unit, to_uv)))


@pytest.mark.parametrize(("encoding", "codepage"), [
    ("latin-1", ""), ("cp1252", "Codepage=ANSI\n"), ("utf-8", "Codepage=UTF-8\n"), ("utf-8-sig", ""),
    ("utf-8", "Codepage=ANSI\n"), ("latin-1", "Codepage=UTF-8\n"), ("utf-8", "Codepage=nonsense\n"),
])  # fmt: skip
def test_any_code_page_gives_microvolts(write, encoding, codepage):
    check(open_session(write(encoding=encoding, codepage=codepage)))


def test_decimal_commas_are_points(write):
    check(open_session(write(resolution="0,1", interval="4000,0")))


def test_the_users_unit_overrides(write):
    session = open_session(write("counts"), Reading(unit="uV"))
    check(session)
    with pytest.raises(UserError, match="--unit"):
        open_session(write("counts"))


def test_a_renamed_recording_is_read_with_a_note(write):
    session = open_session(write(data="old name.eeg", markers="old name.vmrk"))
    check(session)
    assert sum("old name" in note for note in session.notes) == 2
    check(open_session(write(data="$b.eeg", markers="$b.vmrk")))


def test_a_data_file_named_in_another_folder_is_read_only_beside_the_header(write, tmp_path):
    session = open_session(write(data=r"C:\study\made.eeg", markers="/tmp/made.vmrk"))
    check(session)
    assert sum("in another folder" in note for note in session.notes) == 2
    inner = tmp_path / "inner"
    inner.mkdir()
    path = write(folder=inner, data="../other.eeg")
    (tmp_path / "other.eeg").write_bytes(bytes(6000))
    with pytest.raises(UserError, match="outside its folder, which is not opened"):
        open_session(path)


def test_what_is_missing_or_no_file_is_refused_in_a_sentence(write, tmp_path):
    path = write(data="gone.eeg")
    (tmp_path / "made.eeg").unlink()
    with pytest.raises(UserError, match=r"names the data file gone\.eeg|'gone\.eeg', which is not here"):
        open_session(path)
    os.mkfifo(tmp_path / "gone.eeg")
    with pytest.raises(UserError, match="which is no file"):
        open_session(path)
    path = write(markers="gone.vmrk")
    (tmp_path / "made.vmrk").unlink()
    session = open_session(path)
    assert session.events == ()
    assert any("read without markers" in note for note in session.notes)


def test_the_unit_of_a_format_that_states_it_cannot_be_overridden(tmp_path):
    import mne

    raw = mne.io.RawArray(np.ones((1, 100)) * 1e-6, mne.create_info(["Cz"], 100.0, "eeg"), verbose="ERROR")
    raw.save(tmp_path / "made_raw.fif", verbose="ERROR")
    with pytest.raises(UserError, match="states its unit: leave out --unit"):
        open_session(tmp_path / "made_raw.fif", Reading(unit="mV"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 420), st.binary(max_size=4)), max_size=5))
def test_any_header_gives_a_session_or_a_sentence(write, edits):
    path = write()
    data = bytearray(path.read_bytes())
    for at, part in edits:
        data[at : at + len(part)] = part
    path.write_bytes(data)
    with warnings.catch_warnings(), contextlib.suppress(UserError):
        warnings.simplefilter("error")
        session = open_session(path)
        assert len(session.times_s) == len(session.samples_uv) > 0
