"""The doctor comes to the end on any machine, and says how to fix whatever is not right."""

import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from bci_music.cli import doctor as checks
from bci_music.cli.doctor import Verdict

pytestmark = pytest.mark.install

ITEMS = ["Python", "Qt pair", "Window", "liblsl", "LSL discovery", "PortAudio", "Audio output", "Audio input",
         "Compute", "XDF recorder", "Demo pack", "Sample session", "Disk"]


def test_doctor_tells_all_in_json_and_its_exit_code_agrees():
    command = [sys.executable, "-m", "bci_music.cli.main", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = json.loads(done.stdout)["checks"]
    assert [f["item"] for f in found] == ITEMS
    assert all(f["found"] for f in found)
    assert all(f["fix"] for f in found if f["verdict"] != "ok")
    assert done.returncode == int(any(f["verdict"] == "fail" for f in found))
    verdict = {f["item"]: f["verdict"] for f in found}
    assert verdict["Python"] == verdict["liblsl"] == verdict["LSL discovery"] == "ok"


@pytest.mark.parametrize(("minor", "verdict"), [(10, "fail"), (11, "ok"), (13, "ok"), (14, "fail")])
def test_python_range(monkeypatch, minor, verdict):
    monkeypatch.setattr(checks, "sys", SimpleNamespace(version_info=(3, minor, 0)))
    assert checks.python_version().verdict == verdict


@pytest.mark.parametrize(("qt", "python", "verdict", "word"), [
    ("6.11.0", (3, 11), "ok", ""), ("6.12.0", (3, 11), "warn", "aborts"), ("6.12.0", (3, 12), "warn", "tested"),
    (None, (3, 12), "warn", "tested"),
])
def test_qt_pair(monkeypatch, qt, python, verdict, word):
    monkeypatch.setattr(checks, "sys", SimpleNamespace(version_info=(*python, 0)))
    monkeypatch.setattr(checks, "_installed", {"PySide6-Essentials": qt, "pyqtgraph": "0.14.0"}.get)
    finding = checks.qt_pair()
    assert finding.verdict == verdict
    assert word in finding.fix


@pytest.mark.parametrize(("display", "verdict"), [("", Verdict.WARN), (":99", Verdict.FAIL)])
def test_a_window_that_cannot_start_matters_only_where_there_is_a_display(monkeypatch, display, verdict):
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(checks, "_child", lambda *_: subprocess.CompletedProcess([], 1, "", "a\nlibEGL.so.1: missing"))
    finding = checks.qt_window()
    assert finding.verdict is verdict
    assert "libEGL.so.1: missing" in finding.found


def test_discovery_that_finds_nothing_fails_and_leaves_no_process(monkeypatch):
    import psutil
    import pylsl

    children = set(psutil.Process().children())
    monkeypatch.setattr(pylsl, "resolve_byprop", lambda *_: [])
    finding = checks.lsl_discovery()
    assert finding.verdict is Verdict.FAIL
    assert "firewall" in finding.fix
    assert set(psutil.Process().children()) <= children


def test_no_portaudio_and_no_device_are_warnings(monkeypatch):
    monkeypatch.setattr(checks, "_child", lambda *_: subprocess.CompletedProcess([], 1, "", "OSError: PortAudio"))
    assert [f.verdict for f in checks.sound()] == ["warn", "warn", "warn"]
    printed = json.dumps({"portaudio": "PortAudio V19, x", "device": "", "why": "Error querying device -1"})
    monkeypatch.setattr(checks, "_child", lambda *_: subprocess.CompletedProcess([], 0, printed, ""))
    assert [f.verdict for f in checks.sound()] == ["ok", "warn", "ok"]


def test_devices_are_listed_with_their_numbers(monkeypatch):
    probed = {"portaudio": "V19", "device": "USB (44.1 kHz, mono)", "why": "", "all": [[0, "USB"], [3, "USB"]]}
    probed["inputs"] = [[1, "Line"], [3, "USB"]]
    monkeypatch.setattr(checks, "_child", lambda *_: subprocess.CompletedProcess([], 0, json.dumps(probed), ""))
    assert [f.found for f in checks.sound()[1:]] == ["USB (44.1 kHz, mono); 0: USB; 3: USB", "1: Line; 3: USB"]


def test_little_space_is_a_warning(monkeypatch):
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: SimpleNamespace(free=1e9))
    assert checks.disk().verdict is Verdict.WARN


def test_what_is_called_ok_was_run(monkeypatch):
    recorded = checks.recorder()
    assert (recorded.verdict, "100 of 100 samples" in recorded.found) == (Verdict.OK, True), recorded.found
    monkeypatch.setattr("bci_music.streaming.recorder.recorder_program", lambda: shutil.which("false"))
    recorded = checks.recorder()
    assert recorded.verdict is Verdict.WARN
    assert "ended with code 1" in recorded.found


def test_a_sample_that_is_damaged_and_a_folder_that_is_locked_are_warnings(monkeypatch, tmp_path):
    (tmp_path / "sample.xdf").write_bytes(b"XDF:" + bytes(99))
    monkeypatch.setattr("bci_music.engine.sample.find_sample", lambda: tmp_path / "sample.xdf")
    assert checks.sample().verdict is Verdict.WARN
    monkeypatch.setattr(checks.Path, "cwd", lambda: checks.Path("/proc"))
    finding = checks.disk()
    assert (finding.verdict, "cannot be written" in finding.found) == (Verdict.WARN, True)


def test_a_check_that_breaks_is_a_finding():
    def broken():
        raise RuntimeError("no\nluck")

    (finding,) = checks.examine("Probe", broken)
    assert (finding.item, finding.verdict, finding.found) == ("Probe", Verdict.FAIL, "RuntimeError: no luck")


def test_a_child_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(checks, "CHILD_TIMEOUT_S", 0.3)
    done = checks._child("import time; time.sleep(30)")
    assert done.returncode != 0
    assert "no answer" in checks._last(done)
