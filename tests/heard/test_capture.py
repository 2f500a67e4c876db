"""Sound as it is captured: clicks are found at the LSL time at which they were heard."""

import time
import uuid

import numpy as np
import pylsl
import pytest

from bci_music.heard.capture import DeviceSound, StreamSound
from bci_music.messages import UserError
from bci_music.streaming.lsl import lsl_clock

LOUD = 0.3


def offset_s(sound, click_s):
    """How much later than it should a click lies in what was captured."""
    heard = sound.between(click_s - 0.4, click_s + 0.4)
    assert heard is not None
    assert np.abs(heard).max() > LOUD
    return float(np.argmax(np.abs(heard) > LOUD)) / 16_000 - 0.4


@pytest.mark.soak
@pytest.mark.sound
@pytest.mark.realtime
def test_a_device_is_captured_with_its_latency_taken_off(sound_server):
    import sounddevice

    clicks, done = [], [0]

    def play(out, frames, when, _status):
        out[:] = 0
        at = np.flatnonzero(np.arange(done[0], done[0] + frames) % 48_000 == 24_000)
        done[0] += frames
        if len(at):
            out[at[0] : at[0] + 200] = 0.8
            clicks.append(lsl_clock() + when.outputBufferDacTime - when.currentTime + at[0] / 48_000)

    sound = DeviceSound("pulse")  # hears what the null sink plays
    try:
        with sounddevice.OutputStream(samplerate=48_000, channels=2, callback=play, device="pulse", latency=0.1):
            for _ in range(40):
                sound.step(lsl_clock())
                time.sleep(0.2)
        assert len(clicks) >= 6
        for click_s in clicks[2:6]:
            assert offset_s(sound, click_s) == pytest.approx(0.0, abs=0.1)
        assert sound.why == ""
        for _ in range(25):
            time.sleep(0.2)
            sound.step(lsl_clock())
    finally:
        sound.close()


@pytest.mark.soak
@pytest.mark.realtime
def test_audio_on_lsl_is_taken_by_its_stamps_and_comes_back_after_a_hole():
    name = f"audio-{uuid.uuid4().hex[:8]}"
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(name, "Audio", 2, 8000, pylsl.cf_float32, name))
    sound = StreamSound(name)
    assert "no LSL stream" in sound.why
    try:
        deadline = time.monotonic() + 20
        while not outlet.have_consumers() and time.monotonic() < deadline:
            sound.step(lsl_clock())
            time.sleep(0.05)
        began, sent = lsl_clock(), 0
        while sent < 6 * 8000:
            due = min(int((lsl_clock() - began) * 8000), 6 * 8000)
            if due > sent:
                k = np.arange(sent, due)
                block = np.repeat((k % 8000 == 4000).astype(np.float32)[:, None], 2, axis=1)
                outlet.push_chunk(block, began + (due - 1) / 8000 + (100.0 if k[0] > 5 * 8000 else 0.0))
                sent = due
            sound.step(lsl_clock())
            time.sleep(0.02)
            if sent > 4 * 8000 and sent < 4.2 * 8000:
                for second in (1, 2):
                    assert offset_s(sound, began + second + 0.5) == pytest.approx(0.0, abs=0.01)
        time.sleep(0.2)
        sound.step(lsl_clock())
        assert sound.why == ""
        assert sound.between(began + 1.0, began + 2.0) is None  # before the hole
        assert offset_s(sound, began + 105.5) == pytest.approx(0.0, abs=0.01)
    finally:
        sound.close()


def test_a_device_that_is_not_there_is_one_sentence():
    with pytest.raises(UserError, match="captured"):
        DeviceSound("no such microphone")
