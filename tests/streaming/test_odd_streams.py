"""Real outlets with odd names, twins, helper columns and labels; and streams that come back as others."""

import time
import uuid

import numpy as np
import pytest

from bci_music.clock import Clock
from bci_music.messages import StreamState, UserError
from bci_music.streaming.acquire import Acquirer
from bci_music.streaming.discovery import FoundStream, StreamQuery, nothing_found, the_one
from bci_music.streaming.lsl import lsl_clock
from bci_music.streaming.markers import LslMarkers

pytestmark = pytest.mark.realtime

EPOC = "Timestamp,Counter,Interpolate,AF3,F7,F3,FC5,T7,P7,O1,O2,P8,T8,FC6,F4,F8,AF4,HardwareMarker"


def unique(text):
    return f"{text} {uuid.uuid4().hex[:8]}"


@pytest.mark.parametrize("text", ["gain=24 Cyton", "name='A'", "a='b' and c=\"d\"", "x=1 or ]["])
def test_a_name_is_tried_as_a_name_before_it_is_a_predicate(text, outlet, source):
    sender = outlet(name=unique(text), source_id=f"id-{uuid.uuid4().hex}")
    assert source(StreamQuery.from_text(sender.name)).open(15.0).name == sender.name


def test_one_word_is_a_predicate_when_nothing_is_called_so(outlet, source):
    sender = outlet()
    word = f"starts-with(name,'{sender.name[:-2]}') and channel_count=16"
    assert source(StreamQuery.from_text(word)).open(15.0).name == sender.name
    assert word in nothing_found(StreamQuery.from_text(word), [])
    missing = nothing_found(StreamQuery.from_text("My Amp"), [])
    assert "No LSL stream matches the name or source id 'My Amp'" in missing


def test_the_markers_of_a_stream_with_quotes_in_its_name_are_followed():
    import pylsl

    name, got = unique("Anna's \"EEG\""), []
    sender = pylsl.StreamOutlet(pylsl.StreamInfo(f"{name} music", "Markers", 1, 0, pylsl.cf_string, name))
    markers = LslMarkers(name, got.append)
    end = time.monotonic() + 10
    while not got and time.monotonic() < end:
        sender.push_sample(['{"song": "a", "title": "A"}'], lsl_clock())
        markers.step(lsl_clock())
        time.sleep(0.1)
    markers.close()
    assert got[0].song == "a"


def test_twins_are_told_apart_or_one_must_stop(outlet, source):
    name = f"test-{uuid.uuid4().hex[:12]}"
    outlet(name=name, source_id="same")
    second = outlet(name=name, source_id="same", channels=20)
    with pytest.raises(UserError, match="2 outlets share the name") as caught:
        source(StreamQuery.from_text(name)).open(15.0)
    assert "stop all but one" in str(caught.value)
    assert "source_id=" not in str(caught.value)  # that cannot choose between them
    words = [part.split('"')[0] for part in str(caught.value).split('--stream "')[1:]]
    assert len(words) == 2
    assert all(word.startswith("uid=") for word in words)
    infos = [source(StreamQuery.from_text(word)).open(15.0) for word in words]
    assert sorted(len(info.labels) for info in infos) == [16, 20]
    second.kill()


def test_a_twin_that_was_not_chosen_is_no_return_of_the_other(outlet, source):
    import pylsl

    name = f"test-{uuid.uuid4().hex[:12]}"
    outlet(name=name, source_id="same")
    chosen = outlet(name=name, source_id="same", channels=20)
    (uid,) = [s.uid() for s in pylsl.resolve_bypred(f"name='{name}' and channel_count=20", 1, 5.0)]
    events = []
    acquirer = Acquirer(source(StreamQuery.from_text(f"uid='{uid}'")), Clock(lsl_clock), on_event=events.append)

    def step_until(condition, timeout_s):
        end = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < end:
            acquirer.step(lsl_clock())
            time.sleep(0.01)
        return condition()

    try:
        assert step_until(lambda: acquirer.ring is not None, 15)
        chosen.kill()
        assert step_until(lambda: acquirer.state is StreamState.RECONNECTING, 10)
        assert not step_until(lambda: acquirer.state is StreamState.LIVE, 3)
        outlet(name=name, source_id="same", channels=20)
        assert step_until(lambda: acquirer.state is StreamState.LIVE, 15)
        assert acquirer.connection == 1
    finally:
        acquirer.close()


def test_two_hosts_are_a_choice_by_host():
    twins = [FoundStream("Amp", "EEG", "same", f"host-{n}", f"uid-{n}", 8, 250.0) for n in (1, 2)]
    with pytest.raises(UserError, match=r"choose by host with --stream \"hostname='host-1'\" or"):
        the_one(twins)
    others = [FoundStream("Amp", "EEG", f"id-{n}", "host", f"uid-{n}", 8, 250.0) for n in range(12)]
    with pytest.raises(UserError, match=r"12 streams match.* and 4 more; choose one with --stream \"source_id="):
        the_one(others)


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), 1e9])
def test_a_rate_that_no_amplifier_has_is_refused_before_space_is_made(rate):
    with pytest.raises(UserError, match="no amplifier has"):
        the_one([FoundStream("Amp", "EEG", "id", "host", "uid", 8, rate)])


@pytest.mark.parametrize("tag", ["label", "name"])
def test_helper_columns_are_excluded_and_labels_may_stand_in_the_name(tag, outlet, follow):
    sender = outlet(channels=18, labels=EPOC, rate=128, tag=tag)
    follower = follow(sender.name)
    follower.run(until=lambda: follower.acquirer.ring is not None)
    info = follower.acquirer.info
    assert info.labels == tuple(EPOC.split(",")[3:17])
    assert [text.split(" ")[0] for text in info.excluded] == ["Timestamp", "Counter", "Interpolate", "HardwareMarker"]
    newest = follower.acquirer.ring.read(0).samples[-1]
    assert len(np.unique(newest)) == 1  # the counter, modulo 4096, from columns 3 to 16 only


@pytest.mark.parametrize(
    ("back", "says"),
    [
        ({"channels": 16, "labels": ",".join(f"X{n}" for n in range(16))}, "came back with none of its 16"),
        ({"channels": 10, "labels": ",".join([*(f"E{n}" for n in range(1, 4)), *"ABCDEFG"])}, "with 3 of its 16"),
        ({"channels": 16, "rate": 250}, "came back with 250 Hz instead of 500 Hz"),
        ({"channels": 4}, "has 4 EEG channels"),
    ],
)
def test_a_stream_that_comes_back_as_another_is_not_back(back, says, outlet, follow):
    sender = outlet()
    follower = follow(sender.name)
    follower.run(until=lambda: follower.acquirer.ring is not None)
    sender.kill()
    follower.run(until=lambda: follower.acquirer.state is StreamState.RECONNECTING)
    other = outlet(name=sender.name, **back)
    follower.run(until=lambda: follower.acquirer.error is not None)
    follower.run(1.0)
    now = follower.acquirer.status(follower.clock.now())
    assert says in str(follower.acquirer.error)
    assert now.text == str(follower.acquirer.error)
    assert (now.state, now.connection) == (StreamState.RECONNECTING, 0)
    assert not any("back" in e.text for e in follower.events if e.state is StreamState.LIVE)
    assert sum(says in e.text for e in follower.events) == 1
    other.kill()
    outlet(name=sender.name)  # the right one, at last
    follower.run(until=lambda: follower.acquirer.state is StreamState.LIVE)
    assert follower.acquirer.error is None
    assert follower.acquirer.connection == 1
