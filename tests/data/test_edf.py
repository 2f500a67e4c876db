"""EDF and BDF: what the file states is what is read, where readers are known to go wrong; values compared."""

import contextlib
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bci_music.data.formats import open_session
from bci_music.data.info import file_info
from bci_music.data.session import Reading
from bci_music.messages import UserError

LABELS = ("Fp1", "Fp2", "F7", "F3")
RATE, SECONDS = 128, 20


def sines(rate=RATE, seconds=SECONDS, n=4):
    """10 Hz of 20, 21, 22 ... µV."""
    return np.sin(2 * np.pi * 10 * np.arange(rate * seconds) / rate)[:, None] * (20.0 + np.arange(n))


def field(value, width):
    data = value if isinstance(value, bytes) else str(value).encode()
    return data.ljust(width)[:width]


def tal(onset, texts=(), duration=""):
    length = f"\x15{duration}" if duration else ""
    body = f"{onset:+g}{length}\x14" + "".join(f"{t}\x14" for t in texts or [""])
    return body.encode() + b"\0"


class Edf:
    """A file to be written: signals as (label, dimension, values in it, physical range), one second a record."""

    def __init__(self, signals, *, bdf=False, kind="", records=None, onsets=None, marks=(), duration="1", extra=b""):
        self.bdf, self.kind, self.duration, self.extra = bdf, kind, duration, extra
        self.signals, self.onsets, self.marks = list(signals), onsets, marks
        self.n = len(self.signals[0][2]) // self.signals[0][4] if self.signals else 0
        self.records = self.n if records is None else records

    def write(self, path):
        low, high, size = (-(2**23), 2**23 - 1, 3) if self.bdf else (-32768, 32767, 2)
        rows = [[s[0], "", s[1], s[3][0], s[3][1], low, high, "", s[4], ""] for s in self.signals]
        notes = ("BDF" if self.bdf else "EDF") + " Annotations"
        if self.onsets is not None:
            rows.append([notes, "", "", -1, 1, low, high, "", 120 // size, ""])
        widths = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
        head = b"\xffBIOSEMI" if self.bdf else b"0       "
        head += field("somebody", 80) + field("a recording", 80) + b"02.03.2410.11.12" + field(256 * (len(rows) + 1), 8)
        head += field(self.kind, 44) + field(self.records, 8) + field(self.duration, 8) + field(len(rows), 4)
        for column, width in enumerate(widths):
            head += b"".join(field(row[column], width) for row in rows)
        data = b""
        for k in range(self.n):
            for _, _, values, (least, most), per in self.signals:
                part = np.asarray(values)[k * per : (k + 1) * per]
                bottom, top = (float(str(x).replace(",", ".")) for x in (least, most))
                scale = (top - bottom) / (high - low) or 1.0
                whole = np.rint((part - bottom) / scale + low).astype("<i4")
                data += whole.view(np.uint8).reshape(-1, 4)[:, :size].tobytes()
            if self.onsets is not None:
                text = tal(self.onsets[k]) + b"".join(tal(t, [w], d) for t, w, d, r in self.marks if r == k)
                data += text.ljust(120, b"\0")
        path.write_bytes(head + data + self.extra)
        return path


def eeg(dimension="uV", to_uv=1.0, labels=LABELS, rate=RATE, decimals="."):
    values = sines(rate, n=len(labels)) / to_uv
    top = f"{500 / to_uv:.6g}".replace(".", decimals)
    return [(label, dimension, values[:, k], (f"-{top}", top), rate) for k, label in enumerate(labels)]


@pytest.mark.parametrize("bdf", [False, True])
@pytest.mark.parametrize(("dimension", "to_uv"), [
    ("uV", 1), ("", 1), (".V", 1), ("UV", 1), ("microV", 1), ("µV".encode("latin-1"), 1), ("µV".encode(), 1),
    (b"\x83\xcaV", 1), (b"\xe6V", 1), ("nV", 1e-3), ("mV", 1e3), ("V", 1e6), ("mkV", 1), ("0", 1e6), ("muV", 1),
])  # fmt: skip
def test_any_unit_gives_microvolts_or_a_note(tmp_path, dimension, to_uv, bdf):
    session = open_session(Edf(eeg(dimension, to_uv), bdf=bdf).write(tmp_path / ("a.bdf" if bdf else "a.edf")))
    assert (session.labels, session.sfreq_hz, session.duration_s) == (LABELS, RATE, SECONDS)
    assert np.abs(session.samples_uv - sines()).max() < 0.02
    assert bool(session.notes) == (dimension in ("", ".V"))
    assert all("--unit" in note for note in session.notes)


def test_the_users_unit_overrides(tmp_path):
    path = Edf(eeg("")).write(tmp_path / "a.edf")
    session = open_session(path, Reading(unit="mV"))
    assert np.abs(session.samples_uv / 1000 - sines()).max() < 0.02
    assert (session.unit, session.notes) == ("mV", ())
    with pytest.raises(UserError, match="leave out --stream"):
        open_session(path, Reading(stream="x"))


def test_commas_are_points(tmp_path):
    path = Edf(eeg(to_uv=1e3, dimension="mV", decimals=","), duration="1,0").write(tmp_path / "a.edf")
    assert np.abs(open_session(path).samples_uv - sines()).max() < 0.02


@pytest.mark.parametrize("bdf", [False, True])
@pytest.mark.parametrize("kind", ["D", "C"])  # some write C and pause
def test_a_pause_is_a_break_and_marks_after_it_keep_their_time(tmp_path, kind, bdf):
    onsets = [0.25 + k + (60 if k >= 10 else 0) for k in range(SECONDS)]
    marks = [(5.25, "before", "", 5), (75.25, "after", "1.5", 15)]
    made = Edf(eeg(), bdf=bdf, kind=f"{'BDF' if bdf else 'EDF'}+{kind}", onsets=onsets, marks=marks)
    path = made.write(tmp_path / ("a.bdf" if bdf else "a.edf"))
    session = open_session(path)
    assert session.duration_s == 80.0
    assert session.segments() == ((0, 1280), (1280, 2560))
    assert session.times_s[1280] == 70.0
    assert [(e.time_s, e.text, e.duration_s) for e in session.events] == [(5.0, "before", 0.0), (75.0, "after", 1.5)]
    assert np.abs(session.samples_uv - sines()).max() < 0.02
    assert any("interrupted at 10.000 s: 60.000 s are missing" in note for note in session.notes)
    assert file_info(path).streams[0].missing_samples == 60 * RATE


def test_an_unbroken_file_that_may_have_pauses_has_none(tmp_path):
    path = Edf(eeg(), kind="EDF+D", onsets=range(SECONDS), marks=[(5, "ü", "", 5)]).write(tmp_path / "a.edf")
    session = open_session(path)
    assert (session.duration_s, session.segments(), session.notes) == (20.0, ((0, 2560),), ())
    assert [e.text for e in session.events] == ["ü"]
    assert np.array_equal(session.times_s, np.arange(2560) / 128)


def test_onsets_that_stand_still_in_a_continuous_file_are_noted(tmp_path):
    path = Edf(eeg(), kind="EDF+C", onsets=[0] * SECONDS).write(tmp_path / "a.edf")
    session = open_session(path)
    assert (session.duration_s, len(session.segments())) == (20.0, 1)
    assert any("times that fall" in note for note in session.notes)


def test_signals_of_other_rates_and_units_do_not_change_the_eeg(tmp_path):
    ecg = ("ECG", "mV", np.zeros(512 * SECONDS), (-5, 5), 512)
    flow = ("Flow", "L/min", np.zeros(32 * SECONDS), (-5, 5), 32)
    fast = [(label, "uV", np.zeros(256 * SECONDS), (-5, 5), 256) for label in ("A1", "A2")]
    session = open_session(Edf([*eeg(), ecg, flow, *fast]).write(tmp_path / "a.edf"))
    assert (session.labels, session.sfreq_hz, session.n_channels) == (LABELS, RATE, 4)
    assert session.excluded == ("ECG (ECG)", "Flow (in L/min)", "A1 (256 Hz)", "A2 (256 Hz)")
    assert np.abs(session.samples_uv - sines()).max() < 0.02
    assert any("4 channels at 128 Hz are read, 2 others" in note for note in session.notes)


def test_the_status_word_of_bdf_gives_its_triggers_and_no_flags(tmp_path):
    word = np.full(RATE * SECONDS, 0x1000FF)  # CMS in range, eight lines high by themselves
    word[300:310] |= 0x0500
    word[900:905] = 0x5002FF
    word[1500:1600] = 0x1000FE
    status = ("Status", "Boolean", np.where(word >= 2**23, word - 2**24, word), (-(2**23), 2**23 - 1), RATE)
    session = open_session(Edf([*eeg(), status], bdf=True).write(tmp_path / "a.bdf"))
    assert session.excluded == ("Status (TRIG)",)
    assert [(e.time_s, e.text) for e in session.events] == [(300 / 128, "1280"), (900 / 128, "512")]


def test_a_trigger_signal_of_edf_gives_its_values(tmp_path):
    values = np.zeros(32 * SECONDS)
    values[40:44] = 7
    values[100] = 12
    trigger = ("TRIGGER", "", values, (-32768, 32767), 32)
    session = open_session(Edf([*eeg(), trigger]).write(tmp_path / "a.edf"))
    assert [(e.time_s, e.text) for e in session.events] == [(1.25, "7"), (3.125, "12")]


def test_a_file_that_is_still_recorded_is_read_as_far_as_it_goes(tmp_path):
    path = Edf(eeg(), records=-1).write(tmp_path / "a.edf")
    path.write_bytes(path.read_bytes()[:-700])
    session = open_session(path)
    assert (session.duration_s, len(session.times_s)) == (19.0, 19 * RATE)
    assert np.abs(session.samples_uv - sines()[: 19 * RATE]).max() < 0.02
    assert any("19 by its size" in note for note in session.notes)
    assert any("the last 324 bytes" in note for note in session.notes)
    cut = Edf(eeg()).write(tmp_path / "b.edf")
    cut.write_bytes(cut.read_bytes()[:-4096])
    assert any("holds 16 of 20 records, 4 s are lost" in note for note in open_session(cut).notes)


def test_dummies_are_excluded_and_doubled_names_numbered(tmp_path):
    dummy = ("-", "", np.zeros(2560), (0, 0), RATE)
    signals = [s for one in eeg(labels=("FP1-F7", "T8-P8", "T8-P8")) for s in (one, dummy)]
    session = open_session(Edf(signals).write(tmp_path / "a.edf"))
    assert session.labels == ("FP1-F7", "T8-P8", "T8-P8 (2)")
    assert session.excluded == ("- (dummy)",) * 3
    assert any("'T8-P8' is there 2 times" in note for note in session.notes)


def test_without_eeg_it_is_refused_with_what_is_there(tmp_path):
    path = Edf(eeg(labels=("EOG left", "EMG chin", "ECG"))).write(tmp_path / "a.edf")
    with pytest.raises(UserError, match=r"holds no EEG channel, only EOG left \(EOG\), EMG chin \(EMG\), ECG \(ECG\)"):
        open_session(path)


@pytest.mark.parametrize(("at", "width", "value", "says"), [
    (252, 4, "9999", "9999 as its number of signals"),
    (184, 8, "99999999", "a header of 99999999 bytes, but its 4 signals need 1280"),
    (252, 4, "many", "'many' as its number of signals"),
    (252, 4, "-1", "-1 as its number of signals"),
    (244, 8, "0", "records of 0 s"),
    (244, 8, "1e30", "records of 1e\\+30 s"),
    (244, 8, "nan", "'nan' as its duration"),
    (256 + 4 * 216, 8, "99999999", "99999999 as its samples in a record of 'Fp1'"),
    (256 + 4 * 216, 8, "900000", "holds no whole record"),
    (0, 8, "7", "does not begin as one"),
])  # fmt: skip
def test_headers_are_bounded_before_anything_is_allocated(tmp_path, at, width, value, says):
    path = Edf(eeg()).write(tmp_path / "a.edf")
    data = bytearray(path.read_bytes())
    data[at : at + width] = field(value, width)
    path.write_bytes(data)
    with pytest.raises(UserError, match=says) as refused:
        open_session(path)
    assert "\n" not in str(refused.value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 1700), st.integers(0, 255)), max_size=6), st.integers(0, 30_000))
def test_any_damage_gives_a_session_or_a_sentence(tmp_path, flips, cut):
    whole = tmp_path / "whole.edf"
    if not whole.exists():
        Edf(eeg(), kind="EDF+D", onsets=range(SECONDS), marks=[(5, "x", "", 5)]).write(whole)
    data = bytearray(whole.read_bytes())
    for at, value in flips:
        data[at] = value
    path = tmp_path / "a.edf"
    path.write_bytes(data[:cut] if cut < 20_000 else data)
    with warnings.catch_warnings(), contextlib.suppress(UserError):
        warnings.simplefilter("error")
        session = open_session(path)
        assert len(session.times_s) == len(session.samples_uv) > 0
        session.segments()


def test_ordinary_files_are_read_as_mne_reads_them(shared_data):
    import mne

    other = shared_data / "eeg" / "other"
    files = [other / "test.bdf", other / "test.edf", shared_data / "eeg" / "physionet" / "S001R03.edf",
             other / "e_right2_0704_105158_Trial.edf"]  # fmt: skip
    for path in files:
        session = open_session(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raw = mne.io.read_raw(path, verbose="ERROR")
        assert session.sfreq_hz == raw.info["sfreq"]
        assert np.allclose(session.samples_uv, raw.get_data(list(session.labels)).T * 1e6, rtol=1e-6, atol=1e-3)
        texts = {(round(float(a["onset"]), 6), str(a["description"])) for a in raw.annotations}
        assert texts <= {(round(e.time_s, 6), e.text) for e in session.events}
