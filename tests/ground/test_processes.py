"""Children end with their parent, however it ends, and do not hear what the terminal sends to it."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from bci_music.processes import WATCHED, deaf_children

pytestmark = pytest.mark.install

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1] + sys.argv[2]], stdin=subprocess.PIPE)
print(child.pid, flush=True)
time.sleep(60)
"""
SLEEPS = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
POOL = """
import sys, time
from bci_music.training.pool import process_pool
if __name__ == "__main__":
    pool = process_pool(1)
    pool.submit(time.sleep, 60)
    while not pool._processes:
        time.sleep(0.01)
    print(*pool._processes, flush=True)
    time.sleep(60)
"""


def killed(parent):
    """Kill a process that printed the number of its child, and return that child."""
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    return child


def ends_within(child, seconds):
    _, alive = psutil.wait_procs([child], seconds)
    gone = not alive or child.status() == psutil.STATUS_ZOMBIE
    if not gone:
        child.kill()
    return gone


@pytest.mark.parametrize("code", [SLEEPS, STUBBORN])
def test_a_child_ends_with_a_parent_that_is_killed(code):
    command = [sys.executable, "-c", PARENT, WATCHED, code]
    assert ends_within(killed(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)), 3.5)


def test_a_child_that_is_not_watched_outlives_it():
    """What the others are compared with."""
    command = [sys.executable, "-c", PARENT, "", SLEEPS]
    assert not ends_within(killed(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)), 1.0)


def test_a_worker_of_a_pool_ends_with_a_parent_that_is_killed(tmp_path):
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    child = killed(parent)
    assert ends_within(child, 10.0)  # it may still have been starting


@pytest.mark.parametrize(("also_to_end", "ends"), [(False, True), (True, False)])
def test_a_deaf_child_hears_neither_interrupt_nor_hangup(also_to_end, ends):
    with deaf_children(also_to_end=also_to_end):
        child = subprocess.Popen([sys.executable, "-c", SLEEPS])
    try:
        os.kill(child.pid, signal.SIGINT)
        os.kill(child.pid, signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.5)
        child.terminate()
        if ends:
            assert child.wait(5) == -signal.SIGTERM
        else:
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(0.5)
    finally:
        child.kill()
        child.wait()
