"""Rows and flags are the live path's by every way into the program: training, calibration, replay."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bci_music.clock import ManualClock
from bci_music.data.session import Event, Session, song_marker
from bci_music.data.study import Recording, Stimulus, Study
from bci_music.eeg.chain import SignalChain, SignalConfig
from bci_music.eeg.montage import Montage, map_channels
from bci_music.messages import BREAK, FILLED, HOLE, Chunk, StreamInfo, StreamState, Window
from bci_music.streaming.acquire import Acquirer
from bci_music.streaming.replay import SessionSource
from bci_music.streaming.ring import Cursor
from bci_music.streaming.source import SourceEnded
from bci_music.timing.rows import grid_rows
from bci_music.timing.stamps import on_lattice
from bci_music.training.calibration.listener_data import ListenerData
from bci_music.training.eeg import sessions
from bci_music.training.lab.prepare import prepare

pytestmark = pytest.mark.learning

LABELS = tuple(f"E{i}" for i in range(1, 10))
MONTAGE = Montage.nmed()
SIGNAL = SignalConfig.model_validate({"quality": {"enabled": False}})
FIELDS = ("samples", "times", "flags")


class Scripted:
    """A live source that hands out a session in chunks of the given sizes (repeated)."""

    live = True

    def __init__(self, session, sizes):
        self.session, self.sizes, self.row, self.pulls = session, sizes, 0, 0

    def open(self, timeout_s):
        return StreamInfo("scripted", "lsl", self.session.labels, self.session.sfreq_hz)

    def pull(self):
        if self.row >= len(self.session.times_s):
            raise SourceEnded("over")
        part = slice(self.row, self.row + self.sizes[self.pulls % len(self.sizes)])
        self.row, self.pulls = part.stop, self.pulls + 1
        return Chunk(self.session.samples_uv[part], self.session.times_s[part], float(self.session.times_s[part][-1]))

    def close(self):
        pass


def acquired(source, clock, session):
    """What the acquirer puts into its ring."""
    acquirer = Acquirer(source, clock, ring_seconds=4 * session.duration_s + 30)
    while acquirer.state is not StreamState.ENDED:
        acquirer.step(clock.advance(0.02))
    return joined([Cursor(acquirer.ring, 0).pull()]), acquirer.info.sfreq_hz


def live(session, sizes=(7, 64, 1, 300)):
    return acquired(Scripted(session, sizes), ManualClock(5000.0), session)[0]


def live_of_damaged(session, sizes=(7, 64, 1, 300)):
    """The same; a few seconds with many holes may be taken for another rate (test_rate.py), which is no case here."""
    rows, rate_hz = acquired(Scripted(session, sizes), ManualClock(5000.0), session)
    assume(rate_hz == session.sfreq_hz)
    return rows


def replayed(session, speed=math.inf):
    clock = ManualClock(777.7)
    return acquired(SessionSource(session, speed=speed, clock=clock), clock, session)[0]


def joined(pieces):
    return tuple(np.concatenate([getattr(p, name) for p in pieces]) for name in FIELDS)


def fed_to_the_chain(run):
    """Rows that every `SignalChain` was given while `run()` ran, one entry per chain."""
    given, process = {}, SignalChain.process

    def noted(self, samples_uv, times_s, flags, first_index):
        rows = given.setdefault(id(self), (self, []))[1]
        assert first_index == sum(len(r[1]) for r in rows)
        rows.append((samples_uv.copy(), times_s.copy(), flags.copy()))
        return process(self, samples_uv, times_s, flags, first_index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SignalChain, "process", noted)
        run()
    return [tuple(np.concatenate(part) for part in zip(*rows, strict=True)) for _, rows in given.values()]


def assert_same(rows, expected):
    for got, wanted in zip((rows[0], rows[2]), (expected[0], expected[2]), strict=True):
        np.testing.assert_array_equal(got, wanted)
    np.testing.assert_allclose(rows[1] - rows[1][0], expected[1] - expected[1][0], atol=2e-6)


def make(times, rate, events=()):
    samples = np.random.default_rng(len(times)).normal(0, 15, (len(times), len(LABELS))).astype(np.float32)
    return Session("made", LABELS, rate, samples, times, tuple(events))


@st.composite
def damaged(draw):
    """A session with gaps, jitter, repeated and backward stamps, and catching-up bursts."""
    rate = draw(st.sampled_from([125.0, 160.0, 250.0, 500.0]))
    n = round(draw(st.floats(0.5, 6.0)) * rate)
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    steps = np.full(n, 1 / rate)
    where = st.integers(1, n - 1)
    for row, missing in draw(st.lists(st.tuples(where, st.integers(1, round(0.4 * rate))), max_size=4)):
        steps[row] += missing / rate
    for row in draw(st.lists(where, max_size=2)):
        steps[row] = 0.0
    for row, rows in draw(st.lists(st.tuples(where, st.integers(4, round(0.8 * rate))), max_size=1)):
        late = min(rows, n - row)
        steps[row : row + late] = 1e-5
        steps[row] += late / rate
    for row in draw(st.lists(where, max_size=1)):
        steps[row] -= draw(st.floats(0.01, 3.0))
    jitter_s = draw(st.sampled_from([0.0, 1e-4, 2e-3]))
    times = draw(st.floats(0.0, 1e5)) + np.cumsum(steps) + jitter_s * rng.uniform(-1, 1, n)
    return make(on_lattice(times), rate, [Event(float(times.min()) - 1.0, song_marker("a", "A"))])


@settings(max_examples=60, deadline=None)
@given(session=damaged(), sizes=st.lists(st.integers(1, 400), min_size=1, max_size=4), block_s=st.floats(0.01, 9.0))
def test_offline_rows_are_the_live_ones_for_any_damage_chunks_and_block(session, sizes, block_s):
    expected = live_of_damaged(session, sizes)
    assert_same(joined(list(session.grid_rows())), expected)
    blocks = list(grid_rows(session.samples_uv, session.times_s, session.sfreq_hz, block_s=block_s))
    assert [b.first_index for b in blocks] == np.cumsum([0, *(len(b) for b in blocks)])[:-1].tolist()
    assert_same(joined(blocks), expected)
    assert_same(replayed(session), expected)


@settings(max_examples=15, deadline=None)
@given(session=damaged())
def test_windows_and_segments_are_made_of_the_live_rows(session):
    expected = live_of_damaged(session)
    for path in (
        partial(sessions.session_windows, session, SIGNAL, MONTAGE),
        partial(sessions.segments_of, session, SIGNAL, MONTAGE, "l", "r"),
        partial(sessions.unheard_segments, session, SIGNAL, MONTAGE, "l", "r"),
        partial(sessions.heard_windows, session, SIGNAL, MONTAGE, "r"),
        partial(ListenerData("l").add, "r", session, SIGNAL, MONTAGE),
    ):
        (rows,) = fed_to_the_chain(path)
        assert_same(rows, expected)


@pytest.fixture(scope="module")
def holed():
    """20 s at 250 Hz with one hole of 160 ms, after 5 s in which nothing is heard."""
    times = np.arange(5000) / 250.0
    events = [Event(7.0, song_marker("a", "A")), Event(19.9, song_marker(None))]
    whole = make(times, 250.0, events)
    keep = np.r_[0:3000, 3040:5000]
    return Session("holed", LABELS, 250.0, whole.samples_uv[keep], times[keep], whole.events)


def own_study(session, folder):
    """A study of one recording of one's own, with EEG from before the first song."""
    path = folder / "one.xdf"
    path.write_bytes(b"XDF:")
    before = make(np.arange(1750) / 250.0, 250.0)
    recording = Recording(
        "sessions one", "sessions l", path, lambda: session, lambda: before, duration_s=20.0, songs=("a",)
    )
    return Study("sessions", folder, (recording,), {"a": Stimulus("a", "A", "A")}, True, ())


def test_a_hole_of_160_ms_is_5000_rows_with_40_flagged_by_every_path(holed, tmp_path):
    own = {}

    def prepare_sessions():
        own["prepared"] = prepare(own_study(holed, tmp_path), tmp_path / "out", signal=SIGNAL)

    found = {
        "live": live(holed), "replay": replayed(holed), "replay at speed 1": replayed(holed, 1.0),
        "grid": joined(list(holed.grid_rows())),
        "calibrate": fed_to_the_chain(partial(ListenerData("l").add, "r", holed, SIGNAL, MONTAGE))[0],
        "prepare": fed_to_the_chain(prepare_sessions)[0],
    }
    for path, rows in found.items():
        assert len(rows[0]) == 5000, path
        assert np.flatnonzero(rows[2]).tolist() == list(range(3000, 3040)), path
        assert (rows[2][3000:3040] == HOLE).all(), path
        assert_same(rows, found["live"])
    before, after = own["prepared"].segments  # both within the song, none across the hole
    assert before.start_s >= 7.0
    assert before.start_s + before.eeg.shape[1] / 125.0 <= 12.0
    assert after.start_s >= 12.16
    assert after.song_start_s == pytest.approx(after.start_s - 7.0)


def test_windows_over_a_hole_are_not_decoded_and_a_filled_gap_is(holed):
    windows = sessions.session_windows(holed, SIGNAL, MONTAGE)
    touched = [w for w in windows if w.flags.astype(bool).any()]
    assert touched
    assert not any(w.decodable for w in touched)
    times = np.delete(np.arange(2500) / 250.0, slice(2000, 2005))
    filled = [w for w in sessions.session_windows(make(times, 250.0), SIGNAL, MONTAGE) if (w.flags & FILLED).any()]
    assert filled
    assert all(w.decodable for w in filled)


def test_the_windows_of_a_session_are_the_live_ones(holed):
    chain = SignalChain(SIGNAL, MONTAGE, map_channels(LABELS, MONTAGE), 250.0)
    samples, times, flags = live(holed)
    expected = [w for w in chain.process(samples, times, flags, 0) if isinstance(w, Window)]
    made = sessions.session_windows(holed, SIGNAL, MONTAGE)
    assert len(made) == len(expected) > 20
    for a, b in zip(made, expected, strict=True):
        np.testing.assert_array_equal(a.samples, b.samples)
        np.testing.assert_array_equal(a.flags, b.flags)
        np.testing.assert_array_equal(a.used, b.used)
        assert (a.index, a.first_sample, a.last_sample) == (b.index, b.first_sample, b.last_sample)


def test_whole_recordings_are_cut_at_holes_and_keep_their_song_second():
    times = np.delete(np.arange(125 * 30) / 125.0, slice(1500, 1520))
    session = make(times, 125.0, [Event(2.0, song_marker("a", "A", 40.0))])
    first, second = sessions.whole_segments(session, SIGNAL, MONTAGE, "l", "r")
    assert (first.start_s, first.song_start_s, first.eeg.shape[1]) == (2.0, 40.0, 1250)
    assert second.start_s == pytest.approx(1520 / 125)
    assert second.song_start_s == pytest.approx(40.0 + 1520 / 125 - 2.0)
    assert second.eeg.shape[1] == 3750 - 1520
    spread = session.samples_uv.std(axis=0)
    scaled = (session.samples_uv[1500:] - session.samples_uv.mean(axis=0)) / (spread + 1e-6)
    at = map_channels(LABELS, MONTAGE).source_index
    np.testing.assert_allclose(second.eeg[at >= 0], scaled.T[at[at >= 0]], atol=5e-3)


def test_a_long_gap_is_a_break_by_every_path():
    times = np.delete(np.arange(2500) / 250.0, slice(1000, 1100))
    session = make(times, 250.0)
    for rows in (live(session), replayed(session), joined(list(session.grid_rows()))):
        assert np.flatnonzero(rows[2]).tolist() == [1000]
        assert rows[2][1000] == BREAK
