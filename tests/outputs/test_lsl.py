import json
import time
import uuid

import numpy as np
import pylsl
import pytest

from bci_music.messages import (
    ChannelState,
    ChannelVerdict,
    Embedding,
    Quality,
    StreamEvent,
    StreamInfo,
    StreamState,
)  # fmt: skip
from bci_music.outputs.lsl import DECODING_CHANNELS, STATE_CODES, LslOutput, stream_names
from bci_music.outputs.output import OutputContext

pytestmark = pytest.mark.realtime

LABELS = ("Fz", "Cz", "Pz", "Oz")


def opened(name):
    output = LslOutput({"enabled": True})
    output.open(OutputContext(StreamInfo(name, "lsl", LABELS, 250.0, simulated=True), LABELS, print))
    return output


@pytest.fixture
def eeg_name():
    return f"made {uuid.uuid4().hex[:8]}"


@pytest.fixture
def outlets(eeg_name):
    made = opened(eeg_name)
    yield made
    made.close()


def inlet_of(outlets, key):
    (info,) = pylsl.resolve_byprop("name", outlets._outlets[key].get_info().name(), 1, 5.0)
    taken = pylsl.StreamInlet(info, recover=False)
    taken.open_stream(5)
    deadline = time.monotonic() + 5
    while not outlets._outlets[key].have_consumers():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return taken


def embedding(end_s):
    vector = np.random.default_rng(0).standard_normal(512).astype(np.float32)
    attention = np.array([0.5, 0.25, np.nan, 0.25], np.float32)
    return Embedding(vector, attention, 0.7, 41, 123_456_789, 123_457_288, end_s, end_s + 0.1, 33.0)


def test_an_embedding_arrives_whole_with_the_time_of_its_window(outlets):
    vector, attention, decoding = (inlet_of(outlets, key) for key in ("embedding", "attention", "decoding"))
    sent = embedding(1234.5)
    outlets.push_embedding(sent)
    values, stamp = vector.pull_sample(timeout=5)
    assert stamp == 1234.5
    assert np.array_equal(np.array(values, np.float32), sent.vector)
    values, stamp = attention.pull_sample(timeout=5)
    assert np.array_equal(values, sent.attention, equal_nan=True)
    values, stamp = decoding.pull_sample(timeout=5)
    received = dict(zip(DECODING_CHANNELS, values, strict=True))
    assert received["first_sample"] == 123_456_789
    assert received["confidence"] == 0.7
    assert (received["window_index"], stamp) == (41, 1234.5)
    assert decoding.info(5).get_channel_labels() == list(DECODING_CHANNELS)


def test_quality_goes_as_codes_that_the_stream_explains(outlets):
    taken = inlet_of(outlets, "quality")
    states = (ChannelState.GOOD, ChannelState.BAD, ChannelState.DOUBTFUL, ChannelState.ABSENT)
    verdicts = tuple(ChannelVerdict(name, state) for name, state in zip(LABELS, states, strict=True))
    outlets.push_quality(Quality(verdicts, 77, 99.25))
    values, stamp = taken.pull_sample(timeout=5)
    assert stamp == 99.25
    info = taken.info(5)
    codes = info.desc().child("codes")
    assert [float(codes.child_value(s.value)) for s in states] == values == [STATE_CODES[s] for s in states]
    assert info.get_channel_labels() == list(LABELS)
    assert info.desc().child_value("simulated") == "true"


def test_events_go_as_text_or_json(outlets):
    taken = inlet_of(outlets, "events")
    outlets.push_event("the listener moved", 5.0)
    outlets.push_event(StreamEvent(6.0, "gap", StreamState.LIVE, 1, "12 samples never came", 12, 4000), 6.0)
    assert taken.pull_sample(timeout=5) == (["the listener moved"], 5.0)
    text, stamp = taken.pull_sample(timeout=5)
    received = json.loads(text[0])
    assert stamp == 6.0
    found = [received[key] for key in ("kind", "state", "count", "sample_index")]
    assert found == ["gap", "live", 12, 4000]


def test_all_streams_are_there_once_it_is_open_and_gone_after_close(eeg_name):
    output = opened(eeg_name)
    for name in stream_names(eeg_name):
        assert pylsl.resolve_byprop("name", name, 1, 5.0), name
    output.close()
    deadline = time.monotonic() + 5
    while pylsl.resolve_byprop("name", stream_names(eeg_name)[0], 1, 0.3):
        assert time.monotonic() < deadline
