"""What is decoded goes out over LSL while nothing is recorded, and is gone with the run."""

import json
import subprocess
import sys
import time

import pytest

from bci_music.eeg.montage import NMED_CHANNELS
from bci_music.engine.config import LiveConfig
from bci_music.outputs.lsl import stream_names

pytestmark = pytest.mark.realtime

LISTEN = """
import json, sys, time
import pylsl
got = {}
for name in sys.argv[1:]:
    found = pylsl.resolve_byprop("name", name, 1, 20.0)
    inlet = pylsl.StreamInlet(found[0], recover=False)
    inlet.open_stream(10)
    got[name] = inlet
print("ready", flush=True)
counts, end = dict.fromkeys(got, 0), time.monotonic() + 40
while min(counts.values()) == 0 and time.monotonic() < end:
    for name, inlet in got.items():
        sample, stamp = inlet.pull_sample(timeout=0.05)
        counts[name] += sample is not None
print(json.dumps(counts), flush=True)
"""


def test_a_second_process_sees_the_derived_streams_and_they_go_with_the_run(outlet, live_engine, until, tmp_path):
    import pylsl

    stream = outlet(rate=250.0, channels=125, noise=15, labels=",".join(NMED_CHANNELS))
    engine = live_engine(stream.name, outputs=LiveConfig.parse({"outputs": {"lsl": {"enabled": True}}}).outputs)
    engine.start()
    names = stream_names(stream.name)
    listener = subprocess.Popen([sys.executable, "-c", LISTEN, *names], stdout=subprocess.PIPE, text=True)
    assert listener.stdout.readline().strip() == "ready"
    engine.events.log("the listener smiled")
    counts = json.loads(listener.stdout.readline())
    listener.stdout.close()
    assert listener.wait(10) == 0
    assert min(counts.values()) >= 1, counts
    assert engine.recording == ""
    assert [stage.output.path for stage in engine.outputs] == [None]
    (status,) = engine.snapshot().outputs
    assert (status.name, status.dropped, status.failed) == ("lsl", 0, 0)
    engine.stop()
    assert not engine.snapshot().outputs[0].open
    end = time.monotonic() + 10
    while pylsl.resolve_byprop("name", names[0], 1, 0.3):
        assert time.monotonic() < end, "the streams outlived the run"


def test_a_replayed_file_has_outlets_too(noise_session, config, no_thread_left):
    from bci_music.clock import ManualClock
    from bci_music.engine.build import build_engine
    from bci_music.sound.player import ClockPlayer
    from bci_music.streaming.replay import SessionSource

    ours = config.model_copy(update={"outputs": LiveConfig.parse({"outputs": {"lsl": {"enabled": True}}}).outputs})
    clock = ManualClock(1000.0)
    player = ClockPlayer(clock, threaded=False)
    engine = build_engine(ours, SessionSource(noise_session(12.0), clock=clock), player, clock)
    player.start()
    for _ in range(600):
        engine.step(clock.advance(0.02))
    assert engine.snapshot().outputs[0].pushed >= len(engine.history.embeddings()) > 0
    engine.stop()
