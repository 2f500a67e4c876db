"""The decode stage: from the ring through the signal chain to embeddings, live or offline by the same object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bci_music.messages import BREAK, Embedding, Quality, StreamInfo, Window
from bci_music.status import Health
from bci_music.workers import Latest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bci_music.eeg.montage import ChannelMap, Montage
    from bci_music.models.decoder import Decoder
    from bci_music.streaming.acquire import Acquirer
    from bci_music.streaming.ring import Cursor, RingBuffer, RingSlice



@dataclass(slots=True)
class DecodeCounters:
    """Totals since the start; the last 4096 latencies."""

    decoded: int = 0
    skipped: int = 0
    masked: int = 0
    overwritten: int = 0
    decode_ms: list[float] = field(default_factory=list)
    age_ms: list[float] = field(default_factory=list)

    def note(self, decode_ms: float, age_ms: float) -> None:
        """Add one decoded window."""
        self.decoded += 1
        for series, value in ((self.decode_ms, decode_ms), (self.age_ms, age_ms)):
            series.append(value)
            del series[:-4096]

    def health(self) -> Health:
        """Counters and percentiles as a message."""
        return Health(
            self.decoded,
            self.skipped,
            self.masked,
            self.overwritten,
            percentiles(self.decode_ms),
            percentiles(self.age_ms),
        )


def percentiles(values: list[float]) -> tuple[float, float, float]:
    """p50, p95 and p99 of `values`, NaN when there are none."""
    if not values:
        return (float("nan"),) * 3
    p50, p95, p99 = np.percentile(np.asarray(values), [50, 95, 99])
    return float(p50), float(p95), float(p99)


class Chain(Protocol):
    """Raw rows in, windows and verdicts out: the signal chain, or only its quality part."""

    montage: Montage | None
    channels: ChannelMap | None

    def process(
        self,
        samples_uv: NDArray[np.float32],
        times_s: NDArray[np.float64],
        flags: NDArray[np.uint8],
        first_index: int,
        /,
    ) -> Sequence[Window | Quality]:
        """Take rows (n, n_channels) and return what they complete."""


class DecodeStage:
    """Follow the ring of an `Acquirer` with a cursor and decode windows.

    A live source is never held back: when several windows are ready only the newest is decoded
    and the others are counted as skipped. A file is held back instead (see `behind_s`), so every
    window is decoded and a replay at any speed equals offline decoding.

    Parameters
    ----------
    acquirer : Acquirer
        Its ring appears once the source is open.
    decoder : Decoder or None
        None: only signal and quality (monitoring).
    make_chain : callable
        ``(StreamInfo) -> Chain``; called when the stream is known.
    live : bool
        Whether windows may be skipped.
    """

    def __init__(
        self,
        acquirer: Acquirer,
        decoder: Decoder | None,
        make_chain: Callable[[StreamInfo], Any],
        *,
        live: bool,
        on_embedding: Callable[[Embedding], None] | None = None,
        on_quality: Callable[[Quality], None] | None = None,
    ):
        self._acquirer = acquirer
        self.decoder = decoder
        self._make_chain = make_chain
        self._live = live
        self._on_embedding = on_embedding
        self._on_quality = on_quality
        self._cursor: Cursor | None = None
        self._ring: RingBuffer | None = None
        self.chain: Chain | None = None
        self.choose: Callable[[Embedding], Embedding | None] = lambda embedding: embedding  # what steers the music
        self.begin_again: Callable[[], None] = lambda: None  # told that the windows of another stream follow
        self.with_steps: Callable[[], bool] = lambda: False  # whether something wants windows step by step
        self.not_before: Callable[[], float] = lambda: float("-inf")  # windows that end earlier only warm up
        self.counters = DecodeCounters()
        self.embedding: Latest[Embedding] = Latest()
        self.quality: Latest[Quality] = Latest()

    def step(self, now: float) -> None:
        """Take what is new in the ring; decode what is due."""
        ring = self._acquirer.ring
        info = self._acquirer.info
        if ring is None or info is None:
            return
        if ring is not self._ring:
            self._attach(ring, info)
        assert self._cursor is not None
        # Bites of a hop: a file's windows are decoded one after the other, a live backlog is walked through quickly.
        bite = max(1, int(info.sfreq_hz * 0.5))
        due: list[Window] = []
        while True:
            piece = self._cursor.pull(bite)
            self.counters.overwritten += piece.lost
            if not len(piece.times):
                break
            due += self._feed(piece)
            if not self._live:
                self._decode_due(due, now)
                due = []
        self._decode_due(due, now)

    def behind_s(self) -> float:
        """Seconds of EEG that lie in the ring unread; a file is held back while this is large."""
        ring, info = self._acquirer.ring, self._acquirer.info
        if ring is None or info is None:
            return 0.0
        if self._cursor is None or ring is not self._ring:
            return ring.head / info.sfreq_hz
        return self._cursor.behind / info.sfreq_hz

    def _attach(self, ring: RingBuffer, info: StreamInfo) -> None:
        from bci_music.streaming.ring import Cursor

        if self._ring is not None:
            self.begin_again()
        self._ring = ring
        self._cursor = Cursor(ring, at=ring.tail)
        self.chain = self._make_chain(info)

    def _feed(self, piece: RingSlice) -> list[Window]:
        """Run the signal chain; hand out verdicts at once and return the windows."""
        assert self.chain is not None
        flags = piece.flags
        if piece.lost and len(flags):
            flags = flags.copy()
            flags[0] |= BREAK  # what was overwritten is a hole that must not be bridged
        windows: list[Window] = []
        for message in self.chain.process(piece.samples, piece.times, flags, piece.first_index):
            if isinstance(message, Quality):
                self.quality.put(message, message.time_s)
                if self._on_quality:
                    self._on_quality(message)
            else:
                windows.append(message)
        return windows

    def _decode_due(self, due: list[Window], now: float) -> None:
        """Decode the newest window that can be; count the rest."""
        begin_s = self.not_before()
        due = [w for w in due if w.end_s >= begin_s]
        left = [w for w in due if w.decodable]
        self.counters.masked += sum(not w.decodable for w in due if w.settled)
        if self.decoder is None or not left:
            return
        from bci_music.models.decoder import TooFewChannels

        while left:
            window = left.pop(-1 if self._live else 0)
            try:
                embedding = self.decoder.decode(window, now, steps=self.with_steps())
            except TooFewChannels:
                self.counters.masked += 1
                continue
            if self._live:
                self.counters.skipped += len(left)
                left.clear()
            self.counters.note(embedding.decode_ms, max(0.0, (now - window.end_s) * 1e3))
            chosen = self.choose(embedding)
            if chosen is None:
                continue
            self.embedding.put(chosen, chosen.end_s)
            if self._on_embedding:
                self._on_embedding(chosen)
