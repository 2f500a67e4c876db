"""The acquirer on scripted sources: what it writes, flags, counts and reports."""

import numpy as np
import pytest

from bci_music.clock import ManualClock
from bci_music.messages import BREAK, FILLED, HOLE, Chunk, StreamInfo, StreamState
from bci_music.streaming.acquire import Acquirer
from bci_music.streaming.source import SourceEnded, SourceLost


class Script:
    """A source that does what a list says: chunks, None, or exceptions to raise."""

    def __init__(self, steps, live=True):
        self.steps, self.live, self.pulls, self.closed = list(steps), live, 0, False

    def open(self, timeout_s):
        return StreamInfo("script", "file", tuple(f"E{i}" for i in range(8)), 100.0)

    def pull(self):
        self.pulls += 1
        step = self.steps.pop(0) if self.steps else None
        if isinstance(step, Exception):
            raise step
        return step

    def close(self):
        self.closed = True


def chunk(first, n, start_s=100.0, rate=100.0):
    count = np.arange(first, first + n)
    samples = np.repeat(count[:, None], 8, 1).astype(np.float32)
    return Chunk(samples, start_s + count / rate, start_s + (first + n) / rate)


def drive(steps, live=True, **options):
    events = []
    clock = ManualClock(100.0)
    acquirer = Acquirer(Script(steps, live), clock, on_event=events.append, **options)
    for _ in range(len(steps) + 1):
        acquirer.step(clock.advance(0.02))
    return acquirer, events


def test_a_small_gap_is_interpolated_and_a_larger_one_is_a_hole():
    steps = [chunk(0, 50), chunk(50, 50), None, chunk(103, 50), None, chunk(170, 50), None, chunk(300, 50)]
    acquirer, events = drive(steps)
    piece = acquirer.ring.read(0)
    np.testing.assert_array_equal(piece.samples[:220, 0], np.arange(220))
    assert (piece.flags[100:103] == FILLED).all()
    assert (piece.flags[153:170] == HOLE).all()
    assert piece.flags[220] == BREAK
    assert piece.samples[220, 0] == 300
    assert piece.flags.astype(bool).sum() == 3 + 17 + 1
    assert [(e.count, e.sample_index) for e in events if e.kind == "gap"] == [(3, 103), (17, 170), (80, 220)]
    acquirer.close()
    assert acquirer.source.closed


def test_silence_is_a_stall_then_a_loss_and_data_bring_a_new_connection():
    clock, events = ManualClock(0.0), []
    source = Script([chunk(0, 60, 0.0)])
    acquirer = Acquirer(source, clock, on_event=events.append)
    while clock.now() < 4.0:
        acquirer.step(clock.advance(0.02))
    source.steps = [chunk(400, 60, 0.0)]
    acquirer.step(clock.advance(0.02))
    times = {e.state.value: e.time_s for e in reversed(events)}
    assert [e.state.value for e in events if e.kind == "state"] == ["live", "stalled", "lost", "reconnecting", "live"]
    assert 0.5 < times["stalled"] <= 0.6
    assert 3.0 <= times["lost"] <= 3.1
    assert acquirer.connection == 1
    assert acquirer.ring.read(60, 1).flags[0] == BREAK


def test_a_slow_sender_is_not_called_stalled_between_its_chunks():
    clock, events = ManualClock(100.0), []
    source = Script([])
    acquirer = Acquirer(source, clock, on_event=events.append)
    sent = 0
    for step in range(1000):
        if step % 20 == 0:  # one chunk every 0.4 s
            source.steps = [chunk(sent, 40)]
            sent += 40
        acquirer.step(clock.advance(0.02))
    assert [e.state.value for e in events if e.kind == "state"] == ["live"]


def test_a_file_is_held_and_ends_with_everything_written():
    held = [True]
    steps = [chunk(0, 30), chunk(30, 10), SourceEnded("end")]
    clock = ManualClock(0.0)
    acquirer = Acquirer(Script(steps, live=False), clock, hold=lambda: held[0])
    for _ in range(5):
        acquirer.step(clock.advance(0.02))
    assert acquirer.source.pulls == 0
    held[0] = False
    for _ in range(5):
        acquirer.step(clock.advance(0.02))
    assert acquirer.state is StreamState.ENDED
    assert acquirer.ring.head == 40


def test_a_lost_source_leaves_its_last_rows_in_the_ring():
    acquirer, events = drive([chunk(0, 20), SourceLost("gone"), None, None])
    assert acquirer.state is StreamState.RECONNECTING
    acquirer.close()
    assert acquirer.ring.head == 20
    assert [e.state.value for e in events if e.kind == "state"][:3] == ["live", "lost", "reconnecting"]


def test_a_wrong_rate_is_reported_once():
    events = []
    clock = ManualClock(100.0)
    source = Script([])
    acquirer = Acquirer(source, clock, on_event=events.append)
    for n in range(150):
        source.steps = [chunk(n * 20, 20, rate=104.0)]
        acquirer.step(clock.advance(0.2))
    drifts = [e for e in events if e.kind == "drift"]
    assert len(drifts) == 1
    assert "104.0 Hz" in drifts[0].text
    assert acquirer.status(clock.now()).gaps == 0


def test_backwards_stamps_and_duplicates_are_counted_reported_and_flagged():
    back = chunk(200, 100, start_s=80.0)
    repeated = Chunk(back.samples_uv[-1:], back.times_s[-1:], back.arrived_s)
    acquirer, events = drive([chunk(0, 100), chunk(100, 100), back, repeated, chunk(300, 100, start_s=80.0)])
    status = acquirer.status(100.0)
    assert (status.backwards, status.duplicates, status.gaps) == (1, 1, 0)
    assert [(e.kind, e.sample_index) for e in events if e.kind != "state"] == [("backwards", 200), ("duplicate", 300)]
    piece = acquirer.ring.read(0)
    assert np.flatnonzero(piece.flags).tolist() == [200]
    np.testing.assert_array_equal(piece.samples[:, 0], np.arange(400))


def test_many_gaps_of_one_step_are_one_event():
    count = np.flatnonzero(np.arange(400) % 10 != 5)
    whole = chunk(0, 400)
    lossy = Chunk(whole.samples_uv[count], whole.times_s[count], whole.arrived_s)
    acquirer, events = drive([lossy, chunk(400, 100), chunk(500, 10)])
    gaps = [e for e in events if e.kind == "gap"]
    assert [(e.count, e.sample_index) for e in gaps] == [(40, 6)]
    assert acquirer.status(100.0).gaps == acquirer.status(100.0).missing_samples == 40
    np.testing.assert_array_equal(acquirer.ring.read(0).samples[:, 0], np.arange(510))


def test_stamps_ahead_of_now_are_counted_and_age_stays_at_zero():
    parts = (chunk(0, 70), chunk(70, 30))
    ahead = [Chunk(part.samples_uv, part.times_s, part.arrived_s - 0.082) for part in parts]
    acquirer, _ = drive(ahead)
    status = acquirer.status(ahead[-1].arrived_s)
    assert status.data_age_s == 0
    assert status.clock_offset_s == pytest.approx(0.072, abs=1e-6)
    assert status.future_stamps == 14  # those more than 2 ms ahead
