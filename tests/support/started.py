"""Runs of the program as a user starts them, in processes of their own, that are ended, starved and killed."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

START = "from bci_music.cli.main import main; main()"


def hear_hangups():
    """Undo what a `nohup` above the tests does to the processes they start."""
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Run:
    """`bci-music WORDS` in the background; what it writes to the terminal is in `text()`."""

    def __init__(self, folder: Path, *words, env=None, **popen):
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "terminal.txt"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START, *map(str, words)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "QT_QPA_PLATFORM": "offscreen", **(env or {})}, preexec_fn=hear_hangups, **popen,
            )  # fmt: skip
        self._family: dict[int, psutil.Process] = {}

    def text(self) -> str:
        """What it has written so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, condition, timeout_s=90.0):
        """Wait until `condition()`; the run must not end before."""
        until = time.monotonic() + timeout_s
        while not condition():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < until, self.text()
            time.sleep(0.05)

    def wait_for_text(self, text, timeout_s):
        """Wait until `text` is on the terminal and return how long that took."""
        began = time.monotonic()
        self.wait_for(lambda: text in self.text(), timeout_s)
        return time.monotonic() - began

    def family(self) -> list[psutil.Process]:
        """The run and all its children, those seen before included."""
        if self.process.poll() is None:
            me = psutil.Process(self.process.pid)
            self._family.update({p.pid: p for p in [me, *me.children(recursive=True)]})
        return list(self._family.values())

    def program(self, name) -> psutil.Process:
        """The child whose program is called so."""
        return next(p for p in self.family() if name in p.name())

    def left_after(self, timeout_s) -> list[psutil.Process]:
        """Those of the family that are still there after so long."""
        left = psutil.wait_procs(self._family.values(), timeout_s)[1]
        return [p for p in left if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]  # which nobody waits for

    def end(self, *signals, apart_s=0.1) -> tuple[int, float]:
        """Send signals, wait for the end and return the exit code and how long that took."""
        self.family()
        began = time.monotonic()
        for number in signals:
            if self.process.poll() is None:
                self.process.send_signal(number)
                time.sleep(apart_s if number is not signals[-1] else 0)
        code = self.process.wait(60)
        return code, time.monotonic() - began

    def kill(self):
        """Leave nothing behind."""
        for process in [*self.family(), *([psutil.Process(self.process.pid)] if self.process.poll() is None else [])]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()


def report_of(folder: Path) -> dict:
    """The report of a run."""
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))
