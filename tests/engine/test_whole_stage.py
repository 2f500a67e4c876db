"""Everything at once: EEG from another process, decoding, the window, and a real sound device."""

import threading

import numpy as np
import pytest
import soundfile

from bci_music.eeg.montage import NMED_CHANNELS

pytestmark = pytest.mark.realtime

RATE = 1000.0
TAIL = 24_000


def run_stage(engine, seconds, picture):
    from gui.app import Standing

    engine.start()
    standing = Standing("test")
    try:
        standing.carry(lambda: standing.show(engine, lambda: False, seconds, lambda: picture))
    finally:
        engine.stop(wait=False)


def whole_stage(seconds, outlet, live_engine, tmp_path, sound_server, server_module):
    stream = outlet(rate=RATE, channels=125, noise=15, chunk=20, labels=",".join(NMED_CHANNELS))
    engine = live_engine(stream.name, wav=tmp_path / "tee.wav", device=True)
    with sound_server.capture() as captured:
        run_stage(engine, seconds, tmp_path / "window.png")
    sound = engine.snapshot().sound
    written, _ = soundfile.read(tmp_path / "tee.wav", dtype="float32", always_2d=True)
    written = written[:-TAIL]  # still in the device when the run was stopped
    compared, different = server_module.longest_match(captured[0], written, 4800)
    assert compared >= 0.8 * seconds * 48000 - 4 * 48000
    assert different == 0
    assert (sound.device_underflows, sound.underruns, sound.starved_s) == (0, 0, 0.0)
    assert engine.snapshot().health.windows_decoded >= seconds  # two a second, after the first window
    assert (tmp_path / "window.png").stat().st_size > 20_000


@pytest.mark.sound
def test_sound_is_exact_while_the_window_runs_and_the_decoder_works(
    outlet, live_engine, tmp_path, sound_server, server_module
):
    whole_stage(15.0, outlet, live_engine, tmp_path, sound_server, server_module)


@pytest.mark.soak
@pytest.mark.sound
def test_sound_is_exact_for_a_minute(outlet, live_engine, tmp_path, sound_server, server_module):
    whole_stage(60.0, outlet, live_engine, tmp_path, sound_server, server_module)


def test_stop_is_prompt_and_leaves_no_thread(outlet, live_engine, until):
    stream = outlet(rate=250.0, channels=125, noise=15, labels=",".join(NMED_CHANNELS))
    engine = live_engine(stream.name)
    engine.start()
    until(lambda: engine.snapshot().health.windows_decoded > 0, 30, "a decoded window")
    began = engine.now()
    engine.stop()
    assert engine.now() - began < 3.0
    assert not [t for t in threading.enumerate() if t.name.startswith("bci-music")]
    engine.stop()  # a second time does nothing


def test_a_stage_that_fails_is_reported_and_the_music_goes_on(outlet, live_engine, until):
    stream = outlet(rate=250.0, channels=125, noise=15, labels=",".join(NMED_CHANNELS))
    engine = live_engine(stream.name)
    engine.start()
    until(lambda: engine.snapshot().health.windows_decoded > 0, 30, "a decoded window")
    decoder = engine.decode.decoder
    engine.decode.decoder = Broken(decoder)
    until(lambda: engine.snapshot().failures, 10, "the failure")
    assert "out of memory" in engine.snapshot().failures[-1].text
    n = engine.snapshot().health.windows_decoded
    engine.decode.decoder = decoder
    until(lambda: engine.snapshot().health.windows_decoded > n, 10, "decoding again")
    assert engine.snapshot().sound.underruns == 0
    engine.stop()


class Broken:
    """A decoder that fails."""

    def __init__(self, decoder):
        self._decoder = decoder

    def decode(self, window, now, steps=False):
        raise RuntimeError("out of memory")


def test_volume_and_stop_reach_the_sound(outlet, live_engine, until):
    from bci_music.status import Command

    stream = outlet(rate=250.0, channels=125, noise=15, labels=",".join(NMED_CHANNELS))
    engine = live_engine(stream.name)
    engine.start()
    until(lambda: max(engine.snapshot().sound.peak_dbfs) > -50, 15, "sound")
    engine.send(Command("stop"))
    until(lambda: max(engine.snapshot().sound.peak_dbfs) < -80, 5, "silence")
    engine.send(Command("start"))
    until(lambda: max(engine.snapshot().sound.peak_dbfs) > -50, 5, "sound again")
    engine.send(Command("volume", -12.0))
    assert engine.snapshot().sound.volume_db == -12.0
    with pytest.raises(ValueError, match="louder"):
        engine.send(Command("louder"))
    assert np.isfinite(engine.snapshot().sound.peak_dbfs).all()
    engine.stop()
