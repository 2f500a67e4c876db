"""A helper thread for everything in LSL that may block: searching, connecting, asking for the clock offset."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bci_music.messages import UserError
from bci_music.streaming.discovery import FoundStream, StreamQuery, liblsl, quoted, search, the_one
from bci_music.streaming.layout import ChannelLayout

log = logging.getLogger(__name__)

FIRST_LOOK_S = 0.7  # the first search waits this long, so that a second match is seen
AGAIN_S = 0.2  # one wave of a search for a known stream
WAVES_BY_ID = 8  # so many for its source id; then every other one for its name alone
GRACE_S = 0.5  # an outlet that answers again gets this long to send on its old connection, then twice as long ...
MAX_GRACE_S = 8.0
CORRECTION_EVERY_S = 5.0
PAUSE_S = 0.2
SILENT_S = 1.0  # after its first vain attempt a visible stream that still cannot be opened is said to be blocked


@dataclass(frozen=True)
class Connection:
    """An open inlet with what is known of its stream."""

    inlet: Any
    stream: FoundStream
    layout: ChannelLayout
    remark: str = ""  # why it was this stream, where that should be known


Prefer = Callable[[Sequence[FoundStream]], FoundStream | None]


def nobody(streams: Sequence[FoundStream]) -> FoundStream | None:
    """Prefer none of the streams."""
    return None


class Connector:
    """Find and open a stream in the background.

    Parameters
    ----------
    query : StreamQuery
    read : callable
        ``(pylsl StreamInfo with description) -> ChannelLayout``; may raise `UserError`.
    buffer_s : int
        Seconds the inlet keeps when nobody pulls.
    prefer : callable
        Which of several streams that match is meant.
    """

    def __init__(
        self, query: StreamQuery, read: Callable[[Any], ChannelLayout], buffer_s: int, prefer: Prefer = nobody
    ):
        self._query = query
        self._prefer = prefer
        self._remark = ""
        self._read = read
        self._buffer_s = buffer_s
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = False
        self._seeking = False
        self._known: FoundStream | None = None
        self._pin = ""  # the part of the query that holds for a rejoin too
        self._twins: set[str] = set()  # outlets of the same name and source id that were not chosen
        self._seen_again_s: float | None = None
        self._grace_s = GRACE_S
        self._ready: Connection | None = None
        self._error: UserError | None = None
        self._inlet: Any = None  # the one in use, asked for its clock offset
        self._old: list[tuple[float, Any]] = []  # inlets to be closed here, since closing may block, and when dropped
        self.correction_s: float | None = None
        self._asked_s = float("-inf")
        self._waves = 0  # searches for the known stream since it was lost
        self._vain_since_s: float | None = None  # first attempt to open what is visible that came to nothing
        self._thread: threading.Thread | None = None

    def seek(self) -> None:
        """Start looking (for the same stream, once one was used)."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="bci-music-lsl-connector", daemon=True)
            self._thread.start()
        if not self._seeking:
            self._seeking = True
            self._wake.set()

    def cancel(self) -> None:
        """Stop looking: data came on the old connection after all."""
        with self._lock:
            self._seeking = False
            self._seen_again_s = None
            self._grace_s = GRACE_S
            self._waves = 0
            if self._ready is not None:
                self._put_away(self._ready.inlet)
            self._ready = self._error = None

    @property
    def seeking(self) -> bool:
        """Whether a search goes on or its result was not taken yet."""
        return self._seeking

    def take(self) -> Connection | None:
        """The new connection, once; raises the `UserError` that stood in its way."""
        with self._lock:
            error, self._error = self._error, None
            if error is not None:
                raise error
            ready, self._ready = self._ready, None
            if ready is not None:
                self._seeking = False
                self._seen_again_s = None
                self.drop()
                self._inlet = ready.inlet
                self._asked_s = float("-inf")
                self._waves = 0
                self._known = ready.stream
            return ready

    def drop(self) -> None:
        """Let go of the inlet in use."""
        if self._inlet is not None:
            self._put_away(self._inlet)
            self._inlet = None
            self._wake.set()

    def close(self, timeout_s: float = 3.0) -> None:
        """End the thread and close all inlets."""
        self._stop = True
        self.cancel()
        self.drop()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop:
            self._clear_old()
            if self._seeking and self._ready is None:
                try:
                    self._look()
                except UserError as error:
                    with self._lock:
                        self._error = error
                    self._rest(PAUSE_S)
                except Exception as error:  # LostError: the stream went while we connected
                    log.info("connecting failed, trying again: %s", error)
                    self._vain_since_s = None
                    self._rest(PAUSE_S)
                continue
            inlet = self._inlet
            due = inlet is not None and time.monotonic() - self._asked_s > CORRECTION_EVERY_S
            # The first answer takes 0.5 s; it is fetched later rather than waited for, since a search may come.
            if due and self._ask_correction(inlet, 0.01):
                self._asked_s = time.monotonic()
            self._rest(PAUSE_S if self._seeking else 1.0)
        self._old.clear()

    def _put_away(self, inlet: Any) -> None:
        self._old.append((time.monotonic(), inlet))

    def _clear_old(self) -> None:
        """Close inlets dropped a second ago: by now nobody else holds them, so that it happens in this thread."""
        before = time.monotonic() - 1.0
        while self._old and self._old[0][0] < before:
            self._old.pop(0)

    def _rest(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()

    def _look(self) -> None:
        known = self._known
        if known is None:
            streams = self._first_look()
        elif self._waves < WAVES_BY_ID or self._waves % 2:
            streams = self._search_again(known.again(), 1, AGAIN_S)
        else:  # some programs make up a new source id at each start
            streams = self._search_again(known.alike(), 2, FIRST_LOOK_S)
            streams = streams if len(streams) == 1 else []
        self._waves += 1
        if not streams or not self._seeking:
            return
        stream = the_one(streams) if known is None else _newest(streams, known)
        if known is not None and stream.uid == known.uid and self._inlet is not None:
            now = time.monotonic()
            self._seen_again_s = self._seen_again_s or now
            if now - self._seen_again_s < self._grace_s:
                self._rest(0.05)
                return
            self._grace_s = min(2 * self._grace_s, MAX_GRACE_S)  # it answers but sends nothing: the fault lies there
        try:
            self._connect(stream)
        except liblsl().util.TimeoutError as error:
            self._in_vain(stream, error)

    def _in_vain(self, stream: FoundStream, error: Exception) -> None:
        """A visible stream did not answer on its data port; say so once that is no accident, if it is the first."""
        log.info("connecting failed, trying again: %s", error)
        now = time.monotonic()
        if self._vain_since_s is None:
            self._vain_since_s = now
        elif self._known is None and now - self._vain_since_s > SILENT_S:
            raise UserError(stream.undelivered()) from error
        self._rest(PAUSE_S)

    def _first_look(self) -> list[FoundStream]:
        """Search as the query says; names are tried as names before they are predicates."""
        for xpath in self._query.tries():
            streams = search(xpath, 2, FIRST_LOOK_S)
            if not streams:
                continue
            if len(streams) == 1 and "uid" in xpath:  # of outlets that are alike in all else
                self._twins = {s.uid for s in search(streams[0].again(), 8, FIRST_LOOK_S)} - {streams[0].uid}
            if len(streams) > 1:
                streams = self._preferred(xpath, streams)
            self._pin = f" and hostname={quoted(streams[0].hostname)}" if "hostname" in xpath else ""
            return streams
        return []

    def _preferred(self, xpath: str, streams: list[FoundStream]) -> list[FoundStream]:
        """Of several streams the one that is preferred, else all."""
        if self._prefer is nobody:
            return streams
        streams = search(xpath, 32, FIRST_LOOK_S)
        preferred = self._prefer(streams)
        if preferred is None:
            return streams
        self._remark = f"joined {preferred.name[:100]!r}, chosen last time, of {len(streams)} EEG streams"
        return [preferred]

    def _search_again(self, xpath: str, minimum: int, timeout_s: float) -> list[FoundStream]:
        """Search for the stream in use, leaving out others like it that were not chosen."""
        streams = search(f"{xpath}{self._pin}", minimum + len(self._twins), timeout_s)
        return [s for s in streams if s.uid not in self._twins]

    def _connect(self, stream: FoundStream) -> None:
        lsl = liblsl()
        # where no rate is stated, liblsl counts in hundreds of samples instead of seconds
        buffer = self._buffer_s if stream.sfreq_hz > 0 else 10 * self._buffer_s
        inlet = lsl.StreamInlet(stream.handle, max_buflen=buffer, recover=False, processing_flags=0)
        layout = self._read(inlet.info(timeout=1.0))
        if stream.hostname != socket.gethostname():  # here the clocks are the same, to begin with
            self._ask_correction(inlet, 0.7)
        inlet.open_stream(timeout=1.0)
        self._vain_since_s = None
        with self._lock:
            if self._seeking and not self._stop:
                self._ready = Connection(inlet, stream, layout, self._remark)
            else:
                self._put_away(inlet)

    def _ask_correction(self, inlet: Any, timeout_s: float) -> bool:
        try:
            self.correction_s = inlet.time_correction(timeout=timeout_s)
        except RuntimeError as error:  # pylsl's TimeoutError and LostError; the last known offset stays in use
            log.info("no clock offset this time: %s", error)
            return False
        return True


def _newest(streams: list[FoundStream], known: FoundStream) -> FoundStream:
    """Of several outlets with the same identity, the one that is not the old one."""
    others = [s for s in streams if s.uid != known.uid]
    return max(others or streams, key=lambda s: s.handle.created_at())
