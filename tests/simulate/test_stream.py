"""The endless listener: no breaks, exact stamps, markers, and a clean end."""

import threading
import uuid

import numpy as np
import pylsl
import pytest

from bci_music.compose.composer import HELD_OUT_SECONDS, SONG_SECONDS
from bci_music.data.session import parse_song_marker
from bci_music.messages import UserError
from bci_music.simulate import stream as streams
from bci_music.simulate.listener import SimulatedListener, band_power
from bci_music.simulate.stream import EndlessListener, SimulatedOutlet

pytestmark = pytest.mark.realtime


@pytest.fixture(autouse=True)
def toy_songs(monkeypatch):
    """Songs that cost nothing to compose."""
    t = np.arange(int(SONG_SECONDS * 16_000)) / 16_000
    audio = (0.1 * np.sin(2 * np.pi * 300 * t) * np.exp(-6 * (t % 0.45))).astype(np.float32)
    monkeypatch.setattr(streams, "mono_16k", lambda song_id: audio)


def take(n_blocks: int, song_s: float = 6.0, sfreq_hz: float = 125.0):
    blocks = EndlessListener(SimulatedListener(4), sfreq_hz, 4, song_s).blocks()
    return [next(blocks) for _ in range(n_blocks)]


def test_blocks_join_without_a_break():
    blocks = take(6)
    whole = np.concatenate([b.samples_uv for b in blocks])
    bad = list(SimulatedListener(4).background(4).bad)
    good = np.delete(whole, bad, axis=1)
    steps = np.abs(np.diff(good, axis=0)).mean(1)
    joins = 750 * np.arange(1, 6) - 1
    assert steps[joins].mean() < 1.5 * np.median(steps)
    level = [np.sqrt(np.median(band_power(good[i:i + 250].astype(float), 125))) for i in range(0, len(good) - 250, 125)]
    assert max(level) < 3 * min(level)


def test_blocks_are_reproducible_and_marked():
    first, again = take(3), take(3)
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.samples_uv, other.samples_uv)
        assert one.marker == other.marker
    songs = [parse_song_marker(b.marker) for b in take(14, song_s=2.5)]
    assert len({song for song, _, _ in songs}) == 14
    assert all(HELD_OUT_SECONDS[0] <= start < HELD_OUT_SECONDS[1] for _, _, start in songs)


def test_outlet_counts_every_sample():
    name = f"simulated {uuid.uuid4().hex[:8]}"
    outlet = SimulatedOutlet(name, sfreq_hz=250.0, seed=2, song_s=3.0)
    stop = threading.Event()
    runner = threading.Thread(target=lambda: (stop.wait(1.5), outlet.run(stop, seconds=4.0)), name="test-run")
    runner.start()
    try:
        infos = {i.name(): i for i in pylsl.resolve_bypred(f"starts-with(name,'{name}')", 2, 5.0)}
        assert set(infos) == {name, f"{name} music"}
        eeg, music = (pylsl.StreamInlet(infos[n], recover=False) for n in (name, f"{name} music"))
        eeg.open_stream(5.0)
        music.open_stream(5.0)
        described = eeg.info(5.0)
        runner.join(15.0)
        assert not runner.is_alive()
        _, stamps = eeg.pull_chunk(timeout=1.0, max_samples=4096)
        texts, _ = music.pull_chunk(timeout=1.0, max_samples=16)
    finally:
        stop.set()
        runner.join(5.0)
        outlet.close()
    assert described.channel_count() == 125
    assert described.desc().child_value("simulated") == "true"
    assert outlet.pushed == 1000
    assert len(stamps) == 1000
    assert np.diff(stamps) == pytest.approx(1 / 250.0, abs=1e-6)
    markers = [parse_song_marker(t[0]) for t in texts]
    assert len(markers) == 3
    assert markers[-1][0] is None


def test_impossible_rates_are_refused():
    with pytest.raises(UserError, match="125 to 1000"):
        EndlessListener(SimulatedListener(1), 64.0, 1)


def test_a_failing_listener_is_heard_of(monkeypatch):
    def fail(song_id: str) -> np.ndarray:
        raise RuntimeError("no such instrument")

    monkeypatch.setattr(streams, "mono_16k", fail)
    outlet = SimulatedOutlet(f"simulated {uuid.uuid4().hex[:8]}", song_s=3.0)
    try:
        with pytest.raises(RuntimeError, match="no such instrument"):
            outlet.run(threading.Event(), seconds=1.0)
    finally:
        outlet.close()
