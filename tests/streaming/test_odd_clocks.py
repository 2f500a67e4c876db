"""Real outlets whose clock, rate or stamps are not what LSL asks for: what comes of them, in figures."""

import numpy as np
import pytest

from bci_music.messages import FILLED, HOLE, StreamState
from bci_music.streaming.lsl import lsl_clock

pytestmark = pytest.mark.realtime


def rows(follower):
    ring = follower.acquirer.ring
    return ring.read(ring.tail)


def status(follower):
    return follower.acquirer.status(follower.clock.now())


def run_rows(follower, seconds, rate):
    ring = lambda: follower.acquirer.ring  # noqa: E731
    follower.run(until=lambda: ring() is not None and ring().head >= seconds * rate, timeout_s=seconds + 15)


def assert_true_times(follower, sender, rate, atol=0.06):
    """Every row carries the local time at which it was measured, by the outlet's own counter."""
    piece = rows(follower)
    slack = atol + follower.longest_s + sender.held_up_s()
    np.testing.assert_allclose(piece.times, sender.start_s + piece.samples[:, 0] / rate, atol=slack)
    assert not (piece.flags & (FILLED | HOLE)).any()
    np.testing.assert_array_equal(np.diff(piece.samples[:, 0]), 1)


@pytest.mark.parametrize(
    ("clock", "says"),
    [
        ({"unix": True}, "Unix time"),
        pytest.param({"offset": -1e5}, "100000.0 s in the past", marks=pytest.mark.soak),
        pytest.param({"offset": 3600.0}, "3600.0 s in the future", marks=pytest.mark.soak),
        ({"offset": -5.0}, "5.0 s in the past"),
        ({"from_zero": True}, "in the past"),
    ],
)
def test_a_foreign_clock_is_rebased_on_arrival(clock, says, outlet, follow):
    if clock.pop("from_zero", False):
        clock = {"offset": -lsl_clock()}
    sender = outlet(rate=250, **clock)
    follower = follow(sender.name)
    run_rows(follower, 3, 250)
    now = status(follower)
    assert 0 <= now.data_age_s < 0.2 + follower.longest_s
    assert (now.gaps, now.missing_samples, now.backwards, now.clock_jumps, now.future_stamps) == (0, 0, 0, 0, 0)
    assert [e.kind for e in follower.events if e.kind != "state"] == ["clock"]
    assert len(now.notes) == 1
    assert says in now.notes[0]
    assert_true_times(follower, sender, 250)


@pytest.mark.parametrize("jump_s", [-5.0, *(pytest.param(s, marks=pytest.mark.soak) for s in (3600.0, 1.7e9, -0.8))])
def test_a_jump_of_the_clock_is_one_event_and_no_gap(jump_s, outlet, follow):
    sender = outlet(rate=250, jump=jump_s, jump_after=2.0)
    follower = follow(sender.name)
    run_rows(follower, 4.5, 250)
    now = status(follower)
    assert 0 <= now.data_age_s < 0.2 + follower.longest_s
    assert (now.gaps, now.missing_samples, now.backwards, now.clock_jumps) == (0, 0, 0, 1)
    (event,) = [e for e in follower.events if e.kind != "state"]
    assert event.kind == "clock"
    assert f"jumped {'ahead' if jump_s > 0 else 'back'} by {abs(jump_s):.1f} s" in event.text
    piece = rows(follower)
    assert np.count_nonzero(piece.flags) == 1  # the break: how many samples it cost nobody knows
    assert_true_times(follower, sender, 250)


@pytest.mark.parametrize(
    "drift", [0.02, pytest.param(-0.02, marks=pytest.mark.soak), pytest.param(0.01, marks=pytest.mark.soak)]
)
def test_a_clock_that_runs_fast_or_slow_makes_no_rows_and_no_age(drift, outlet, follow):
    sender = outlet(rate=250, drift=drift)
    follower = follow(sender.name)
    run_rows(follower, 20, 250)
    now = status(follower)
    assert now.data_age_s < 0.5 + follower.longest_s
    assert (now.gaps, now.missing_samples, now.backwards, now.duplicates) == (0, 0, 0, 0)
    piece = rows(follower)
    assert not piece.flags.any()
    assert (np.diff(piece.times) > 0).all()
    assert_true_times(follower, sender, 250, atol=0.35)
    assert {e.kind for e in follower.events if e.kind != "state"} <= {"drift"}
    if abs(drift) > 0.01:
        assert len([e for e in follower.events if e.kind == "drift"]) == 1


@pytest.mark.parametrize(
    ("stated", "true", "options"),
    [(128, 256, {"counted": True}), (0, 250, {}),
     pytest.param(500, 250, {"counted": True, "offset": 0.0}, marks=pytest.mark.soak),
     pytest.param(128, 256, {}, marks=pytest.mark.soak), pytest.param(550, 1000, {}, marks=pytest.mark.soak),
     pytest.param(0, 250, {"counted": True}, marks=pytest.mark.soak)],
)  # fmt: skip
def test_the_measured_rate_beats_the_stated_one(stated, true, options, outlet, follow):
    sender = outlet(rate=true, stated=stated, **options)
    follower = follow(sender.name)
    run_rows(follower, 5, true)
    now = status(follower)
    assert now.info.sfreq_hz == true
    (note,) = now.notes
    assert f"{true:g} Hz is used" in note
    assert ("no sampling rate" in note) == (stated == 0)
    assert "rate" in [e.kind for e in follower.events]
    if options.get("counted"):
        return  # stamps that only count how late they were sent tell a busy machine from a gap no better than we do
    assert [e.kind for e in follower.events if e.kind != "state"] == ["rate"]
    assert (now.gaps, now.missing_samples, now.backwards, now.duplicates, now.bursts) == (0, 0, 0, 0, 0)
    assert not rows(follower).flags.any()
    assert_true_times(follower, sender, true)


def test_a_rate_that_does_not_settle_is_refused_in_a_sentence(outlet, follow):
    sender = outlet(rate=250, offset=0.0, drift=-0.999)  # stamps that hardly move
    follower = follow(sender.name)
    follower.run(until=lambda: follower.acquirer.error is not None, timeout_s=20)
    assert "rate cannot be told" in str(follower.acquirer.error)
    assert follower.acquirer.ring is None
    assert status(follower).state is StreamState.LIVE
