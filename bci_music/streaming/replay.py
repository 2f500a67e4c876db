"""A recording as a source of EEG: the same chunks at any speed, on the LSL clock."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from bci_music.clock import Clock
from bci_music.data.session import UNKNOWN_BREAK_S, HeardSpan, Session
from bci_music.messages import Chunk, StreamInfo, UserError
from bci_music.streaming.source import SourceEnded
from bci_music.timing.stamps import on_lattice

CHUNK_S = 0.02  # data per chunk at speed 1
LAST_S = 0.5  # of a recording: no place behind it can be sought
_FAST_CHUNK_S = 1.0  # data per chunk when nothing holds the speed back
_CATCH_UP_S = 0.1  # most data per chunk, at speed 1, after having been held


def lsl_time() -> float:
    """Seconds on LSL's local clock."""
    import pylsl

    return float(pylsl.local_clock())


class SessionSource:
    """Replay of a `Session` as a `Source` that may be held back.

    Stamps keep the spacing of the recording and start at the clock's time of `open`, or of `seek`; at speed 1 a row
    is due when the clock reaches its stamp, at other speeds earlier or later. Rows, stamps and gaps do not depend on
    speed or chunking, so what the acquirer makes of them equals `Session.grid_rows`.

    Parameters
    ----------
    speed : float
        0.5 and more; ``math.inf`` delivers as fast as rows are pulled.
    loop : bool
        Start over at the end; the break shows as a gap of 0.3 s, which the stamp grid flags as BREAK.
    start_s : float
        Seconds into the session to begin at.
    warm_up_s : float
        That much before `start_s` is delivered at once, stamped with the past, so that filters have settled.
    """

    live = False

    def __init__(
        self, session: Session, speed: float = 1.0, loop: bool = False, start_s: float = 0.0,
        clock: Clock | Callable[[], float] = lsl_time, warm_up_s: float = 0.0,
    ):
        if not speed >= 0.5:
            raise UserError(f"A replay speed of {speed:g} is too slow: give 0.5 or more (inf: as fast as it goes).")
        self.session = session
        self.speed = speed
        self.loop = loop
        self.passes = 1  # with every start over, and every place sought
        self._warm_up_s = warm_up_s
        self._held = False
        self._now = clock.now if isinstance(clock, Clock) else clock
        self._times = on_lattice(session.times_s)
        self._pace = np.maximum.accumulate(self._times)  # stamps may jump back, the clock does not
        self._first = self._row = 0
        self._place(start_s)
        self._offset_s: float | None = None
        self._opened_s = 0.0
        self._played_s = 0.0  # recording time of the passes before this one

    def open(self, timeout_s: float = 0.0) -> StreamInfo:
        """Start the clock; opening again goes on where the replay stood."""
        if self._offset_s is None:
            self._opened_s = float(on_lattice(np.array(self._now())))
            self._offset_s = self._opened_s - float(self._times[self._first])
        s = self.session
        return StreamInfo(
            name=s.name, kind="file", labels=s.labels, sfreq_hz=s.sfreq_hz, excluded=s.excluded,
            source_id=s.source_id, unit=s.unit, positions_m=s.positions_m, simulated=s.simulated,
        )  # fmt: skip

    def pull(self) -> Chunk | None:
        """Return the rows that are due, or None; `SourceEnded` after the last."""
        if self._offset_s is None:
            raise RuntimeError("pull before open")
        if self._held:
            return None
        if self._row >= len(self._times):
            if not self.loop:
                raise SourceEnded(f"{self.session.name} is at its end")
            self._rewind()
        stop = self._due()
        if stop <= self._row:
            return None
        rows = slice(self._row, stop)
        self._row = stop
        return Chunk(self.session.samples_uv[rows], self._times[rows] + self._offset_s, self._now())

    def seek(self, start_s: float, speed: float) -> None:
        """Go on from another place, with stamps from the clock's time now, once it is opened again.

        A speed of 0 holds the replay there. In the thread that pulls.
        """
        self._held = speed <= 0
        self.speed = self.speed if self._held else max(speed, 0.5)
        self._place(min(max(start_s, 0.0), max(self.session.duration_s - LAST_S, 0.0)))
        self._offset_s, self._played_s = None, 0.0
        self.passes += 1

    @property
    def held(self) -> bool:
        """Whether it stands still."""
        return self._held

    @property
    def position_s(self) -> float:
        """Seconds into the session of the newest row that was delivered, or of the place sought."""
        row = min(max(self._row - 1, self._first), len(self._times) - 1)
        return float(self._times[row] - self._times[0]) if row >= 0 else 0.0

    def close(self) -> None:
        """Let go of nothing: the session belongs to the caller."""

    @property
    def opened(self) -> bool:
        """Whether its clock runs: not between `seek` and `open`."""
        return self._offset_s is not None

    @property
    def zero_s(self) -> float:
        """Clock time of the recording's first row, whether or not it was delivered."""
        return float(self._times[0]) + (self._offset_s or 0.0)

    @property
    def begins_s(self) -> float:
        """Clock time of `start_s`; rows before it only warm up."""
        return self._opened_s

    def heard(self) -> tuple[HeardSpan, ...]:
        """Return the songs heard on the replay's clock, in the pass that is playing: none before `open`."""
        offset_s = self._offset_s
        if offset_s is None:  # a place was sought just now
            return ()
        begin_s = float(self.session.times_s[self._first]) if self.passes > 1 and len(self._times) else float("-inf")
        return tuple(
            HeardSpan(from_s + offset_s, h.stop_s + offset_s, h.song, h.title, h.song_position_s(from_s))
            for h in self.session.heard() if h.stop_s > begin_s for from_s in [max(h.start_s, begin_s)]
        )

    def _place(self, start_s: float) -> None:
        """Go to the row of `start_s`, and so far back that filters settle."""
        self._first = self.session.first_row(start_s)
        self._row = self.session.first_row(max(0.0, start_s - self._warm_up_s))

    def _due(self) -> int:
        """Row before which everything may be delivered now."""
        chunk_s, most_s = (_FAST_CHUNK_S, _FAST_CHUNK_S) if math.isinf(self.speed) else (
            CHUNK_S * self.speed, _CATCH_UP_S * self.speed,
        )  # fmt: skip
        most = self._row + max(1, round(most_s * self.session.sfreq_hz))
        if math.isinf(self.speed):
            return min(most, len(self._times))
        elapsed = (self._now() - self._opened_s) * self.speed - self._played_s
        due = int(np.searchsorted(self._pace, self._times[self._first] + elapsed, side="right"))
        due = min(due, len(self._times))
        least = max(1, round(chunk_s * self.session.sfreq_hz))
        if due - self._row < least and due < len(self._times):
            return self._row
        return min(due, most)

    def _rewind(self) -> None:
        """Begin the next pass, one break after the last row."""
        assert self._offset_s is not None
        pass_s = float(self._pace[-1] - self._pace[self._first]) + float(on_lattice(np.array(UNKNOWN_BREAK_S)))
        self._offset_s += pass_s
        self._played_s += pass_s
        self._row = self._first
        self.passes += 1
