import contextlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bci_music.data.formats import open_session
from bci_music.data.info import file_info
from bci_music.data.session import Reading, song_marker
from bci_music.messages import UserError


def text_stream(write_xdf, rows, name="made music", kind="Markers"):
    return write_xdf.Stream(
        name, kind, labels=("",), rate=0, format="string", times=[t for t, _ in rows], values=[v for _, v in rows]
    )


def test_eeg_is_chosen_and_everything_else_has_its_place(write_xdf):
    eeg = write_xdf.Stream(
        labels=("Fz", "Cz", "VEOG", "Pz", "gyro"), types=("EEG", "eeg", "EEG", "", "ACC"),
        desc="<simulated>true</simulated>",
    )  # fmt: skip
    acc = write_xdf.Stream("phone", "ACC", labels=("x", "y", "z"), unit="g")
    music = text_stream(write_xdf, [(7.1, song_marker("one", "One", 4.0)), (7.2, ""), (7.3, "a remark")])
    session = open_session(write_xdf(acc, music, eeg))
    assert session.labels == ("Fz", "Cz", "Pz")
    assert session.excluded == ("VEOG (EOG)", "gyro (ACC)")
    assert np.array_equal(session.samples_uv, eeg.values[:, [0, 1, 3]])
    assert session.times_s[0] == 7.0
    assert [e.text for e in session.events][1:] == ["a remark"]
    assert session.heard()[0].song_start_s == 4.0
    assert session.simulated
    assert session.notes == ()


@pytest.mark.parametrize(("unit", "factor"), [("V", 1e6), ("0", 1e6), ("mV", 1e3), ("uV", 1), ("-6", 1), ("µV", 1)])
def test_units_become_microvolts(write_xdf, unit, factor):
    eeg = write_xdf.Stream(unit=unit)
    session = open_session(write_xdf(eeg))
    assert session.samples_uv.dtype == np.float32
    assert np.array_equal(session.samples_uv, eeg.values * np.float32(factor))


def test_what_is_doubtful_is_noted(write_xdf):
    session = open_session(write_xdf(write_xdf.Stream(unit="counts")))
    (note,) = session.notes
    assert note.startswith("stream 'made' states counts where a voltage is expected: read as µV")
    bare = write_xdf.Stream(labels=(), values=np.ones((50, 4), np.float32))
    session = open_session(write_xdf(bare))
    assert session.labels == ("ch1", "ch2", "ch3", "ch4")
    assert any("names no channels" in note for note in session.notes)


def test_integers_doubles_and_nan_survive(write_xdf):
    ints = write_xdf.Stream(format="int16", values=np.arange(150).reshape(50, 3))
    assert np.array_equal(open_session(write_xdf(ints)).samples_uv, ints.values)
    values = np.ones((50, 3))
    values[10, 1] = np.nan
    path = write_xdf(write_xdf.Stream(format="double64", values=values))
    assert np.array_equal(open_session(path).samples_uv, values, equal_nan=True)
    assert file_info(path).streams[0].nan_samples == 1


def test_holes_survive_and_stamps_are_not_smoothed(write_xdf):
    """pyxdf's de-jittering would draw a line through a hole of 3 s at 100 Hz: fewer than 500 samples."""
    times = np.arange(600) / 100.0
    times[300:] += 3.0
    times += np.random.default_rng(0).uniform(-1e-4, 1e-4, 600)
    path = write_xdf(write_xdf.Stream(times=times))
    session = open_session(path)
    assert np.array_equal(session.times_s, times)
    assert session.segments() == ((0, 300), (300, 600))
    (summary,) = file_info(path).streams
    assert summary.missing_samples == 300
    assert summary.measured_hz == pytest.approx(100, abs=0.2)
    assert len(summary.segments) == 2
    assert summary.decoded


def test_clock_offsets_are_applied(write_xdf):
    offsets = tuple((7.0 + k * 0.1, 1000.0) for k in range(5))
    session = open_session(write_xdf(write_xdf.Stream(offsets=offsets)))
    assert session.times_s[0] == pytest.approx(1007.0, abs=1e-6)


def test_several_eeg_streams_need_a_choice(write_xdf):
    one = write_xdf.Stream("one", source_id="amp-1")
    two = write_xdf.Stream("two", source_id="amp-2", labels=("Oz", "O1"))
    empty = write_xdf.Stream("three", times=[], values=[])
    path = write_xdf(one, two, empty)
    with pytest.raises(UserError, match=r"several EEG streams, 'one' .* 'two' .*--stream"):
        open_session(path)
    assert open_session(path, Reading(stream="two")).labels == ("Oz", "O1")
    assert open_session(path, Reading(stream="amp-1")).name == "one"
    with pytest.raises(UserError, match="no EEG stream 'four'"):
        open_session(path, Reading(stream="four"))
    info = file_info(path)
    assert [s.decoded for s in info.streams] == [False, False, False]
    assert any("several EEG streams" in note for note in info.notes)
    assert any("'three'" in note and "empty" in note for note in info.notes)


@pytest.mark.parametrize("make", [
    (lambda w: [text_stream(w, [(1.0, "a")])], "holds no EEG stream, only 'made music'"),
    (lambda w: [w.Stream(times=[], values=[])], "fewer than 2 samples"),
    (lambda w: [], "holds no stream"),
    (lambda w: [w.Stream(labels=("EOG1", "AUX2"))], r"holds only EOG1 \(EOG\), AUX2 \(AUX\)"),
])  # fmt: skip
def test_files_without_eeg_are_refused_in_a_sentence(write_xdf, make):
    path = write_xdf(*make[0](write_xdf))
    for opener in (open_session, file_info):
        with pytest.raises(UserError, match=make[1]) as refused:
            opener(path)
        assert "\n" not in str(refused.value)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(4, 2000), flips=st.lists(st.tuples(st.integers(4, 1999), st.integers(0, 255)), max_size=4))
def test_damaged_files_open_or_are_refused_but_never_crash(write_xdf, tmp_path, cut, flips):
    data = bytearray(write_xdf(write_xdf.Stream(), text_stream(write_xdf, [(7.2, "x")])).read_bytes())
    for at, value in flips:
        data[at % len(data)] = value
    path = tmp_path / "damaged.xdf"
    path.write_bytes(data[:cut])
    with contextlib.suppress(UserError):
        session = open_session(path)
        assert len(session.times_s) == len(session.samples_uv)
