import dataclasses

import pytest

from bci_music.engine.chance import NOT_KNOWN
from bci_music.messages import ChannelState, ChannelVerdict, Quality, StreamState
from bci_music.status import Chance, Failure, Identification, SoundStatus, TimelineSpan
from gui import readings


@pytest.fixture
def change(engine):
    """A snapshot with some fields replaced."""
    return lambda **fields: dataclasses.replace(engine.snapshot(), **fields)


@pytest.mark.parametrize(
    ("hits", "n", "chance", "word", "first"),
    [
        (14, 38, Chance("songs", highest=20.0, shown=True), "yes", "14 of 38 windows found the song, chance 3"),
        (4, 38, Chance("songs"), "not yet", "4 of 38 windows found the song, chance 3"),
        (5, 5, Chance("songs"), "not yet", "5 of 5 windows found the song, chance below 1"),
    ],
)
def test_verdict(change, hits, n, chance, word, first):
    found = Identification("songs", 14, hits, n, 1 / 14, (0.1, 0.5), 0.07, 0.01)
    text = readings.verdict(change(identification=found, chance=chance))
    assert (text.word, text.first) == (word, first)
    assert text.second == "wrong in ≤ 5 % of runs"


def test_how_often_yes_is_wrong_stands_beside_it_with_what_sham_came_to():
    assert readings.alarm_words(Chance(measured=(3, 200))) == "wrong in ≤ 5 % of runs, sham: 3 of 200"


def test_the_sound_that_is_heard_is_counted_by_blocks_and_the_title_says_so(change):
    learning = Chance("sound", heard="night-bus.wav", measured=(4, 200))
    assert readings.verdict(change(chance=learning)).first == "learning from the first seconds"
    found = dataclasses.replace(learning, n=12, hits=9, by_chance=0.74, shown=True)
    text = readings.verdict(change(chance=found))
    assert (text.word, text.first) == ("yes", "9 of 12 blocks found, chance below 1")
    assert text.second == "wrong in ≤ 5 % of runs, sham: 4 of 200"
    by = [readings.method_words(chance) for chance in (found, Chance("songs"), Chance(why=NOT_KNOWN))]
    assert by == ["by sound", "by songs", ""]


def test_without_a_count_the_reason_is_stated(change, engine):
    nobody_knows = readings.verdict(change(chance=Chance(why=NOT_KNOWN), timeline=()))
    assert nobody_knows.word == ""
    assert nobody_knows.first == "Cannot know"
    assert "nothing says which song is heard" in nobody_knows.second
    first_song = change(identification=None, chance=Chance("songs"))
    assert readings.verdict(first_song).first == "counting the first windows"
    bare = dataclasses.replace(engine.snapshot().stream, info=None)
    assert readings.verdict(change(identification=None, stream=bare)).first == "no stream yet"


def test_stream_in_words(change):
    stream = change().stream
    assert readings.stream_detail(stream) == "EGI-128  125 ch  1000 Hz"
    assert readings.stream_note(stream) == ""
    assert readings.data_age(stream) == ("0.01 s", "")
    stalled = dataclasses.replace(stream, state=StreamState.STALLED, data_age_s=1.84)
    assert readings.stream_note(stalled) == "stalled: no new data for 1.8 s"
    ahead = dataclasses.replace(stream, data_age_s=-0.08, clock_offset_s=0.082)
    assert readings.data_age(ahead) == ("0.00 s", "stamps 82 ms ahead")
    assert readings.data_age(dataclasses.replace(stream, data_age_s=None))[0] == "none yet"


def test_what_plays(change):
    snapshot = change()
    text = readings.now_playing(snapshot)
    assert text.headline == "near Paper Birds"
    assert "similarity 0.71" in text.first
    assert text.second == "retrieved from the library  ·  2.1 s of sound ready"
    assert text.chosen
    span = snapshot.playing
    waiting = readings.now_playing(change(playing=dataclasses.replace(span, kind="waiting")))
    assert waiting.headline == "waiting for the EEG"
    assert not waiting.chosen
    made = readings.now_playing(change(playing=dataclasses.replace(span, kind="generated", similarity=float("nan"))))
    assert "by an untrained model" in made.second
    assert "nan" not in made.first
    assert readings.now_playing(change(playing=None)).headline == "no sound yet"
    assert readings.now_playing(snapshot, paused=True).headline == "stopped"
    silent = dataclasses.replace(snapshot.sound, generator="")
    assert readings.now_playing(change(sound=silent)).first == "this run only watches the signals"


def test_worst_electrodes_come_first_with_what_to_do():
    states = [("E1", ChannelState.GOOD, ()), ("E2", ChannelState.DOUBTFUL, ("drifts",)),
              ("E3", ChannelState.BAD, ("flat for 12 s: check the cable", "mains")), ("E4", ChannelState.BAD, ()),
              ("E5", ChannelState.ABSENT, ()), ("E6", ChannelState.DOUBTFUL, ("noisy",))]  # fmt: skip
    quality = Quality(tuple(ChannelVerdict(*s) for s in states), 0, 0.0)
    text = [(c.name, what, advice) for c, what, advice in readings.worst(quality)]
    assert text == [("E3", "flat for 12 s", "check the cable"), ("E4", "bad", "left out until it is fixed"),
                    ("E2", "drifts", "still used")]  # fmt: skip
    assert readings.in_use(quality) == "3 of 6 in use"
    assert readings.unused_words(quality) == "2 bad, 2 doubtful, 1 absent"
    assert readings.worst(None) == []


def test_fatal_failure_stays_and_others_pass():
    old, new = Failure(10.0, "decode", "decode: out of memory"), Failure(50.0, "generate", "generate: too slow.")
    fatal = Failure(1.0, "acquire", "acquire: no network", fatal=True)
    assert readings.failure_sentence((old, new), 55.0) == "generate: too slow."
    assert readings.failure_sentence((old, new), 100.0) == ""
    assert readings.failure_sentence((fatal, old, new), 55.0).startswith("acquire: no network.  It will not be tried")
    assert "(1 more)" in readings.failure_sentence((fatal, old, new), 55.0)


def test_shares_of_decoding(change):
    spans = (TimelineSpan("decoded", 900.0, 985.0, "A"), TimelineSpan("decoded", 985.0, 1000.0, "B"),
             TimelineSpan("heard", 980.0, 1000.0, "B"))  # fmt: skip
    snapshot = change(now_s=1000.0, timeline=spans)
    assert readings.decoded_shares(snapshot, 20.0) == [("B", 0.75), ("A", 0.25)]
    assert readings.heard_now(snapshot) == "B"
    assert readings.heard_now(change(now_s=1010.0, timeline=spans)) == ""


def test_brain_to_ear_is_read_from_stamps_and_kept_while_the_sound_lasts(change):
    snapshot = change()
    reader = readings.BrainToEar()
    embedding = dataclasses.replace(snapshot.embedding, end_s=93.5, made_s=93.75)
    span = dataclasses.replace(snapshot.playing, style_made_s=94.0)
    began = TimelineSpan("played", 98.0, 100.0, "x")
    fields = {"embedding": embedding, "playing": span, "timeline": (began,)}
    assert reader.read(change(now_s=100.0, **fields)) == pytest.approx(4.25)
    clipped = dict(fields, timeline=(TimelineSpan("played", 110.0, 150.0, "x"),))  # the timeline's edge moved on
    assert reader.read(change(now_s=150.0, **clipped)) == pytest.approx(4.25)
    waiting = dict(fields, playing=dataclasses.replace(span, kind="waiting"))
    assert reader.read(change(**waiting)) is None
    assert readings.BrainToEar().read(change(**dict(fields, embedding=None))) is None


def test_the_way_that_plays_is_a_sentence_with_how_far_it_is_behind_the_eeg():
    sound = SoundStatus(generator="a", trained=True, way="echoes", ways=("style", "echoes"), lag_s=6.24)
    assert readings.way_words(sound).startswith("Way B, Echoes: the EEG itself, step by step, leads")
    assert "is 6.2 s behind the EEG" in readings.way_words(sound)
    assert readings.way_words(SoundStatus(way="style")).startswith("Way A, style: each window")
