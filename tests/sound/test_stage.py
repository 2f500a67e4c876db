"""The sound stage keeps sound queued and in the style of the EEG, whatever the generator does."""

import time
from itertools import pairwise

import numpy as np
import pytest
import soundfile

from bci_music.clock import Clock, ManualClock
from bci_music.generation.library import LibraryGenerator
from bci_music.messages import AUDIO_RATE_HZ, AudioBlock, Embedding, SoundSpan
from bci_music.models.library import MusicLibrary
from bci_music.sound.generator import Generator
from bci_music.sound.player import BLOCK, ClockPlayer
from bci_music.sound.silence import silent_seconds
from bci_music.sound.stage import SoundStage, StageConfig
from bci_music.sound.steering import Steering
from bci_music.workers import Latest

SONGS = ("low", "middle", "high")


def embedding(vector, index, now, confidence=0.5):
    return Embedding(vector, np.full(4, 0.25, np.float32), confidence, index, 0, 1, now, now, 1.0)


class Rig:
    """A stage on a manual clock, with embeddings of its choice."""

    def __init__(self, library_dir, wav_path=None, generator=None, subtype="FLOAT"):
        self.clock = ManualClock(100.0)
        self.latest = Latest()
        self.failures = []
        library = MusicLibrary.load(library_dir)
        self.player = ClockPlayer(self.clock, wav_path, subtype=subtype, threaded=False)
        self.stage = SoundStage(
            generator or LibraryGenerator(library), LibraryGenerator(library), Steering(self.latest), self.player,
            self.clock, self.failures.append,
        )
        self.windows = 0
        self.player.start()

    def run(self, seconds, vector=None, beat_s=0.02):
        """Go on for `seconds`; with a vector, a new embedding comes every 0.5 s."""
        steps = round(seconds / beat_s)
        for step in range(steps):
            now = self.clock.now()
            if vector is not None and step % round(0.5 / beat_s) == 0:
                self.latest.put(embedding(vector, self.windows, now), now)
                self.windows += 1
            self.stage.step(now)
            self.clock.advance(beat_s)

    def close(self):
        self.player.stop()
        assert self.stage.close()


def test_waits_then_follows_the_eeg(library_dir, prototypes, tmp_path):
    rig = Rig(library_dir, tmp_path / "music.wav")
    rig.run(3.0)
    assert rig.stage.playing(rig.clock.now()).kind == "waiting"
    assert rig.stage.status(rig.clock.now()).first_eeg_sound_s is None
    turned = rig.clock.now()
    rig.run(3.0, prototypes[1])
    assert rig.stage.playing(rig.clock.now()).song == "middle"
    rig.run(6.0, prototypes[2])
    now = rig.clock.now()
    status = rig.stage.status(now)
    rig.close()
    assert rig.stage.playing(now).song == "high"
    assert status.underruns == 0
    assert status.starved_s == 0
    assert status.crossfades >= 2
    assert status.clips_retrieved >= 2
    assert status.clips_generated == 0
    # Queued sound is revised, so the first sound of the EEG's choice does not wait for the queue to drain.
    assert 0 < status.first_eeg_sound_s - turned < 1.0
    assert silent_seconds(tmp_path / "music.wav") == 0


def test_spans_follow_each_other_and_match_the_file(library_dir, prototypes, tmp_path):
    rig = Rig(library_dir, tmp_path / "music.wav")
    rig.run(2.0)
    for number in (0, 1, 2, 0):
        rig.run(2.5, prototypes[number])
    rig.close()
    spans = [span for span, _, _ in rig.stage.spans()]
    assert spans[0].start == 0
    assert all(a.stop == b.start for a, b in pairwise(spans))
    samples, rate = soundfile.read(tmp_path / "music.wav")
    assert rate == AUDIO_RATE_HZ
    notes = dict(zip(SONGS, (220.0, 330.0, 495.0), strict=True))
    for span in spans:
        middle = (span.start + span.stop) // 2
        if span.kind != "retrieved" or span.stop - span.start < AUDIO_RATE_HZ or middle + 4800 > len(samples):
            continue
        spectrum = np.abs(np.fft.rfft(samples[middle - 4800 : middle + 4800, 0] * np.hanning(9600)))
        assert abs(np.argmax(spectrum) * rate / 9600 - notes[span.song]) < 10


def test_heard_time_of_a_span_is_when_the_clock_played_it(library_dir, prototypes, tmp_path):
    rig = Rig(library_dir, tmp_path / "music.wav")
    rig.run(4.0, prototypes[0])
    rig.close()
    (first, heard_from, _), *_ = rig.stage.spans()
    assert first.start == 0
    assert heard_from == pytest.approx(rig.player.heard.origin_s)
    assert rig.player.heard.index_at(heard_from + 1.0) == AUDIO_RATE_HZ


def test_a_changing_style_is_heard_within_a_second(library_dir, prototypes):
    rig = Rig(library_dir)
    rig.run(6.0, prototypes[0])
    for turn in range(1, 5):
        rig.run(4.0, prototypes[turn % 3])
        changed = [heard for span, heard, _ in rig.stage.spans() if span.song == SONGS[turn % 3]][-1]
        # Smoothing over 1 s lets the old style win for about 0.7 s; the sound adds less than 1 s.
        assert changed - (rig.clock.now() - 4.0) < 1.7
    rig.close()
    assert rig.stage.status(rig.clock.now()).underruns == 0


def test_clips_are_read_before_they_are_needed(library_dir, prototypes):
    generator = LibraryGenerator(MusicLibrary.load(library_dir))
    rig = Rig(library_dir, generator=generator)
    rig.run(2.0)
    assert {0, 1, 2} <= set(generator._loops)
    rig.close()


class Broken(Generator):
    name, trained, realtime = "broken", False, True

    def generate(self, style, state, *, seconds, deadline):
        raise ValueError("no weights")


def test_a_failing_generator_is_replaced_and_named(library_dir, prototypes, tmp_path):
    rig = Rig(library_dir, tmp_path / "music.wav", Broken())
    rig.run(25.0, prototypes[1])
    status = rig.stage.status(rig.clock.now())
    playing = rig.stage.playing(rig.clock.now())
    rig.close()
    assert status.fallbacks == len(rig.failures) == 3  # tried again every 10 s
    assert "broken failed (no weights)" in rig.failures[0].text
    assert playing.song == "middle"
    assert status.underruns == 0
    assert silent_seconds(tmp_path / "music.wav") == 0


class Slow(Generator):
    """A generator that is not realtime and gives clips of a steady tone; `wait_s` is real time."""

    name, trained, realtime = "slow", False, False

    def __init__(self, wait_s):
        self.wait_s = wait_s

    def generate(self, style, state, *, seconds, deadline):
        time.sleep(self.wait_s)
        n = round(seconds * AUDIO_RATE_HZ)
        tone = 0.2 * np.sin(2 * np.pi * 400 * np.arange(n) / AUDIO_RATE_HZ)
        block = AudioBlock(np.stack([tone, tone], axis=1).astype(np.float32), (SoundSpan(0, n, "generated", "tone"),))
        return block, type("State", (), {"clips_generated": getattr(state, "clips_generated", 0) + 1})()


def slow_run(library_dir, vector, path, wait_s, seconds):
    clock, latest = Clock(), Latest()
    library = MusicLibrary.load(library_dir)
    player = ClockPlayer(clock, path, subtype="FLOAT")
    config = StageConfig(clip_s=2.56)
    stage = SoundStage(Slow(wait_s), LibraryGenerator(library), Steering(latest), player, clock, config=config)
    player.start()
    number = 0
    while player.counters.played_frames < seconds * AUDIO_RATE_HZ:  # by what was played: a busy machine starts late
        now = clock.now()
        latest.put(embedding(vector, number, now), now)
        number += 1
        stage.step(now)
        time.sleep(0.02)
    status = stage.status(clock.now())
    player.stop()
    assert stage.close()
    return status, [span.kind for span, _, _ in stage.spans()]


@pytest.mark.realtime
def test_a_slow_generator_is_ordered_ahead(library_dir, prototypes, tmp_path):
    status, kinds = slow_run(library_dir, prototypes[0], tmp_path / "music.wav", 0.2, 6.0)
    assert kinds == ["waiting", "generated"]
    assert status.clips_generated >= 2
    assert status.late_steps.total == 0
    assert status.late_step == ""
    assert status.underruns == 0
    assert 0 < status.generation_s / status.generated_s < 0.3


@pytest.mark.realtime
def test_a_late_generator_is_bridged_and_counted(library_dir, prototypes, tmp_path):
    status, kinds = slow_run(library_dir, prototypes[0], tmp_path / "music.wav", 4.0, 8.0)
    assert "looped" in kinds
    assert status.late_steps.loop == 1
    assert status.underruns == 0
    assert silent_seconds(tmp_path / "music.wav") == 0


def test_a_starved_ring_moves_both_counters_and_is_silent_in_the_file(library_dir, prototypes, tmp_path):
    rig = Rig(library_dir, tmp_path / "music.wav")
    rig.run(3.0, prototypes[0])
    queued = rig.player.queued_s
    for _ in range(round((queued + 2.0) / 0.02)):  # the stage does not run, the device goes on
        rig.clock.advance(0.02)
        rig.player.poll(rig.clock.now())
    status = rig.stage.status(rig.clock.now())
    assert status.starved_s == pytest.approx(2.0, abs=0.05)
    assert status.underruns == pytest.approx(2.0 * AUDIO_RATE_HZ / BLOCK, abs=2)
    before = status.underruns
    rig.run(2.0, prototypes[0])
    assert rig.stage.status(rig.clock.now()).underruns == before
    last, heard_from, heard_to = rig.stage.spans()[-1]
    assert heard_from <= rig.clock.now() <= heard_to
    rig.close()
    assert silent_seconds(tmp_path / "music.wav") == pytest.approx(2.0, abs=0.05)
    frames = soundfile.info(tmp_path / "music.wav").frames
    assert frames == rig.player.counters.played_frames < last.stop
