"""Time as a value: every stage reads time from the clock it is given, never from the system."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """A monotonic clock in seconds.

    Parameters
    ----------
    now : callable
        Returns seconds. Live, this is LSL's local clock (``bci_music.streaming.lsl.lsl_clock``),
        so that samples, embeddings and sound share one time axis.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self._now = now

    def now(self) -> float:
        """Seconds on this clock."""
        return self._now()


class ManualClock(Clock):
    """A clock that moves only when it is advanced: offline runs and tests."""

    def __init__(self, start_s: float = 0.0):
        super().__init__(lambda: self._time_s)
        self._time_s = start_s

    def advance(self, seconds: float) -> float:
        """Move forward by `seconds` (never backwards) and return the new time."""
        if seconds < 0:
            raise ValueError(f"a clock cannot go back, got {seconds} s")
        self._time_s += seconds
        return self._time_s
