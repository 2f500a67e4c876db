"""Engines on the shipped pack, and outlets in processes of their own."""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

from bci_music.clock import Clock
from bci_music.engine.build import build_engine
from bci_music.engine.config import LiveConfig

OUTLET = Path(__file__).parents[1] / "support" / "outlet_process.py"
PACK = os.environ.get("BCI_MUSIC_TEST_PACK", "demo")


@pytest.fixture
def config():
    """Configuration of a live run with the shipped pack and the library: what is tested is not the music."""
    return LiveConfig.parse({"pack": PACK, "sound": {"generator": "library"}})


class Outlet:
    """An LSL outlet with a sample counter in its first channel, in a process that can be killed and stopped."""

    def __init__(self, **options):
        self.name = f"test-{uuid.uuid4().hex[:12]}"
        self._options = {"name": self.name, "source_id": self.name, "seconds": 600.0, **options}
        self.start()

    def start(self):
        words = [f"--{k.replace('_', '-')}" + ("" if v is True else f"={v}") for k, v in self._options.items()]
        self.process = subprocess.Popen([sys.executable, str(OUTLET), *words], stdout=subprocess.PIPE, text=True)
        self.start_s = float(self.process.stdout.readline())  # row n belongs to start_s + n / rate

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def signal(self, number):
        os.kill(self.process.pid, number)

    def close(self):
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.kill()


@pytest.fixture
def outlet():
    """Start outlets: ``outlet(rate=..., channels=..., mode=...)``; all are gone after the test."""
    running = []

    def start(**options):
        running.append(Outlet(**options))
        return running[-1]

    yield start
    for each in running:
        each.close()


@pytest.fixture
def live_engine(config):
    """Make a threaded engine on the LSL stream of a name, playing on a clock; stopped after the test."""
    made = []

    def make(name, wav=None, markers=None, device=False, outputs=None):
        from bci_music.sound.device import open_player
        from bci_music.sound.player import ClockPlayer
        from bci_music.streaming.lsl import LslSource, StreamQuery, lsl_clock

        clock = Clock(lsl_clock)
        player = open_player(clock, wav_path=wav, subtype="FLOAT") if device else ClockPlayer(clock, wav)
        ours = config if outputs is None else config.model_copy(update={"outputs": outputs})
        engine = build_engine(ours, LslSource(StreamQuery(name=name)), player, clock, markers)
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.stop()


def wait_for(condition, timeout_s=15.0, what="it"):
    """Poll until `condition()` is true and return the seconds that took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > timeout_s:
            pytest.fail(f"{what} did not happen within {timeout_s} s")
        time.sleep(0.005)
    return time.monotonic() - began


@pytest.fixture
def until():
    """Poll with a timeout, without a fixed sleep."""
    return wait_for


@pytest.fixture
def noise_session():
    """Make a session of white noise with the labels of the pack's montage."""
    from bci_music.data.session import Session
    from bci_music.eeg.montage import NMED_CHANNELS

    def make(seconds=20.0, sfreq_hz=125.0, seed=0, events=()):
        n = round(seconds * sfreq_hz)
        samples = np.random.default_rng(seed).normal(0, 15, (n, 125)).astype(np.float32)
        times = np.arange(n) / sfreq_hz
        return Session(f"noise {seed}", NMED_CHANNELS, sfreq_hz, samples, times, events, simulated=True)

    return make
