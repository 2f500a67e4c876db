"""Markers say when each moment of a song was heard: compared with the samples that the player let be heard."""

import json
from pathlib import Path

import numpy as np
import pytest

from bci_music.clock import ManualClock
from bci_music.listening.playback import Playback
from bci_music.listening.songs import Excerpt
from bci_music.messages import AUDIO_RATE_HZ
from bci_music.sound.player import ClockPlayer

SONGS = [Excerpt("a", "A", 12.5, 3.0, Path("a")), Excerpt("b", "B", 0.0, 4.0, Path("b"))]


def ramp(excerpt):
    """Every sample tells which song it is of, and where in it."""
    n = round(excerpt.seconds * AUDIO_RATE_HZ)
    side = 0.1 if excerpt.song == "a" else 0.2
    return np.stack([np.full(n, side), 0.01 + np.arange(n) / n / 2], axis=1).astype(np.float32)


class Hall:
    """A player on a manual clock, and what was heard and said."""

    def __init__(self, excerpts=SONGS, **options):
        self.clock = ManualClock(1000.0)
        self.player = ClockPlayer(self.clock, threaded=False)
        blocks, self.marks, self.done = [], [], []
        self.blocks = blocks
        self.player.add_listener(blocks.append)
        self.playback = Playback(
            self.player, excerpts, ramp, mark=lambda text, at: self.marks.append((json.loads(text), at)),
            on_heard=self.done.append, rest_s=1.0, silence_s=0.5, **options,
        )
        self.player.start()

    def run(self, seconds, beat_s=0.05):
        for _ in range(round(seconds / beat_s)):
            self.playback.step(self.clock.advance(beat_s))

    def heard_at(self, time_s):
        """Sample (2,) that was heard at a time."""
        frame = round((time_s - self.player.heard.origin_s) * AUDIO_RATE_HZ)
        return np.concatenate(self.blocks)[frame]


def test_markers_stand_where_each_song_begins_and_ends():
    hall = Hall()
    hall.run(14)
    assert hall.playback.over(hall.clock.now())
    assert [mark["song"] for mark, _ in hall.marks] == ["a", None, "b", None]
    assert [mark.get("song_start_s") for mark, _ in hall.marks] == [12.5, None, 0.0, None]
    times = [at for _, at in hall.marks]
    np.testing.assert_allclose(np.diff(times), [3.0, 0.5, 4.0], atol=1e-6)
    for at in (times[0], times[2]):
        assert hall.heard_at(at)[1] == pytest.approx(0.01, abs=1e-5)
        assert not hall.heard_at(at - 2 / AUDIO_RATE_HZ).any()
    for at in (times[1], times[3]):
        assert hall.heard_at(at - 2 / AUDIO_RATE_HZ).any()
        assert not hall.heard_at(at + 1 / AUDIO_RATE_HZ).any()
    assert [(h.excerpt.song, h.whole) for h in hall.done] == [("a", True), ("b", True)]
    assert [h.stop_s - h.start_s for h in hall.done] == pytest.approx([3.0, 4.0])


def test_no_marker_comes_before_its_moment():
    hall = Hall()
    for _ in range(300):
        before = len(hall.marks)
        hall.run(0.05)
        assert all(at <= hall.clock.now() + 1e-9 for _, at in hall.marks[before:])


def test_a_stumble_is_said_with_the_place_where_the_song_goes_on():
    hall = Hall()
    hall.run(2.5)  # the first song plays
    hall.clock.advance(6.0)  # and the program stands still for longer than is queued
    hall.run(14)
    assert hall.player.counters.starved_frames > AUDIO_RATE_HZ
    assert not all(h.whole for h in hall.done)
    again = [(mark, at) for mark, at in hall.marks if mark["song"]]
    assert len(again) > 2
    for mark, at in again:
        of = next(e for e in SONGS if e.song == mark["song"])
        n = round(of.seconds * AUDIO_RATE_HZ)
        expected = 0.01 + (mark["song_start_s"] - of.start_s) * AUDIO_RATE_HZ / n / 2
        assert hall.heard_at(at)[1] == pytest.approx(expected, abs=2e-4), mark


def test_a_song_waits_while_it_is_held_and_silence_is_heard():
    hall = Hall()
    hall.playback.held = True
    hall.run(8)
    assert not hall.marks
    assert not np.concatenate(hall.blocks).any()
    assert not hall.playback.over(hall.clock.now())
    hall.playback.held = False
    hall.run(14)
    assert [mark["song"] for mark, _ in hall.marks] == ["a", None, "b", None]
    assert hall.player.counters.starved_frames == 0


def test_an_end_within_a_song_is_said_once():
    hall = Hall()
    hall.run(3.0)
    assert hall.playback.playing == SONGS[0]
    assert 0 < hall.playback.position_s(hall.clock.now()) < 3.0
    hall.playback.end(hall.clock.now())
    assert [mark["song"] for mark, _ in hall.marks] == ["a", None]
    assert not hall.done
    hall.playback.end(hall.clock.now())
    assert len(hall.marks) == 2
