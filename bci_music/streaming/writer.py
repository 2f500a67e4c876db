"""From chunks with raw stamps to ring rows on a time grid, with flags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bci_music.messages import BREAK
from bci_music.streaming.ring import RingBuffer
from bci_music.timing.pieces import Piece, filler_flag
from bci_music.timing.stamps import StampGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

Found = list[tuple[str, int, int]]


@dataclass(slots=True)
class StampCounts:
    """Totals since the start."""

    gaps: int = 0
    missing: int = 0
    bursts: int = 0
    backwards: int = 0
    duplicates: int = 0


class GridWriter:
    """Write chunks into a ring as a `StampGrid` judges them.

    Parameters
    ----------
    ring : RingBuffer
    sfreq_hz : float
        Nominal rate.
    """

    def __init__(self, ring: RingBuffer, sfreq_hz: float):
        self.grid = StampGrid(sfreq_hz)
        self.counts = StampCounts()
        self._ring = ring
        self._sfreq_hz = sfreq_hz
        self._clean = np.zeros(4096, np.uint8)
        self._held_samples: list[NDArray[np.float32]] = []
        self._held_times: list[NDArray[np.float64]] = []
        self._last: tuple[NDArray[np.float32], float] | None = None
        self._break_next = False

    @property
    def held(self) -> int:
        """Rows that wait for a verdict."""
        return self.grid.held

    def write(self, samples: NDArray[np.float32], times: NDArray[np.float64]) -> Found:
        """Write (n, n_channels) rows, except those held back (at most 0.1 s; 0.5 s at the very start).

        Returns
        -------
        list of (kind, count, ring index)
            What was found in the stamps.
        """
        pieces = self.grid.accept(times)
        if not self._held_times and len(pieces) == 1 and pieces[0].n == len(times) and self._is_plain(pieces[0]):
            self._put(samples, times, 0)
            return []
        self._held_samples.append(samples)
        self._held_times.append(times)
        return self._write_held(pieces)

    def flush(self) -> Found:
        """Write everything that is held back."""
        return self._write_held(self.grid.flush())

    def restart(self) -> Found:
        """The stream was rejoined: write what is held, and flag the next row BREAK."""
        found = self.flush()
        self.grid.restart()
        self._break_next = True
        return found

    def _is_plain(self, piece: Piece) -> bool:
        return not (piece.kind or piece.every or piece.first or self._break_next)

    def _write_held(self, pieces: list[Piece]) -> Found:
        if not pieces:
            return []
        samples = np.concatenate(self._held_samples)
        times = np.concatenate(self._held_times)
        found: Found = []
        at = 0
        for piece in pieces:
            self._write_piece(piece, samples[at : at + piece.n], times[at : at + piece.n], found)
            at += piece.n
        rest = at < len(times)
        self._held_samples = [samples[at:]] if rest else []
        self._held_times = [times[at:]] if rest else []
        return found

    def _write_piece(
        self, piece: Piece, samples: NDArray[np.float32], times: NDArray[np.float64], found: Found
    ) -> None:
        self._count(piece)
        if piece.dropped:
            found.append((piece.kind, piece.count, self._ring.head))
            return
        first = piece.first
        if self._break_next:
            first, self._break_next = BREAK, False
        elif piece.missing and not first:
            self._fill(piece.missing, samples[0], float(times[0]))
        if piece.kind:
            found.append((piece.kind, piece.count, self._ring.head))
        self._put(samples, times, piece.every, first)

    def _put(
        self, samples: NDArray[np.float32], times: NDArray[np.float64], every: int, first: int = 0
    ) -> None:
        n = len(times)
        if not (every or first) and n <= len(self._clean):
            flags = self._clean[:n]
        else:
            flags = np.full(n, every, np.uint8)
            flags[0] |= first
        self._ring.write(samples, times, flags)
        self._last = (samples[-1], float(times[-1]))

    def _fill(self, missing: int, after: NDArray[np.float32], after_s: float) -> None:
        """Put a straight line where `missing` samples should be."""
        if self._last is None:
            return
        before, before_s = self._last
        part = np.arange(1, missing + 1) / (missing + 1)
        rows = before + part[:, None].astype(np.float32) * (after - before)
        flags = np.full(missing, filler_flag(missing, self._sfreq_hz), np.uint8)
        self._ring.write(rows.astype(np.float32), before_s + part * (after_s - before_s), flags)

    def _count(self, piece: Piece) -> None:
        counts = self.counts
        counts.missing += piece.missing
        counts.gaps += piece.kind == "gap"
        counts.bursts += piece.kind == "burst"
        counts.backwards += piece.count if piece.kind == "backwards" else 0
        counts.duplicates += piece.count if piece.kind == "duplicate" else 0
