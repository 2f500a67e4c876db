"""The clock player takes blocks as a device would; its file is what was played, sample by sample."""

import time

import numpy as np
import pytest
import soundfile

from bci_music.clock import Clock, ManualClock
from bci_music.messages import AUDIO_RATE_HZ, SoundSpan, UserError
from bci_music.sound.device import open_player
from bci_music.sound.loudness import Meter
from bci_music.sound.player import BLOCK, ClockPlayer
from bci_music.sound.queue import HeardTime
from bci_music.sound.reverb import Reverb
from bci_music.sound.span_log import SpanLog


def noise(seconds, seed=0):
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((round(seconds * AUDIO_RATE_HZ), 2))).astype(np.float32)


def played_on(player, clock, samples, change=None):
    for at in range(0, len(samples), 7919):
        player.write(samples[at : at + 7919])
    if change is not None:
        assert player.replace(*change)
    while player.queued_s > 0:
        player.poll(clock.advance(0.1))


@pytest.mark.parametrize("wet", [0.0, 0.4])
def test_what_is_heard_has_reverb_also_after_a_late_change(tmp_path, wet):
    clock = ManualClock(10.0)
    player = ClockPlayer(clock, tmp_path / "a.wav", subtype="FLOAT", threaded=False, prime_s=0.5, reverb=wet)
    player.start()
    samples, again = noise(3.0), noise(0.5, seed=1)
    player.poll(clock.now())
    played_on(player, clock, samples, (60_000, again))
    player.stop()
    samples[60_000 : 60_000 + len(again)] = again
    heard, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    expected = Reverb(wet)(samples, 0)
    if wet:
        np.testing.assert_allclose(heard[: len(samples)], expected, atol=1e-6)
        assert np.corrcoef(heard.T)[0, 1] < 0.95 * np.corrcoef(samples.T)[0, 1] + 0.05
    else:
        np.testing.assert_array_equal(heard[: len(samples)], samples)


@pytest.mark.realtime
def test_the_file_is_what_was_written_beside_a_real_clock(tmp_path):
    samples = noise(2.5)
    player = ClockPlayer(Clock(), tmp_path / "a.wav", subtype="FLOAT", prime_s=2.0)  # ahead of a busy machine
    player.start()
    for at in range(0, len(samples), 5000):
        player.write(samples[at : at + 5000])
        time.sleep(0.02)
    while player.queued_s > 0.1:
        time.sleep(0.01)
    assert player.counters.underruns == 0
    time.sleep(0.3)
    player.stop()
    played, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert rate == AUDIO_RATE_HZ
    np.testing.assert_array_equal(played[: len(samples)], samples)
    assert not played[len(samples) :].any()
    assert player.counters.starved_frames == len(played) - len(samples)


def test_it_waits_until_primed_and_then_keeps_the_time():
    clock = ManualClock(10.0)
    player = ClockPlayer(clock, threaded=False)
    player.start()
    player.write(noise(1.9))
    clock.advance(5.0)
    player.poll(clock.now())
    assert player.counters.played_frames == 0
    player.write(noise(0.2))
    player.poll(clock.now())
    assert player.heard.origin_s == 15.0
    player.poll(clock.advance(1.0))
    assert player.counters.played_frames == AUDIO_RATE_HZ
    assert player.heard.heard_s(AUDIO_RATE_HZ) == pytest.approx(16.0)
    player.stop()


def test_starving_for_two_seconds_moves_both_counters_and_shifts_the_heard_time():
    clock = ManualClock()
    player = ClockPlayer(clock, threaded=False, prime_s=0.5)
    player.start()
    player.write(noise(1.0))
    player.poll(clock.now())
    player.poll(clock.advance(3.0))
    assert player.counters.starved_frames == 2 * AUDIO_RATE_HZ
    assert player.counters.underruns == 2 * AUDIO_RATE_HZ // BLOCK
    player.write(noise(1.0))
    player.poll(clock.advance(0.5))
    assert player.counters.starved_frames == 2 * AUDIO_RATE_HZ
    assert player.heard.heard_s(AUDIO_RATE_HZ) == pytest.approx(3.0)
    assert player.heard.index_at(3.25) == AUDIO_RATE_HZ + 12_000
    assert player.heard.index_at(0.5) == AUDIO_RATE_HZ // 2
    player.stop()


def test_queued_sound_is_replaced_unless_it_is_too_near_the_ear(tmp_path):
    clock = ManualClock()
    player = ClockPlayer(clock, tmp_path / "a.wav", subtype="FLOAT", threaded=False, prime_s=0.5)
    player.start()
    first, second = noise(3.0, 1), noise(3.0, 2)
    player.write(first)
    player.poll(clock.now())
    player.poll(clock.advance(1.0))
    start = player.changeable
    assert start == AUDIO_RATE_HZ + round(0.15 * AUDIO_RATE_HZ)
    assert player.replace(start, second[start:])
    assert not player.replace(AUDIO_RATE_HZ, second[:100])
    assert player.counters.late_changes == 1
    with pytest.raises(ValueError, match="queued"):
        player.replace(start, second)
    player.poll(clock.advance(2.0))
    player.stop()
    played, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    np.testing.assert_array_equal(played, np.concatenate([first[:start], second[start:]]))


def test_volume_follows_quickly_and_returns_exactly(tmp_path):
    clock = ManualClock()
    player = ClockPlayer(clock, tmp_path / "a.wav", subtype="FLOAT", threaded=False, prime_s=0.5)
    player.start()
    samples = np.full((4 * AUDIO_RATE_HZ, 2), 0.5, np.float32)
    player.write(samples)
    player.poll(clock.now())
    for volume_db, muted in ((0.0, True), (-6.0, False), (3.0, False)):
        player.poll(clock.advance(1.0))
        player.set_gain(volume_db, muted)
    player.poll(clock.advance(1.0))
    player.stop()
    played, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    at = [played[round(s * AUDIO_RATE_HZ), 0] for s in (1.14, 1.5, 2.5, 3.5)]
    np.testing.assert_allclose(at, [0.5, 0.0, 0.5 * 10 ** (-6 / 20), 0.5], atol=1e-6)
    assert np.abs(np.diff(played[:, 0])).max() < 0.002  # glides, no click


def test_a_full_queue_takes_no_more():
    player = ClockPlayer(ManualClock(), threaded=False)
    sound = noise(6.0)
    assert player.write(sound) == len(sound)
    assert player.write(sound) < len(sound)
    assert player.queued_s < 11
    player.stop()


def test_no_device_wanted_is_a_clock_and_a_bad_path_is_one_sentence(tmp_path):
    player = open_player(Clock(), device="none")
    assert isinstance(player, ClockPlayer)
    assert "clock" in player.note
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot be written"):
        open_player(Clock(), device="none", wav_path=tmp_path / "file" / "a.wav")


def test_meter_shows_extremes_twenty_times_a_second():
    meter = Meter(seconds=2.0)
    sound = np.zeros((3 * AUDIO_RATE_HZ, 2), np.float32)
    sound[100] = 0.5, -0.25
    for at in range(0, len(sound), 777):
        meter(sound[at : at + 777])
        if at == 777 * 4:
            assert meter.peak_dbfs() == pytest.approx((-6.02, -12.04), abs=0.01)
            np.testing.assert_allclose(meter.waveform(), [[-0.25, 0.5]])
    assert meter.waveform().shape == (40, 2)
    assert not meter.waveform().any()


def test_span_log_joins_cuts_and_finds():
    span_log = SpanLog()
    span_log.append(0, [SoundSpan(0, 10, "waiting", "w")])
    span_log.append(10, [SoundSpan(0, 10, "retrieved", "a", "a", similarity=0.2)])
    span_log.append(20, [SoundSpan(0, 30, "retrieved", "a", "a", similarity=0.6)])
    assert [(s.start, s.stop) for s in span_log.all()] == [(0, 10), (10, 50)]
    assert span_log.all()[1].similarity == pytest.approx(0.5)
    assert span_log.first_from_eeg().start == 10
    span_log.truncate(30)
    assert span_log.at(29).song == "a"
    assert span_log.at(30) is None
    span_log.truncate(5)
    assert [(s.start, s.stop) for s in span_log.all()] == [(0, 5)]


def test_heard_time_counts_zeros_before_the_sample():
    heard = HeardTime()
    assert heard.heard_s(0) is None
    assert heard.index_at(1.0) == -1
    heard.origin_s = 0.0
    heard.starve(100, 50)
    heard.starve(100, 50)
    heard.starve(300, 10)
    assert [heard.output_frame(i) for i in (99, 100, 299, 300)] == [99, 200, 399, 410]
