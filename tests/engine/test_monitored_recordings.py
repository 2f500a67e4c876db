"""`monitor` as a user starts it, on real recordings that another process streams: right counts, right reasons."""

import json
import subprocess
import sys
import threading
import uuid
from collections import Counter

import numpy as np
import pylsl
import pytest
from started import START

from bci_music.streaming.outlets import eeg_stream_info

pytestmark = [pytest.mark.soak, pytest.mark.realtime, pytest.mark.timeout(300)]
SECONDS = 12

# What is known of each without this program: its EEG channels, the others, and whether it is short and has to loop.
RECORDINGS = {
    **{f"physionet/S001R{number:02d}.edf": (64, 0, False) for number in range(3, 11)},
    "other/eeglab_data.set": (30, 2, False),
    "other/test.edf": (136, 3, True),
    "other/test.bdf": (66, 7, True),
    "other/s_right2_0620_103747_Trial.edf": (64, 5, True),
    "other/e_right2_0704_105158_Trial.edf": (64, 5, True),
    "other/test_raw_chanloc_fids.set": (129, 0, True),
    "other/test_egi_multiepoch_eprime.mff": (257, 6, False),
    "other/test_CA_208_amp_disconnection.vhdr": (63, 25, False),
}
CLEAN = {name for name in RECORDINGS if name.startswith("physionet")} | {"other/eeglab_data.set"}


def monitor(source_id, seconds=SECONDS):
    """Verdicts after some seconds, from the JSON of a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", START, "monitor", "--stream", source_id, "--headless", "--json", "--wait", "60",
         "--seconds", str(seconds)], capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


def streamed(path, seconds=SECONDS, loop=False):
    """Monitor a file that `stream` sends."""
    source_id = f"test-{uuid.uuid4().hex[:12]}"
    words = ["stream", str(path), "--name", source_id, "--source-id", source_id, "--wait-consumer"]
    sender = subprocess.Popen(
        [sys.executable, "-c", START, *words, *(["--loop"] if loop else [])],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        return monitor(source_id, seconds)
    finally:
        sender.kill()
        sender.wait()


def states(report):
    return Counter(channel["state"] for channel in report["channels"])


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_real_recording(shared_data, name):
    path = shared_data / "eeg" / name
    if not path.exists():
        pytest.skip(f"{name} is not here")
    n, _, loop = RECORDINGS[name]
    report = streamed(path, 16 if "disconnection" in name else SECONDS, loop)
    assert len(report["channels"]) == n
    assert "unknown" not in states(report)
    for channel in report["channels"]:
        assert bool(channel["reasons"]) == (channel["state"] != "good"), channel
        assert len(channel["findings"]) == len(channel["reasons"])
    if name in CLEAN:
        assert states(report)["good"] >= n - 1
        assert "bad" not in states(report)
    if "disconnection" in name:  # the amplifier was away for 6.35 s: missing, and no electrode's fault
        assert report["counters"]["gaps"] + report["counters"]["lost_count"] >= 1
        assert states(report)["good"] >= n - 2


def faulty(n_channels, sfreq_hz, stop):
    """Push noise of 15 µV with the last channel flat, or, with one channel, with mains in it."""
    info = eeg_stream_info(f"few {stop.name}", [f"Ch{i + 1}" for i in range(n_channels)], sfreq_hz, stop.name)
    outlet, rng, n = pylsl.StreamOutlet(info), np.random.default_rng(n_channels), 0
    began = pylsl.local_clock()
    while not stop.wait(0.02):
        due = int((pylsl.local_clock() - began) * sfreq_hz)
        if due > n:
            samples = rng.normal(0, 12, (due - n, n_channels))
            if n_channels > 1:
                samples[:, -1] = 7.0
            else:
                samples[:, 0] += 90 * np.sin(2 * np.pi * 50 * np.arange(n, due) / sfreq_hz)
            outlet.push_chunk(samples.astype(np.float32), began + (due - 1) / sfreq_hz)
            n = due


@pytest.mark.parametrize("n_channels", [1, 4])
def test_streams_of_few_channels(n_channels):
    stop = threading.Event()
    stop.name = f"test-{uuid.uuid4().hex[:12]}"
    sender = threading.Thread(target=faulty, args=(n_channels, 250.0, stop))
    sender.start()
    try:
        report = monitor(stop.name, 8)
    finally:
        stop.set()
        sender.join()
    assert [channel["name"] for channel in report["channels"]] == [f"Ch{i + 1}" for i in range(n_channels)]
    last = report["channels"][-1]
    if n_channels == 1:
        assert (last["state"], "mains of" in last["reasons"][0]) == ("doubtful", True)
    else:
        assert (last["state"], last["reasons"]) == ("bad", ["flat line: electrode or cable is disconnected"])
        assert [channel["state"] for channel in report["channels"][:-1]] == ["good"] * 3
