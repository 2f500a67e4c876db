import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.clock import ManualClock
from bci_music.data.session import UNKNOWN_BREAK_S, Event, Session, song_marker
from bci_music.eeg.chain import SignalChain, SignalConfig
from bci_music.eeg.montage import Montage, map_channels
from bci_music.messages import BREAK, FILLED, HOLE, StreamState, UserError, Window
from bci_music.streaming.acquire import Acquirer
from bci_music.streaming.replay import SessionSource
from bci_music.streaming.ring import Cursor
from bci_music.streaming.source import SourceEnded
from bci_music.timing.stamps import on_lattice

FS = 250.0


def make(n=2000, gaps=(), jitter_s=0.0, begin_s=512.37, seed=0, events=()):
    """A session of `n` rows; `gaps` are (row, missing samples) before that row."""
    rng = np.random.default_rng(seed)
    steps = np.full(n, 1 / FS)
    for row, missing in gaps:
        steps[row] += missing / FS
    times = begin_s + np.cumsum(steps) + jitter_s * rng.uniform(-1, 1, n)
    samples = rng.standard_normal((n, 9)).astype(np.float32)
    labels = tuple(f"E{i}" for i in range(1, 10))
    return Session("made", labels, FS, samples, times, events=tuple(events))


def offline(session, start_s=0.0):
    parts = list(session.grid_rows(start_s))
    assert [p.first_index for p in parts] == np.cumsum([0, *(len(p) for p in parts)])[:-1].tolist()
    return tuple(np.concatenate([getattr(p, name) for p in parts]) for name in ("samples", "times", "flags"))


def replayed(session, speed, beats, clock_s=98765.4321, start_s=0.0):
    """What lands in the ring when the acquirer is stepped at the given intervals (repeated)."""
    clock = ManualClock(clock_s)
    source = SessionSource(session, speed=speed, start_s=start_s, clock=clock)
    acquirer = Acquirer(source, clock, ring_seconds=200)
    parts, cursor, beat = [], None, 0
    while acquirer.state is not StreamState.ENDED:
        acquirer.step(clock.advance(beats[beat % len(beats)]))
        beat += 1
        assert beat < 20_000
        if cursor is None and acquirer.ring is not None:
            cursor = Cursor(acquirer.ring, 0)
        if cursor is not None:
            parts.append(cursor.pull())
    assert sum(p.lost for p in parts) == 0
    return tuple(np.concatenate([getattr(p, name) for p in parts]) for name in ("samples", "times", "flags"))


def test_replay_at_every_speed_is_offline_bit_for_bit():
    session = make(gaps=[(500, 5), (900, 40), (1400, 400)])
    samples, times, flags = offline(session)
    assert (flags & FILLED).astype(bool).sum() == 5
    assert (flags & HOLE).astype(bool).sum() == 40
    assert (flags & BREAK).astype(bool).sum() == 1
    assert len(samples) == 2000 + 45
    for speed in (0.5, 1.0, 3.0, 40.0, math.inf):
        again, stamps, again_flags = replayed(session, speed, [0.02, 0.013, 0.4])
        assert np.array_equal(again, samples), speed
        assert np.array_equal(again_flags, flags), speed
        real = (flags & (FILLED | HOLE)) == 0
        assert np.array_equal(np.diff(stamps[real]), np.diff(on_lattice(times[real]))), speed
        assert np.allclose(np.diff(stamps), np.diff(times), atol=1e-6), speed


def test_windows_of_a_replay_are_those_of_offline_decoding_bit_for_bit():
    session = make(4000, gaps=[(1500, 40), (2500, 400)])
    montage = Montage.nmed()

    def windows(samples, times, flags, step):
        chain = SignalChain(SignalConfig(), montage, map_channels(session.labels, montage), FS)
        made = []
        for at in range(0, len(times), step):
            rows = slice(at, at + step)
            made += chain.process(samples[rows], times[rows], flags[rows], at)
        return [w for w in made if isinstance(w, Window)], float(times[0])

    known, begin_s = windows(*offline(session), 997)
    assert len(known) > 20
    for speed, step in ((1.0, 11), (math.inf, 400)):
        again, again_s = windows(*replayed(session, speed, [0.02, 0.3]), step)
        assert [w.index for w in again] == [w.index for w in known]
        for a, b in zip(again, known, strict=True):
            assert np.array_equal(a.samples, b.samples)
            assert np.array_equal(a.used, b.used)
            assert np.array_equal(a.flags, b.flags)
            assert (a.first_sample, a.last_sample) == (b.first_sample, b.last_sample)
            assert a.end_s - again_s == pytest.approx(b.end_s - begin_s, abs=2e-6)


@settings(max_examples=20, deadline=None)
@given(
    gaps=st.lists(st.tuples(st.integers(10, 590), st.integers(1, 300)), max_size=3),
    jitter=st.sampled_from([0.0, 1e-4, 3e-3]),
    beats=st.lists(st.floats(0.001, 0.5), min_size=1, max_size=5),
    speed=st.sampled_from([1.0, 7.0, math.inf]),
    clock_s=st.floats(0, 1e6),
)
def test_rows_do_not_depend_on_clock_chunks_or_speed(gaps, jitter, beats, speed, clock_s):
    session = make(600, gaps, jitter)
    samples, _, flags = offline(session)
    again, _, again_flags = replayed(session, speed, beats, clock_s)
    assert np.array_equal(again, samples)
    assert np.array_equal(again_flags, flags)


def test_a_late_start_is_the_same_late_start_offline():
    session = make(gaps=[(1400, 400)])
    samples, _, flags = offline(session, start_s=2.0)
    assert len(samples) == 1500
    again, _, again_flags = replayed(session, math.inf, [0.02], start_s=2.0)
    assert np.array_equal(again, samples)
    assert np.array_equal(again_flags, flags)


def test_at_speed_one_no_row_comes_before_its_stamp_and_chunks_are_small():
    clock = ManualClock(50.0)
    source = SessionSource(make(500), clock=clock)
    source.open(0)
    seen = 0
    while seen < 500:
        clock.advance(0.01)
        assert clock.now() < 53.0
        while seen < 500 and (chunk := source.pull()):
            assert chunk.times_s[-1] <= clock.now() + 1e-6
            assert chunk.times_s[-1] > clock.now() - 0.05
            assert len(chunk.times_s) <= 8
            seen += len(chunk.times_s)
    with pytest.raises(SourceEnded):
        source.pull()


def test_a_source_that_was_held_catches_up_in_bounded_chunks():
    clock = ManualClock()
    source = SessionSource(make(2000), clock=clock)
    source.open(0)
    clock.advance(4.0)
    sizes = []
    while chunk := source.pull():
        sizes.append(len(chunk.times_s))
    assert sum(sizes) in (1000, 1001)  # stamps are rounded to 1 µs
    assert max(sizes) <= 25


def test_a_loop_has_a_declared_break():
    session = make(500)
    clock = ManualClock(10.0)
    source = SessionSource(session, speed=math.inf, loop=True, clock=clock)
    acquirer = Acquirer(source, clock, ring_seconds=200)
    acquirer.step(clock.advance(0.02))
    rows = Cursor(acquirer.ring, 0).pull(1500)
    breaks = np.flatnonzero(rows.flags & BREAK)
    assert breaks.tolist() == [500, 1000]
    assert np.array_equal(rows.samples[:500], rows.samples[500:1000])
    assert rows.times[500] - rows.times[499] == pytest.approx(UNKNOWN_BREAK_S, abs=2e-6)
    assert source.passes >= 3
    acquirer.close()


def test_heard_songs_stand_on_the_clock_of_the_replay():
    events = [Event(513.0, song_marker("night-bus", "Night Bus", 84.0)), Event(516.0, song_marker(None))]
    source = SessionSource(make(2000, events=events), clock=ManualClock(1000.0))
    source.open(0)
    (span,) = source.heard()
    first = on_lattice(make(2000).times_s)[0]
    assert span.start_s == pytest.approx(1000.0 + 513.0 - first, abs=1e-5)
    assert span.stop_s - span.start_s == pytest.approx(3.0)
    assert (span.song, span.title, span.song_start_s) == ("night-bus", "Night Bus", 84.0)


def test_what_the_source_declares():
    info = SessionSource(make(100), clock=ManualClock()).open(0)
    assert (info.kind, info.sfreq_hz, len(info.labels), info.simulated) == ("file", FS, 9, False)


def test_wrong_speeds_and_starts_are_explained():
    with pytest.raises(UserError, match="too slow"):
        SessionSource(make(100), speed=0.1)
    with pytest.raises(UserError, match=r"lasts 0\.4 s: a start at 5 s is outside"):
        SessionSource(make(100), start_s=5.0)


def test_warm_up_rows_come_at_once_and_are_stamped_with_the_past():
    session = make(n=2000)
    clock = ManualClock(100.0)
    source = SessionSource(session, start_s=5.0, warm_up_s=4.0, clock=clock)
    source.open(0.0)
    rows = [chunk for _ in range(200) if (chunk := source.pull()) is not None]
    times = np.concatenate([c.times_s for c in rows])
    assert source.begins_s == pytest.approx(100.0, abs=1e-5)
    assert times[0] == pytest.approx(96.0, abs=0.01)
    assert times[-1] == pytest.approx(100.0, abs=0.02)
