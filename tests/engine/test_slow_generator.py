"""The whole engine with a generator that is four times slower for one minute in five: music without a gap."""

import time

import pytest
import slowed

from bci_music.clock import Clock
from bci_music.data.formats import open_session
from bci_music.engine import build
from bci_music.engine.report import build_report
from bci_music.engine.sample import find_sample
from bci_music.sound.player import ClockPlayer
from bci_music.streaming.lsl import lsl_clock
from bci_music.streaming.markers import FileMarkers
from bci_music.streaming.replay import SessionSource

pytestmark = pytest.mark.realtime


def perform(config, tmp_path, monkeypatch, seconds, minute_s):
    """Play for so long with AudioLDM and return the report as written."""
    from bci_music.generation import open as registry
    from bci_music.generation.audioldm.generator import AudioLdmConfig
    from bci_music.generation.audioldm.loading import write_random_audioldm
    from bci_music.models.pack import Pack

    clock = Clock(lsl_clock)
    began = clock.now()
    generator = slowed.Slowed(
        AudioLdmConfig(checkpoint=str(write_random_audioldm(tmp_path / "model")), device="cpu").open(),
        lambda now: slowed.four_times_slower(now, began, minute_s), clock.now, least_s=1.7,
    )
    library = registry.open_generator("library", config.sound, Pack.open(config.pack))
    made = {"library": library, "audioldm": generator}
    monkeypatch.setattr(registry, "open_generator", lambda name, *_: made[name])
    monkeypatch.setattr(registry, "choose_generator", lambda *_: "audioldm")
    wav = tmp_path / "music.wav"
    player = ClockPlayer(clock, wav)
    source = SessionSource(open_session(find_sample()), loop=True, clock=lsl_clock)
    engine = build.build_engine(
        config, source, player, clock, lambda info, on_marker: FileMarkers(source, on_marker)
    )
    engine.start()
    while player.counters.played_frames < seconds * 48_000:
        time.sleep(0.5)
    engine.stop()
    return build_report(engine, engine.now(), wav)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_twenty_minutes(config, tmp_path, monkeypatch):
    report = perform(config, tmp_path, monkeypatch, 1200.0, 60.0)
    assert (report["underruns"], report["starved_seconds"], report["silent_seconds"]) == (0, 0.0, 0.0)
    assert report["late_steps"]["loop"] >= 4  # at least once in each slow minute
    assert report["clips_generated"] > 150
    assert report["fallbacks"] == 0
    assert report["audio_seconds"] >= 1195
