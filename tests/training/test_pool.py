"""Processes of a pool end with the program that started them, however that ends."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from bci_music.training.pool import open_pool

PROGRAM = """
import time
from bci_music.training.pool import open_pool

if __name__ == "__main__":
    with open_pool(1) as pool:
        pool.submit(time.sleep, 600)
        while not any(pool.messages()):
            print("running", flush=True)
            time.sleep(0.2)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_runs_on_when_the_program_is_killed(tmp_path, how):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "running\n"
        parent = psutil.Process(program.pid)
        deadline = time.monotonic() + 30
        while len(children := parent.children(recursive=True)) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(2.0)  # until the one at work has begun
        children = parent.children(recursive=True)
        os.kill(program.pid, how)
        program.wait(10)
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert len(gone) >= 2
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


def test_what_tasks_send_arrives():
    with open_pool(1) as pool:
        pool.submit(pool.send, "half way").result(60)
        assert list(pool.messages()) == ["half way"]
