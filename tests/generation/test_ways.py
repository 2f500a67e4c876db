"""Both ways in one run: switching while it plays is one more splice, and the other way is opened beside the music."""

import gc
import threading
from collections import deque
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from slowed import Ear, TimedProducer

from bci_music.clock import ManualClock
from bci_music.generation.audioldm.generator import AudioLdmConfig, AudioLdmGenerator
from bci_music.generation.audioldm.precision import Walls
from bci_music.generation.audioldm.solver import SamplerSettings
from bci_music.generation.echoes import EchoesConfig, EchoesGenerator
from bci_music.generation.ways import TwoWays
from bci_music.messages import AUDIO_RATE_HZ, ECHOES, EMBEDDING_DIM, STYLE, EegSteps, Embedding, Style
from bci_music.sound.player import ClockPlayer
from bci_music.sound.stage import SoundStage
from bci_music.sound.steering import Steering
from bci_music.workers import Latest

HZ = 222.0


@cache
def note(frames):
    """A steady sound of so many frames of spectrogram at 16 kHz, from second 0 on."""
    time_s = np.arange(frames * 160) / 16_000
    return (0.2 * np.sin(2 * np.pi * HZ * time_s) * (0.8 + 0.2 * np.sin(2 * np.pi * 0.7 * time_s))).astype(np.float32)


class Score:
    """Stands in for a model: its latents are numbers of frames, so a clip that goes on rightly is heard to go on."""

    name, trained, settings, downsample, device = "score", True, SamplerSettings(steps=1), 4, torch.device("cpu")
    step_s = decode_s = 0.0
    control = SimpleNamespace(config=SimpleNamespace(eeg_dim=3))
    control_scale = 1.0

    def __init__(self):
        self.walls, self.courses = Walls(), []

    def led_by(self, course, end_s=0.0):
        self.courses.append((course, end_s))
        return self

    def frames(self, seconds):
        return round(seconds * 100 / 8) * 8

    def sample(self, *args, **options):
        pass

    def latents(self, vector, frames, *, start=None, **options):
        first = int(start.latents[0, 0, 0, 0]) if start else 0
        return (first + torch.arange(frames // 4)).reshape(1, 1, -1, 1)

    def decode(self, latents):
        return latents[0, 0].repeat_interleave(4, 0)

    def vocode(self, mel):
        first = 4 * int(mel[0, 0])
        return note(20_000)[first * 160 : (first + len(mel)) * 160]


def make(way, **settings):
    values = {"most_repeats": 0, "anytime": False} | settings
    if way == STYLE:
        return AudioLdmGenerator(Score(), AudioLdmConfig(**values))
    return EchoesGenerator(Score(), EchoesConfig(**values))


def style(number=0, steps=True):
    vector = np.zeros(EMBEDDING_DIM, np.float32)
    vector[number] = 1.0
    eeg = EegSteps(np.zeros((4, 3), np.float32), 4.0, float(number)) if steps else None
    return Style(vector, confidence=1.0, made_s=float(number), steps=eeg)


def test_each_way_goes_on_from_the_others_clip_without_a_step_in_the_sound():
    ways = TwoWays(make(STYLE), ECHOES, lambda: make(ECHOES))
    ways.switch(ECHOES)
    ways._opening.join()
    state, sound = None, []
    for number, way in enumerate([STYLE, ECHOES, ECHOES, STYLE, STYLE, ECHOES, STYLE]):
        ways.switch(way)
        assert (ways.way, ways.facts()["class"]) == (way, "EchoesGenerator" if way == ECHOES else "AudioLdmGenerator")
        block, state = ways.generate(style(number), state, seconds=5.12, deadline=float("inf"))
        assert state.way == way
        sound.append(block.samples[:, 0])
    heard = np.concatenate(sound)
    assert state.crossfades == 6
    lengths = [len(part) / AUDIO_RATE_HZ for part in sound]
    np.testing.assert_allclose(lengths, [4.0, 2.56, 2.56, 4.0, 4.0, 2.56, 4.0], atol=0.01)
    n = len(heard) // 4800 * 4800
    spectrum = np.abs(np.fft.rfft(heard[:n].reshape(-1, 4800) * np.hanning(4800), axis=1))
    level = spectrum.max(1)
    assert (spectrum.argmax(1) == round(HZ / 10)).all()  # one tone all the way
    away = np.delete(spectrum, np.s_[round(HZ / 10) - 4 : round(HZ / 10) + 5], axis=1)
    assert float((away.max(1) / level).max()) < 0.02  # no click: nothing beside it


def test_a_way_that_cannot_be_opened_is_a_sentence_and_the_music_goes_on():
    lines = []

    def refuse():
        raise OSError("the file is gone")

    ways = TwoWays(make(STYLE), ECHOES, refuse, lines.append)
    ways.switch(ECHOES)
    ways.interrupt()
    assert lines == ["The other way cannot be played (the file is gone); the music goes on as it was."]
    assert ways.way == STYLE


def test_the_other_way_is_opened_beside_the_music():
    wait = threading.Event()

    def slowly():
        wait.wait(5)
        return make(ECHOES)

    ways = TwoWays(make(STYLE), ECHOES, slowly)
    ways.switch(ECHOES)
    _, state = ways.generate(style(), None, seconds=5.12, deadline=float("inf"))
    assert (ways.way, state.way) == (STYLE, STYLE)
    ways.switch(STYLE)  # thought better of it
    wait.set()
    ways._opening.join(5)
    assert ways.way == STYLE
    ways.switch(ECHOES)
    assert ways.way == ECHOES
    ways.interrupt()
    assert not [thread for thread in threading.enumerate() if thread.name == "bci-music-way"]


def test_a_clip_of_the_other_way_is_left_early_once_there_is_eeg():
    ways = TwoWays(make(STYLE), ECHOES, lambda: make(ECHOES))
    _, state = ways.generate(style(), None, seconds=5.12, deadline=float("inf"))
    assert ways.rejoin(style(), state, 3 * AUDIO_RATE_HZ) is None  # nothing turned
    ways.switch(ECHOES)
    ways._opening.join()
    assert ways.rejoin(style(steps=False), state, 3 * AUDIO_RATE_HZ) is None
    found = ways.rejoin(style(), state, 3 * AUDIO_RATE_HZ)
    assert found is not None
    _, after = ways.generate(style(), found.state, seconds=5.12, deadline=float("inf"))
    assert after.way == ECHOES
    assert ways.rejoin(style(), after, AUDIO_RATE_HZ) is None


class Rig:
    """The sound stage on a manual clock, windows twice a second."""

    def __init__(self, generator):
        self.clock, self.latest, self.failures, self.ear = ManualClock(100.0), Latest(), [], Ear()
        self.player = ClockPlayer(self.clock, threaded=False)
        self.sound = deque(maxlen=1500)  # pieces of 50 ms: what is kept does not grow
        self.player.add_listener(self.ear)
        self.player.add_listener(lambda played: self.sound.append(played[:, 0].copy()))
        self.stage = SoundStage(
            generator, SimpleLibrary(), Steering(self.latest), self.player, self.clock, self.failures.append,
            make_producer=lambda made: TimedProducer(made, self.clock, lambda now: 0.3),
        )
        self.windows = 0
        self.player.start()

    def run(self, seconds, beat_s=0.05):
        for _ in range(round(seconds / beat_s)):
            now = self.clock.now()
            if self.windows <= (now - 100.0) / 0.5:
                steps = EegSteps(np.zeros((4, 3), np.float32), 4.0, now) if self.stage.plays.way == ECHOES else None
                vector = style().vector
                message = Embedding(
                    vector, np.ones(1, np.float32), 0.5, self.windows, 0, 1, now, now, 1.0, steps=steps
                )
                self.latest.put(message, now)
                self.windows += 1
            self.stage.step(now)
            self.clock.advance(beat_s)
        return self.stage.status(self.clock.now())


class SimpleLibrary:
    """The fallback, which this test is not about."""

    name, trained, realtime, pause_s, way, ways = "library", True, True, 0.0, STYLE, ()

    def __init__(self):
        self._made = make(STYLE)

    def generate(self, asked, state, *, seconds, deadline):
        block = self._made.generate(asked, None, seconds=5.12, deadline=deadline)[0]
        n = round(seconds * AUDIO_RATE_HZ)
        return replace(block, samples=block.samples[24_000 : 24_000 + n], spans=()), state

    def prepare(self):
        return False


@pytest.mark.parametrize("switches", [4, pytest.param(50, marks=pytest.mark.soak)])
def test_switches_while_it_plays(switches):
    ways = TwoWays(make(STYLE), ECHOES, lambda: make(ECHOES))
    rig = Rig(ways)
    rig.run(6.0)
    ways.switch(ECHOES)
    ways._opening.join()
    seen, memory = set(), []
    for number in range(switches):
        rig.stage.set_way(ECHOES if number % 2 == 0 else STYLE)
        status = rig.run(3.0)
        seen.add(status.way)
        if number in (10, switches - 1):
            gc.collect()
            memory.append((len(gc.get_objects()), psutil.Process().memory_info().rss))
    assert seen == {STYLE, ECHOES}
    assert (status.underruns, status.starved_s, rig.ear.longest_s, rig.failures) == (0, 0.0, 0.0, [])
    assert status.late_steps.total == 0
    changes = [span for span, _, _ in rig.stage.spans() if span.eeg_s == span.eeg_s]
    assert len(changes) >= switches // 2  # blocks that EEG led
    lags = rig.stage.lags_s()
    assert len(lags) == len(changes)
    assert all(3.0 < lag < 8.0 for lag in lags)
    assert memory[-1][0] - memory[0][0] < 20 * switches  # the span log, a span or two a switch
    assert memory[-1][1] - memory[0][1] < 10e6
    heard = np.concatenate(rig.sound)[-round(3 * switches) * AUDIO_RATE_HZ :]
    assert float(np.abs(np.diff(heard)).max()) < 1.5 * 2 * np.pi * HZ / AUDIO_RATE_HZ * float(np.abs(heard).max())


def test_a_run_of_one_way_says_so():
    rig = Rig(make(STYLE))
    rig.stage.set_way(ECHOES)
    assert "This run plays one way only" in rig.failures[0].text
    assert rig.stage.status(100.0).ways == ()
