"""What XDF headers leave out or state wrongly: rates, names, helper columns, clocks, and which stream is meant."""

import os

import numpy as np
import pytest

from bci_music.data.formats import open_session
from bci_music.data.info import file_info
from bci_music.data.own_sessions import open_sessions
from bci_music.data.session import Reading, song_marker
from bci_music.messages import UserError

TEN_TWENTY = ("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7")


def steady(hz, seconds=20.0, start=70.0):
    return start + np.arange(round(hz * seconds)) / hz


def sines(times, n):
    """10 Hz of 20, 21, 22 ... µV."""
    return (np.sin(2 * np.pi * 10 * times)[:, None] * (20.0 + np.arange(n))).astype(np.float32)


def eeg_of(write_xdf, times, labels=TEN_TWENTY, **more):
    return write_xdf.Stream("amp", labels=labels, times=times, values=sines(times, len(labels)), **more)


@pytest.mark.parametrize(("stated", "hz"), [(128, 256), (1000, 550), (0, 250), (0, 100)])
def test_the_measured_rate_decides_and_is_said(write_xdf, stated, hz):
    eeg = eeg_of(write_xdf, steady(hz), rate=stated)
    path = write_xdf(eeg)
    session = open_session(path)
    assert (session.sfreq_hz, len(session.times_s)) == (hz, 20 * hz)
    assert session.duration_s == pytest.approx(20.0)
    assert np.array_equal(session.samples_uv, eeg.values)
    (note,) = session.notes
    assert f"{hz} Hz is used" in note
    spectrum = np.abs(np.fft.rfft(session.samples_uv[:, 0]))
    assert np.fft.rfftfreq(20 * hz, 1 / session.sfreq_hz)[spectrum.argmax()] == pytest.approx(10.0)
    (summary,) = file_info(path).streams
    assert (summary.nominal_hz, round(summary.measured_hz)) == (stated, hz)


def test_eeg_with_no_steady_rate_is_refused_with_its_rates(write_xdf):
    times = np.cumsum(np.exp(np.random.default_rng(0).normal(-4, 3, 2000)))
    for rate in (0, 250):
        with pytest.raises(UserError, match=r"stamps of stream 'amp' run at .* to .* Hz"):
            open_session(write_xdf(eeg_of(write_xdf, times, rate=rate)))


def test_where_one_eeg_stream_states_a_rate_the_one_without_is_not_meant(write_xdf):
    events = write_xdf.Stream("clicks", labels=("a",), rate=0, times=[71.0, 75.2, 80.1], values=[[1], [2], [3]])
    assert open_session(write_xdf(events, eeg_of(write_xdf, steady(128), rate=128.0))).name == "amp"


@pytest.mark.parametrize("stamp", [0.0, 5.0, 1.7e9])
def test_stamps_that_stand_still_are_said(write_xdf, stamp):
    path = write_xdf(eeg_of(write_xdf, np.full(500, stamp)))
    for opener in (open_session, file_info):
        with pytest.raises(UserError, match="All 500 stamps of stream 'amp' are the same"):
            opener(path)


@pytest.mark.parametrize("offset", [-1000.0, 0.0, 1.7e9])
def test_stamps_may_begin_anywhere(write_xdf, offset):
    eeg = eeg_of(write_xdf, steady(128, start=offset), rate=128.0)
    session = open_session(write_xdf(eeg))
    assert (session.sfreq_hz, session.segments()) == (128.0, ((0, 2560),))
    assert np.allclose(session.times_s, eeg.times, atol=1e-6)


def test_names_of_channels_are_those_of_the_live_stream(write_xdf):
    from bci_music.streaming.layout import read_layout

    eeg = eeg_of(write_xdf, steady(128), rate=128.0)
    header = eeg.header()
    eeg.header = lambda: header.replace("label>", "name>")
    session = open_session(write_xdf(eeg))
    live = read_layout(header.replace("label>", "name>"), "amp", 8)
    assert session.labels == live.labels == TEN_TWENTY
    assert session.notes == ()


def test_helper_columns_typed_as_eeg_are_excluded_live_and_in_files(write_xdf):
    from bci_music.streaming.layout import read_layout

    labels = ("Timestamp", "Counter", "Interpolate", *TEN_TWENTY, "HardwareMarker")
    eeg = eeg_of(write_xdf, steady(128), labels, rate=128.0)
    session = open_session(write_xdf(eeg))
    live = read_layout(eeg.header(), "amp", 12)
    assert session.labels == live.labels == TEN_TWENTY
    assert session.excluded == live.excluded
    assert session.excluded[0] == "Timestamp (COUNT)"
    assert np.array_equal(session.samples_uv, eeg.values[:, 3:11])


def test_markers_that_share_no_clock_with_the_eeg_are_said_and_not_placed(write_xdf):
    def marks(name, times):
        return write_xdf.Stream(name, "Markers", labels=("",), rate=0, format="string", times=times,
                                values=[song_marker("night-bus", "Night Bus"), "target"])  # fmt: skip

    unix = 1.7e9 + steady(256, 10.0, 0.0)
    eeg = eeg_of(write_xdf, unix, rate=256.0)
    path = write_xdf(marks("far", [71360.0, 71365.0]), marks("near", [1.7e9 + 1, 1.7e9 + 2]), eeg)
    session, info = open_session(path), file_info(path)
    for events, heard, notes in ((session.events, session.heard(), session.notes), (info.first_markers, info.heard,
                                                                                     info.notes)):  # fmt: skip
        assert [e.time_s for e in events] == [1.7e9 + 1, 1.7e9 + 2]
        assert [round(span.stop_s - span.start_s, 2) for span in heard] == [9.0]
        (note,) = notes
        assert "the markers of stream 'far'" in note
        assert "share no clock" in note


def two(write_xdf, names=("android", "android"), sources=("left", "right")):
    made = [
        write_xdf.Stream(name, labels=TEN_TWENTY, source_id=source, times=steady(128), rate=128.0,
                         values=k + sines(steady(128), 8))
        for k, (name, source) in enumerate(zip(names, sources, strict=True))
    ]  # fmt: skip
    return write_xdf(*made), made


@pytest.mark.parametrize(("names", "sources", "keys", "advice"), [
    (("android", "android"), ("left", "right"), ("left", "right"), "--stream SOURCE-ID"),
    (("one", "two"), ("x", "x"), ("one", "two"), "--stream NAME"),
    (("same", "same"), ("x", "x"), ("1", "2"), "--stream NUMBER"),
    (("right", "left"), ("left", "right"), ("right", "left"), "--stream NAME"),  # names go first
    (("a=b", "c"), ("x", "y"), ("a=b", "c"), "--stream NAME"),
])  # fmt: skip
def test_two_eeg_streams_are_told_apart_by_what_tells_them_apart(write_xdf, names, sources, keys, advice):
    path, made = two(write_xdf, names, sources)
    with pytest.raises(UserError, match=advice):
        open_session(path)
    for key, stream in zip(keys, made, strict=True):
        assert np.array_equal(open_session(path, Reading(stream=key)).samples_uv, stream.values)
        info = file_info(path, Reading(stream=key))
        assert [s.decoded for s in info.streams] == [stream is m for m in made]
    assert any(advice in note for note in file_info(path).notes)


def test_the_unit_given_overrides_and_the_montage_names_what_has_no_name(write_xdf):
    path, _ = two(write_xdf)
    assert open_session(path, Reading("right", "mV")).samples_uv.max() == pytest.approx(28_000, rel=0.01)
    bare = write_xdf.Stream("amp", labels=(), times=steady(100, 1.0), values=np.ones((100, 130), np.float32))
    path = write_xdf(bare)
    session = open_session(path, Reading(montage="egi128"))
    assert session.labels == tuple(f"E{k}" for k in range(1, 129))
    assert session.excluded == ("column 129 (not in the montage)", "column 130 (not in the montage)")
    assert any("--montage" in note for note in open_session(path).notes)
    small = write_xdf(write_xdf.Stream("amp", labels=(), times=steady(100, 1.0), values=np.ones((100, 9), np.float32)))
    with pytest.raises(UserError, match="9 unnamed channels but the montage 'egi128' names 128"):
        open_session(small, Reading(montage="egi128"))


def test_own_sessions_take_the_stream_and_the_unit(write_xdf, tmp_path):
    marks = write_xdf.Stream("music", "Markers", labels=("",), rate=0, format="string", times=[72.0],
                             values=[song_marker("s", "S")])  # fmt: skip
    _, made = two(write_xdf)
    path = write_xdf(*made, marks)
    with pytest.raises(UserError, match="--stream SOURCE-ID"):
        open_sessions(tmp_path)
    audio = tmp_path / "s.wav"
    import soundfile

    soundfile.write(audio, np.zeros(48_000 * 30), 48_000)
    (tmp_path / "audio.yaml").write_text("songs:\n  s: {file: s.wav}\n")
    (recording,) = open_sessions(tmp_path, reading=Reading("right", "mV")).recordings
    assert np.array_equal(recording.open().samples_uv, open_session(path, Reading("right", "mV")).samples_uv)


@pytest.mark.parametrize("make", ["fifo", "device", "nothing", "long"])
def test_what_is_no_file_is_refused_at_once(tmp_path, make):
    path = tmp_path / "made.xdf"
    if make == "fifo":
        os.mkfifo(path)
    elif make == "device":
        path.symlink_to("/dev/zero")
    elif make == "long":
        path = tmp_path / ("x" * 5000 + ".xdf")
    with pytest.raises(UserError, match=r"pipe or a device|There is no file|too long") as refused:
        open_session(path)
    assert len(str(refused.value)) < 500
