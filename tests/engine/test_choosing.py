"""Choosing among several EEG streams, before one is joined and while one runs, and what is remembered of it."""

import json
import stat

import pytest

from bci_music.clock import Clock
from bci_music.engine.monitoring import build_monitor
from bci_music.engine.run import lsl_source
from bci_music.files import settings_dir
from bci_music.messages import StreamState
from bci_music.status import Command
from bci_music.streaming.choosing import chosen_last, remember_stream
from bci_music.streaming.discovery import FoundStream, StreamQuery
from bci_music.streaming.lsl import lsl_clock

pytestmark = pytest.mark.realtime


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path):
    monkeypatch.setenv("BCI_MUSIC_SETTINGS", str(tmp_path / "settings"))
    return tmp_path / "settings"


@pytest.fixture
def monitor():
    engines = []

    def start(as_last_time=True):
        engines.append(build_monitor(lsl_source(StreamQuery(), as_last_time), Clock(lsl_clock)))
        engines[-1].start()
        return engines[-1]

    yield start
    for engine in engines:
        engine.stop()


def choose(engine, until, name):
    engine.send(Command("look", 1.0))
    until(lambda: {name} <= {s.name for s in engine.snapshot().streams}, 15, "the list")
    listed = {s.name: s for s in engine.snapshot().streams}
    engine.send(Command("choose", text=listed[name].uid))
    until(lambda: (engine.info or listed[name]).name == name and engine.info is not None, 20, name)
    until(lambda: engine.state is StreamState.LIVE and engine.ring.head > 100, 20, "its samples")
    return listed


def test_of_two_streams_one_is_chosen_then_the_other_and_next_time_that_is_joined(outlet, until, monitor, settings):
    first, second = outlet(rate=250.0, channels=8), outlet(rate=500.0, channels=16)
    engine = monitor()
    until(lambda: "streams match" in engine.snapshot().stream.text, 20, "the question")
    listed = choose(engine, until, first.name)
    assert (listed[second.name].n_channels, listed[second.name].sfreq_hz, listed[second.name].here) == (16, 500.0, True)
    assert 0 < listed[second.name].age_s < 120
    assert (len(engine.info.labels), engine.info.sfreq_hz) == (8, 250.0)
    until(lambda: engine.snapshot().quality is not None, 10, "verdicts")

    choose(engine, until, second.name)
    assert (len(engine.info.labels), engine.info.sfreq_hz) == (16, 500.0)
    assert engine.ring.read(engine.ring.tail, 1).samples.shape == (1, 16)
    until(lambda: len(engine.snapshot().quality.channels) == 16, 10, "its verdicts")
    assert not engine.failures
    engine.stop()

    kept = settings / "last-stream.json"
    assert set(json.loads(kept.read_text())) == {"source_id", "name"}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    engine = monitor()
    until(lambda: engine.info is not None, 20, "the stream of last time")
    assert engine.info.name == second.name
    assert "chosen last time" in engine.info.notes[-1]
    engine.stop()

    engine = monitor(as_last_time=False)
    until(lambda: "streams match" in engine.snapshot().stream.text, 20, "the question")


def seen(source_id, uid="1"):
    return FoundStream("Amp", "EEG", source_id, "host", uid, 8, 250.0)


def test_the_choice_of_last_time_counts_only_where_it_is_clear(settings):
    assert chosen_last([seen("a"), seen("b")]) is None
    remember_stream(seen(""))
    assert not settings.exists()
    remember_stream(seen("b"))
    assert chosen_last([seen("a"), seen("b")]).source_id == "b"
    assert chosen_last([seen("a"), seen("c")]) is None
    assert chosen_last([seen("b", "1"), seen("b", "2")]) is None


@pytest.mark.parametrize("written", ["", "[]", "{}", "{\"source_id\": 3}", "\x00", "{" * 5000])
def test_a_damaged_memory_is_as_none(settings, written):
    settings.mkdir()
    (settings / "last-stream.json").write_text(written)
    assert chosen_last([seen("a"), seen("b")]) is None


def test_a_place_that_cannot_be_written_to_is_no_failure(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BCI_MUSIC_SETTINGS", str(tmp_path / "file" / "below"))
    remember_stream(seen("a"))
    assert chosen_last([seen("a"), seen("b")]) is None


def test_settings_lie_where_the_system_keeps_them(monkeypatch, tmp_path):
    monkeypatch.delenv("BCI_MUSIC_SETTINGS")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert settings_dir() == tmp_path / "bci-music"
