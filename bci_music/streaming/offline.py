"""The rows that the live path would have put into its ring, without clock, thread or source."""

from __future__ import annotations

from collections.abc import Iterator

from bci_music.data.session import Session
from bci_music.streaming.ring import Cursor, RingBuffer, RingSlice
from bci_music.streaming.writer import GridWriter
from bci_music.timing.stamps import on_lattice

_CHUNK_S = 0.5
_RING_S = 120.0  # room for a chunk and for everything that may be filled in between its rows


def offline_rows(session: Session, start_s: float = 0.0) -> Iterator[RingSlice]:
    """Yield the rows of a session on the time grid, in order.

    Each slice has ``samples`` (n, n_channels), ``times`` on the session's clock, ``flags`` and ``first_index``.
    The same stamp grid and writer work as in the acquirer, so that a `SignalChain` fed these rows gives what it
    gives live or in a replay of any speed, bit for bit.

    Parameters
    ----------
    start_s : float
        Seconds into the session to begin at, as in a replay.
    """
    from bci_music.streaming.replay import check_start

    ring = RingBuffer(session.n_channels, max(1024, round(_RING_S * session.sfreq_hz)))
    writer, cursor = GridWriter(ring, session.sfreq_hz), Cursor(ring, 0)
    times = on_lattice(session.times_s)
    step = max(1, round(_CHUNK_S * session.sfreq_hz))
    for start in range(check_start(session, start_s), len(times), step):
        rows = slice(start, start + step)
        writer.write(session.samples_uv[rows], times[rows])
        yield from _new(cursor)
    writer.flush()
    yield from _new(cursor)


def _new(cursor: Cursor) -> Iterator[RingSlice]:
    rows = cursor.pull()
    if rows.lost:
        raise RuntimeError(f"{rows.lost} rows were overwritten before they were read: the ring is too short")
    if len(rows):
        yield rows
