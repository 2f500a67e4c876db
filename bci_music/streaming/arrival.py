"""Arrival of a live stream: whatever clock its stamps follow, rows get this computer's time.

Rows are put on their grid by the stamps as they came, so that a recording gives the same rows. What is mapped here is
when a row was measured: run length, data age and everything shown follow that, never a foreign clock.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bci_music.messages import Chunk
from bci_music.timing.rate import spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOREIGN_S = 1.0  # stamps that lie further from their arrival are on another clock
AHEAD_S = 0.25  # no sample comes before it was measured: stamps further ahead are wrong
JUMP_S = 0.5  # least step of the stamps that can be a jump of the clock
STRAY_ROWS = 3  # rows seen after a step before it is called a jump; fewer may be stray stamps
MEMORY_S = 5.0
BLOCK_S = 0.1
SLEW = 0.06  # a drifting clock is followed at most that fast
CLOSE_S = 0.005


@dataclass(frozen=True, slots=True)
class Passed:
    """Rows that came through.

    Attributes
    ----------
    samples_uv : (n, n_channels) float32
    times_s : (n,) float64
        When they were measured, on this computer's clock.
    stamps_s : (n,) float64
        Stamps to decide about gaps by.
    jumped_s : float
        By how much the sender's clock jumped just before the first row, 0 if it did not.
    """

    samples_uv: NDArray[np.float32]
    times_s: NDArray[np.float64]
    stamps_s: NDArray[np.float64]
    arrived_s: float
    jumped_s: float = 0.0


class ArrivalClock:
    """Map the stamps of one live stream to the local clock, and tell a jump of its clock from a gap.

    Stamps on LSL's clock pass unchanged. A clock that is more than a second off is shifted so that the newest sample
    is as old as it arrived, and followed where it runs at another rate.

    Parameters
    ----------
    stated_hz, used_hz : float
        Stamps counted at a wrong stated rate are spaced at the one in use.
    """

    def __init__(self, stated_hz: float, used_hz: float):
        self._stated_hz, self._used_hz = stated_hz, used_hz
        self.shift_s = 0.0  # added to stamps
        self._lags: deque[tuple[float, float]] = deque()  # arrival, how much later than its mapped stamp
        self._counts: deque[tuple[float, float, int]] = deque()  # arrival, stamp, rows so far
        self._rows = 0
        self._last: float | None = None  # newest stamp
        self._held: list[Chunk] = []  # ends too soon after a step of its stamps
        self._following = False
        self._followed_s = float("-inf")

    def begin(self, chunks: list[Chunk]) -> float:
        """See which clock the first chunks of a connection follow; returns the shift that is new, 0 for none.

        The least delay counts, since samples may have waited but cannot have come early.
        """
        lags = [c.arrived_s - float(c.times_s[-1]) - self.shift_s for c in chunks if len(c.times_s)]
        lags = [lag for lag in lags if np.isfinite(lag)]
        self._lags.clear()
        self._counts.clear()
        self._held, self._last = [], None
        lag = min(lags, default=0.0)
        if abs(lag) <= FOREIGN_S:
            return 0.0
        self.shift_s += lag
        return lag

    def take(self, chunk: Chunk) -> list[Passed]:
        """Let rows through; a few are held back where the next ones must tell what a step of the stamps was."""
        if self._held:
            chunk = _joined([*self._held, chunk])
            self._held = []
        if not len(chunk.times_s):
            return []
        stamps = chunk.times_s
        inner = stamps[1:] - stamps[:-1]
        close = self._last is None or abs(stamps[0] - self._last) < JUMP_S
        if close and (not len(inner) or (inner.max() < JUMP_S and inner.min() > -JUMP_S)):
            return [self._pass(chunk)]
        steps = np.diff(chunk.times_s, prepend=chunk.times_s[0] if self._last is None else self._last)
        far = np.flatnonzero(~(np.abs(steps) < JUMP_S))
        if not len(far):
            return [self._pass(chunk)]
        return self._look(chunk, steps, far)

    def flush(self) -> list[Passed]:
        """Let through what is held back: nothing more comes on this connection."""
        held, self._held = self._held, []
        return [self._pass(_joined(held))] if held else []

    def _look(self, chunk: Chunk, steps: NDArray[np.float64], far: NDArray[np.int64]) -> list[Passed]:
        """Handle a chunk some of whose stamps lie far from the one before."""
        n = len(chunk.times_s)
        if n - far[-1] < STRAY_ROWS:
            self._held = [_part(chunk, int(far[-1]), n)]
            n = int(far[-1])
            return [self._pass(_part(chunk, 0, n), last=False)] if n else []
        by, row = self._jump(chunk, steps, far)
        if not by:
            return [self._pass(chunk)]
        passed = [self._pass(_part(chunk, 0, row), last=False)] if row else []
        self.shift_s -= by
        self._lags.clear()
        self._counts.clear()
        passed.append(self._pass(_part(chunk, row, n), by))
        return passed

    def _jump(self, chunk: Chunk, steps: NDArray[np.float64], far: NDArray[np.int64]) -> tuple[float, int]:
        """By how much the clock jumped, and at which row; 0 where time went by, or where samples were late.

        A gap of true stamps leaves the newest sample as old as ever; a jump makes it older, or one of the future.
        """
        floor = min((lag for _, lag in self._lags), default=0.0)
        by = floor - (chunk.arrived_s - float(chunk.times_s[-1]) - self.shift_s)
        alike = far[steps[far] * by > 0]
        if not np.isfinite(by) or abs(by) < AHEAD_S or not len(alike):
            return 0.0, 0
        return by, int(alike[np.argmin(np.abs(steps[alike] - by))])

    def _pass(self, chunk: Chunk, jumped_s: float = 0.0, *, last: bool = True) -> Passed:
        raw = chunk.times_s
        stamps = raw if self._used_hz == self._stated_hz else spread(raw, self._stated_hz, self._used_hz)
        newest = float(raw[-1])
        if np.isfinite(newest):
            self._last = newest
        shift_s = self.shift_s
        if last:  # only a chunk's newest row tells how late it is
            self._follow(chunk.arrived_s, newest, len(raw))
        if self.shift_s == shift_s:
            times = stamps + shift_s if shift_s else stamps
        else:
            times = stamps + np.linspace(shift_s, self.shift_s, len(raw) + 1)[1:]
        return Passed(chunk.samples_uv, times, stamps, chunk.arrived_s, jumped_s)

    def _follow(self, now: float, newest: float, n: int) -> None:
        """Follow a clock that drifts away from this one, slowly, so that rows stay in order."""
        before, self._followed_s = self._followed_s, now
        lag = now - newest - self.shift_s
        if not np.isfinite(lag):
            return
        self._rows += n
        if self._lags and now - self._lags[-1][0] < BLOCK_S:
            self._lags[-1] = (self._lags[-1][0], min(lag, self._lags[-1][1]))
            if not self._following:
                return  # looked at once a block
        else:
            self._lags.append((now, lag))
            self._counts.append((now, newest, self._rows))
        for memory, keep_s in ((self._lags, MEMORY_S), (self._counts, 2 * MEMORY_S)):
            while now - memory[0][0] > keep_s:
                memory.popleft()
        least = min(lag for _, lag in self._lags)
        if not self._following:
            self._following = least < -AHEAD_S or (least > AHEAD_S and self._runs_slow())
        if self._following:
            reach = SLEW * min(max(0.0, now - before), BLOCK_S)
            by = min(max(least, -reach), reach)
            self.shift_s += by
            self._lags = deque((at, lag - by) for at, lag in self._lags)
            if abs(least) < CLOSE_S:
                self._following = False

    def _runs_slow(self) -> bool:
        """Whether it is the clock that falls behind, and not the samples: these come at the rate in use."""
        (t0, s0, n0), (t1, s1, n1) = self._counts[0], self._counts[-1]
        if t1 - t0 < MEMORY_S or s1 <= s0:
            return False
        by_arrival, by_stamp = ((n1 - n0) / span_s / self._used_hz - 1.0 for span_s in (t1 - t0, s1 - s0))
        return abs(by_stamp) > 0.003 and abs(by_arrival) < 0.5 * abs(by_stamp)


def foreign_clock(name: str, shift_s: float) -> str:
    """Say that a stream's stamps are not on LSL's clock."""
    unix = abs(-shift_s - (time.time() - time.monotonic())) < 86_400.0
    how = "are Unix time" if unix else f"lie {abs(shift_s):.1f} s in the {'past' if shift_s > 0 else 'future'}"
    return f"the time stamps of {name} {how}, not LSL's clock: the time of arrival is used instead"


def clock_jump(name: str, jumped_s: float) -> str:
    """Say that a sender's clock jumped."""
    where = "ahead" if jumped_s > 0 else "back"
    return f"the clock of {name} jumped {where} by {abs(jumped_s):.1f} s: its samples keep this computer's time"


def _part(chunk: Chunk, first: int, stop: int) -> Chunk:
    rows = slice(first, stop)
    return Chunk(chunk.samples_uv[rows], chunk.times_s[rows], chunk.arrived_s)


def _joined(chunks: list[Chunk]) -> Chunk:
    if len(chunks) == 1:
        return chunks[0]
    return Chunk(
        np.concatenate([c.samples_uv for c in chunks]), np.concatenate([c.times_s for c in chunks]),
        chunks[-1].arrived_s,
    )  # fmt: skip
