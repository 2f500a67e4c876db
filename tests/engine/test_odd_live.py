"""Whole live runs on streams that are not as they should be: length, report and exit code."""

import json
import os
import subprocess
import sys

import pytest

from bci_music.eeg.montage import NMED_CHANNELS
from bci_music.messages import UserError

pytestmark = [pytest.mark.realtime, pytest.mark.install]

START = "import sys; from bci_music.cli.main import main; main()"
STREAM = {"rate": 250.0, "channels": 125, "noise": 15, "labels": ",".join(NMED_CHANNELS)}


@pytest.fixture
def live(tmp_path):
    """Start ``bci-music live`` on a stream; ``(process, folder of the report)``."""
    running = []

    def start(name, seconds):
        out = tmp_path / "out"
        words = ("live", "--headless", "--stream", name, "--seconds", seconds, "--generator", "library", "--out", out)
        running.append(subprocess.Popen(
            [sys.executable, "-c", START, *map(str, words), "--sound-device", "none"], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "300"},
        ))  # fmt: skip
        return running[-1], out

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize("clock", [{"unix": True}, pytest.param({"offset": -1e5}, marks=pytest.mark.soak)])
def test_a_run_on_a_foreign_clock_is_as_long_as_asked(clock, outlet, live):
    stream = outlet(**STREAM, **clock)
    process, out = live(stream.name, 8)
    _, shown = process.communicate(timeout=120)
    assert process.returncode == 0, shown
    report = json.loads((out / "report.json").read_text())
    assert report["stream"]["samples"] == pytest.approx(8 * 250, abs=250)
    assert report["missing_samples"] == report["gaps"] == 0
    assert (report["data_age_ms"]["p50"] or 0.0) < 1500  # none where a busy machine decoded no window
    (note,) = report["stream"]["notes"]
    assert note.startswith("the time stamps of")
    assert "not LSL's clock" in shown


def test_a_rejoin_that_is_refused_is_a_failure_of_the_run(outlet, live_engine, until):
    from bci_music.engine.report import build_report
    from bci_music.engine.run import _raise_fatal

    stream = outlet(**STREAM)
    engine = live_engine(stream.name)
    engine.start()
    until(lambda: engine.first_sample_s is not None, 30, "the first sample")
    stream.kill()
    stream._options["labels"] = ",".join(f"X{n}" for n in range(125))
    stream.start()
    until(lambda: engine.refusal is not None, 30, "the refusal")
    assert "came back with none of its 125" in engine.snapshot().stream.text
    engine.stop()
    report = build_report(engine, engine.now())
    assert sum("came back with none of its 125" in text for text in report["failures"]) == 1
    assert report["connections"] == 1
    with pytest.raises(UserError, match="came back with none of its 125"):  # exit code 2
        _raise_fatal(engine)
