"""What a stamp grid found in a run of rows, and what stands for samples that never came."""

from __future__ import annotations

from dataclasses import dataclass

from bci_music.messages import FILLED, HOLE

FILL_S = 0.05  # gaps up to here are interpolated and may be decoded
HOLE_S = 0.25  # gaps up to here are filled so that the grid goes on, and are not decoded


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of consecutive rows and what was found at its first one.

    Attributes
    ----------
    n : int
        Rows, in the order they were accepted; a piece may begin with rows held back earlier.
    kind : str
        "" nothing to report, else what was found at the first row: "gap", "burst" (a burst begins),
        "resume" (true stamps again), "backwards", "duplicate", "early" (stamps rise, but lie before their place) or
        "unstamped" (no usable stamp).
    missing : int
        Samples that never came, just before the first row.
    count : int
        Samples that `kind` is about.
    first, every : int
        Flags of the first row and of all rows.
    dropped : bool
        The rows repeat others and do not belong on the time grid.
    """

    n: int
    kind: str = ""
    missing: int = 0
    count: int = 0
    first: int = 0
    every: int = 0
    dropped: bool = False


def filler_flag(missing: int, sfreq_hz: float) -> int:
    """Flag of the rows that stand for `missing` samples: FILLED, HOLE, or 0 where nothing is filled in."""
    if missing <= FILL_S * sfreq_hz + 1e-9:
        return FILLED
    return HOLE if missing <= HOLE_S * sfreq_hz + 1e-9 else 0


def append(pieces: list[Piece], piece: Piece) -> None:
    """Add a piece, joined to the one before where nothing happened between them."""
    before = pieces[-1] if pieces else None
    if before is None or piece.kind or piece.dropped or before.dropped or piece.every != before.every:
        pieces.append(piece)
        return
    pieces[-1] = Piece(
        before.n + piece.n, before.kind, before.missing, before.count, before.first, before.every, before.dropped
    )
