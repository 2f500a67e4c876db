"""Devices of other rates and channels, of one name, and devices that leave: music is heard, compared by samples."""

import time

import numpy as np
import pytest
import slowed
import soundfile
import soxr
from port_audio import Device, PortAudio

from bci_music.clock import Clock
from bci_music.messages import UserError
from bci_music.sound.device import DevicePlayer, open_player
from bci_music.sound.player import ClockPlayer

pytestmark = pytest.mark.realtime


@pytest.fixture
def audio(monkeypatch):
    def make(*devices):
        made = PortAudio(*devices)
        made.install(monkeypatch)
        return made

    return make


def play(player, samples, seconds, during=lambda passed_s: None):
    """Keep some sound queued, as the stage does, for so long."""
    clock, at, began = Clock(), 0, time.monotonic()
    while (passed_s := time.monotonic() - began) < seconds:
        if at < len(samples) and player.queued_s < 2.3:
            at += player.write(samples[at : at + 12_000])
        player.poll(clock.now())
        during(passed_s)
        time.sleep(0.02)


def difference(heard, expected, skip=2000):
    """How far `heard` is from the part of `expected` it holds, relative to its level; the lag is found."""
    start = np.flatnonzero(np.abs(heard).max(axis=1) > 1e-4)[0]
    part = heard[start + skip : start + skip + 20_000, 0]
    wide = expected[: len(part) + 2 * skip + 20_000, 0]
    at = int(np.correlate(wide, part, "valid").argmax())
    return float(np.abs(part - wide[at : at + len(part)]).max() / np.abs(part).max())


@pytest.mark.parametrize(("rate_hz", "channels"), [(44_100, 2), (48_000, 1), (44_100, 1), (96_000, 2)])
def test_a_device_of_its_own_rate_or_channels_plays_the_music(rate_hz, channels, audio, tmp_path):
    device = Device("odd", rate_hz, channels)
    audio(device)
    rng = np.random.default_rng(1)
    samples = (0.2 * rng.standard_normal((48_000 * 4, 2))).astype(np.float32)
    player = open_player(Clock(), wav_path=tmp_path / "music.wav", subtype="FLOAT")
    assert str(round(rate_hz / 1000, 1)).removesuffix(".0") in player.note
    player.start()
    play(player, samples, 3.5)
    player.stop()
    mixed = samples if channels == 2 else samples.mean(axis=1, keepdims=True)
    expected = soxr.resample(mixed, 48_000, rate_hz) if rate_hz != 48_000 else mixed
    assert difference(device.sound, expected) < 0.02
    tee, _ = soundfile.read(tmp_path / "music.wav", dtype="float32")
    np.testing.assert_array_equal(tee[:48_000], samples[:48_000])


@pytest.mark.parametrize("rate_hz", [48_000, 44_100])
def test_a_device_that_leaves_and_comes_back(rate_hz, audio, monkeypatch, tmp_path):
    monkeypatch.setattr("bci_music.sound.sink.AGAIN_S", 0.3)
    device = Device("headphones", rate_hz)
    audio(device)
    player = open_player(Clock(), wav_path=tmp_path / "music.wav")
    assert isinstance(player, DevicePlayer) == (rate_hz == 48_000)
    ear = slowed.Ear()
    player.add_listener(ear)
    before = []

    def during(passed_s):
        if passed_s > 1.5 and not before:
            device.there = False
            before.append(len(device.heard))
        if passed_s > 3.0:
            device.there = True

    player.start()
    play(player, slowed.music(12.0), 6.0, during)
    counters = player.counters
    player.stop()
    notes = list(player.changes)
    assert len(notes) == 2
    assert "headphones" in notes[0]
    assert "on a clock until it is back" in notes[0]
    assert "is back" in notes[1]
    assert len(device.heard) > before[0] + 20
    after = np.concatenate(device.heard[-40:])
    assert np.abs(after).max() > 0.05
    assert ear.longest_s < 0.25
    assert ear.heard_s > 4.5
    assert counters.starved_frames == 0
    assert counters.played_frames / 48_000 == pytest.approx(6.0, abs=1.0)


def test_two_devices_of_one_name_are_chosen_by_number(audio):
    audio(Device("USB Audio", 48_000), Device("USB Audio", 44_100))
    with pytest.raises(UserError, match=r"Multiple output devices.*\[0\].*\[1\].*with their numbers"):
        open_player(Clock(), device="USB Audio")
    for number, kind in ((0, True), (1, False)):
        player = open_player(Clock(), device=number)
        assert isinstance(player, DevicePlayer) == kind
        player.stop()
    with pytest.raises(UserError, match="cannot be used"):
        open_player(Clock(), device=7)


def test_a_device_that_takes_nothing_is_not_one(audio):
    audio(Device("input only", 48_000, 0))
    player = open_player(Clock())
    assert type(player) is ClockPlayer
    assert "input only" in player.note
    player.stop()
