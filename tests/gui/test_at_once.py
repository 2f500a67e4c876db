"""The program as it is started: a run that is left while it is built, or cannot be built, ends as it should."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

pytestmark = pytest.mark.realtime

SLOW = """
import sys, time
from bci_music.engine import build
def slow(*args, tell, **more):
    for turn in range(600):
        tell(f"warming up, {turn + 1} of 600")
        print("building", flush=True)
        time.sleep(0.05)
build.build_engine = slow
from bci_music.cli.main import main
main()
"""


def start(code, *words):
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment,
    )  # fmt: skip


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_it_is_built_leaves_nothing(number, code):
    run = start(SLOW, "demo", "--sound-device", "none")
    try:
        assert run.stdout.readline() == "building\n"
        children = psutil.Process(run.pid).children(recursive=True)
        assert children  # it streams the sample
        began = time.monotonic()
        run.send_signal(number)
        _, words = run.communicate(timeout=60)
        assert time.monotonic() - began < 10
        assert (run.returncode, "Traceback" in words) == (code, False)
        _, left = psutil.wait_procs(children, timeout=10)
        assert left == []
    finally:
        run.kill()
        run.wait()


def test_what_cannot_be_built_is_one_sentence_and_code_2():
    words = ("live", "--pack", "/no/such/pack", "--sound-device", "none")
    run = start("from bci_music.cli.main import main; main()", *words)
    _, words = run.communicate(timeout=120)
    assert run.returncode == 2
    assert words.count("\n") <= 2
    assert "/no/such/pack" in words
    assert "Traceback" not in words
