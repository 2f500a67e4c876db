import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid

import numpy as np
import psutil
import pylsl
import pytest
import pyxdf

from bci_music.data.consent import consent_reference, sidecar_of
from bci_music.data.formats import open_session
from bci_music.data.session import song_marker
from bci_music.data.xdf import read_xdf
from bci_music.messages import Embedding, StreamInfo, UserError
from bci_music.outputs.lsl import LslOutput, stream_names
from bci_music.outputs.output import OutputContext
from bci_music.streaming.outlets import text_outlet
from bci_music.streaming.recorder import COLLECTING, LabRecorder, free_name
from bci_music.timing.rows import stamp_report

pytestmark = pytest.mark.realtime

FS = 200

# An EEG outlet in a process of its own that counts its samples, to be killed.
SENDER = """
import sys, time, numpy, pylsl
from bci_music.streaming.outlets import eeg_stream_info
name = sys.argv[1]
labels = ["Fz", "Cz", "Pz", "Oz", "C3", "C4", "F3", "F4"]
outlet = pylsl.StreamOutlet(eeg_stream_info(name, labels, 200.0, name, simulated=True))
begin = pylsl.local_clock()
sent = 0
while True:
    due = int((pylsl.local_clock() - begin) * 200)
    if due > sent:
        stamps = begin + numpy.arange(sent, due) / 200
        rows = numpy.repeat(numpy.arange(sent, due, dtype=numpy.float32)[:, None], 8, axis=1)
        outlet.push_chunk(rows, stamps.tolist())
        sent = due
    time.sleep(0.02)
"""


class Sender:
    """The outlet process; `kill` and `start` again make a rejoin."""

    def __init__(self, name):
        self.name = name
        self.start()

    def start(self):
        self.process = subprocess.Popen([sys.executable, "-c", SENDER, self.name])
        assert pylsl.resolve_byprop("name", self.name, 1, 10.0)

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def sender():
    made = Sender(f"made {uuid.uuid4().hex[:8]}")
    yield made
    made.kill()


def embedding(end_s, index):
    return Embedding(
        np.full(512, index, np.float32), np.full(4, 0.25, np.float32), 0.5, index, 0, 1, end_s, end_s, 1.0
    )


def test_one_file_holds_a_rejoining_stream_its_music_and_what_was_derived(sender, tmp_path):
    music = text_outlet(f"{sender.name} music", "Markers", f"{sender.name}-music")
    channels = ("a", "b", "c", "d")
    derived = LslOutput({"enabled": True})
    derived.open(OutputContext(StreamInfo(sender.name, "lsl", channels, FS), channels, print))
    recorder = LabRecorder(
        tmp_path / "rec.xdf",
        [sender.name, f"{sender.name} music", *stream_names(sender.name), "not there"],
        consent=" FORM  7 ",
    )
    recorder.start()
    assert recorder.running
    assert recorder.missing == ("not there",)
    derived.push_event(f"recording started, consent reference {recorder.consent}", pylsl.local_clock())
    begun = pylsl.local_clock()
    music.push_sample([song_marker("one", "One", 2.0)], begun)
    for index in range(4):
        derived.push_embedding(embedding(begun + index, index))
    time.sleep(1.0)
    os.kill(recorder._process.pid, signal.SIGINT)  # Ctrl-C in the terminal reaches children, too
    sender.kill()
    time.sleep(1.0)
    sender.start()
    time.sleep(1.5)
    last = pylsl.local_clock()
    derived.push_event("run ended", last)
    check = recorder.stop()
    derived.close()

    assert not recorder.running
    assert [t.name for t in threading.enumerate() if t.name.startswith("bci-music-recorder")] == []
    assert check.samples[f"{sender.name} embedding"] == 4
    session = open_session(recorder.path)
    report = stamp_report(session.times_s, session.sfreq_hz)
    assert session.simulated
    assert report.gaps == 1
    assert report.missing_samples > 0.9 * FS
    assert len(session.segments()) == 2
    counter = session.samples_uv[:, 0]
    assert (np.diff(counter) != 1).sum() == 1  # the counter began again once, and nothing else is missing
    texts = [e.text for e in session.events]
    assert texts[-1] == "run ended"
    assert session.events[-1].time_s == pytest.approx(last, abs=1e-3)
    assert any("consent reference FORM 7" in t for t in texts)
    assert session.heard()[0].song == "one"
    (vectors,) = [s for s in read_xdf(recorder.path)[0] if s.kind == "Embedding"]
    assert vectors.values[:, 0].tolist() == [0, 1, 2, 3]
    assert vectors.times_s == pytest.approx(begun + np.arange(4), abs=1e-3)
    note = json.loads(sidecar_of(recorder.path).read_text(encoding="utf-8"))
    assert note["consent_reference"] == "FORM 7"
    assert sender.name in note["streams"]


def test_without_consent_nothing_is_recorded(tmp_path):
    for empty in ("", "   ", "--", None):
        with pytest.raises(UserError, match="consent"):
            LabRecorder(tmp_path / "rec.xdf", ["any"], consent=empty)
    with pytest.raises(UserError, match="not the form itself"):
        consent_reference("yes " * 100)
    assert list(tmp_path.iterdir()) == []


def test_without_its_first_stream_it_does_not_start(tmp_path, monkeypatch):
    monkeypatch.setattr("bci_music.streaming.recorder.FIND_S", 0.3)
    recorder = LabRecorder(tmp_path / "rec.xdf", [f"nobody {uuid.uuid4().hex}"], consent="FORM 7")
    with pytest.raises(UserError, match="no stream 'nobody"):
        recorder.start()
    assert list(tmp_path.iterdir()) == []


def test_a_recording_is_never_overwritten(tmp_path):
    assert free_name(tmp_path / "rec.xdf").name == "rec.xdf"
    (tmp_path / "rec.xdf").write_bytes(b"kept")
    (tmp_path / "rec-2.json").write_text("{}")
    assert LabRecorder(tmp_path / "rec.xdf", ["any"], consent="FORM 7").path.name == "rec-3.xdf"
    assert (tmp_path / "rec.xdf").read_bytes() == b"kept"


def program_of(recorder):
    """LabRecorder's own process, behind its guard."""
    (child,) = psutil.Process(recorder._process.pid).children()
    return child


@pytest.fixture
def recorder(sender, tmp_path):
    """A recorder that runs, the first of which the file has something."""
    made = LabRecorder(tmp_path / "rec.xdf", [sender.name], consent="FORM 7")
    made.start()
    time.sleep(1.2)
    yield made
    if made.running:
        made._end(5.0)


class Received:
    """What would have come in since it was made."""

    def __init__(self):
        self._begun = time.monotonic()

    def __call__(self):
        return int((time.monotonic() - self._begun) * FS)


def problem_of(recorder, within_s):
    """Look as a run does; what was said, and after how many seconds."""
    received, begun = Received(), time.monotonic()
    while time.monotonic() - begun < within_s:
        if text := recorder.look(received(), FS):
            return text, time.monotonic() - begun
        time.sleep(0.1)
    return "", within_s


def footer_of(path, name):
    """Samples that the footer names, and there are."""
    (stream,) = [s for s in pyxdf.load_xdf(str(path))[0] if s["info"]["name"] == [name]]
    assert int(stream["footer"]["info"]["sample_count"][0]) == len(stream["time_stamps"])
    return len(stream["time_stamps"])


def test_a_recorder_that_works_has_nothing_said_of_it(sender, recorder):
    assert problem_of(recorder, 3.0) == ("", 3.0)
    begun = time.monotonic()
    recorder.stop()
    assert time.monotonic() - begun < 3.0
    assert footer_of(recorder.path, sender.name) == recorder.check.samples[sender.name] > FS


def test_a_recorder_that_dies_is_seen_at_once_and_its_file_kept(sender, recorder):
    recorder.look(0, FS)
    program_of(recorder).kill()
    text, after_s = problem_of(recorder, 2.0)
    assert "had ended by itself" in text
    assert after_s < 1.0
    with pytest.raises(UserError, match="had ended by itself"):
        recorder.stop()
    assert recorder.check.samples[sender.name] > 0


def test_a_recorder_that_hangs_is_seen_within_two_seconds_and_ended_by_force(sender, recorder):
    recorder.look(0, FS)
    program = program_of(recorder)
    program.suspend()
    text, after_s = problem_of(recorder, 4.0)
    assert "does not grow" in text
    assert after_s < 2.0
    begun = time.monotonic()
    with pytest.raises(UserError, match="lacks the end"):
        recorder.stop()
    assert time.monotonic() - begun < 3.0
    assert not program.is_running()
    assert recorder.check.samples[sender.name] > 0


def test_one_that_goes_on_again_has_nothing_more_said_of_it(recorder):
    recorder.look(0, FS)
    program = program_of(recorder)
    program.suspend()
    assert problem_of(recorder, 4.0)[0]
    program.resume()
    begun = time.monotonic()
    while recorder.look(0, FS) and time.monotonic() - begun < 3:
        time.sleep(0.1)
    assert recorder.look(0, FS) == ""
    recorder.stop()


def test_a_guard_that_hangs_does_not_hold_up_the_run(recorder, monkeypatch):
    monkeypatch.setattr("bci_music.streaming.recorder.STOP_TIMEOUT_S", 0.5)
    program = program_of(recorder)
    os.kill(recorder._process.pid, signal.SIGSTOP)
    begun = time.monotonic()
    with pytest.raises(UserError, match="stopped by force"):
        recorder.stop()
    assert time.monotonic() - begun < 3
    program.wait(10)  # its order to end came with the guard's end


def test_it_ends_and_closes_its_file_when_its_program_is_killed(sender, tmp_path):
    code = """
import sys, time
from bci_music.streaming.recorder import LabRecorder
recorder = LabRecorder(sys.argv[1], [sys.argv[2]], consent="FORM 7")
recorder.start()
print(recorder._process.pid, flush=True)
time.sleep(60)
"""
    path = tmp_path / "rec.xdf"
    parent = subprocess.Popen([sys.executable, "-c", code, str(path), sender.name], stdout=subprocess.PIPE, text=True)
    guard = psutil.Process(int(parent.stdout.readline()))
    program = guard.children()[0]
    time.sleep(1.2)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _gone, left = psutil.wait_procs([guard, program], 3.0)
    assert not [p for p in left if p.status() != psutil.STATUS_ZOMBIE]  # ended, though nobody may wait for them
    assert footer_of(path, sender.name) >= FS


@pytest.mark.parametrize("program", ["false", "true", "no such program"])
def test_a_program_that_is_no_recorder_is_said_at_once(sender, tmp_path, monkeypatch, program):
    found = shutil.which(program) or tmp_path / "nothing"
    monkeypatch.setattr("bci_music.streaming.recorder.recorder_program", lambda: found)
    recorder = LabRecorder(tmp_path / "new" / "rec.xdf", [sender.name], consent="FORM 7")
    begun = time.monotonic()
    with pytest.raises(UserError, match=r"could not start \(LabRecorder ended with code"):
        recorder.start()
    assert time.monotonic() - begun < 2.0
    assert list((tmp_path / "new").iterdir()) == []  # nor a note of a recording that is not there


def test_the_note_is_there_before_the_first_byte_and_both_are_private(sender, tmp_path, monkeypatch):
    path, seen = tmp_path / "rec.xdf", []
    real = LabRecorder._spawn
    monkeypatch.setattr(
        LabRecorder, "_spawn", lambda self, streams: (seen.append(sidecar_of(path).exists()), real(self, streams))
    )
    recorder = LabRecorder(path, [sender.name], consent="FORM 7")
    recorder.start()
    recorder.stop()
    assert seen == [True]
    assert [oct(p.stat().st_mode & 0o777) for p in (path, sidecar_of(path))] == ["0o600", "0o600"]


def test_a_recorder_that_is_being_started_gives_up_when_the_run_ends(sender, tmp_path, monkeypatch):
    monkeypatch.setattr("bci_music.streaming.recorder.recorder_program", lambda: shutil.which("cat"))
    recorder = LabRecorder(tmp_path / "rec.xdf", [sender.name], consent="FORM 7")
    threading.Timer(0.3, recorder.give_up).start()
    begun = time.monotonic()
    with pytest.raises(UserError, match="could not start"):
        recorder.start()
    assert time.monotonic() - begun < 2.0


def test_announcements_that_ran_into_each_other_are_all_counted(tmp_path):
    recorder = LabRecorder(tmp_path / "rec.xdf", ["any"], consent="FORM 7")
    for line in (f"{COLLECTING}a 0.{COLLECTING}\n", f"a 4{COLLECTING}a 1.\n", ".\n", "Found x@host", "\n"):
        recorder._hear(line)
    assert recorder._collecting == 3
