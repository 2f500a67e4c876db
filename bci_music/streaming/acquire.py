"""The acquire stage: pull, put rows on the time grid, write the ring, and report what happened."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from bci_music.clock import Clock
from bci_music.messages import Chunk, StreamEvent, StreamInfo, StreamState, UserError
from bci_music.status import StreamStatus
from bci_music.streaming.arrival import ArrivalClock, Passed, clock_jump, foreign_clock
from bci_music.streaming.link import Link
from bci_music.streaming.ring import RingBuffer
from bci_music.streaming.source import Source, SourceEnded, SourceLost
from bci_music.streaming.trial import RateTrial
from bci_music.timing.rows import Finding, RowGrid, Rows
from bci_music.timing.stamps import StampGrid

MAX_PULLS = 64  # per step; at 0.5 s each this is more than any inlet holds
AHEAD_S = 0.002  # stamps further ahead of now are counted
DRIFT = 0.01
RATE_SPAN_S = 5.0
MAX_NOTES = 20


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
        self._declared: StreamInfo | None = None  # of a stream that was opened
        self._info: StreamInfo | None = None  # the same, once its rate is known
        self._trial: RateTrial | None = None
        self._arrival: ArrivalClock | None = None  # None for a file, whose stamps are the recording's
        self._entering = False  # the next chunk is the first of its connection
        self._notes: list[str] = []
        self._jumps = 0
        self._ring: RingBuffer | None = None
        self._rows: RowGrid | None = None
        self._newest = _Newest()
        self._received = 0
        self._rate: deque[tuple[float, int]] = deque()
        self._drifting = False
        self._stepped_s: float | None = None
        self._live_since_s = 0.0
        self._switch: Callable[[], None] | None = None
        self.error: UserError | None = None  # why the stream that is there cannot be used

    @property
    def ring(self) -> RingBuffer | None:
        """The ring, None until the source was open once; the same object until another stream is chosen."""
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

    def switch(self, choose: Callable[[], None]) -> None:
        """Follow another stream from the next step on; `choose` tells the source, in the thread that steps."""
        self._switch = choose

    def step(self, now: float) -> None:
        """Take what has come; search when there is no stream."""
        if self._link.state is StreamState.ENDED and self._switch is None:
            return
        late_s = now - self._stepped_s if self._stepped_s is not None else 0.0
        self._stepped_s = now
        if self._switch is not None:
            self._begin_again(self._switch, now)
        if self._link.state is StreamState.LOST:
            self._log(self._link.looking(now, self._name), now)
        if not self._link.connected:
            self._open(now)
        if self._declared is not None and (self.source.live or not self.hold()):
            self._drain(now, late_s)

    def close(self) -> None:
        """Write what is held back, let go of the source and end."""
        now = self._clock.now()
        self._flush(now)
        self.source.close()
        self._log(self._link.ended(now, "stopped"), now)

    def status(self, now: float) -> StreamStatus:
        """The stream in one glance."""
        counts = self._rows.counts if self._rows else None
        newest = self._newest
        return StreamStatus(
            state=self._link.state, name=self._declared.name if self._declared else "", info=self._info,
            connection=self._link.connection, since_s=self._link.since_s,
            data_age_s=None if newest.time_s is None else max(0.0, now - newest.time_s),
            clock_offset_s=max(0.0, newest.ahead_s), measured_hz=self._measured_hz(),
            text=str(self.error) if self.error else self._link.text, samples=self._received,
            gaps=counts.gaps if counts else 0, missing_samples=counts.missing if counts else 0,
            bursts=counts.bursts if counts else 0, backwards=counts.backwards if counts else 0,
            duplicates=counts.duplicates if counts else 0,
            future_stamps=newest.future, lost_count=self._link.lost_count, clock_jumps=self._jumps,
            notes=tuple(self._notes),
        )

    @property
    def _name(self) -> str:
        return self._declared.name if self._declared else "the stream"

    def _open(self, now: float) -> None:
        try:
            info = self.source.open(0.0)
        except TimeoutError:
            return
        except UserError as error:
            self._refuse(error, now)
            return
        self.error = None
        self._declared = info
        if self._info is not None:
            self._info = replace(info, sfreq_hz=self._info.sfreq_hz)
        elif self.source.live:
            self._trial = RateTrial(info.name, info.sfreq_hz)
        else:
            self._begin(info, info.sfreq_hz)
        self._link.opened(info.name)
        for note in info.notes:
            self._note("labels", note, now)

    def _begin(self, info: StreamInfo, sfreq_hz: float) -> None:
        """The rate is known: make the ring and what fills it."""
        self._ring = RingBuffer(len(info.labels), max(1, round(self._ring_seconds * sfreq_hz)))
        self._rows = RowGrid(sfreq_hz)
        self._info = replace(info, sfreq_hz=sfreq_hz)  # last: whoever sees it finds the ring

    def _begin_again(self, choose: Callable[[], None], now: float) -> None:
        """Forget the stream there was: the next one gets a ring of its own, and may have another rate and labels."""
        self._flush(now)
        self._switch = None
        choose()
        self._info = self._declared = self._ring = self._rows = self._trial = self._arrival = self.error = None
        self._newest, self._drifting = _Newest(), False
        self._rate.clear()
        self._notes.clear()
        self._log(self._link.searching(now, "joining the stream that was chosen"), now)

    def _refuse(self, error: UserError, now: float) -> None:
        if str(error) != str(self.error):
            self._emit(now, "state", str(error))
        self.error = error

    def _note(self, kind: str, text: str, now: float) -> None:
        """Report something an operator should know, and keep it for the report."""
        self._emit(now, kind, text)
        if text not in self._notes and len(self._notes) < MAX_NOTES:
            self._notes.append(text)

    def _rejoin(self, now: float) -> None:
        """Samples again, on a new connection or on the old one of an outlet that hung: a break lies between."""
        self._live_since_s = now
        self._entering = True
        self.error = None
        self._rate.clear()
        if self._received and self._rows is not None:
            self._flush(now)
            self._write(self._rows.restart(), now)

    def _flush(self, now: float) -> None:
        """Write everything that is held back anywhere."""
        if self._trial is not None:
            self._settle(now, given_up=True)
        if self._rows is None:
            return
        if self._arrival is not None:
            for passed in self._arrival.flush():
                self._put(passed, 0.0)
        self._write(self._rows.flush(), now)

    def _settle(self, now: float, given_up: bool = False) -> None:
        """Begin once the rate of a new stream is known, with all that came meanwhile."""
        trial, info = self._trial, self._declared
        assert trial is not None
        assert info is not None
        sfreq_hz = trial.give_up() if given_up else trial.rate()
        if sfreq_hz is None or not trial.held:
            if trial.refused is not None:
                self._refuse(trial.refused, now)
            return
        self._trial, self.error = None, None
        self._begin(info, sfreq_hz)
        if trial.note:
            self._note("rate", trial.note, now)
        self._arrival = ArrivalClock(trial.stated_hz, sfreq_hz)
        self._enter(trial.held, now)
        for chunk in trial.held:
            self._take(chunk, 0.0)

    def _enter(self, chunks: list[Chunk], now: float) -> None:
        """See which clock the first chunks of a connection follow."""
        assert self._arrival is not None
        self._entering = False
        shift_s = self._arrival.begin(chunks)
        if shift_s:
            self._note("clock", foreign_clock(self._name, shift_s), now)

    def _drain(self, now: float, late_s: float) -> None:
        """Pull until nothing is left, so that the newest sample is in the ring after this step."""
        for n in range(MAX_PULLS):
            try:
                chunk = self.source.pull()
            except SourceLost as error:
                if self._trial is not None:
                    self._settle(now, given_up=True)
                if self._link.connected:
                    self._log(self._link.lost(now, f"{self._name} is lost: {error}"), now)
                return
            except SourceEnded:
                self._flush(now)
                self._log(self._link.ended(now, f"{self._name} is at its end"), now)
                return
            if chunk is None:
                if n == 0 and self.source.live:
                    self._log(self._link.silent(now, self._name), now)
                if self._trial is not None:
                    self._settle(now, given_up=self._link.state is not StreamState.LIVE)
                return
            if not self._link.connected:
                self._rejoin(now)
            self._log(self._link.arrived(now, self._name), now)
            if self._trial is not None:
                self._trial.add(chunk)
                self._settle(now)
            else:
                self._take(chunk, late_s)
            if getattr(self.source, "drained", False) or (not self.source.live and self.hold()):
                return

    def _take(self, chunk: Chunk, late_s: float) -> None:
        if len(chunk.times_s) == 0:
            return
        if self._arrival is None:
            self._put(Passed(chunk.samples_uv, chunk.times_s, chunk.times_s, chunk.arrived_s), late_s)
            return
        if self._entering:
            self._enter([chunk], chunk.arrived_s)
        for passed in self._arrival.take(chunk):
            if passed.jumped_s:
                self._jumps += 1
                self._note("clock", clock_jump(self._name, passed.jumped_s), passed.arrived_s)
            self._put(passed, late_s)

    def _put(self, passed: Passed, late_s: float) -> None:
        assert self._rows is not None
        arrived_s, times_s = passed.arrived_s, passed.times_s
        newest = self._newest
        newest.time_s = float(times_s[-1])
        shifted = self._arrival is not None and self._arrival.shift_s != 0.0  # then arrival decides, to a few ms
        newest.ahead_s = 0.0 if shifted else newest.time_s - arrived_s
        if newest.ahead_s > AHEAD_S:
            newest.future += int((times_s > arrived_s + AHEAD_S).sum())
        self._received += len(times_s)
        decided = self._rows.accept(passed.samples_uv, times_s, passed.stamps_s, jumped=bool(passed.jumped_s))
        self._write(decided, arrived_s, late_s)
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
    "early": lambda n: ("early", "time stamps come earlier than the rate allows"),
    "unstamped": lambda n: ("unstamped", f"{n} samples have no usable time stamp"),
    "duplicate": lambda n: ("duplicate", f"{n} samples carry the stamp of the one before"),
}
