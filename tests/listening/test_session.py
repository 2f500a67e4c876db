"""What is assessed in a session: electrodes before it, and after each song its EEG; the gate as it accumulates."""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from bci_music.clock import ManualClock
from bci_music.eeg.montage import Montage
from bci_music.listening import session
from bci_music.listening.gate import Gate, GateStatus
from bci_music.listening.session import Electrodes, SongSession
from bci_music.listening.songs import Excerpt
from bci_music.messages import (
    AUDIO_RATE_HZ,
    HOLE,
    ChannelState,
    ChannelVerdict,
    Quality,
    StreamInfo,
    StreamState,
    UserError,
)
from bci_music.sound.player import ClockPlayer
from bci_music.streaming.ring import Cursor, RingBuffer
from bci_music.workers import Latest

LABELS = tuple(f"E{k}" for k in range(1, 13))
INFO = StreamInfo("amp", "lsl", LABELS, 125.0)
RATE = 125.0


def verdicts(**states):
    reasons = {ChannelState.BAD: ("flat: put gel under it",), ChannelState.DOUBTFUL: ("mains: press it",)}
    given = [(label, states.get(label, ChannelState.GOOD)) for label in LABELS]
    return Quality(tuple(ChannelVerdict(name, state, reasons.get(state, ())) for name, state in given), 0, 0.0)


@pytest.fixture
def electrodes():
    return Electrodes(INFO, Montage.nmed(), 8)


def test_electrodes_that_are_not_good_are_named_with_what_to_do(electrodes):
    quality = verdicts(E2=ChannelState.DOUBTFUL, E7=ChannelState.BAD)
    electrodes.refuse(quality)
    assert electrodes.warnings(quality) == [
        "bad: E7: flat: put gel under it", "doubtful: E2: mains: press it",
    ]  # fmt: skip
    assert electrodes.line(quality) == "bad: E7"
    assert electrodes.line(verdicts()) == "no electrode of 12 is bad"
    assert electrodes.used(quality).tolist() == [label != "E7" for label in LABELS]


def test_many_faults_are_cut_short(electrodes):
    many = verdicts(**dict.fromkeys(LABELS[:10], ChannelState.BAD))
    assert len(electrodes.warnings(many)) == session.NAMED + 1
    assert electrodes.warnings(many)[-1] == "and 4 more: `bci-music monitor` shows them all"
    assert electrodes.line(many).endswith("and 4 more")


def test_too_few_electrodes_are_refused_in_a_sentence(electrodes):
    five = verdicts(**dict.fromkeys(LABELS[:5], ChannelState.BAD))
    with pytest.raises(UserError, match=r"Only 7 of the 12 electrodes .* at least 8 are needed: fix them \(E1: flat"):
        electrodes.refuse(five)
    with pytest.raises(UserError, match="No verdict"):
        electrodes.refuse(None)
    with pytest.raises(UserError, match="at least 20 are needed"):
        Electrodes(INFO, Montage.nmed(), 20)


class Amplifier:
    """Stands for the engine: EEG of a manual clock, as noise, with holes from `hole_from` on."""

    def __init__(self, clock):
        self.clock, self.info, self.state = clock, INFO, StreamState.LIVE
        self.decode = SimpleNamespace(quality=Latest())
        self._ring, self._sent = RingBuffer(len(LABELS), round(60 * RATE)), 0
        self._began = clock.now()
        self.hole_from, self.hole_to = np.inf, np.inf

    def trace_cursor(self):
        return Cursor(self._ring)

    def send(self):
        due = int((self.clock.now() - self._began) * RATE)
        times = self._began + np.arange(self._sent, due) / RATE
        if len(times):
            flags = np.where((times >= self.hole_from) & (times < self.hole_to), HOLE, 0).astype(np.uint8)
            samples = np.random.default_rng(self._sent).standard_normal((len(times), len(LABELS)))
            self._ring.write(samples.astype(np.float32), times, flags)
            self._sent = due


class Hall:
    def __init__(self, tmp_path, monkeypatch, electrodes):
        rng = np.random.default_rng(0)
        path = tmp_path / "song.flac"
        soundfile.write(path, 0.1 * rng.standard_normal((20 * AUDIO_RATE_HZ, 2)), AUDIO_RATE_HZ)
        self.excerpts = [Excerpt("a", "A", 2.0, 4.0, path), Excerpt("a", "A", 10.0, 4.0, path)]
        self.clock = ManualClock(500.0)
        self.engine = Amplifier(self.clock)
        self.player = ClockPlayer(self.clock, threaded=False)
        self.lines, self.marks, self.added = [], [], []
        gate = SimpleNamespace(status=GateStatus(), add=lambda *given: self.added.append(given))
        self.session = SongSession(
            self.engine, self.player, self.excerpts, electrodes, gate, mark=lambda *m: self.marks.append(m),
            tell=self.lines.append, rest_s=1.0, silence_s=0.5,
        )  # fmt: skip
        self.player.start()

    def run(self, seconds):
        for _ in range(round(seconds / 0.05)):
            self.clock.advance(0.05)
            self.engine.send()
            self.session.step(self.clock.now())


@pytest.fixture
def hall(tmp_path, monkeypatch, electrodes):
    return Hall(tmp_path, monkeypatch, electrodes)


def test_the_gate_is_given_the_eeg_of_each_excerpt(hall):
    hall.run(14)
    assert hall.session.over(hall.clock.now())
    assert hall.session.heard == hall.excerpts
    assert hall.lines == ["1 of 2 heard: A", "2 of 2 heard: A"]
    for (excerpt, eeg, rate, used), wanted in zip(hall.added, hall.excerpts, strict=True):
        assert excerpt == wanted
        assert rate == RATE
        assert used.all()
        assert len(eeg) == pytest.approx(4.0 * RATE, abs=2)


def test_what_lacks_eeg_is_played_again_and_then_named(hall):
    hall.engine.hole_from, hall.engine.hole_to = 502.0, 504.0
    hall.run(20)
    assert hall.lines[0].startswith("A is played again at the end: ")
    assert "% of its EEG is missing" in hall.lines[0]
    assert sorted(e.start_s for e in hall.session.heard) == [2.0, 10.0]
    assert hall.session.over(hall.clock.now())


def test_what_is_never_heard_well_stays_missing(hall):
    hall.engine.hole_from = 502.0
    hall.run(30)
    assert hall.session.over(hall.clock.now())
    assert not hall.session.heard
    assert [line for line in hall.lines if "it stays missing" in line]


def test_the_next_song_waits_for_eeg(hall):
    hall.engine.state = StreamState.LOST
    hall.run(6)
    assert hall.lines == ["No EEG comes: the next song waits for it."]
    assert not hall.marks
    hall.engine.state = StreamState.LIVE
    hall.run(15)
    assert hall.lines[1] == "EEG comes again: the songs go on."
    assert hall.session.heard == hall.excerpts


def test_what_plays_while_the_device_is_gone_is_played_again(hall):
    hall.run(3)
    hall.player.changes.append("The sound device x is gone: the sound runs on a clock until it is back.")
    hall.run(4)
    assert not hall.session.heard
    hall.player.changes.append("The sound device x is back.")
    hall.run(16)
    assert sorted(e.start_s for e in hall.session.heard) == [2.0, 10.0]


def test_the_line_says_where_it_is(hall):
    hall.run(0.2)
    assert hall.session.line(hall.clock.now()).startswith("0 of 2 heard, silence  ·  electrodes not assessed yet  ·  ")
    hall.engine.decode.quality.put(verdicts(E7=ChannelState.BAD), 0.0)
    hall.run(3)
    assert hall.session.line(hall.clock.now()).startswith("1 of 2: A 0:0")
    assert "bad: E7" in hall.session.line(hall.clock.now())


@pytest.mark.parametrize("answers", [True, False])
def test_the_gate_says_from_when_on_the_sound_is_carried(tmp_path, answers):
    """EEG that follows the loudness 100 ms later, and EEG that does not."""
    rng = np.random.default_rng(1)
    n = 30
    loud = np.repeat(rng.uniform(0.05, 1.0, n * 8), AUDIO_RATE_HZ // 8)
    gate = Gate("this recording")
    gate.step(0.0)
    assert gate.status.words() == "whether your recording carries the sound cannot be said yet"
    for song in "ab":
        loud = loud[::-1].copy()
        path = tmp_path / f"{song}.flac"
        noise = 0.2 * loud[:, None] * rng.standard_normal((len(loud), 2))
        soundfile.write(path, noise.clip(-1, 1), AUDIO_RATE_HZ)
        course = loud[:: AUDIO_RATE_HZ // 125][: n * 125]
        delayed = np.concatenate([np.zeros(12), course])[: len(course)]
        eeg = rng.standard_normal((len(course), 12)) + np.outer(delayed, np.arange(12)) * answers
        gate.add(Excerpt(song, song, 0.0, float(n), path), eeg, 125.0, np.ones(12, bool))
        gate.step(0.0)
    assert gate.status.looks == 2
    assert gate.status.seconds == 60.0
    if answers:
        assert gate.status.since_s == 30.0
        assert gate.status.words().startswith("your recording carries the sound: r .")
        assert gate.status.words().endswith("above its control since 0:30")
    else:
        assert gate.status.r < 0.2
