"""Heartbeats: the threads of the stages, and the boxes messages cross in.

A few things start a thread of their own, because they wait for something outside and not for a beat: a slow generator
(`sound.producer`), the clock that plays where there is no device (`sound.player`), the search for a stream
(`streaming.connector`), LabRecorder's messages (`streaming.recorder`), the prefetcher of the training data, and pools
for a handful of calls. `engine.engine` has the table.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from bci_music.clock import Clock
from bci_music.messages import UserError
from bci_music.status import Failure

log = logging.getLogger(__name__)
T = TypeVar("T")


class Stage(Protocol):
    """A pure step: no thread inside, called with the time now."""

    def step(self, now: float) -> None:
        """Do what is due at time `now` and return soon."""


class Worker:
    """Own the thread that calls ``stage.step(now)`` every `period_s` until stopped.

    A failing step is reported as a `Failure` (never swallowed) and tried again; after `max_failures`
    in a row, or at once for a `UserError`, which trying again cannot change, the worker gives up with a fatal one.
    """

    def __init__(
        self, name: str, stage: Stage, clock: Clock, period_s: float,
        on_failure: Callable[[Failure], None], max_failures: int = 10,
    ):
        self.name = name
        self._stage = stage
        self._clock = clock
        self._period_s = period_s
        self._on_failure = on_failure
        self._max_failures = max_failures
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"bci-music-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Ask the thread to end after its step."""
        self._stop.set()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Ask the thread to end and wait for it; returns whether it did."""
        self.ask_to_stop()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                self._stage.step(self._clock.now())
                failures = 0
            except Exception as error:  # a background failure becomes a message
                failures += 1
                refused = isinstance(error, UserError)
                fatal = refused or failures >= self._max_failures
                if not refused:
                    log.exception("%s failed", self.name)
                text = str(error) if refused else f"{self.name}: {type(error).__name__}: {error}"
                self._on_failure(Failure(self._clock.now(), self.name, text, fatal))
                if fatal:
                    return
            self._stop.wait(self._period_s)


class Latest(Generic[T]):
    """A box for one message: the newest wins."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value: T | None = None
        self._time_s = float("-inf")

    def put(self, value: T, time_s: float) -> None:
        """Replace the message; `time_s` is when its content was true."""
        with self._lock:
            self._value, self._time_s = value, time_s

    def get(self, now: float | None = None, max_age_s: float = float("inf")) -> T | None:
        """Return the newest message, or None if there is none younger than `max_age_s` at `now`."""
        with self._lock:
            value, time_s = self._value, self._time_s
        if now is not None and now - time_s > max_age_s:
            return None
        return value


class Outbox(Generic[T]):
    """A bounded queue off the real-time path: when full the producer gets False, counted in `refused`."""

    def __init__(self, size: int):
        self._queue: queue.Queue[T] = queue.Queue(size)
        self.refused = 0

    def put(self, value: T) -> bool:
        """Add a message; False if the box is full."""
        try:
            self._queue.put_nowait(value)
        except queue.Full:
            self.refused += 1
            return False
        return True

    def drain(self) -> list[T]:
        """Take all messages, oldest first."""
        taken: list[T] = []
        while True:
            try:
                taken.append(self._queue.get_nowait())
            except queue.Empty:
                return taken
