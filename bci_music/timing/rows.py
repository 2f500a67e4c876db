"""From rows with raw stamps to rows on a time grid with flags: one way, live and from files.

`RowGrid` takes chunks as they come and fills gaps of up to 250 ms; the acquirer writes what it returns into its ring.
`grid_rows` runs it over a whole recording, so that training, calibration and replay work on the rows of the live path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bci_music.messages import BREAK
from bci_music.timing.pieces import Piece, filler_flag
from bci_music.timing.stamps import StampGrid, on_lattice

if TYPE_CHECKING:
    from numpy.typing import NDArray

Finding = tuple[str, int, int]  # kind of a `Piece`, samples concerned, index of the row at which it happened

_BLOCK_S = 60.0  # of a recording, handled at once


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive rows on the time grid.

    Attributes
    ----------
    samples : (n, n_channels) float32
    times : (n,) float64
        Stamps as they came; those of filled rows lie evenly between their neighbours'.
    flags : (n,) uint8
        FILLED | HOLE | BURST | BREAK per row.
    first_index : int
        Rows before these since the start.
    """

    samples: NDArray[np.float32]
    times: NDArray[np.float64]
    flags: NDArray[np.uint8]
    first_index: int

    def __len__(self) -> int:
        return len(self.times)


@dataclass(slots=True)
class StampCounts:
    """Totals since the start."""

    gaps: int = 0
    missing: int = 0
    bursts: int = 0
    backwards: int = 0
    duplicates: int = 0

    def add(self, piece: Piece) -> None:
        """Count what a piece reports."""
        self.missing += piece.missing
        self.gaps += piece.kind == "gap"
        self.bursts += piece.kind == "burst"
        self.backwards += piece.count if piece.kind == "backwards" else 0
        self.duplicates += piece.count if piece.kind == "duplicate" else 0


class RowGrid:
    """Put rows on the time grid that a `StampGrid` finds in their stamps.

    Parameters
    ----------
    sfreq_hz : float
        Nominal rate.
    """

    def __init__(self, sfreq_hz: float):
        self.stamps = StampGrid(sfreq_hz)
        self.counts = StampCounts()
        self._sfreq_hz = sfreq_hz
        self._index = 0  # of the next row
        self._held_samples: list[NDArray[np.float32]] = []
        self._held_times: list[NDArray[np.float64]] = []
        self._last: tuple[NDArray[np.float32], float] | None = None
        self._break_next = False
        self._accepted = self._released = 0  # rows, repeats included
        self._jump_at = -1  # accepted row at which the sender's clock jumped

    def accept(
        self, samples: NDArray[np.float32], times_s: NDArray[np.float64], stamps_s: NDArray[np.float64] | None = None,
        *, jumped: bool = False,
    ) -> tuple[list[Rows], list[Finding]]:
        """Take (n, n_channels) new rows; return what is decided, in order, and what was found in the stamps.

        At most 0.1 s of rows (0.5 s at the very start) are held back until later ones have come.

        Parameters
        ----------
        stamps_s : (n,) float64, optional
            Stamps to decide by; the rows keep `times_s`.
        jumped : bool
            Whether the sender's clock is known to have jumped just before the first row: a break there is no gap.
        """
        if jumped:
            self._jump_at = self._accepted
        self._accepted += len(times_s)
        pieces = self.stamps.accept(times_s if stamps_s is None else stamps_s)
        if not self._held_times and len(pieces) == 1 and pieces[0].n == len(times_s) and self._is_plain(pieces[0]):
            self._released += len(times_s)
            return [self._rows(samples, times_s, np.zeros(len(times_s), np.uint8))], []
        self._held_samples.append(samples)
        self._held_times.append(times_s)
        return self._release(pieces)

    def flush(self) -> tuple[list[Rows], list[Finding]]:
        """Return everything that is held back."""
        return self._release(self.stamps.flush())

    def restart(self) -> tuple[list[Rows], list[Finding]]:
        """The stream was rejoined: return what is held back, and flag the next row BREAK."""
        released = self.flush()
        self.stamps.restart()
        self._break_next = True
        return released

    def _is_plain(self, piece: Piece) -> bool:
        return not (piece.kind or piece.every or piece.first or self._break_next)

    def _release(self, pieces: list[Piece]) -> tuple[list[Rows], list[Finding]]:
        rows: list[Rows] = []
        findings: list[Finding] = []
        if not pieces:
            return rows, findings
        samples, times = np.concatenate(self._held_samples), np.concatenate(self._held_times)
        at = 0
        for piece in pieces:
            part = slice(at, at + piece.n)
            self._place(piece, samples[part], times[part], rows, findings)
            at += piece.n
        rest = at < len(times)
        self._held_samples = [samples[at:]] if rest else []
        self._held_times = [times[at:]] if rest else []
        return rows, findings

    def _place(
        self, piece: Piece, samples: NDArray[np.float32], times: NDArray[np.float64], rows: list[Rows],
        findings: list[Finding],
    ) -> None:
        at, self._released = self._released, self._released + piece.n
        if at == self._jump_at and piece.first & BREAK:
            piece = replace(piece, kind="", missing=0, count=0)
        self.counts.add(piece)
        if piece.dropped:
            findings.append((piece.kind, piece.count, self._index))
            return
        first = piece.first
        if self._break_next:
            first, self._break_next = BREAK, False
        elif piece.missing and not first and self._last is not None:
            rows.append(self._filled(piece.missing, samples[0], float(times[0])))
        if piece.kind:
            findings.append((piece.kind, piece.count, self._index))
        flags = np.full(piece.n, piece.every, np.uint8)
        flags[0] |= first
        rows.append(self._rows(samples, times, flags))

    def _filled(self, missing: int, after: NDArray[np.float32], after_s: float) -> Rows:
        """Return a straight line where `missing` samples should be."""
        assert self._last is not None
        before, before_s = self._last
        part = np.arange(1, missing + 1) / (missing + 1)
        samples = before + part[:, None].astype(np.float32) * (after - before)
        flags = np.full(missing, filler_flag(missing, self._sfreq_hz), np.uint8)
        return self._rows(samples.astype(np.float32), before_s + part * (after_s - before_s), flags)

    def _rows(self, samples: NDArray[np.float32], times: NDArray[np.float64], flags: NDArray[np.uint8]) -> Rows:
        rows = Rows(samples, times, flags, self._index)
        self._index += len(times)
        if len(times):
            self._last = (samples[-1], float(times[-1]))
        return rows


def grid_rows(
    samples_uv: NDArray[np.float32], times_s: NDArray[np.float64], sfreq_hz: float, *, block_s: float = _BLOCK_S
) -> Iterator[Rows]:
    """Yield the rows of a recording on the time grid, about `block_s` seconds at a time.

    Samples, flags and number are those of the live path, and of a replay at any speed, bit for bit.
    """
    grid, stamps = RowGrid(sfreq_hz), on_lattice(times_s)
    step = max(1, round(block_s * sfreq_hz))
    for start in range(0, len(times_s), step):
        part = slice(start, start + step)
        yield from _joined(grid.accept(samples_uv[part], times_s[part], stamps[part])[0])
    yield from _joined(grid.flush()[0])


def _joined(rows: list[Rows]) -> Iterator[Rows]:
    if len(rows) < 2:
        yield from rows
        return
    yield Rows(
        np.concatenate([r.samples for r in rows]), np.concatenate([r.times for r in rows]),
        np.concatenate([r.flags for r in rows]), rows[0].first_index,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class StampReport:
    """Stamps of a recording in figures; `breaks` are the rows, as recorded, at which the live path would restart."""

    measured_hz: float
    jitter_s: float
    gaps: int
    missing_samples: int
    bursts: int
    backwards: int
    duplicates: int
    breaks: tuple[int, ...]


def stamp_report(times_s: NDArray[np.float64], sfreq_hz: float) -> StampReport:
    """Count what the live path would have counted in these stamps."""
    grid, counts = StampGrid(sfreq_hz), StampCounts()
    pieces = (grid.accept(on_lattice(times_s)) if len(times_s) else []) + grid.flush()
    breaks: list[int] = []
    row = repeats = backwards = 0
    for piece in pieces:
        counts.add(piece)
        backwards += piece.kind == "backwards"
        repeats += piece.n if piece.dropped else 0
        if piece.first & BREAK:
            breaks.append(row)
        row += piece.n
    return StampReport(
        grid.rate_hz, grid.jitter_s, counts.gaps, counts.missing, counts.bursts, backwards, repeats, tuple(breaks)
    )
