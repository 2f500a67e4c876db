"""What the stamp grid of the live path says of a session's rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bci_music.timing.stamps import Piece, StampGrid, on_lattice


@dataclass(frozen=True, slots=True)
class StampReport:
    """Stamps of a session in figures."""

    measured_hz: float
    jitter_s: float
    gaps: int
    missing_samples: int
    bursts: int
    backwards: int
    duplicates: int


def row_flags(times_s: NDArray[np.float64], sfreq_hz: float) -> NDArray[np.uint8]:
    """(n_times,) BREAK and BURST flags that the live path gives these rows; filler rows are not among them."""
    flags = np.zeros(len(times_s), np.uint8)
    at = 0
    for piece in _pieces(times_s, sfreq_hz)[0]:
        flags[at : at + piece.n] |= piece.every
        flags[at] |= piece.first
        at += piece.n
    return flags


def stamp_report(times_s: NDArray[np.float64], sfreq_hz: float) -> StampReport:
    """Count what the live path would have counted in these stamps."""
    pieces, grid = _pieces(times_s, sfreq_hz)
    kinds = [p.kind for p in pieces]
    return StampReport(
        measured_hz=grid.rate_hz, jitter_s=grid.jitter_s, gaps=kinds.count("gap"),
        missing_samples=sum(p.missing for p in pieces), bursts=kinds.count("burst"),
        backwards=kinds.count("backwards"), duplicates=sum(p.n for p in pieces if p.dropped),
    )  # fmt: skip


def _pieces(times_s: NDArray[np.float64], sfreq_hz: float) -> tuple[list[Piece], StampGrid]:
    grid = StampGrid(sfreq_hz)
    pieces = grid.accept(on_lattice(times_s)) if len(times_s) else []
    return pieces + grid.flush(), grid
