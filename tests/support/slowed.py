"""Generators that are too slow, in real time and on a manual clock, and an ear for silence."""

import time
from functools import cache

import numpy as np

from bci_music.messages import AUDIO_RATE_HZ, AudioBlock, SoundSpan
from bci_music.sound.generator import Generator
from bci_music.sound.silence import THRESHOLD


@cache
def two_seconds():
    """A beat at 120 a minute and a chord that both go on seamlessly: (96000,)."""
    time_s = np.arange(2 * AUDIO_RATE_HZ) / AUDIO_RATE_HZ
    since_beat = time_s % 0.5
    beat = 0.3 * np.sin(2 * np.pi * 80 * since_beat) * np.exp(-since_beat / 0.05)
    chord = sum(0.05 * np.sin(2 * np.pi * hertz * time_s) for hertz in (220, 277, 330))
    return (beat + chord).astype(np.float32)


def music(seconds, start_s=0.0):
    """(n, 2) of it from second `start_s`."""
    first = round(start_s * AUDIO_RATE_HZ)
    mono = np.take(two_seconds(), np.arange(first, first + round(seconds * AUDIO_RATE_HZ)), mode="wrap")
    return np.repeat(mono[:, None], 2, axis=1)


class MadeMusic(Generator):
    """A generator that is not realtime and makes music that goes on from clip to clip, at once."""

    name, trained, realtime = "made music", True, False

    def generate(self, style, state, *, seconds, deadline):
        made = getattr(state, "clips_generated", 0)
        samples = music(seconds, made * seconds)
        span = SoundSpan(0, len(samples), "generated", f"clip {made + 1}", style_made_s=style.made_s)
        return AudioBlock(samples, (span,)), type("State", (), {"clips_generated": made + 1})()


class Slowed(Generator):
    """Another generator, slowed by a factor that changes with time: ``factor(now)``; it sleeps the difference."""

    realtime = False

    def __init__(self, generator, factor, now, least_s=0.0):
        self._generator, self._factor, self._now, self._least_s = generator, factor, now, least_s
        self.name, self.trained = generator.name, generator.trained

    def generate(self, style, state, *, seconds, deadline):
        factor, began = self._factor(self._now()), time.monotonic()
        made = self._generator.generate(style, state, seconds=seconds, deadline=deadline)
        took_s = max(self._least_s, time.monotonic() - began)
        time.sleep(max(0.0, factor * took_s - (time.monotonic() - began)))
        return made

    def warm_up(self):
        self._generator.warm_up()

    def interrupt(self):
        self._generator.interrupt()


class TimedProducer:
    """Stands in for `Producer` on a manual clock: a block is ready ``wall_s(now)`` seconds after it was ordered."""

    def __init__(self, generator, clock, wall_s):
        self._generator, self._clock, self._wall = generator, clock, wall_s
        self._result = self._due_s = None
        self._walls = []

    @property
    def busy(self):
        return self._result is not None and self._clock.now() < self._due_s

    @property
    def ready(self):
        return self._result is not None and not self.busy

    @property
    def expected_s(self):
        return 1.3 * max(self._walls[-8:], default=0.0)

    def start(self):
        pass

    def submit(self, style, state, seconds, deadline):
        assert self._result is None
        now = self._clock.now()
        wall_s = self._wall(now)
        self._due_s = now + wall_s
        self._result = (*self._generator.generate(style, state, seconds=seconds, deadline=deadline), wall_s)

    def take(self):
        result, self._result = self._result, None
        self._walls.append(result[2])
        return result

    def close(self):
        return True


class Ear:
    """Listens to a player: the longest silence in seconds, once there was sound, and how much was heard."""

    def __init__(self):
        self.longest_s = self.heard_s = self._quiet_s = 0.0

    def __call__(self, played):
        for part in np.array_split(played, max(1, len(played) // 960)):
            length_s = len(part) / AUDIO_RATE_HZ
            self.heard_s += length_s
            quiet = float(np.abs(part).max(initial=0.0)) < THRESHOLD
            self._quiet_s = self._quiet_s + length_s if quiet else 0.0
            self.longest_s = max(self.longest_s, self._quiet_s)


def four_times_slower(now, began, minute_s=60.0):
    """Factor 4 in the second of every five `minute_s`, else 1."""
    return 4.0 if minute_s <= (now - began) % (5 * minute_s) < 2 * minute_s else 1.0
