"""The same options wherever a recording or a stream is opened, and they reach what opens it."""

import json
import re

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from bci_music.cli.main import app
from bci_music.data.session import Reading, song_marker
from bci_music.messages import UserError

OPENING = ("live", "monitor", "replay", "stream", "data info", "data prepare", "calibrate")
GIVEN = ["--stream", "right", "--unit", "mV", "--montage", "egi128"]
LABELS = tuple(f"E{k}" for k in range(1, 13))


@pytest.fixture
def two(write_xdf):
    """A file of two EEG streams of one name, with a song; returns its path and the samples of each."""
    times = 50 + np.arange(2500) / 125
    made = [
        write_xdf.Stream("android", labels=LABELS, source_id=source, times=times, rate=125.0,
                         values=np.random.default_rng(k).normal(0, 10, (2500, 12)).astype(np.float32))
        for k, source in enumerate(("left", "right"))
    ]  # fmt: skip
    marks = write_xdf.Stream("music", "Markers", labels=("",), rate=0, format="string", times=[52.0],
                             values=[song_marker("tune", "Tune")])  # fmt: skip
    return write_xdf(*made, marks), [m.values for m in made]


def command_of(words):
    found = typer.main.get_command(app)
    for word in words.split():
        found = found.commands[word]
    return found


@pytest.mark.parametrize("verb", OPENING)
def test_every_verb_that_opens_eeg_has_the_three_options(verb):
    names = {name for option in command_of(verb).params for name in option.opts}
    assert {"--stream", "--unit", "--montage"} <= names


@pytest.mark.parametrize(("verb", "function"), [
    ("replay", "bci_music.engine.run.run_replay"), ("stream", "bci_music.streaming.session_outlet.stream_file"),
    ("data info", "bci_music.data.info.file_info"),
])  # fmt: skip
def test_what_is_given_reaches_what_opens_the_file(two, monkeypatch, verb, function):
    seen = []

    def look(*values, reading=None, **more):
        seen.append(reading or values[1])
        raise UserError("seen")

    monkeypatch.setattr(function, look)
    more = ["--headless"] if verb == "replay" else []
    CliRunner().invoke(app, [*verb.split(), str(two[0]), *GIVEN, *more])
    assert seen == [Reading("right", "mV", "egi128")]


@pytest.mark.parametrize("verb", ["replay", "stream", "data info", "data prepare", "data check", "calibrate"])
def test_advice_names_an_option_that_the_verb_has(two, verb, tmp_path):
    path, _ = two
    folder = ["sessions", str(path.parent)]
    words = {"replay": [str(path), "--headless"], "data prepare": [*folder, "--out", str(tmp_path / "out")],
             "data check": folder, "calibrate": ["--session", str(path), "--out", str(tmp_path / "out")]}  # fmt: skip
    done = CliRunner().invoke(app, [*verb.split(), *words.get(verb, [str(path)])])
    sentence = str(done.exception or "") + done.output
    advised = set(re.findall(r"--[a-z-]+", sentence))
    assert "--stream" in advised
    assert advised <= {name for option in command_of(verb).params for name in option.opts}


def test_info_shows_the_stream_that_was_chosen_in_its_unit(two):
    path, (_, right) = two
    shown = json.loads(CliRunner().invoke(app, ["data", "info", str(path), "--json", *GIVEN[:4]]).stdout)
    assert [s["decoded"] for s in shown["streams"]] == [False, True, False]
    assert shown["streams"][1]["unit"] == "mV"
    assert len(right) == shown["streams"][1]["samples"]
    refused = CliRunner().invoke(app, ["data", "info", str(path), "--stream", "right", "--unit", "furlong"])
    assert "'furlong' is no unit of voltage" in str(refused.exception)


def test_prepare_takes_the_stream_and_mixes_no_two_ways(two, tmp_path):
    path, _ = two
    words = ["data", "prepare", "sessions", str(path.parent), "--montage", "egi128", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*words, "--stream", "right", "--workers", "1"])
    assert done.exit_code == 0, done.output
    assert "1 recordings" in done.output
    way = json.loads((tmp_path / "out" / "eeg" / "way.json").read_text())
    assert way["reading"] == {"stream": "right", "unit": None, "montage": "egi128"}
    other = CliRunner().invoke(app, [*words, "--stream", "left", "--workers", "1"])
    assert "prepared with other settings" in str(other.exception)
    lost = CliRunner().invoke(app, ["data", "prepare", "nmed-t", str(tmp_path), "--out", "x", "--stream", "left"])
    assert "none of the studies is of kind sessions" in str(lost.exception)


def test_a_tracking_folder_takes_them_as_keys(two, tmp_path):
    from bci_music.evaluation.tracking.folder import TrackingEntry, open_recording

    path, (_, right) = two
    entry = {"eeg": path.name, "listener": "a", "piece": "b", "audio": "b.wav"}
    with pytest.raises(UserError, match=r"choose one with `stream:` in tracking\.yaml SOURCE-ID"):
        open_recording(TrackingEntry(**entry), path.parent, 1, 10.0)
    session = open_recording(TrackingEntry(**entry, stream="right", unit="mV"), path.parent, 1, 10.0)
    assert np.array_equal(session.samples_uv, right * np.float32(1000))
