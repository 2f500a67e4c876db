"""The acquirer on real outlets that die, hang, come back changed and catch up."""

import time

import numpy as np
import pytest

from bci_music.clock import ManualClock
from bci_music.messages import BREAK, BURST, FILLED, HOLE, Chunk, StreamInfo, StreamState
from bci_music.streaming.acquire import Acquirer
from bci_music.streaming.lsl import lsl_clock
from bci_music.streaming.source import SourceEnded, SourceLost


def rows(follower):
    """Everything in the ring."""
    ring = follower.acquirer.ring
    return ring.read(ring.tail)


def assert_no_unmarked_jump(piece):
    """Between neighbouring unmarked rows the outlet's counter goes up by exactly one."""
    count = piece.samples[:, 0].astype(np.int64)
    jumps = np.flatnonzero(np.diff(count) != 1) + 1
    unmarked = [int(j) for j in jumps if not (piece.marks[j] or piece.marks[j - 1])]
    assert not unmarked, [(j, int(count[j] - count[j - 1]), piece.times[j] - piece.times[j - 1]) for j in unmarked]


def newest_age_s(follower, sender, rate):
    """Age of the newest row by the outlet's own counter, its marks being good."""
    ring = follower.acquirer.ring
    last = ring.read(ring.head - 1)
    if last.marks[0] & (HOLE | BURST):
        return float("inf")
    return lsl_clock() - (sender.start_s + last.samples[0, 0] / rate)


def test_a_live_stream_fills_the_ring_without_marks(outlet, follow):
    sender = outlet(rate=1000, channels=125, chunk=20)
    follower = follow(sender.name)
    follower.run(until=lambda: follower.acquirer.ring is not None and follower.acquirer.ring.head > 2000)
    piece = rows(follower)
    assert not piece.marks.any()
    np.testing.assert_array_equal(np.diff(piece.samples[:, 0]), 1)
    np.testing.assert_allclose(np.diff(piece.times), 1e-3, atol=2e-5)  # clock offset is slewed in
    status = follower.acquirer.status(follower.clock.now())
    assert status.state is StreamState.LIVE
    assert status.measured_hz == pytest.approx(1000, rel=0.05)
    assert 0 <= status.data_age_s < 0.1 + follower.longest_s
    assert status.gaps == status.missing_samples == status.future_stamps == 0
    assert follower.states() == ["live"]


def kill_and_restart(outlet, follow, times):
    sender = outlet()
    follower = follow(sender.name)
    follower.run(until=lambda: follower.acquirer.state is StreamState.LIVE)
    delays = []
    for n in range(times):
        follower.run(0.3)
        sender.kill()
        follower.run(until=lambda: follower.acquirer.state is StreamState.RECONNECTING, timeout_s=5)
        sender = outlet(name=sender.name)
        follower.run(until=lambda n=n: follower.acquirer.epoch == n + 1, timeout_s=5)
        delays.append(lsl_clock() - sender.started_s)
    follower.run(0.5)
    piece = rows(follower)
    assert follower.states() == ["live"] + ["lost", "reconnecting", "live"] * times
    assert follower.acquirer.status(follower.clock.now()).lost_count == times
    assert int((piece.marks & BREAK > 0).sum()) == times
    assert_no_unmarked_jump(piece)
    assert max(delays) <= 1.0 + follower.longest_s, delays


def test_a_killed_outlet_is_rejoined_three_times(outlet, follow):
    kill_and_restart(outlet, follow, 3)


@pytest.mark.soak
def test_a_killed_outlet_is_rejoined_twenty_times(outlet, follow):
    kill_and_restart(outlet, follow, 20)


def stop_and_go(outlet, follow, mode, pause_s, rate):
    sender = outlet(rate=rate, mode=mode)
    follower = follow(sender.name)
    follower.run(until=lambda: follower.acquirer.ring is not None and follower.acquirer.ring.head > 1.5 * rate)
    follower.run(until=lambda: follower.acquirer.state is StreamState.LIVE)
    follower.longest_s = 0.0
    follower.events.clear()
    sender.pause()
    paused_s = lsl_clock()
    follower.run(pause_s)
    shown_s = next(e.time_s for e in follower.events if e.state is StreamState.STALLED) - paused_s
    assert shown_s <= 0.6 + follower.longest_s
    sender.resume()
    resumed_s = lsl_clock()
    follower.run(until=lambda: newest_age_s(follower, sender, rate) < 0.1, timeout_s=20)
    back_s = lsl_clock() - resumed_s
    follower.run(0.5)
    age_s = newest_age_s(follower, sender, rate)
    slack_s = follower.longest_s + sender.held_up_s(pause_s)
    assert back_s <= 1.0 + slack_s
    assert age_s < 0.1 + slack_s
    piece = rows(follower)
    assert_no_unmarked_jump(piece)
    return follower, piece


@pytest.mark.parametrize("mode", ["skip", "catchup"])
def test_a_stopped_outlet_stalls_and_goes_on_with_the_newest(outlet, follow, mode):
    follower, piece = stop_and_go(outlet, follow, mode, 2.0, 500)
    assert follower.states()[:2] == ["stalled", "live"]
    status = follower.acquirer.status(follower.clock.now())
    if mode == "skip":
        sent = int(piece.samples[-1, 0] - piece.samples[0, 0]) + 1
        real = int((piece.marks & (FILLED | HOLE) == 0).sum())
        assert status.missing_samples == sent - real > 800
    if mode == "catchup":
        assert status.bursts >= 1
        assert int((piece.marks & BURST > 0).sum()) >= 700


@pytest.mark.soak
@pytest.mark.parametrize("rate", [250, 1000])
@pytest.mark.parametrize("mode", ["skip", "true", "catchup"])
def test_a_long_stopped_outlet_is_lost_and_comes_back(outlet, follow, mode, rate):
    follower, piece = stop_and_go(outlet, follow, mode, 6.0, rate)
    assert follower.states()[:4] == ["stalled", "lost", "reconnecting", "live"]
    assert follower.acquirer.epoch >= 1
    assert (piece.marks & BREAK > 0).sum() >= 1


def test_vanished_channels_become_nan_and_new_ones_are_set_aside(outlet, follow):
    sender = outlet(channels=10)
    follower = follow(sender.name)
    follower.run(until=lambda: follower.acquirer.ring is not None and follower.acquirer.ring.head > 100)
    sender.kill()
    follower.run(0.2)
    outlet(name=sender.name, channels=10, labels="E1,E2,E3,E4,E5,E6,E7,E8,X1,E10")
    before = follower.acquirer.ring.head
    follower.run(until=lambda: follower.acquirer.ring.head > before + 100)
    text = next(e.text for e in follower.events if e.kind == "labels")
    assert "E9 are gone" in text or "E9" in text
    newest = rows(follower).samples[-1]
    assert np.isnan(newest[8])
    assert np.isfinite(np.delete(newest, 8)).all()
    assert "X1 (new)" in follower.acquirer.info.set_aside


def test_an_outlet_that_sends_nothing_is_not_called_live(outlet, follow):
    sender = outlet(silent=True)
    follower = follow(sender.name)
    follower.run(until=lambda: "waiting" in follower.acquirer.status(follower.clock.now()).text)
    follower.run(1.0)
    assert follower.acquirer.state is StreamState.SEARCHING
    assert follower.events == []


def test_after_a_consumer_stall_the_newest_is_there_in_one_step(outlet, follow):
    sender = outlet(rate=1000, channels=32)
    follower = follow(sender.name, buffer_s=1)
    follower.run(until=lambda: follower.acquirer.ring is not None and follower.acquirer.ring.head > 1000)
    time.sleep(2.5)
    follower.acquirer.step(follower.clock.now())
    ring = follower.acquirer.ring
    age_s = lsl_clock() - (sender.start_s + ring.read(ring.head - 1).samples[0, 0] / 1000)
    assert age_s < 0.1 + sender.held_up_s()
    assert_no_unmarked_jump(rows(follower))
    skipped = [e for e in follower.events if e.kind == "skip"]
    assert skipped
    assert skipped[0].count == pytest.approx(1500, abs=500)


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
    steps = [chunk(0, 100), None, chunk(103, 50), None, chunk(170, 50), None, chunk(300, 50)]
    acquirer, events = drive(steps)
    piece = acquirer.ring.read(0)
    np.testing.assert_array_equal(piece.samples[:220, 0], np.arange(220))
    assert (piece.marks[100:103] == FILLED).all()
    assert (piece.marks[153:170] == HOLE).all()
    assert piece.marks[220] == BREAK
    assert piece.samples[220, 0] == 300
    assert piece.marks.astype(bool).sum() == 3 + 17 + 1
    assert [(e.count, e.sample_index) for e in events if e.kind == "gap"] == [(3, 103), (17, 170), (80, 220)]
    acquirer.close()
    assert acquirer.source.closed


def test_silence_is_a_stall_then_a_loss_and_data_bring_a_new_epoch():
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
    assert acquirer.epoch == 1
    assert acquirer.ring.read(60, 1).marks[0] == BREAK


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


def test_a_wrong_rate_is_told_once():
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


def test_backwards_stamps_and_duplicates_are_counted_told_and_marked():
    back = chunk(200, 100, start_s=80.0)
    repeated = Chunk(back.samples_uv[-1:], back.times_s[-1:], back.arrived_s)
    acquirer, events = drive([chunk(0, 200), back, repeated, chunk(300, 100, start_s=80.0)])
    status = acquirer.status(100.0)
    assert (status.backwards, status.duplicates, status.gaps) == (1, 1, 0)
    assert [(e.kind, e.sample_index) for e in events if e.kind != "state"] == [("backwards", 200), ("duplicate", 300)]
    piece = acquirer.ring.read(0)
    assert np.flatnonzero(piece.marks).tolist() == [200]
    np.testing.assert_array_equal(piece.samples[:, 0], np.arange(400))


def test_many_gaps_of_one_step_are_one_event():
    count = np.flatnonzero(np.arange(400) % 10 != 5)
    whole = chunk(0, 400)
    acquirer, events = drive([Chunk(whole.samples_uv[count], whole.times_s[count], whole.arrived_s)])
    gaps = [e for e in events if e.kind == "gap"]
    assert [(e.count, e.sample_index) for e in gaps] == [(40, 6)]
    assert acquirer.status(100.0).gaps == acquirer.status(100.0).missing_samples == 40
    np.testing.assert_array_equal(acquirer.ring.read(0).samples[:, 0], np.arange(400))


def test_stamps_ahead_of_now_are_counted_and_age_stays_at_zero():
    ahead = chunk(0, 100)
    ahead = Chunk(ahead.samples_uv, ahead.times_s, ahead.arrived_s - 0.082)
    acquirer, _ = drive([ahead])
    status = acquirer.status(ahead.arrived_s)
    assert status.data_age_s == 0
    assert status.clock_offset_s == pytest.approx(0.072, abs=1e-6)
    assert status.future_stamps == 7  # those more than 2 ms ahead
