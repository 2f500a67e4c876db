"""The acquirer on real outlets that die, hang, come back changed and catch up."""

import time

import numpy as np
import pytest

from bci_music.messages import BREAK, BURST, FILLED, HOLE, StreamState
from bci_music.streaming.lsl import lsl_clock

pytestmark = pytest.mark.realtime


def rows(follower):
    """Everything in the ring."""
    ring = follower.acquirer.ring
    return ring.read(ring.tail)


def assert_no_unmarked_jump(piece):
    """Between neighbouring unflagged rows the outlet's counter goes up by exactly one."""
    count = piece.samples[:, 0].astype(np.int64)
    jumps = np.flatnonzero(np.diff(count) != 1) + 1
    unflagged = [int(j) for j in jumps if not (piece.flags[j] or piece.flags[j - 1])]
    assert not unflagged, [(j, int(count[j] - count[j - 1]), piece.times[j] - piece.times[j - 1]) for j in unflagged]


def newest_age_s(follower, sender, rate):
    """Age of the newest row by the outlet's own counter, its flags being good."""
    ring = follower.acquirer.ring
    last = ring.read(ring.head - 1)
    if last.flags[0] & (HOLE | BURST):
        return float("inf")
    return lsl_clock() - (sender.start_s + last.samples[0, 0] / rate)


def test_a_live_stream_fills_the_ring_without_flags(outlet, follow):
    sender = outlet(rate=1000, channels=125, chunk=20)
    follower = follow(sender.name)
    follower.run(until=lambda: follower.acquirer.ring is not None and follower.acquirer.ring.head > 2000)
    piece = rows(follower)
    assert not piece.flags.any()
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
        if delays:
            delays[-1] -= sender.held_up_s()
        sender.kill()
        follower.run(until=lambda: follower.acquirer.state is StreamState.RECONNECTING, timeout_s=5)
        sender = outlet(name=sender.name)
        follower.run(until=lambda n=n: follower.acquirer.connection == n + 1, timeout_s=5)
        delays.append(lsl_clock() - sender.started_s)
    follower.run(0.5)
    piece = rows(follower)
    assert follower.states() == ["live"] + ["lost", "reconnecting", "live"] * times
    assert follower.acquirer.status(follower.clock.now()).lost_count == times
    assert int((piece.flags & BREAK > 0).sum()) == times
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
        real = int((piece.flags & (FILLED | HOLE) == 0).sum())
        assert status.missing_samples == sent - real > 800
    if mode == "catchup":
        assert status.bursts >= 1
        assert int((piece.flags & BURST > 0).sum()) >= 700


@pytest.mark.soak
@pytest.mark.parametrize("rate", [250, 1000])
@pytest.mark.parametrize("mode", ["skip", "true", "catchup"])
def test_a_long_stopped_outlet_is_lost_and_comes_back(outlet, follow, mode, rate):
    follower, piece = stop_and_go(outlet, follow, mode, 6.0, rate)
    assert follower.states()[:4] == ["stalled", "lost", "reconnecting", "live"]
    assert follower.acquirer.connection >= 1
    assert (piece.flags & BREAK > 0).sum() >= 1


def test_vanished_channels_become_nan_and_new_ones_are_excluded(outlet, follow):
    sender = outlet(channels=10)
    follower = follow(sender.name)
    follower.run(until=lambda: follower.acquirer.ring is not None and follower.acquirer.ring.head > 100)
    sender.kill()
    follower.run(0.2)
    outlet(name=sender.name, channels=10, labels="E1,E2,E3,E4,E5,E6,E7,E8,X1,E10")
    before = follower.acquirer.ring.head
    follower.run(until=lambda: follower.acquirer.ring.head > before + 100)
    text = next(e.text for e in follower.events if e.kind == "labels")
    assert text == "channels E9 are gone"
    newest = rows(follower).samples[-1]
    assert np.isnan(newest[8])
    assert np.isfinite(np.delete(newest, 8)).all()
    assert "X1 (new)" in follower.acquirer.info.excluded


@pytest.mark.soak
def test_a_stream_that_comes_back_under_another_source_id_is_rejoined(outlet, follow):
    sender = outlet(source_id="first")
    follower = follow(sender.name)
    follower.run(until=lambda: follower.acquirer.state is StreamState.LIVE)
    sender.kill()
    outlet(name=sender.name, source_id="second")
    follower.run(until=lambda: follower.acquirer.connection == 1)
    assert follower.acquirer.info.source_id == "second"


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
