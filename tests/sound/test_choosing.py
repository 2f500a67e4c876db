"""Sound devices are listed, and another is chosen while the music plays: it is heard there, by samples."""

import time

import numpy as np
import pytest
import slowed
from port_audio import Device, PortAudio

from bci_music.clock import Clock
from bci_music.sound.choosing import DeviceChooser, chosen_last
from bci_music.sound.device import open_player
from bci_music.status import Command

pytestmark = pytest.mark.realtime


@pytest.fixture
def audio(monkeypatch, tmp_path):
    monkeypatch.setenv("BCI_MUSIC_SETTINGS", str(tmp_path / "settings"))

    def make(*devices):
        made = PortAudio(*devices)
        made.install(monkeypatch)
        return made

    return make


def play(player, samples, seconds, at=0):
    clock, began = Clock(), time.monotonic()
    while time.monotonic() - began < seconds:
        if at < len(samples) and player.queued_s < 2.3:
            at += player.write(samples[at : at + 12_000])
        player.poll(clock.now())
        time.sleep(0.02)
    return at


@pytest.mark.parametrize("rate_hz", [48_000, 44_100])
def test_the_music_goes_on_on_another_device_and_back_on_a_clock(rate_hz, audio, tmp_path):
    first, second = Device("built in", rate_hz), Device("headphones", 44_100)
    audio(first, second)
    messages = []
    player = open_player(Clock(), wav_path=tmp_path / "music.wav")
    ear = slowed.Ear()
    player.add_listener(ear)
    chooser = DeviceChooser(player, messages.append)
    assert chooser.take(Command("look_devices", 1.0))
    chooser.close()
    assert [(c.key, c.chosen) for c in chooser.choices] == [
        ("0:built in", True), ("1:headphones", False), ("none", False),
    ]  # fmt: skip
    assert "number 1" in chooser.choices[1].facts
    assert "44100 Hz" in chooser.choices[1].facts
    music = slowed.music(12.0)
    player.start()
    at = play(player, music, 1.5)
    assert chooser.take(Command("device", text="1:headphones"))
    at = play(player, music, 2.0, at)
    before = len(first.heard)
    assert np.abs(np.concatenate(second.heard[-20:])).max() > 0.05
    assert player.output == 1
    assert "headphones" in player.device
    assert player.heard.heard_s(0) is not None
    chooser.take(Command("device", text="none"))
    play(player, music, 0.5, at)
    chooser.close()
    after = len(second.heard)
    assert player.output is None
    counters = player.counters
    player.stop()
    assert (len(first.heard), len(second.heard)) == (before, after)
    assert messages == []
    assert counters.starved_frames == 0
    assert ear.longest_s < 0.25
    assert ear.heard_s > 3.0
    assert chosen_last() == 1


def test_a_device_that_cannot_be_opened_leaves_the_one_that_plays(audio):
    first, second = Device("built in"), Device("taken")
    audio(first, second)
    messages = []
    player = open_player(Clock())
    chooser = DeviceChooser(player, messages.append)
    player.start()
    music = slowed.music(6.0)
    at = play(player, music, 1.0)
    second.channels = 0
    for key in ("1:taken", "7:gone"):
        chooser.take(Command("device", text=key))
        chooser.close()
    before = len(first.heard)
    play(player, music, 0.5, at)
    player.stop()
    assert len(first.heard) > before
    assert player.output == 0
    assert len(messages) == 2
    assert all(text.startswith("The sound device cannot be used: ") for text in messages)
    assert chosen_last() is None


def test_a_memory_of_a_device_that_is_not_there_is_as_none(audio, tmp_path):
    audio(Device("built in"))
    (tmp_path / "settings").mkdir()
    kept = tmp_path / "settings" / "last-sound-device.json"
    for written, number in (('{"name": "headphones"}', None), ('{"name": "built in"}', 0), ("[", None), ("3", None)):
        kept.write_text(written)
        assert chosen_last() == number
