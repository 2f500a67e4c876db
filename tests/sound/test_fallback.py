"""The fallback chain: hold, loop, library, fade; each named and counted, and never a silent second."""

import time
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from bci_music.clock import Clock, ManualClock
from bci_music.generation.library import LibraryGenerator
from bci_music.messages import AUDIO_RATE_HZ, Embedding
from bci_music.models.library import MusicLibrary
from bci_music.sound.fallback import LOWEST, FallbackConfig, LastBar, bar_length
from bci_music.sound.generator import Generator
from bci_music.sound.player import ClockPlayer
from bci_music.sound.stage import SoundStage, StageConfig
from bci_music.sound.steering import Steering
from bci_music.workers import Latest

pytestmark = pytest.mark.learning


class BrokenLibrary(Generator):
    name, trained, realtime = "no library", True, True

    def __init__(self, library, broken):
        self._library, self.broken = library, broken

    def generate(self, style, state, **options):
        if self.broken:
            raise OSError("the disk is gone")
        return self._library.generate(style, state, **options)


class Rig:
    """A stage on a manual clock whose generator needs `wall_s(now)` for a clip of 5.12 s."""

    def __init__(self, slowed, library_dir, vector, wall_s, library=None, **fallback):
        self.clock, self.latest, self.failures, self.ear = ManualClock(100.0), Latest(), [], slowed.Ear()
        library = library or LibraryGenerator(MusicLibrary.load(library_dir))
        self.player = ClockPlayer(self.clock, threaded=False)
        self.player.add_listener(self.ear)
        self.stage = SoundStage(
            slowed.MadeMusic(), library, Steering(self.latest), self.player, self.clock, self.failures.append,
            StageConfig(fallback=FallbackConfig(**fallback)),
            make_producer=lambda generator: slowed.TimedProducer(generator, self.clock, wall_s),
        )
        self.vector, self.windows = vector, 0
        self.player.start()

    def run(self, seconds, beat_s=0.05):
        for _ in range(round(seconds / beat_s)):
            now = self.clock.now()
            if self.windows <= (now - 100.0) / 0.5:
                message = Embedding(self.vector, np.ones(1, np.float32), 0.5, self.windows, 0, 1, now, now, 1.0)
                self.latest.put(message, now)
                self.windows += 1
            self.stage.step(now)
            self.clock.advance(beat_s)
        return self.stage.status(self.clock.now())

    def spans(self):
        return [span for span, _, _ in self.stage.spans()]

    def check_unbroken(self, status):
        assert (status.underruns, status.starved_s) == (0, 0.0)
        assert self.ear.longest_s == 0.0
        spans = self.spans()
        assert all(a.stop == b.start for a, b in pairwise(spans))


@pytest.fixture
def make_rig(slowed, library_dir, prototypes):
    return partial(Rig, slowed, library_dir, prototypes[0])


def test_in_time_the_fallback_is_not_climbed(make_rig):
    rig = make_rig(lambda now: 1.5)
    status = rig.run(30.0)
    rig.check_unbroken(status)
    assert status.late_steps.total == 0
    assert {span.kind for span in rig.spans()} == {"waiting", "generated"}
    assert status.clips_generated >= 5


def test_a_clip_a_little_late_is_held_and_named(make_rig):
    slow = {3: 3.0}  # the fourth clip
    walls = iter(range(1000))
    rig = make_rig(lambda now: slow.get(next(walls), 2.0))
    status = rig.run(40.0)
    rig.check_unbroken(status)
    assert (status.late_steps.hold, status.late_steps.loop) == (1, 0)
    held = [span for span in rig.spans() if span.late == "hold"]
    assert len(held) == 1
    assert held[0].kind == "generated"
    assert 0.2 < (held[0].stop - held[0].start) / AUDIO_RATE_HZ < 2.5
    assert status.late_step == ""


@pytest.mark.parametrize(("wall_s", "holds"), [(2.1, 0), (2.35, 1)])
def test_a_step_of_the_stage_late_is_not_late(make_rig, wall_s, holds):
    """Clips of 1.5 s are ordered with 2 s + 1.95 s queued: so one that takes 2.1 s comes with 1.85 s left."""
    walls = iter([1.5, 1.5, 1.5, wall_s])
    rig = make_rig(lambda now: next(walls, 1.5))
    status = rig.run(40.0)
    rig.check_unbroken(status)
    assert (status.late_steps.hold, status.late_steps.total) == (holds, holds)


def test_the_bar_to_be_looped_is_found_while_there_is_time(make_rig, monkeypatch):
    """Finding it takes as long as several blocks: it must not be looked for when the queue has run low."""
    found = []
    walls = iter([1.5, 1.5, 25.0])
    rig = make_rig(lambda now: next(walls, 1.5), loop_s=6.0)

    def spied(newest, fade):
        found.append((rig.player.queued_s, rig.stage.status(rig.clock.now()).late_step))
        return LastBar(newest, fade)

    monkeypatch.setattr("bci_music.sound.fallback.LastBar", spied)
    status = rig.run(30.0)
    assert status.late_steps.loop == 1
    assert len(found) == 1
    queued_s, step = found[0]
    assert step == "hold"
    assert 1.5 < queued_s < 1.75


def test_the_fallback_is_climbed_step_by_step_and_left_at_once(make_rig):
    walls = iter([1.5, 1.5, 25.0])
    rig = make_rig(lambda now: next(walls, 1.5), loop_s=6.0)
    seen = []
    for _ in range(200):
        status = rig.run(0.25)
        if not seen or seen[-1] != status.late_step:
            seen.append(status.late_step)
    rig.check_unbroken(status)
    assert seen == ["", "hold", "loop", "library", ""]
    steps = status.late_steps
    assert (steps.hold, steps.loop, steps.library, steps.fade) == (1, 1, 1, 0)
    late = [(span.kind, span.late) for span in rig.spans() if span.late]
    assert late == [("generated", "hold"), ("looped", "loop"), ("retrieved", "library")]
    looped, library = (next(s for s in rig.spans() if s.late == step) for step in ("loop", "library"))
    assert (looped.stop - looped.start) / AUDIO_RATE_HZ == pytest.approx(6.0, abs=0.5)
    assert library.song == "low"  # what the EEG asks for
    assert rig.failures == []


def test_without_a_library_the_last_bar_fades_but_is_heard(make_rig, library_dir):
    library = BrokenLibrary(LibraryGenerator(MusicLibrary.load(library_dir)), False)
    walls = iter([1.5, 1.5, 30.0])
    rig = make_rig(lambda now: next(walls, 1.5), library, loop_s=2.0)
    rig.run(5.0)
    library.broken = True
    status = rig.run(40.0)
    rig.check_unbroken(status)
    steps = status.late_steps
    assert (steps.hold, steps.loop, steps.library, steps.fade) == (1, 1, 0, 1)
    assert "no library failed (the disk is gone)" in rig.failures[0].text
    assert 2 <= len(rig.failures) <= 5  # tried again every 10 s, not at every block
    faded = next(span for span in rig.spans() if span.kind == "faded")
    assert faded.late == "fade"
    assert rig.spans()[-1].kind == "generated"


def test_not_even_a_library_at_the_start(make_rig):
    rig = make_rig(lambda now: 6.0, BrokenLibrary(None, True))
    status = rig.run(20.0)
    rig.check_unbroken(status)
    assert status.late_steps.fade >= 1
    assert status.clips_generated >= 2


@pytest.mark.parametrize("wall_s", [2 * 5.12, 4 * 5.12])
def test_a_generator_twice_and_four_times_too_slow_keeps_playing(make_rig, wall_s):
    rig = make_rig(lambda now: wall_s)
    status = rig.run(80.0)
    rig.check_unbroken(status)
    assert status.clips_generated >= 80 / wall_s - 2
    assert status.late_steps.loop >= status.clips_generated - 2
    assert (status.late_steps.library > 0) == (wall_s > 15)


def one_in_five_slower(make_rig, slowed, seconds, minute_s):
    """Twice as fast as music, but four times slower in one of five minutes."""
    rig = make_rig(lambda now: 0.5 * 5.12 * slowed.four_times_slower(now, 100.0, minute_s))
    status = rig.run(seconds)
    rig.check_unbroken(status)
    assert rig.ear.heard_s > seconds - 5
    assert status.late_steps.loop >= seconds / (5 * minute_s)
    good = [s for s in rig.spans() if s.late == "" and s.kind == "generated"]
    assert sum(s.stop - s.start for s in good) / AUDIO_RATE_HZ > 0.75 * seconds
    return status


def test_a_slow_half_minute_is_bridged(make_rig, slowed):
    one_in_five_slower(make_rig, slowed, 150.0, 30.0)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_twenty_minutes_with_one_in_five_four_times_slower(make_rig, slowed):
    one_in_five_slower(make_rig, slowed, 1200.0, 60.0)


@pytest.mark.realtime
def test_in_real_time_with_a_generator_that_sleeps(slowed, library_dir, prototypes):
    clock, latest, ear = Clock(), Latest(), slowed.Ear()
    began = clock.now()
    factor = partial(slowed.four_times_slower, began=began, minute_s=5.0)
    generator = slowed.Slowed(slowed.MadeMusic(), factor, clock.now, least_s=1.2)
    player = ClockPlayer(clock)
    player.add_listener(ear)
    config = StageConfig(clip_s=2.56, fallback=FallbackConfig(loop_s=2.0))
    library = LibraryGenerator(MusicLibrary.load(library_dir))
    stage = SoundStage(generator, library, Steering(latest), player, clock, config=config)
    player.start()
    number = 0
    while ear.heard_s < 16.0:
        now = clock.now()
        latest.put(Embedding(prototypes[0], np.ones(1, np.float32), 0.5, number, 0, 1, now, now, 1.0), now)
        number += 1
        stage.step(now)
        time.sleep(0.02)
    status, longest_s = stage.status(clock.now()), ear.longest_s
    player.stop()
    assert stage.close()
    assert (status.underruns, longest_s) == (0, 0.0)
    assert status.late_steps.loop >= 1
    assert status.clips_generated >= 4


def test_the_last_bar_is_a_bar_and_goes_on_in_time(slowed):
    sound = slowed.music(6.0)
    fade = round(0.4 * AUDIO_RATE_HZ)
    assert bar_length(sound, fade) == pytest.approx(2.0 * AUDIO_RATE_HZ, abs=480)
    bar = LastBar(sound, fade)
    going_on = np.concatenate([bar.block(12_000) for _ in range(20)])
    expected = slowed.music(6.0, 6.0 - 0.4)[: len(going_on)]
    np.testing.assert_allclose(going_on, expected, atol=0.08)  # splices of equal power are a little loud


def test_the_fading_bar_never_ends(slowed):
    bar = LastBar(slowed.music(6.0), round(0.4 * AUDIO_RATE_HZ))
    bar.block(AUDIO_RATE_HZ)
    levels = [float(bar.block(4 * AUDIO_RATE_HZ, fading_out=True).std()) for _ in range(5)]
    assert levels[0] > levels[1] > levels[2]
    assert levels[-1] == pytest.approx(levels[-2], rel=0.05)
    assert levels[-1] > 0.5 * LOWEST * levels[0]


def test_a_bar_is_found_in_any_sound(slowed):
    rng = np.random.default_rng(0)
    fade = round(0.4 * AUDIO_RATE_HZ)
    for seconds in (1.0, 2.0, 6.0):
        for sound in (rng.standard_normal((round(seconds * AUDIO_RATE_HZ), 2)), slowed.music(seconds)):
            block = LastBar(sound.astype(np.float32), fade).block(AUDIO_RATE_HZ)
            assert np.isfinite(block).all()
            assert block.std() > 0.01
