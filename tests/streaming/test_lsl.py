"""LSL streams: found, refused in a sentence, converted; with mne-lsl's player as an independent peer."""

import sys
import threading
import time
import uuid

import numpy as np
import pytest

from bci_music.clock import Clock
from bci_music.config import Config
from bci_music.messages import StreamState, UserError
from bci_music.streaming.acquire import Acquirer
from bci_music.streaming.connector import Connector
from bci_music.streaming.discovery import FoundStream, StreamQuery, find_streams, nothing_found, the_one
from bci_music.streaming.lsl import LslSource, lsl_clock
from bci_music.streaming.source import SourceLost

pytestmark = pytest.mark.realtime


def pull_some(source, n=50, timeout_s=5.0):
    chunks, end = [], time.monotonic() + timeout_s
    while sum(len(c.times_s) for c in chunks) < n and time.monotonic() < end:
        chunk = source.pull()
        if chunk is not None:
            chunks.append(chunk)
        time.sleep(0.005)
    return np.concatenate([c.samples_uv for c in chunks]), np.concatenate([c.times_s for c in chunks])


def test_a_stream_is_found_by_name_source_id_predicate_or_one_word(outlet, source):
    sender = outlet(channels=9)
    queries = [
        StreamQuery(name=sender.name),
        StreamQuery(source_id=sender.name, type="EEG"),
        StreamQuery(predicate=f"starts-with(name,'{sender.name[:-2]}')"),
        StreamQuery.from_text(sender.name),
    ]
    sources = [source(query) for query in queries]
    for found in sources:  # all look at the same time
        with pytest.raises(TimeoutError):
            found.open(0.0)
    for found in sources:
        info = found.open(10.0)
        assert (info.name, info.source_id, info.sfreq_hz, info.kind) == (sender.name, sender.name, 500.0, "lsl")
        assert info.labels == tuple(f"E{i + 1}" for i in range(9))
        samples, times = pull_some(found)
        assert samples.dtype == np.float32
        np.testing.assert_array_equal(np.diff(samples[:, 0]), 1)
        np.testing.assert_allclose(times, sender.start_s + samples[:, 0] / 500, atol=2e-3)


def test_volts_in_double_precision_with_channels_excluded(outlet, source):
    labels = "TRIG,F3,EOG,F4,C3,C4,P3,P4,O1,O2"
    sender = outlet(channels=10, labels=labels, unit="V", format="double64")
    found = source(StreamQuery(name=sender.name))
    info = found.open(10.0)
    assert info.labels == ("F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2")
    assert info.excluded == ("TRIG (TRIG)", "EOG (EOG)")
    samples, _ = pull_some(found)
    np.testing.assert_allclose(np.diff(samples[:, 0].astype(float) / 1e6) % 4096, 1, atol=1e-3)


def test_opening_and_losing_never_block(source, monkeypatch):
    """The search hangs in its own thread; whoever asks gets an answer all the same."""
    hangs, ends = threading.Event(), threading.Event()

    def search(self):
        hangs.set()
        ends.wait(60)

    monkeypatch.setattr(Connector, "_look", search)
    found = source(StreamQuery(name=f"test-{uuid.uuid4().hex}"))
    try:
        for _ in range(20):
            with pytest.raises(TimeoutError):
                found.open(0.0)
        assert hangs.wait(10)
        with pytest.raises(TimeoutError):
            found.open(0.0)
        with pytest.raises(SourceLost):
            found.pull()
        assert not ends.is_set()
    finally:
        ends.set()


def test_no_match_names_what_can_be_seen(outlet):
    sender = outlet()
    missing = f"test-{uuid.uuid4().hex}"
    sentence = nothing_found(StreamQuery(name=missing), find_streams(1.5))
    assert missing in sentence
    assert sender.name in sentence
    assert sender.name in {s.name for s in find_streams(1.5)}


def test_several_matches_are_listed_with_a_way_to_choose(outlet, source):
    name = f"test-{uuid.uuid4().hex[:12]}"
    outlet(name=name, source_id="left-amp")
    outlet(name=name, source_id="right-amp")
    with pytest.raises(UserError, match="2 streams match") as caught:
        source(StreamQuery(name=name)).open(10.0)
    assert all(word in str(caught.value) for word in ("left-amp", "right-amp", "--stream"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"channels": 7}, "7 EEG channels"),
        ({"unit": "furlong"}, "unit:"),
        ({"labels": "none"}, "montage:"),
        ({"channels": 12, "labels": "E1,E2,E3,E4,E5,E6,E7,E8"}, "describes 8 channels but sends 12"),
    ],
)
def test_a_stream_that_cannot_be_used_is_named_with_the_reason(options, says, outlet):
    sender = outlet(**options)
    events = []
    source = LslSource(StreamQuery(name=sender.name))
    acquirer = Acquirer(source, Clock(lsl_clock), on_event=events.append)
    try:
        end = time.monotonic() + 10
        while acquirer.error is None and time.monotonic() < end:
            acquirer.step(lsl_clock())
            time.sleep(0.01)
        acquirer.step(lsl_clock())
        assert says in str(acquirer.error)
        assert acquirer.state is StreamState.SEARCHING
        assert says in acquirer.status(lsl_clock()).text
        assert len(events) == 1
    finally:
        acquirer.close()


class Described:
    """What `LslSource` asks of pylsl's StreamInfo."""

    def __init__(self, rate):
        self.rate = rate

    def nominal_srate(self):
        return self.rate

    def name(self):
        return "amp"


def test_a_stream_that_comes_back_at_another_rate_is_refused(source):
    found = source(StreamQuery(name="amp"))
    found._sfreq_hz = 500.0
    with pytest.raises(UserError, match="250 Hz instead of 500 Hz"):
        found._read(Described(250.0))


def test_a_new_clock_offset_is_approached_slowly_unless_it_is_a_step(source):
    found = source(StreamQuery(name="amp"))
    found._connector.correction_s = 1.0
    assert found._offset(100.0) == 1.0
    found._connector.correction_s = 1.005
    assert found._offset(101.0) == pytest.approx(1.0002)
    assert found._offset(111.0) == pytest.approx(1.0022)
    assert found._offset(1000.0) == pytest.approx(1.005)
    found._connector.correction_s = -3.0
    assert found._offset(1001.0) == -3.0


def test_markers_are_not_eeg():
    stream = FoundStream("m", "Markers", "id", "host", "uid", 1, 0.0)
    with pytest.raises(UserError, match="no sampling rate"):
        the_one([stream])


def test_a_name_with_both_quotes_is_found(outlet, source):
    name = f"both ' and \" {uuid.uuid4().hex[:8]}"
    outlet(name=name, channels=8)
    assert source(StreamQuery(name=name)).open(10.0).name == name


def test_a_query_is_a_strict_configuration():
    assert issubclass(StreamQuery, Config)
    with pytest.raises(UserError, match="did you mean 'source_id'"):
        StreamQuery.parse({"sourceid": "x"})
    assert StreamQuery().xpath() == "type='EEG' or type='eeg'"


PLAYER = """
import sys, time
from mne_lsl.player import PlayerLSL
with PlayerLSL(sys.argv[1], chunk_size=16, name=sys.argv[2], source_id=sys.argv[2]):
    time.sleep(60)
"""


def test_mne_lsl_player_of_a_physionet_file(shared_data, follow):
    import subprocess

    import mne

    file = shared_data / "eeg" / "physionet" / "S001R03.edf"
    name = f"test-{uuid.uuid4().hex[:12]}"
    player = subprocess.Popen([sys.executable, "-W", "ignore", "-c", PLAYER, str(file), name])
    try:
        follower = follow(name)
        follower.run(
            until=lambda: follower.acquirer.ring is not None and follower.acquirer.ring.head > 320, timeout_s=60
        )
        status = follower.acquirer.status(follower.clock.now())
        piece = follower.acquirer.ring.read(0)
    finally:
        player.kill()
        player.wait()
    assert len(status.info.labels) == 64
    assert status.info.labels[0] == "Fc5."
    assert status.info.unit == "0"
    assert status.info.positions_m is None
    assert not piece.flags.any()
    assert status.gaps == 0
    assert status.data_age_s < 0.3
    raw = mne.io.read_raw_edf(file, verbose="error").get_data(stop=20_000).T * 1e6
    start = int(np.argmin(np.abs(raw - piece.samples[0]).sum(1)))
    np.testing.assert_allclose(piece.samples[:300], raw[start : start + 300], rtol=1e-4, atol=1e-3)
