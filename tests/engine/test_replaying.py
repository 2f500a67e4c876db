"""A replay goes on from the place that is asked for, at the speed that is asked for, and says what is heard there."""

import numpy as np
import pytest

from bci_music.clock import ManualClock
from bci_music.data.session import Event, Session, song_marker
from bci_music.engine.events import Events
from bci_music.engine.history import History, SongLabel
from bci_music.engine.replaying import Replay
from bci_music.messages import StreamState
from bci_music.status import Command
from bci_music.streaming.acquire import Acquirer
from bci_music.streaming.markers import FileMarkers
from bci_music.streaming.replay import SessionSource

FS, BEGIN_S = 100.0, 512.0


class Run:
    """A replay without a decoder, stepped by hand; channel 0 holds the second of the recording."""

    def __init__(self, minutes=4):
        seconds = np.arange(int(60 * minutes * FS)) / FS
        songs = [Event(BEGIN_S + 60 * n, song_marker(f"s{n}", f"Song {n}", 0.0)) for n in range(minutes)]
        samples = np.tile(seconds[:, None], (1, 2)).astype(np.float32)
        events = (*songs, Event(BEGIN_S + 130, "eyes closed"))
        session = Session("made", ("a", "b"), FS, samples, BEGIN_S + seconds, events)
        self.clock = ManualClock(1000.0)
        labels = tuple(SongLabel(f"s{n}", f"Song {n}") for n in range(minutes))
        self.events = Events(self.clock, History(labels, np.eye(minutes, 512, dtype=np.float32), 4.0, 0.5))
        source = SessionSource(session, clock=self.clock, warm_up_s=30.0)
        self.acquirer = Acquirer(source, self.clock)
        self.markers = FileMarkers(source, self.events.marker)
        self.replay = Replay(self.acquirer, source, self.clock, self.events)

    def go_on(self, seconds):
        for _ in range(round(seconds / 0.05)):
            self.acquirer.step(self.clock.advance(0.05))
            self.markers.step(self.clock.now())

    @property
    def newest_s(self):
        ring = self.acquirer.ring
        return float(ring.read(ring.head - 1, 1).samples[0, 0])

    @property
    def heard(self):
        return self.events.history.heard_at(self.clock.now())


@pytest.fixture
def run():
    made = Run()
    made.go_on(5)
    return made


def test_another_place_is_reached_with_its_song_and_what_warms_up_before_it(run):
    assert (run.newest_s, run.heard.song) == (pytest.approx(5, abs=0.2), "s0")
    run.replay.take(Command("seek", 150.0))
    assert run.replay.status().position_s == 150.0
    run.go_on(10)
    assert run.newest_s == pytest.approx(160, abs=0.2)
    assert run.replay.status().position_s == pytest.approx(160, abs=0.2)
    ring = run.acquirer.ring
    assert float(ring.read(ring.tail, 1).samples[0, 0]) == pytest.approx(120, abs=0.1)
    assert (run.heard.song, run.heard.song_start_s) == ("s2", pytest.approx(30, abs=0.1))
    assert run.events.history.heard_at(1003.0).song == "s0"  # what was heard before stays
    assert "Cannot know after a jump" in run.events.history.chance().why
    run.go_on(25)
    assert run.heard.song == "s3"


def test_held_and_gone_on_at_another_speed(run):
    run.replay.take(Command("speed", 0.0))
    run.go_on(5)
    assert run.replay.status().speed == 0
    assert run.replay.status().position_s == pytest.approx(5, abs=0.2)
    run.replay.take(Command("seek", 60.0))
    run.go_on(5)
    assert run.replay.status().position_s == pytest.approx(60, abs=0.2)
    run.replay.take(Command("speed", 4.0))
    run.go_on(10)
    assert run.newest_s == pytest.approx(100, abs=1)


@pytest.mark.parametrize(("asked_s", "reached_s"), [(-3.0, 0.0), (1e9, 239.5)])
def test_a_place_outside_is_the_nearest_inside_and_a_replay_that_ended_goes_on(run, asked_s, reached_s):
    run.replay.take(Command("seek", 239.0))
    run.go_on(3)
    assert run.acquirer.state is StreamState.ENDED
    run.replay.take(Command("seek", asked_s))
    run.go_on(1)
    assert reached_s <= run.newest_s <= reached_s + 1.1
    assert run.replay.status().passes == 3


def test_songs_and_markers_are_told_in_seconds_of_the_recording(run):
    status = run.replay.status()
    assert [(s.start_s, s.label) for s in status.songs] == [(60.0 * n, f"Song {n}") for n in range(4)]
    assert status.marks == ((130.0, "eyes closed"),)
    assert status.duration_s == pytest.approx(240)
    assert not run.replay.take(Command("volume", 1.0))
