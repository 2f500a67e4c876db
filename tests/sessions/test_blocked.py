"""A stream that discovery sees and TCP does not deliver is named within five seconds."""

import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from bci_music.clock import Clock
from bci_music.messages import UserError
from bci_music.streaming.acquire import Acquirer
from bci_music.streaming.lsl import LslSource, StreamQuery, lsl_clock
from bci_music.streaming.recorder import LabRecorder

pytestmark = [pytest.mark.realtime, pytest.mark.skipif(sys.platform != "linux", reason="the outlet needs Linux")]

SUPPORT = Path(__file__).parents[1] / "support"


@pytest.fixture
def blocked_outlet():
    """Start an outlet whose data port is silent, of a name and a kind."""
    made = []

    def start(name, kind="EEG"):
        words = [sys.executable, str(SUPPORT / "blocked_outlet.py"), name, kind]
        made.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
        assert made[-1].stdout.readline() == "ready\n"
        return name

    yield start
    for process in made:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_blocked_stream_is_left_out_of_a_recording_and_named(outlet, blocked_outlet, tmp_path):
    music = blocked_outlet(f"{outlet} music", "Markers")
    recorder = LabRecorder(tmp_path / "recording.xdf", [outlet, music], consent="FORM 7")
    began = time.monotonic()
    recorder.start()
    assert time.monotonic() - began < 5.0
    assert recorder.missing == (music,)
    assert "data port (TCP)" in recorder.blocked[music]
    assert music in recorder.blocked[music]
    time.sleep(1.0)
    check = recorder.stop()
    assert check.samples[outlet] > 200


def test_a_recording_of_a_blocked_stream_is_refused_by_name(blocked_outlet, tmp_path):
    name = blocked_outlet(f"blocked {uuid.uuid4().hex[:8]}")
    began = time.monotonic()
    with pytest.raises(UserError, match=rf"{name}.*can be seen but does not deliver"):
        LabRecorder(tmp_path / "recording.xdf", [name], consent="FORM 7").start()
    assert time.monotonic() - began < 5.0


def test_a_run_on_a_blocked_stream_says_so(blocked_outlet):
    name = blocked_outlet(f"blocked {uuid.uuid4().hex[:8]}")
    acquirer = Acquirer(LslSource(StreamQuery(name=name)), Clock(lsl_clock))
    began = time.monotonic()
    try:
        while acquirer.error is None and time.monotonic() - began < 10.0:
            acquirer.step(lsl_clock())
            time.sleep(0.01)
        assert time.monotonic() - began < 5.0
        assert name in str(acquirer.error)
        assert "data port (TCP)" in str(acquirer.error)
    finally:
        acquirer.close()
