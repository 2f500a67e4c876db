"""The disk is full at a random moment: that is said at once, the music goes on, and the report is there."""

import os
import random
import shutil
import signal
import subprocess
import time

import pytest
from started import Run, report_of

from bci_music.files import write_whole
from bci_music.streaming.xdf_growth import XdfGrowth

pytestmark = pytest.mark.realtime

SAID_S = 2.0
BUSY_S = 1.0  # beside other tests
KEYS = ("stream", "windows_decoded", "audio_seconds", "failures", "lost", "versions")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 12 MB; skipped where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    done = mount and subprocess.run([mount, "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], capture_output=True)
    if not done or done.returncode:
        pytest.skip("no disk can be mounted here: that takes the rights of root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def started(tmp_path):
    made = []

    def start(folder, *words):
        made.append(Run(folder, *words))
        return made[-1]

    yield start
    for run in made:
        run.kill()


def fill(disk):
    """Take all that is left."""
    with (disk / f"filler{time.monotonic_ns()}").open("wb", buffering=0) as file:
        for size in (2**16, 2**12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def empty(disk):
    for file in disk.iterdir():
        shutil.rmtree(file) if file.is_dir() else file.unlink()


def run_into_it(started, outlet, disk, folder, recording, seed):
    stream = outlet(rate=250.0, channels=32, noise=15)
    out, rec = (folder / "out", disk / "rec") if recording else (disk / "out", folder / "rec")
    words = ["live", "--stream", stream.name, "--headless", "--sound-device", "none", "--out", out]
    words += ["--record", rec, "--consent", "form 7"] if recording else []
    run = started(folder, *words)
    run.wait_for(lambda: (out / "music.wav").exists() and (out / "music.wav").stat().st_size > 100_000)
    if recording:
        growth = XdfGrowth(rec / "recording.xdf")
        run.wait_for(lambda: growth.look().get(stream.name, 0) > 125)
    time.sleep(random.Random(seed).uniform(0.0, 3.0))
    fill(disk)
    after_s = run.wait_for_text("is full" if recording else "no longer written", 10)
    assert after_s < SAID_S + BUSY_S, run.text()
    time.sleep(2.0)
    code, took_s = run.end(signal.SIGINT)
    assert code == 3, run.text()
    assert took_s < 9.0
    assert "Traceback" not in run.text()
    report = report_of(out)
    assert set(KEYS) <= report.keys()
    assert report["lost"]
    assert (report["silent_seconds"], report["underruns"], report["starved_seconds"]) == (0.0, 0, 0.0)
    assert report["audio_seconds"] > after_s + 2.0
    if recording:
        assert XdfGrowth(rec / "recording.xdf").look()[stream.name] > 125


@pytest.mark.parametrize("recording", [pytest.param(False, marks=pytest.mark.soak), True])
def test_a_full_disk_is_said_at_once_and_stops_nothing(started, outlet, small_disk, tmp_path, recording):
    run_into_it(started, outlet, small_disk, tmp_path / "run", recording, 0)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("recording", [False, True])
def test_ten_full_disks(started, outlet, small_disk, tmp_path, recording):
    for turn in range(10):
        run_into_it(started, outlet, small_disk, tmp_path / f"run{turn}", recording, turn)
        empty(small_disk)


def test_a_disk_that_is_full_before_is_said_before_the_run(started, small_disk, tmp_path):
    (small_disk / "out").mkdir()
    fill(small_disk)
    run = started(tmp_path / "run", "demo", "--headless", "--out", small_disk / "out", "--sound-device", "none")
    assert run.process.wait(60) == 2
    assert len(run.text().strip().splitlines()) == 1
    assert str(small_disk) in run.text().replace("\n", "")
    assert list((small_disk / "out").iterdir()) == []


def test_a_file_that_does_not_fit_leaves_the_one_before(small_disk):
    path = small_disk / "report.json"
    write_whole(path, lambda part: part.write_text("before"))
    with pytest.raises(OSError, match="space"):
        write_whole(path, lambda part: part.write_bytes(os.urandom(2**24)))
    assert path.read_text() == "before"
    assert list(small_disk.iterdir()) == [path]
