"""The EEG ring: every row has an absolute index, many readers, and an overwrite that can be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class RingSlice:
    """Rows copied out of a ring.

    Attributes
    ----------
    samples : (n, n_channels) float32
    times : (n,) float64
    flags : (n,) uint8
    first_index : int
        Absolute index of the first row.
    lost : int
        Rows that were asked for but overwritten before they could be read; they lie before `first_index`.
    """

    samples: NDArray[np.float32]
    times: NDArray[np.float64]
    flags: NDArray[np.uint8]
    first_index: int
    lost: int = 0

    def __len__(self) -> int:
        return len(self.times)

    @property
    def stop_index(self) -> int:
        """Absolute index after the last row."""
        return self.first_index + len(self.times)


class RingBuffer:
    """Fixed memory for the newest `capacity` rows; one thread writes, any number read.

    There is no lock. The writer first announces how far it is going to write, then copies, then
    publishes the new head; a reader copies first and afterwards throws away what the announced
    write may have touched. An overwritten row is thus reported as lost, never returned torn.

    Parameters
    ----------
    n_channels, capacity : int
        Columns, and rows kept.
    dtype : numpy dtype
        Of the samples.
    """

    def __init__(self, n_channels: int, capacity: int, dtype: type = np.float32):
        if n_channels < 1 or capacity < 1:
            raise ValueError(f"a ring needs at least one channel and one row, got {n_channels} and {capacity}")
        self.n_channels = n_channels
        self.capacity = capacity
        self._stores: tuple[NDArray, ...] = (
            np.zeros((capacity, n_channels), dtype), np.zeros(capacity), np.zeros(capacity, np.uint8)
        )
        self._announced = 0
        self._head = 0

    @property
    def head(self) -> int:
        """Absolute index that the next row will get."""
        return self._head

    @property
    def tail(self) -> int:
        """Absolute index of the oldest row that can still be read."""
        return max(0, self._announced - self.capacity)

    def write(self, samples: NDArray, times: NDArray, flags: NDArray) -> int:
        """Append rows (writer thread only).

        Parameters
        ----------
        samples : (n, n_channels)
        times : (n,)
        flags : (n,) uint8

        Returns
        -------
        int
            Absolute index of the first row written.
        """
        n = len(times)
        if samples.shape != (n, self.n_channels) or len(flags) != n:
            raise ValueError(
                f"expected ({n}, {self.n_channels}) samples and {n} flags, got {samples.shape} and {len(flags)}"
            )
        first = self._head
        self._announced = first + n
        skip = max(0, n - self.capacity)  # rows that would be overwritten within this very write
        at = (first + skip) % self.capacity
        left = n - skip
        fore = min(left, self.capacity - at)
        for store, rows in zip(self._stores, (samples, times, flags), strict=True):
            store[at : at + fore] = rows[skip : skip + fore]
            if fore < left:
                store[: left - fore] = rows[skip + fore :]
        self._head = first + n
        return first

    def read(self, start: int, max_n: int | None = None) -> RingSlice:
        """Copy up to `max_n` rows from absolute index `start` on.

        Rows before the tail are skipped and counted in `lost`; a start beyond the head gives no rows.
        """
        start = max(0, start)
        head = self._head
        first = min(max(start, self.tail), head)
        n = head - first if max_n is None else min(max_n, head - first)
        samples, times, flags = (self._copy(store, first % self.capacity, n) for store in self._stores)
        torn = min(n, max(0, self.tail - first))  # the writer came past while we copied
        first += torn
        return RingSlice(samples[torn:], times[torn:], flags[torn:], first, max(0, first - start))

    def _copy(self, store: NDArray, at: int, n: int) -> NDArray:
        fore = self.capacity - at
        return store[at : at + n].copy() if n <= fore else np.concatenate((store[at:], store[: n - fore]))


class Cursor:
    """One reader's place in a ring.

    Parameters
    ----------
    ring : RingBuffer
    at : int, optional
        Absolute index to start from; default is the head, so that only new rows are seen.
    """

    def __init__(self, ring: RingBuffer, at: int | None = None):
        self._ring = ring
        self._at = ring.head if at is None else max(0, at)
        self.lost = 0

    @property
    def position(self) -> int:
        """Absolute index of the next row to be pulled."""
        return self._at

    @property
    def behind(self) -> int:
        """Rows written and not yet pulled, overwritten ones included."""
        return max(0, self._ring.head - self._at)

    def pull(self, max_n: int | None = None) -> RingSlice:
        """Return the next rows, at most `max_n`; rows lost to overwriting are added to `lost`."""
        piece = self._ring.read(self._at, max_n)
        self._at = max(self._at, piece.stop_index)
        self.lost += piece.lost
        return piece

    def jump(self, index: int) -> int:
        """Go on reading at absolute `index` (not beyond the head); returns the rows skipped."""
        skipped = max(0, min(index, self._ring.head) - self._at)
        self._at = min(max(0, index), self._ring.head)
        return skipped
