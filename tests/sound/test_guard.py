"""Whatever a generator hands over, or never hands over, music is heard: refused, counted, replaced and named."""

import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest
import slowed

from bci_music.clock import ManualClock
from bci_music.generation.library import LibraryGenerator
from bci_music.messages import AudioBlock, Embedding, SoundSpan
from bci_music.models.library import MusicLibrary
from bci_music.sound.generator import Generator
from bci_music.sound.guard import Caller, Unfit, longest_silence_s, refuse_unfit
from bci_music.sound.player import ClockPlayer
from bci_music.sound.stage import SoundStage
from bci_music.sound.steering import Steering
from bci_music.workers import Latest


def square(samples):
    return np.sign(np.sin(np.arange(len(samples)) / 20.0))[:, None] * np.ones((1, 2))


def late_hole(samples):
    made = samples.copy()
    made[: len(made) // 2] = np.nan
    return made


FAULTS = {  # what is done to good music, and how it is named
    "NaN": (late_hole, "not finite"),
    "infinite": (lambda s: np.full_like(s, np.inf), "not finite"),
    "silence": (np.zeros_like, "silent"),
    "a constant": (lambda s: np.full_like(s, 0.3), "silent"),  # heard as nothing, and no meter of level sees it
    "full scale": (square, "full scale"),
    "cut off": (lambda s: np.clip(20 * s, -1, 1), "full scale"),
    "far too loud": (lambda s: 400 * s, "full scale"),
    "too short": (lambda s: s[: len(s) // 20], "were asked for"),
    "too long": (lambda s: np.tile(s, (4, 1)), "were asked for"),
    "nothing": (lambda s: s[:0], "were asked for"),
    "no sound": (lambda s: (10_000 * s).astype(np.int16), "no sound"),
}


@dataclass(frozen=True)
class Made:
    clips_generated: int = 0


class Faulty(Generator):
    """Good music at first, then spoilt or never; well again from the clip `until` on."""

    name, trained = "the faulty one", True

    def __init__(self, realtime, spoil=None, first=3, until=10**9):
        self.realtime, self._spoil, self._first, self._until = realtime, spoil, first, until
        self.calls, self.release = 0, threading.Event()

    def generate(self, style, state, *, seconds, deadline):
        self.calls += 1
        samples = slowed.music(seconds, self.calls * seconds)
        if self._first < self.calls < self._until:
            if self._spoil is None:
                self.release.wait(60)
            else:
                samples = self._spoil(samples)
        span = SoundSpan(0, len(samples), "generated", "clip")
        return AudioBlock(samples, (span,)), Made(getattr(state, "clips_generated", 0) + 1)

    def interrupt(self):
        self.release.set()


class Rig:
    def __init__(self, library_dir, generator):
        self.clock, self.latest, self.failures, self.ear = ManualClock(50.0), Latest(), [], slowed.Ear()
        library = LibraryGenerator(MusicLibrary.load(library_dir))
        self.player = ClockPlayer(self.clock, threaded=False)
        self.player.add_listener(self.ear)
        steering = Steering(self.latest)
        self.stage = SoundStage(generator, library, steering, self.player, self.clock, self.failures.append)
        self.player.start()

    def run(self, seconds):
        vector = np.eye(512, dtype=np.float32)[0]
        for step in range(round(seconds / 0.02)):
            now = self.clock.now()
            if step % 25 == 0:
                embedding = Embedding(vector, np.full(4, 0.25, np.float32), 0.5, step, 0, 1, now, now, 1.0)
                self.latest.put(embedding, now)
            self.stage.step(now)
            self.clock.advance(0.02)
            time.sleep(0.0005)  # the thread of a slow generator has its turn
        return self.stage.status(self.clock.now())


@pytest.mark.parametrize("realtime", [True, False], ids=["realtime", "slow"])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_unfit_is_refused_counted_named_and_replaced(fault, realtime, library_dir):
    spoil, words = FAULTS[fault]
    rig = Rig(library_dir, Faulty(realtime, spoil, first=3 if realtime else 1))
    status = rig.run(8.0)
    assert rig.ear.heard_s > 5
    assert rig.ear.longest_s <= 0.25
    assert status.clips_refused >= 1
    assert status.fallbacks >= 1
    assert any("the faulty one failed" in f.text and words in f.text for f in rig.failures), rig.failures
    assert rig.stage.close()
    rig.player.stop()


@pytest.mark.parametrize("realtime", [True, False], ids=["realtime", "slow"])
def test_one_that_hangs_is_named_and_nothing_is_silent(realtime, library_dir):
    generator = Faulty(realtime, first=3 if realtime else 1)
    rig = Rig(library_dir, generator)
    status = rig.run(8.0 if realtime else 42.0)
    assert rig.ear.longest_s <= 0.25
    assert status.fallbacks >= 1
    words = "did not answer within" if realtime else "has not answered for 30 s"
    assert any("the faulty one" in f.text and words in f.text for f in rig.failures), rig.failures
    generator.release.set()
    rig.player.stop()
    time.sleep(0.1)
    assert rig.stage.close()


def test_one_that_never_answers_is_named_at_the_end(library_dir, monkeypatch):
    generator = Faulty(realtime=False, first=0)
    generator.interrupt = lambda: None
    rig = Rig(library_dir, generator)
    rig.run(4.0)
    assert not rig.stage.close()
    assert any("the faulty one did not answer to the end" in f.text for f in rig.failures)
    generator.release.set()
    rig.player.stop()


def test_one_that_recovers_is_heard_again(library_dir):
    generator = Faulty(True, np.zeros_like, until=6)
    rig = Rig(library_dir, generator)
    status = rig.run(28.0)
    assert rig.ear.longest_s <= 0.25
    assert status.clips_refused == 2
    assert rig.stage.span_log.all()[-1].kind == "generated"
    assert status.clips_generated > 5
    rig.stage.close()
    rig.player.stop()


def test_a_fault_elsewhere_than_in_the_sound_does_not_stop_it(library_dir):
    class Odd(Faulty):
        def choice(self, style, state):
            raise KeyError("choice")

        def prepare(self):
            raise OSError("no such file")

    rig = Rig(library_dir, Odd(True, first=10**9))
    rig.run(8.0)
    assert rig.ear.longest_s <= 0.25
    assert any("could not get ready" in f.text for f in rig.failures)
    rig.player.stop()


def test_music_is_let_through():
    music = slowed.music(4.0)
    for level in (0.01, 1.0, 2.5):
        block = AudioBlock((level * music / np.abs(music).max() * 0.35).astype(np.float32))
        assert refuse_unfit(block, 4.0, 6.0) is block
    pause = music.copy()
    pause[48_000:96_000] = 0.0
    assert longest_silence_s(pause) == pytest.approx(1.0, abs=0.02)
    refuse_unfit(AudioBlock(pause), 4.0, 6.0, pause_s=2.0)
    with pytest.raises(Unfit, match="silent"):
        refuse_unfit(AudioBlock(pause), 4.0, 6.0)


def test_a_caller_hands_on_what_is_returned_and_raised():
    caller = Caller()
    assert caller.call(lambda: 5, 1.0) == 5
    with pytest.raises(ZeroDivisionError):
        caller.call(lambda: 1 / 0, 1.0)
    hold = threading.Event()
    with pytest.raises(TimeoutError, match=r"within 0\.1 s"):
        caller.call(hold.wait, 0.1)
    with pytest.raises(TimeoutError, match="still"):
        caller.call(lambda: 5, 0.1)
    hold.set()
    time.sleep(0.1)
    assert caller.call(lambda: 6, 1.0) == 6


