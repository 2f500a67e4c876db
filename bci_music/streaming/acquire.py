"""The acquire stage: pull, put rows on the time grid, write the ring, and report what happened."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from bci_music.clock import Clock
from bci_music.messages import Chunk, StreamEvent, StreamInfo, StreamState, UserError
from bci_music.status import StreamStatus
from bci_music.streaming.link import Link
from bci_music.streaming.ring import RingBuffer
from bci_music.streaming.source import Source, SourceEnded, SourceLost
from bci_music.timing.rows import Finding, RowGrid, Rows
from bci_music.timing.stamps import StampGrid

MAX_PULLS = 64  # per step; at 0.5 s each this is more than any inlet holds
AHEAD_S = 0.002  # stamps further ahead of now are counted
DRIFT = 0.01
RATE_SPAN_S = 5.0


def never() -> bool:
    """Nobody is behind."""
    return False


@dataclass(slots=True)
class _Newest:
    """What is known of the newest sample."""

    time_s: float | None = None
    ahead_s: float = 0.0
    future: int = 0


class Acquirer:
    """A stage that keeps the ring filled with everything that comes, on a time grid, with flags.

    Missing samples up to 50 ms are interpolated and flagged FILLED, up to 250 ms filled and flagged HOLE;
    after longer gaps, backwards stamps and reconnections nothing is filled in and the next row is flagged
    BREAK. Rows of a catching-up burst are flagged BURST. No step blocks longer than one pull of the source.

    Parameters
    ----------
    source : Source
    clock : Clock
        Shared with everybody else; LSL's for live streams.
    ring_seconds : float
        Length of the ring, made once the source is open.
    on_event : callable, optional
        Called with each `StreamEvent` in the thread that calls `step`.
    hold : callable
        True while a file source must not be pulled, because the decoder is behind; live sources ignore it.
    """

    def __init__(
        self, source: Source, clock: Clock, *, ring_seconds: float = 60.0,
        on_event: Callable[[StreamEvent], None] | None = None, hold: Callable[[], bool] = never,
    ):
        self.source = source
        self._clock = clock
        self._ring_seconds = ring_seconds
        self._on_event = on_event
        self.hold = hold  # may be set until the first step: who is behind follows this stage
        self._link = Link(clock.now())
        self._info: StreamInfo | None = None
        self._ring: RingBuffer | None = None
        self._rows: RowGrid | None = None
        self._newest = _Newest()
        self._received = 0
        self._rate: deque[tuple[float, int]] = deque()
        self._drifting = False
        self._stepped_s: float | None = None
        self._live_since_s = 0.0
        self.error: UserError | None = None  # why the stream that is there cannot be used

    @property
    def ring(self) -> RingBuffer | None:
        """The ring, None until the source was open once; the same object across reconnections."""
        return self._ring

    @property
    def info(self) -> StreamInfo | None:
        """What the source declared when it was opened first (labels never change after that)."""
        return self._info

    @property
    def connection(self) -> int:
        """How many times the stream was rejoined."""
        return self._link.connection

    @property
    def state(self) -> StreamState:
        """Where the state machine is."""
        return self._link.state

    @property
    def grid(self) -> StampGrid | None:
        """What the stamps show: rate, drift and jitter."""
        return self._rows.stamps if self._rows else None

    def step(self, now: float) -> None:
        """Take what has come; search when there is no stream."""
        if self._link.state is StreamState.ENDED:
            return
        late_s = now - self._stepped_s if self._stepped_s is not None else 0.0
        self._stepped_s = now
        if self._link.state is StreamState.LOST:
            self._log(self._link.looking(now, self._name), now)
        if not self._link.connected:
            self._open(now)
        if self._info is not None and (self.source.live or not self.hold()):
            self._drain(now, late_s)

    def close(self) -> None:
        """Write what is held back, let go of the source and end."""
        now = self._clock.now()
        if self._rows is not None:
            self._write(self._rows.flush(), now)
        self.source.close()
        self._log(self._link.ended(now, "stopped"), now)

    def status(self, now: float) -> StreamStatus:
        """The stream in one glance."""
        counts = self._rows.counts if self._rows else None
        newest = self._newest
        return StreamStatus(
            state=self._link.state, info=self._info, connection=self._link.connection, since_s=self._link.since_s,
            data_age_s=None if newest.time_s is None else max(0.0, now - newest.time_s),
            clock_offset_s=max(0.0, newest.ahead_s), measured_hz=self._measured_hz(),
            text=str(self.error) if self.error else self._link.text, samples=self._received,
            gaps=counts.gaps if counts else 0, missing_samples=counts.missing if counts else 0,
            bursts=counts.bursts if counts else 0, backwards=counts.backwards if counts else 0,
            duplicates=counts.duplicates if counts else 0,
            future_stamps=newest.future, lost_count=self._link.lost_count,
        )

    @property
    def _name(self) -> str:
        return self._info.name if self._info else "the stream"

    def _open(self, now: float) -> None:
        try:
            info = self.source.open(0.0)
        except TimeoutError:
            return
        except UserError as error:
            if str(error) != str(self.error):
                self._emit(now, "state", str(error))
            self.error = error
            return
        self.error = None
        self._info = info
        if self._ring is None:
            self._ring = RingBuffer(len(info.labels), max(1, round(self._ring_seconds * info.sfreq_hz)))
            self._rows = RowGrid(info.sfreq_hz)
        self._link.opened(info.name)
        for note in info.notes:
            self._emit(now, "labels", note)

    def _rejoin(self, now: float) -> None:
        """Samples again, on a new connection or on the old one of an outlet that hung: a break lies between."""
        assert self._rows is not None
        self._live_since_s = now
        self.error = None
        self._rate.clear()
        if self._received:
            self._write(self._rows.restart(), now)

    def _drain(self, now: float, late_s: float) -> None:
        """Pull until nothing is left, so that the newest sample is in the ring after this step."""
        for n in range(MAX_PULLS):
            try:
                chunk = self.source.pull()
            except SourceLost as error:
                if self._link.connected:
                    self._log(self._link.lost(now, f"{self._name} is lost: {error}"), now)
                return
            except SourceEnded:
                assert self._rows is not None
                self._write(self._rows.flush(), now)
                self._log(self._link.ended(now, f"{self._name} is at its end"), now)
                return
            if chunk is None:
                if n == 0 and self.source.live:
                    self._log(self._link.silent(now, self._name), now)
                return
            if not self._link.connected:
                self._rejoin(now)
            self._log(self._link.arrived(now, self._name), now)
            self._take(chunk, late_s)
            if getattr(self.source, "drained", False) or (not self.source.live and self.hold()):
                return

    def _take(self, chunk: Chunk, late_s: float) -> None:
        assert self._rows is not None
        n = len(chunk.times_s)
        if n == 0:
            return
        arrived_s = chunk.arrived_s
        newest = self._newest
        newest.time_s = float(chunk.times_s[-1])
        newest.ahead_s = newest.time_s - arrived_s
        if newest.ahead_s > AHEAD_S:
            newest.future += int((chunk.times_s > arrived_s + AHEAD_S).sum())
        self._received += n
        self._write(self._rows.accept(chunk.samples_uv, chunk.times_s), arrived_s, late_s)
        if not self._rate or arrived_s - self._rate[-1][0] >= 0.25:
            self._rate.append((arrived_s, self._received))
            if arrived_s - self._rate[0][0] > RATE_SPAN_S + 0.25:
                self._rate.popleft()
            self._watch_drift(arrived_s)

    def _measured_hz(self) -> float | None:
        """Samples per second as they arrived in the last 5 s."""
        if len(self._rate) < 2:
            return None
        (t0, n0), (t1, n1) = self._rate[0], self._rate[-1]
        return (n1 - n0) / (t1 - t0) if t1 - t0 >= 0.5 else None

    def _watch_drift(self, now: float) -> None:
        assert self._rows is not None
        grid = self._rows.stamps
        drifting = abs(grid.drift) > DRIFT
        if drifting and not self._drifting:
            if now - self._live_since_s < 10.0:
                return
            self._emit(now, "drift", f"the stamps run at {grid.rate_hz:.1f} Hz instead of {grid.sfreq_hz:g} Hz")
        self._drifting = drifting

    def _write(self, decided: tuple[list[Rows], list[Finding]], now: float, late_s: float = 0.0) -> None:
        """Put rows into the ring, and report what was found in their stamps."""
        assert self._ring is not None
        for rows in decided[0]:
            self._ring.write(rows.samples, rows.times, rows.flags)
        merged: dict[str, tuple[int, int]] = {}
        for kind, count, index in decided[1]:
            before, at = merged.get(kind, (0, index))
            merged[kind] = (before + count, at)
        for kind, (count, index) in merged.items():
            if kind == "gap" and late_s > 1.0:
                text = f"{count} samples skipped: the program itself was held up {late_s:.1f} s"
                self._emit(now, "skip", text, count, index)
            else:
                self._emit(now, *_SENTENCES[kind](count), count, index)

    def _log(self, changes: list[tuple[StreamState, str]], now: float) -> None:
        for state, text in changes:
            self._emit(now, "state", text, state=state)

    def _emit(
        self, now: float, kind: str, text: str, count: int = 0, index: int = -1, state: StreamState | None = None
    ) -> None:
        if self._on_event is not None:
            self._on_event(StreamEvent(now, kind, state or self._link.state, self._link.connection, text, count, index))


_SENTENCES: dict[str, Callable[[int], tuple[str, str]]] = {
    "gap": lambda n: ("gap", f"{n} samples never came"),
    "burst": lambda n: ("burst", "old samples come with new stamps: flagged, not decoded"),
    "resume": lambda n: ("burst", f"true stamps again after {n} samples of a burst"),
    "backwards": lambda n: ("backwards", "time stamps jumped back"),
    "duplicate": lambda n: ("duplicate", f"{n} samples carry the stamp of the one before"),
}
