"""The same windows, bit for bit, whether a session is decoded offline, replayed at any speed, or sent over LSL."""

import math
import subprocess
import sys
import uuid
from dataclasses import replace

import numpy as np
import pytest

from bci_music.clock import ManualClock
from bci_music.engine.build import build_engine, make_chain
from bci_music.messages import StreamInfo, StreamState, Window
from bci_music.models.decoder import Decoder

pytestmark = pytest.mark.realtime


def decode_offline(session, pack):
    """Return window vectors by (first, last) sample index."""
    decoder = Decoder.from_pack(pack)
    info = StreamInfo(session.name, "file", session.labels, session.sfreq_hz)
    chain = make_chain(decoder, info)
    found = {}
    for piece in session.grid_rows():
        for message in chain.process(piece.samples, piece.times, piece.flags, piece.first_index):
            if isinstance(message, Window) and message.decodable:
                found[message.first_sample, message.last_sample] = decoder.decode(message, 0.0)
    return found


def assert_same(embedding, other):
    assert np.array_equal(embedding.vector, other.vector)
    assert np.array_equal(embedding.attention, other.attention, equal_nan=True)
    assert embedding.confidence == other.confidence


@pytest.mark.parametrize("speed", [1.0, 3.0, math.inf])
def test_replay_at_any_speed_equals_offline(noise_session, config, speed):
    from bci_music.sound.player import ClockPlayer
    from bci_music.streaming.replay import SessionSource

    session = noise_session(20.0, 160.0)
    keep = np.r_[0:1600, 1632:3200]  # a hole of 200 ms
    session = replace(session, samples_uv=session.samples_uv[keep], times_s=session.times_s[keep])
    expected = decode_offline(session, config.pack)
    clock = ManualClock(50.0)
    engine = build_engine(
        config, SessionSource(session, speed=speed, clock=clock), ClockPlayer(clock, threaded=False), clock
    )
    rng = np.random.default_rng(1)
    while engine.state != StreamState.ENDED:
        engine.step(clock.advance(float(rng.uniform(0.005, 0.3))))
    engine.step(clock.advance(0.1))
    engine.stop()
    found = {(e.first_sample, e.last_sample): e for e in engine.history.embeddings()}
    assert len(expected) > 15
    assert found.keys() == expected.keys()
    for key, embedding in found.items():
        assert_same(embedding, expected[key])


def test_windows_through_lsl_are_a_subset_and_equal(noise_session, config, live_engine, until, tmp_path):
    mne = pytest.importorskip("mne")
    session = noise_session(14.0, 250.0, seed=2)
    info = mne.create_info(list(session.labels), session.sfreq_hz, "eeg", verbose=False)
    path = tmp_path / "noise_raw.fif"
    mne.io.RawArray(session.samples_uv.T * 1e-6, info, verbose=False).save(path, verbose=False)
    from bci_music.data.formats import open_session

    expected = decode_offline(open_session(path), config.pack)
    name = f"test-{uuid.uuid4().hex[:12]}"
    start = "import sys; from bci_music.cli.main import main; main()"
    words = ["stream", str(path), "--name", name, "--source-id", name, "--wait-consumer"]
    process = subprocess.Popen([sys.executable, "-c", start, *words], stdout=subprocess.DEVNULL)
    try:
        engine = live_engine(name)
        engine.start()
        until(lambda: process.poll() is not None, 60, "the end of the stream")
        engine.stop()
    finally:
        process.kill()
        process.wait()
    found = {(e.first_sample, e.last_sample): e for e in engine.history.embeddings()}
    assert len(found) >= 0.7 * len(expected)
    for key, embedding in found.items():
        assert_same(embedding, expected[key])
