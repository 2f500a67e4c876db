import os
import signal
import subprocess
import sys
import threading
import time
import uuid

import numpy as np
import pylsl
import pytest

from bci_music.data.session import Event, Session, song_marker
from bci_music.messages import UserError
from bci_music.streaming.session_outlet import SessionOutlet

pytestmark = pytest.mark.realtime

FS = 200.0


def make(n=400, gap=50, simulated=True):
    times = 100.0 + np.arange(n) / FS
    times[n // 2 :] += gap / FS
    rng = np.random.default_rng(1)
    places = rng.standard_normal((8, 3)) * 0.05
    events = (
        Event(100.0, song_marker("one", "One", 3.0)), Event(100.5, "a remark"),
        Event(101.0, song_marker("two", "Two")), Event(101.5, song_marker(None)),
    )  # fmt: skip
    labels = ("Fz", "Cz", "Pz", "Oz", "C3", "C4", "F3", "F4")
    samples = rng.standard_normal((n, 8)).astype(np.float32)
    return Session("made", labels, FS, samples, times, events=events, simulated=simulated, positions_m=places)


def inlet(name):
    found = pylsl.resolve_byprop("name", name, 1, 5.0)
    assert found, f"{name} is not on the network"
    return pylsl.StreamInlet(found[0], recover=False)


def running(outlet, stop):
    thread = threading.Thread(target=outlet.run, args=(stop,), name="bci-music-test-outlet")
    thread.start()
    return thread


@pytest.fixture
def name():
    return f"made {uuid.uuid4().hex[:8]}"


def test_every_sample_arrives_with_an_exact_stamp_and_the_markers_with_theirs(name):
    session, stop = make(), threading.Event()
    outlet = SessionOutlet(session, name=name, source_id=name)
    eeg, music, events = inlet(name), inlet(f"{name} music"), inlet(f"{name} events")
    for taken in (eeg, music, events):
        taken.open_stream(5)
    assert outlet.wait_for_consumer(5)
    thread = running(outlet, stop)
    rows, stamps = [], []
    deadline = time.monotonic() + 8
    while len(stamps) < 400 and time.monotonic() < deadline:
        chunk, times = eeg.pull_chunk(timeout=0.2, max_samples=1024)
        rows.extend(chunk)
        stamps.extend(times)
    thread.join(5)
    assert not thread.is_alive()
    assert np.array_equal(np.array(rows, np.float32), session.samples_uv)
    assert np.allclose(np.diff(stamps), np.diff(session.times_s), atol=2e-6)
    assert stamps[0] == outlet.stamp_of_first_s
    assert 0 <= pylsl.local_clock() - stamps[-1] < 2.0  # in real time, never ahead of it

    texts, when = zip(*(music.pull_sample(timeout=1.0) for _ in range(3)), strict=True)
    assert [t[0] for t in texts] == [song_marker("one", "One", 3.0), song_marker("two", "Two"), song_marker(None)]
    assert np.allclose(np.array(when) - stamps[0], [0.0, 1.0, 1.5], atol=2e-6)
    assert events.pull_sample(timeout=1.0)[0] == ["a remark"]
    outlet.close()


def test_the_stream_says_what_it_is(name):
    session = make()
    outlet = SessionOutlet(session, name=name, source_id=name)
    info = inlet(name).info(5)
    assert (info.type(), info.channel_count(), info.nominal_srate(), info.source_id()) == ("EEG", 8, FS, name)
    assert info.get_channel_labels() == list(session.labels)
    assert info.get_channel_units() == ["microvolts"] * 8
    assert info.get_channel_types() == ["EEG"] * 8
    desc = info.desc()
    assert desc.child_value("simulated") == "true"
    place = desc.child("channels").child("channel").child("location")
    assert [float(place.child_value(a)) for a in "XYZ"] == pytest.approx(session.positions_m[0] * 1000, abs=1e-3)
    assert "simulated EEG" in outlet.describe()
    outlet.close()


def test_sample_zero_waits_for_a_consumer(name):
    outlet = SessionOutlet(make(), name=name, source_id=name)
    assert not outlet.wait_for_consumer(0.2)
    assert outlet.stamp_of_first_s is None
    stop = threading.Event()
    stop.set()
    assert not outlet.wait_for_consumer(60, stop)
    outlet.close()


def test_the_schedule_does_not_drift_and_loops_with_a_break(name):
    outlet = SessionOutlet(make(gap=0), name=name, source_id=name, loop=True)
    now = pylsl.local_clock()
    outlet.step(now)
    for late_s in (0.101, 0.501, 0.511, 1.901, 1.996):
        assert outlet.step(now + late_s)
        assert outlet.pushed == int(late_s * FS) + 1
    assert outlet.step(now + 2.1)
    assert outlet.pushed == 400
    assert outlet.step(now + 2.4)
    assert outlet.stamp_of_first_s == pytest.approx(now + 399 / FS + 0.3, abs=1e-5)
    outlet.close()


def test_a_start_within_a_song_announces_where_it_stands(name):
    outlet = SessionOutlet(make(gap=0), name=name, source_id=name, start_s=0.25)
    first = outlet._markers[0]
    assert first.time_s == 0.0
    assert first.text == song_marker("one", "One", 3.25)
    outlet.close()


def test_an_odd_speed_is_refused():
    with pytest.raises(UserError, match=r"from 0\.1 to 20"):
        SessionOutlet(make(), speed=100)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_streams_a_file_and_stops_cleanly(shared_data, name, number):
    file = shared_data / "eeg" / "physionet" / "S001R03.edf"
    start = "import sys; from bci_music.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", start, "stream", str(file), "--name", name, "--source-id", name, "--no-wait"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        line = process.stdout.readline()
        assert f"streaming EEG '{name}'" in line
        assert "64 channels, 160 Hz, 125.0 s" in line
        taken = inlet(name)
        sample, _ = taken.pull_sample(timeout=10)
        assert len(sample) == 64
        process.send_signal(number)
        begun = time.monotonic()
        out, err = process.communicate(timeout=10)
        assert time.monotonic() - begun < 3
        assert (process.returncode, out, err) == (0, "", "")
    finally:
        process.kill()
        process.communicate()
