"""The sound between generator and ear: a ring of samples whose unheard part may still be changed."""

from __future__ import annotations

import threading
from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import AUDIO_RATE_HZ
from bci_music.sound.loudness import GainCurve
from bci_music.sound.reverb import Reverb

CAPACITY = 2**19  # frames, 10.9 s; a power of two because PortAudio's ring asks for it


class PlayQueue:
    """(n, 2) float32 samples by absolute index, before reverberation and the operator's gain, with these beside them.

    Not locked: its owner locks.
    """

    def __init__(self, capacity: int = CAPACITY, reverb: Reverb | None = None):
        self.capacity = capacity
        self.reverb = reverb or Reverb(0.0)
        self.written = 0  # index of the next sample to be written
        self.gain = GainCurve()
        self._ring = np.zeros((capacity, 2), np.float32)

    def put(self, start: int, samples: NDArray[np.float32]) -> None:
        """Store `samples` from absolute index `start` on."""
        for at, part in self.parts(start, start + len(samples)):
            self._ring[at] = samples[part]

    def raw(self, start: int, stop: int) -> NDArray[np.float32]:
        """Samples `start` to `stop` before reverberation and gain."""
        out = np.empty((stop - start, 2), np.float32)
        for at, part in self.parts(start, stop):
            out[part] = self._ring[at]
        return out

    def get(self, start: int, stop: int) -> NDArray[np.float32]:
        """Samples `start` to `stop` as they are heard."""
        before = min(start, self.reverb.reach)
        out = self.reverb(self.raw(start - before, stop), before)
        curve = self.gain.at(start, stop)
        if not (curve == 1.0).all():
            out *= curve[:, None]
        return out

    def touched(self, stop: int) -> int:
        """Where what is heard is as before, when samples up to `stop` have changed."""
        return min(self.written, stop + self.reverb.reach)

    def parts(self, start: int, stop: int) -> list[tuple[slice, slice]]:
        """Where absolute samples `start` to `stop` lie: (slice of the ring, slice of the samples), one or two pairs."""
        n, at = stop - start, start % self.capacity
        first = min(n, self.capacity - at)
        pairs = [(slice(at, at + first), slice(0, first))]
        return pairs if first == n else [*pairs, (slice(0, n - first), slice(first, n))]


class HeardTime:
    """Maps written samples to output frames (which include zeros played for want of sound) and to heard time."""

    def __init__(self) -> None:
        self.origin_s: float | None = None  # time at which output frame 0 is heard
        self._lock = threading.Lock()
        self._index: list[int] = []
        self._zeros: list[int] = []  # running total

    def starve(self, index: int, frames: int) -> None:
        """Note that `frames` zeros were played before sample `index`."""
        with self._lock:
            total = (self._zeros[-1] if self._zeros else 0) + frames
            if self._index and self._index[-1] == index:
                self._zeros[-1] = total
            else:
                self._index.append(index)
                self._zeros.append(total)

    def output_frame(self, index: int) -> int:
        """Output frame at which sample `index` is played."""
        with self._lock:
            before = bisect_right(self._index, index)
            return index + (self._zeros[before - 1] if before else 0)

    def heard_s(self, index: int) -> float | None:
        """Time at which sample `index` is heard; None before anything plays."""
        return None if self.origin_s is None else self.origin_s + self.output_frame(index) / AUDIO_RATE_HZ

    def index_at(self, time_s: float) -> int:
        """Sample heard at `time_s` (-1 before the first)."""
        if self.origin_s is None or time_s < self.origin_s:
            return -1
        frame = int((time_s - self.origin_s) * AUDIO_RATE_HZ)
        with self._lock:
            zeros = 0
            for index, total in zip(reversed(self._index), reversed(self._zeros), strict=True):
                if index + total <= frame:
                    zeros = total
                    break
            return frame - zeros
