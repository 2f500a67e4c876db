"""How long frames take: the last few thousand, with percentiles."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class FrameStats:
    """Milliseconds per frame; NaN while `n` is 0.

    `p95_ms` is what the operator waits; `cpu_p95_ms` leaves out the time other threads and processes took meanwhile.
    """

    n: int
    p50_ms: float
    p95_ms: float
    max_ms: float
    cpu_p95_ms: float


class FrameTimes:
    """Collect the duration of frames (main thread only)."""

    def __init__(self, keep: int = 4096):
        self._ms: deque[float] = deque(maxlen=keep)
        self._cpu_ms: deque[float] = deque(maxlen=keep)
        self._open_ms = self._open_cpu_ms = 0.0

    @contextmanager
    def part(self) -> Iterator[None]:
        """Time one part of the frame; parts add up until `close`."""
        start, cpu_start = time.perf_counter(), time.thread_time()
        yield
        self._open_ms += 1e3 * (time.perf_counter() - start)
        self._open_cpu_ms += 1e3 * (time.thread_time() - cpu_start)

    def close(self) -> None:
        """End the frame."""
        self._ms.append(self._open_ms)
        self._cpu_ms.append(self._open_cpu_ms)
        self._open_ms = self._open_cpu_ms = 0.0

    def clear(self) -> None:
        """Forget all frames, for instance after a warm-up."""
        self._ms.clear()
        self._cpu_ms.clear()
        self._open_ms = self._open_cpu_ms = 0.0

    def stats(self) -> FrameStats:
        """Return percentiles over the frames kept."""
        if not self._ms:
            return FrameStats(0, *[float("nan")] * 4)
        p50, p95 = np.percentile(self._ms, [50, 95])
        return FrameStats(len(self._ms), float(p50), float(p95), max(self._ms), float(np.percentile(self._cpu_ms, 95)))
