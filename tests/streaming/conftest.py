"""Real LSL outlets in processes of their own, and a way to follow them without threads."""

import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bci_music.clock import Clock
from bci_music.streaming.acquire import Acquirer
from bci_music.streaming.lsl import LslSource, StreamQuery, lsl_clock

SCRIPT = Path(__file__).parents[1] / "support" / "outlet_process.py"


@dataclass
class OutletProcess:
    """A running outlet; row n belongs to time ``start_s + n / rate``."""

    name: str
    process: subprocess.Popen
    start_s: float
    started_s: float

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def held_up_s(self, pause_s=0.0):
        """Kill the outlet; for how long the machine did not let it run, one pause of at least `pause_s` apart."""
        self.process.kill()
        gaps = sorted(float(line) for line in self.process.stdout)
        return sum(gaps[:-1]) if gaps and gaps[-1] >= 0.9 * pause_s > 0 else sum(gaps)

    def pause(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.process.pid, signal.SIGCONT)


@pytest.fixture
def outlet():
    """Start outlets: ``outlet(name=..., rate=..., ...)``; all are gone after the test."""
    running = []

    def start(name=None, source_id=None, **options) -> OutletProcess:
        name = name or f"test-{uuid.uuid4().hex[:12]}"
        options = {"name": name, "source_id": name if source_id is None else source_id, **options}
        words = [f"--{k.replace('_', '-')}" + ("" if v is True else f"={v}") for k, v in options.items()]
        process = subprocess.Popen([sys.executable, str(SCRIPT), *words], stdout=subprocess.PIPE, text=True)
        started = OutletProcess(name, process, float(process.stdout.readline()), lsl_clock())
        running.append(started)
        return started

    yield start
    for each in running:
        if each.process.poll() is None:
            each.resume()
        each.kill()


@dataclass
class Follower:
    """An acquirer stepped by hand every `period_s`."""

    acquirer: Acquirer
    events: list
    period_s: float = 0.01
    longest_s: float = 0.0  # longest time between two steps: what a loaded machine adds to every delay
    clock: Clock = field(default_factory=lambda: Clock(lsl_clock))

    def run(self, seconds=None, until=None, timeout_s=15.0):
        """Step for `seconds`, or until `until()` is true (which must come true)."""
        begin = last = time.monotonic()
        while True:
            now = time.monotonic()
            self.longest_s = max(self.longest_s, now - last)
            last = now
            self.acquirer.step(self.clock.now())
            if until is not None and until():
                return
            if seconds is not None and now - begin >= seconds:
                return
            if now - begin > timeout_s:
                pytest.fail(f"not within {timeout_s} s; {self.acquirer.status(self.clock.now()).text}")
            time.sleep(self.period_s)

    def states(self):
        return [e.state.value for e in self.events if e.kind == "state"]


@pytest.fixture
def follow():
    """``follow(name, **source options)`` gives a `Follower` of the stream of that name."""
    made = []

    def start(name, ring_seconds=30.0, **options) -> Follower:
        events = []
        source = LslSource(StreamQuery(name=name), **options)
        acquirer = Acquirer(source, Clock(lsl_clock), ring_seconds=ring_seconds, on_event=events.append)
        made.append(acquirer)
        return Follower(acquirer, events)

    yield start
    for acquirer in made:
        acquirer.close()


@pytest.fixture
def source():
    """``source(query, **options)``; closed after the test."""
    made = []

    def start(query, **options):
        from bci_music.streaming.lsl import LslSource

        made.append(LslSource(query, **options))
        return made[-1]

    yield start
    for each in made:
        each.close()
