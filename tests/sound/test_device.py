"""Real PortAudio output into a null sink: what is written is what comes out, and what is missing is counted."""

import threading
import time

import numpy as np
import pytest
import soundfile

from bci_music.clock import Clock
from bci_music.messages import AUDIO_RATE_HZ, UserError
from bci_music.sound.device import DevicePlayer, open_player
from bci_music.sound.player import BLOCK, ClockPlayer
from bci_music.sound.reverb import Reverb

pytestmark = [pytest.mark.sound, pytest.mark.realtime]
SKIP = round(0.1 * AUDIO_RATE_HZ)


def noise(seconds, seed):
    rng = np.random.default_rng(seed)
    return (0.2 * rng.standard_normal((round(seconds * AUDIO_RATE_HZ), 2))).clip(-0.8, 0.8).astype(np.float32)


def play(player, samples, beat_s=0.02, load=None):
    """Keep 2 to 3 s queued until all samples are written and played."""
    at, clock = 0, Clock()
    while at < len(samples) or player.queued_s > 0:
        if at < len(samples) and player.queued_s < 2.5:
            at += player.write(samples[at : at + AUDIO_RATE_HZ // 2])
        player.poll(clock.now())
        if load:
            load()
        time.sleep(beat_s)


def exact_run(server, server_module, tmp_path, seconds):
    stop = threading.Event()

    def work():
        while not stop.is_set():
            sum(range(2000))

    busy = [threading.Thread(target=work) for _ in range(2)]
    samples = noise(seconds, 1)
    player = open_player(Clock(), wav_path=tmp_path / "tee.wav", subtype="FLOAT")
    assert isinstance(player, DevicePlayer)
    for thread in busy:
        thread.start()
    try:
        with server.capture() as captured:
            player.start()
            play(player, samples)
            counters = player.counters
            time.sleep(player.latency_s + 0.4)  # what is still on its way through the device
    finally:
        stop.set()
        for thread in busy:
            thread.join()
        player.stop()
    return samples, captured[0], counters


def check_exact(sound_server, server_module, tmp_path, seconds):
    samples, captured, counters = exact_run(sound_server, server_module, tmp_path, seconds)
    compared, different = server_module.longest_match(captured, samples, SKIP)
    assert compared >= len(samples) - SKIP
    assert different == 0
    assert counters.device_underflows == 0
    assert counters.underruns <= 1  # the very last block, when all was played
    assert counters.starved_frames < BLOCK
    tee, _ = soundfile.read(tmp_path / "tee.wav", dtype="float32")
    np.testing.assert_array_equal(tee[: len(samples)], samples)


def test_output_is_exact_beside_busy_python_threads(sound_server, server_module, tmp_path):
    check_exact(sound_server, server_module, tmp_path, 6.0)


@pytest.mark.soak
def test_output_is_exact_for_a_minute(sound_server, server_module, tmp_path):
    check_exact(sound_server, server_module, tmp_path, 60.0)


def test_starvation_is_counted_and_the_device_goes_on(sound_server, server_module, tmp_path):
    first, second = noise(1.0, 2), noise(1.0, 3)
    player = DevicePlayer(Clock(), wav_path=tmp_path / "tee.wav", subtype="FLOAT", prime_s=0.5)
    clock = Clock()
    with sound_server.capture() as captured:
        player.start()
        player.write(first)
        dry = None
        while dry is None or clock.now() - dry < 2.0:
            player.poll(clock.now())
            if dry is None and player.queued_s == 0:
                dry = clock.now()
            time.sleep(0.02)
        player.write(second)
        while player.queued_s > 0:
            player.poll(clock.now())
            time.sleep(0.02)
        counters = player.counters
        time.sleep(player.latency_s + 0.4)
    player.stop()
    assert counters.starved_frames / AUDIO_RATE_HZ == pytest.approx(2.0, abs=0.2)
    assert counters.underruns == pytest.approx(2.0 * AUDIO_RATE_HZ / BLOCK, abs=10)
    # The hole in the captured sound is as long as the counter says.
    ends = [server_module.longest_match(captured[0], part, SKIP) for part in (first, second)]
    assert [different for _, different in ends][1] == 0
    start_of = [np.flatnonzero((captured[0] == part[SKIP]).all(axis=1))[0] for part in (first, second)]
    assert start_of[1] - start_of[0] - len(first) == counters.starved_frames
    assert player.heard.output_frame(len(first)) - len(first) == counters.starved_frames
    tee, _ = soundfile.read(tmp_path / "tee.wav", dtype="float32")
    hole = len(first) + counters.starved_frames
    assert not tee[len(first) : hole].any()
    np.testing.assert_array_equal(tee[hole : hole + len(second)], second)


def test_the_device_gets_the_reverb_that_the_file_has(sound_server, tmp_path):
    samples, other = noise(2.0, 6), noise(0.4, 7)
    player = open_player(Clock(), wav_path=tmp_path / "tee.wav", subtype="FLOAT", reverb=0.4)
    with sound_server.capture() as captured:
        player.start()
        player.write(samples)
        assert player.replace(70_000, other)
        while player.queued_s > 0:
            player.poll(Clock().now())
            time.sleep(0.02)
        time.sleep(player.latency_s + 0.4)
    player.stop()
    samples[70_000 : 70_000 + len(other)] = other
    expected = Reverb(0.4)(samples, 0)
    tee, _ = soundfile.read(tmp_path / "tee.wav", dtype="float32")
    np.testing.assert_allclose(tee[: len(samples)], expected, atol=1e-6)
    first = int(np.abs(captured[0] - expected[SKIP]).max(axis=1).argmin())
    heard = captured[0][first : first + len(expected) - SKIP]
    assert len(heard) > len(expected) - 2 * SKIP
    np.testing.assert_allclose(heard, expected[SKIP : SKIP + len(heard)], atol=1e-5)


def test_queued_sound_changes_before_it_is_heard(sound_server, server_module, tmp_path):
    samples, other = noise(3.0, 4), noise(3.0, 5)
    player = DevicePlayer(Clock(), prime_s=0.5)
    clock = Clock()
    with sound_server.capture() as captured:
        player.start()
        player.write(samples)
        while player.queued_s > 2.4:
            player.poll(clock.now())
            time.sleep(0.02)
        start = player.changeable
        assert player.replace(start, other[start:])
        while player.queued_s > 1.6:
            player.poll(clock.now())
            time.sleep(0.02)
        turned = player.changeable
        player.set_gain(-20.0, False)
        assert not player.replace(player.changeable - AUDIO_RATE_HZ, other[:10])
        while player.queued_s > 0:
            player.poll(clock.now())
            time.sleep(0.02)
        time.sleep(player.latency_s + 0.4)
    late = player.counters.late_changes
    player.stop()
    expected = np.concatenate([samples[:start], other[start:turned]])
    compared, different = server_module.longest_match(captured[0], expected, SKIP)
    assert compared == len(expected) - SKIP
    assert different == 0
    assert late == 1
    begins = np.flatnonzero((captured[0] == samples[SKIP]).all(axis=1))[0] - SKIP
    quiet = captured[0][begins + turned + AUDIO_RATE_HZ // 4 : begins + turned + AUDIO_RATE_HZ]
    loud = other[turned + AUDIO_RATE_HZ // 4 : turned + AUDIO_RATE_HZ]
    np.testing.assert_allclose(quiet, loud * 0.1, atol=1e-4)


def test_heard_time_is_close_to_what_the_driver_says(sound_server):
    player, clock = DevicePlayer(Clock()), Clock()
    player.start()
    player.write(noise(2.5, 6))
    while player.heard.origin_s is None:
        began = clock.now()
        player.poll(clock.now())
        time.sleep(0.005)
    player.stop()
    assert -0.3 < player.heard.origin_s - began < 1.0
    assert player.latency_s >= 0.2


def test_a_device_that_takes_no_more_sound_is_reported_and_a_clock_plays_on(sound_server, monkeypatch):
    import os
    import signal

    monkeypatch.setattr("bci_music.sound.device.STUCK_S", 0.6)
    player, clock = DevicePlayer(Clock(), prime_s=0.5), Clock()
    player.start()
    player.write(noise(2.0, 7))
    with sound_server.capture():
        while player.queued_s > 1.2:
            player.poll(clock.now())
            time.sleep(0.02)
        os.kill(sound_server.pid, signal.SIGSTOP)
        try:
            play(player, noise(0.0, 0))
        finally:
            os.kill(sound_server.pid, signal.SIGCONT)
    assert "takes no more sound" in player.changes[0]
    assert player.device.startswith("clock")
    player.stop()


def test_a_named_device_that_is_not_there_is_one_sentence(sound_server):
    with pytest.raises(UserError, match="cannot be used"):
        open_player(Clock(), device="no such device")


def test_without_a_device_the_sound_runs_on_a_clock_and_says_so(sound_server, tmp_path, monkeypatch):
    import sounddevice

    def none(device=None, kind=None):
        raise sounddevice.PortAudioError("Error querying device -1")

    monkeypatch.setattr(sounddevice, "query_devices", none)
    player = open_player(Clock(), wav_path=tmp_path / "music.wav")
    assert isinstance(player, ClockPlayer)
    assert "no sound device" in player.note
    player.stop()
