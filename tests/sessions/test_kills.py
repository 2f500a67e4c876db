"""Sessions whose program is killed at any moment open, and have lost at most a second."""

import random
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pylsl
import pytest

from bci_music.data.formats import open_session
from bci_music.messages import UserError
from bci_music.sessions.folder import MUSIC, RECORDING
from bci_music.sessions.look import State, look_at, repair

pytestmark = pytest.mark.realtime

SUPPORT = Path(__file__).parents[1] / "support"


def kill_one(folder, stream, after_s, everything):
    """Record, kill, and return how many seconds of EEG and of music the folder lacks."""
    process = subprocess.Popen(
        [sys.executable, str(SUPPORT / "session_process.py"), str(folder), stream], stdout=subprocess.PIPE, text=True
    )
    began = float(process.stdout.readline())
    time.sleep(after_s)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    killed = pylsl.local_clock()
    for child in family if everything else ():
        child.kill()
    process.wait()
    process.stdout.close()
    _gone, left = psutil.wait_procs(family, 5.0)
    assert not [p for p in left if p.status() != psutil.STATUS_ZOMBIE]
    session = open_session(folder / RECORDING)
    assert (session.samples_uv[1:, 0] - session.samples_uv[:-1, 0] == 1).all()  # no hole in it
    look = look_at(folder, compare=True)
    assert look.state in (State.RECORDING, State.UNFINISHED)
    assert not look.faults
    return killed - session.times_s[-1], killed - began - look.music_s


def check(tmp_path, outlet, n, seed):
    draw = random.Random(seed)
    lost = [kill_one(tmp_path / f"{i}", outlet, draw.uniform(0.7, 4.0), everything=i % 2 == 1) for i in range(n)]
    print([f"{eeg:.2f} {music:.2f}" for eeg, music in lost])
    assert max(eeg for eeg, _ in lost) <= 1.0
    assert max(music for _, music in lost) <= 1.0


def test_two_killed_recordings_open_and_can_be_closed(outlet, tmp_path, monkeypatch):
    check(tmp_path, outlet, 2, seed=1)
    folder = tmp_path / "1"  # of which nothing closed the file
    with pytest.raises(UserError, match="wait until its run has ended"):
        repair(folder)
    monkeypatch.setattr("bci_music.sessions.look.GROWS_S", 0.0)
    before = look_at(folder, compare=True)
    assert before.state is State.UNFINISHED
    assert any("what followed is lost" in note for note in before.notes)
    rows = len(open_session(folder / RECORDING).times_s)
    done = repair(folder)
    assert any(MUSIC in line for line in done)
    after = look_at(folder, compare=True)
    assert (after.state, after.faults, after.music_s) == (State.WHOLE, [], before.music_s)
    assert len(open_session(folder / RECORDING).times_s) == rows
    with pytest.raises(UserError, match="nothing to repair"):
        repair(folder)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_fifty_killed_recordings_open_and_have_lost_at_most_a_second(outlet, tmp_path):
    check(tmp_path, outlet, 50, seed=2)
