"""Workers step, stop promptly and tell their failures; boxes keep their policy."""

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.clock import Clock, ManualClock
from bci_music.messages import UserError
from bci_music.workers import Latest, Outbox, Worker


class Counting:
    """Counts its steps; fails at those in `failing`."""

    def __init__(self, failing=()):
        self.times = []
        self.failing = failing
        self.stepped = threading.Event()

    def step(self, now):
        self.times.append(now)
        self.stepped.set()
        if len(self.times) in self.failing:
            raise OSError("the cable is out")


def wait_for(condition, seconds=3.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


@pytest.fixture
def run():
    started = []

    def start(stage, period_s=0.001, **options):
        failures = []
        worker = Worker("probe", stage, Clock(), period_s, failures.append, **options)
        worker.start()
        started.append(worker)
        return worker, failures

    yield start
    stopped = [worker.stop() for worker in started]
    assert all(stopped)


def test_a_worker_steps_with_the_time_of_its_clock(run):
    stage = Counting()
    run(stage)
    wait_for(lambda: len(stage.times) >= 5)
    assert stage.times[:5] == sorted(stage.times[:5])


def test_stop_does_not_wait_for_the_next_beat(run):
    stage = Counting()
    worker, _ = run(stage, period_s=60.0)
    wait_for(stage.stepped.is_set)
    start = time.monotonic()
    assert worker.stop()
    assert time.monotonic() - start < 0.5
    assert not worker.alive


def test_stop_tells_when_a_step_does_not_end():
    release = threading.Event()

    class Hanging:
        def step(self, now):
            release.wait(5.0)

    worker = Worker("hanging", Hanging(), Clock(), 0.001, print)
    worker.start()
    assert not worker.stop(timeout_s=0.05)
    release.set()
    assert worker.stop()


def test_one_failure_becomes_a_message_and_work_goes_on(run):
    stage = Counting(failing={2})
    worker, failures = run(stage)
    wait_for(lambda: len(stage.times) >= 4)
    assert [(f.stage, f.fatal) for f in failures] == [("probe", False)]
    assert "the cable is out" in failures[0].text
    assert worker.alive


def test_gives_up_after_failures_in_a_row_but_not_before(run):
    # Two failures, a success, then failures only: the success must have started the count again.
    stage = Counting(failing={1, 2} | set(range(4, 100)))
    worker, failures = run(stage, max_failures=3)
    wait_for(lambda: not worker.alive)
    assert len(stage.times) == 6
    assert [f.fatal for f in failures] == [False, False, False, False, True]


def test_latest_keeps_the_newest_and_knows_its_age():
    box = Latest()
    assert box.get() is None
    box.put("old", 1.0)
    box.put("new", 2.0)
    assert box.get() == "new"
    assert box.get(now=3.0, max_age_s=1.0) == "new"
    assert box.get(now=3.1, max_age_s=1.0) is None


@given(st.lists(st.one_of(st.integers(), st.none()), max_size=40), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_outbox_keeps_order_and_counts_what_it_refuses(moves, size):
    """A number is put, None drains: nothing is lost without being counted, and order is kept."""
    box = Outbox(size)
    accepted, taken, refused = [], [], 0
    for move in moves:
        if move is None:
            taken += box.drain()
        elif box.put(move):
            accepted.append(move)
        else:
            refused += 1
        assert len(accepted) - len(taken) <= size
    taken += box.drain()
    assert taken == accepted
    assert box.refused == refused
    assert box.drain() == []


def test_manual_clock_moves_only_forward():
    clock = ManualClock(10.0)
    assert clock.now() == 10.0
    assert clock.advance(2.5) == clock.now() == 12.5
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-0.1)


def test_clock_reads_the_function_it_was_given():
    times = iter([1.0, 2.0])
    clock = Clock(lambda: next(times))
    assert (clock.now(), clock.now()) == (1.0, 2.0)


def test_a_users_mistake_is_not_tried_again(run):
    class Refusing:
        def step(self, now):
            raise UserError("There is no stream of that name: look with bci-music data info.")

    worker, failures = run(Refusing())
    wait_for(lambda: not worker.alive)
    assert [(f.text, f.fatal) for f in failures] == [
        ("There is no stream of that name: look with bci-music data info.", True)
    ]
