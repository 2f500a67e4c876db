"""The sound that is heard in a run without a pack: placed by its marker, answered in snapshot and report."""

import numpy as np
import soundfile

from bci_music.clock import ManualClock
from bci_music.data.session import Event, Session, song_marker
from bci_music.engine.monitoring import build_monitor, quality_report
from bci_music.heard.open import HeardConfig
from bci_music.heard.sounds import RATE_HZ
from bci_music.heard.stage import MOVED
from bci_music.streaming.markers import FileMarkers
from bci_music.streaming.replay import SessionSource


def test_a_monitor_answers_by_the_sound_and_not_after_a_jump(heard_tones, tmp_path):
    samples, sfreq_hz, audio = heard_tones
    soundfile.write(tmp_path / "tones.wav", audio, RATE_HZ)
    few = np.ascontiguousarray(samples[: round(60 * sfreq_hz), ::4])
    session = Session(
        "tones", tuple(f"C{i}" for i in range(few.shape[1])), sfreq_hz, few, np.arange(len(few)) / sfreq_hz,
        (Event(0.0, song_marker("tones")),), simulated=True,
    )  # fmt: skip
    clock = ManualClock(500.0)
    source = SessionSource(session, clock=clock)
    engine = build_monitor(
        source, clock, HeardConfig(file=str(tmp_path / "tones.wav")), lambda info, on: FileMarkers(source, on)
    )
    while clock.now() < 559.0:
        engine.step(clock.advance(0.5))
    chance = engine.snapshot().chance
    assert (chance.method, chance.heard, chance.shown) == ("sound", "tones.wav", True)
    assert 540.0 < chance.shown_s < 560.0
    assert quality_report(engine)["chance"]["hits"] == chance.hits >= 2
    engine.events.moved(clock.now())
    engine.step(clock.advance(0.5))
    assert engine.snapshot().chance.why == MOVED
    engine.stop()
