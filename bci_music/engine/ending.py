"""How a run is asked to end: Ctrl-C, SIGTERM and a closing terminal all take the one way out."""

from __future__ import annotations

import _thread
import os
import signal
import stat
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Any, Self

PATIENCE_S = 10.0  # a run that has not ended so long after the first signal is ended by the next one
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


class Ending:
    """Context manager: while inside, the first signal asks the run to end, and those that follow change nothing.

    Until `running` is called there is nothing to keep: a signal leaves at once, with the exit code that shells give
    (130 for Ctrl-C), through all context managers.

    Parameters
    ----------
    patient : bool
        For a run in another thread than the main one, which is all that a signal interrupts: that run leaves at its
        next `check`.
    """

    def __init__(self, patient: bool = False) -> None:
        self.asked = threading.Event()
        self._patient = patient
        self._code = 0
        self._first_s = float("inf")
        self._running = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (getattr(signal, name) for name in _NAMES if hasattr(signal, name)):
                if signal.getsignal(number) is signal.SIG_IGN and number != signal.SIGINT:
                    continue  # started by nohup
                self._before[number] = signal.signal(number, self._hear)
        return self

    def running(self) -> None:
        """From now on there is something to keep: signals ask, and do not interrupt."""
        self.check()
        self._running = True

    def building(self) -> None:
        """There is nothing to keep again: another run is built in place of the one that ended."""
        self._running = False

    def leave(self) -> None:
        """Ask for the end as a signal does, with exit code 0: the window was closed."""
        self.asked.set()

    def check(self) -> None:
        """Leave if that was asked for before anything ran (any thread)."""
        if (self._code or self.asked.is_set()) and not self._running:
            raise SystemExit(self._code)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if number == getattr(signal, "SIGHUP", None):
            _let_go_of_terminal()
        if time.monotonic() - self._first_s > PATIENCE_S:
            os._exit(128 + number)
        self._first_s = min(self._first_s, time.monotonic())
        if not self._code and not self.asked.is_set():
            self._code = 128 + number
        _thread.start_new_thread(self.asked.set, ())  # its lock may be held by the code that the signal interrupts
        if not self._running and not self._patient:
            raise SystemExit(128 + number)


def _let_go_of_terminal() -> None:
    """Let what is written from now on go nowhere where the terminal is gone: an error would cost the report."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            if stat.S_ISCHR(os.fstat(stream.fileno()).st_mode):  # a terminal that is gone does not say it is one
                nowhere = os.open(os.devnull, os.O_RDWR)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
