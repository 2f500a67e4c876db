"""A whole run whose sound device is pulled out and plugged in again: the music goes on, and the report says so."""

import pytest
from port_audio import Device, PortAudio

from bci_music.engine.report import build_report

pytestmark = pytest.mark.realtime


@pytest.mark.parametrize("rate_hz", [48_000, 44_100])
def test_a_run_goes_on_without_its_device_and_its_report_says_so(
    rate_hz, outlet, live_engine, until, monkeypatch, tmp_path
):
    monkeypatch.setattr("bci_music.sound.sink.AGAIN_S", 0.3)
    device = Device("headphones", rate_hz)
    PortAudio(device).install(monkeypatch)
    wav = tmp_path / "music.wav"
    engine = live_engine(outlet().name, wav=wav, device=True)
    engine.start()
    until(lambda: len(device.heard) > 100, what="music")
    device.there = False
    until(lambda: any("headphones" in f.text for f in engine.failures), what="the sentence")
    played_s = engine.snapshot().sound.played_s
    until(lambda: engine.snapshot().sound.played_s > played_s + 2.0, what="sound on a clock")
    heard = len(device.heard)
    device.there = True
    until(lambda: len(device.heard) > heard + 50, what="the device")
    engine.stop()
    report = build_report(engine, engine.now(), wav)
    texts = [text for text in report["failures"] if "headphones" in text]
    assert any("on a clock until it is back" in text for text in texts)
    assert any("is back" in text for text in texts)
    assert report["silent_seconds"] == 0.0
    assert report["windows_decoded"] > 0
