"""EEG from an LSL outlet: short buffer, no silent recovery, stamps on the local clock.

pylsl's own `pull_chunk` builds new ctypes objects and arrays at each call, half of what a pull costs
at 20 ms; this calls the same C function with everything kept.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from bci_music.messages import Chunk, StreamInfo, UserError
from bci_music.streaming.connector import Connection, Connector, Prefer, nobody
from bci_music.streaming.discovery import FoundStream, StreamQuery, liblsl, quoted
from bci_music.streaming.layout import MIN_CHANNELS, ChannelLayout, check_rejoin, read_layout, rejoined
from bci_music.streaming.source import SourceLost

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Puller:
    """Repeated pulls of at most `n_rows` rows.

    Parameters
    ----------
    inlet : pylsl.StreamInlet
        Of a numeric stream.
    n_rows : int
    """

    def __init__(self, inlet: Any, n_rows: int):
        from pylsl.util import handle_error

        self.n_rows = n_rows
        self._inlet = inlet  # kept alive as long as its handle is used
        self._width = inlet.channel_count
        self._rows = np.zeros((n_rows, self._width), inlet.np_dtype)
        self._stamps = np.zeros(n_rows)
        self._code = ctypes.c_int()
        self._check = handle_error
        self._call = inlet.do_pull_chunk
        self._args = (
            inlet.obj, ctypes.c_void_p(self._rows.ctypes.data), ctypes.c_void_p(self._stamps.ctypes.data),
            ctypes.c_size_t(self._rows.size), ctypes.c_size_t(n_rows), ctypes.c_double(0.0), ctypes.byref(self._code),
        )  # fmt: skip

    def pull(self) -> tuple[NDArray, NDArray[np.float64]]:
        """Return what is there, without waiting: (n, width) values and (n,) stamps.

        Both are views that the next pull overwrites. Raises pylsl's LostError when the outlet is gone.
        """
        n = self._call(*self._args) // self._width
        if self._code.value:
            self._check(self._code)
        return self._rows[:n], self._stamps[:n]


__all__ = ["LslSource", "StreamQuery", "lsl_clock"]

# Longer than a stall should last: an overflow drops samples at the sender too, where stamps are not yet filled in,
# so that the hole then shows up to one of its chunks too late. Old data are no harm, since a step takes everything.
BUFFER_S = 30
PULL_S = 0.5  # space for one pull
MAX_ROWS = 8192  # of one pull, whatever a stream states
UNSTATED_HZ = 2000.0  # space is made for so much where no rate is stated
MAX_SLEW = 200e-6  # a new clock offset is approached at this rate, so that stamps keep their spacing
STEP_S = 0.02  # an offset that is off by more is taken at once

_local_clock: Callable[[], float] | None = None


def lsl_clock() -> float:
    """Seconds on LSL's local clock."""
    global _local_clock
    if _local_clock is None:
        _local_clock = liblsl().local_clock
    return _local_clock()


class LslSource:
    """An LSL stream as a `Source`.

    Parameters
    ----------
    query : StreamQuery
        Which stream.
    unit : str, optional
        Overrides the query's and the stream's unit.
    montage_labels : tuple of str, optional
        Channel names for a stream without labels.
    buffer_s : int
        Seconds the inlet keeps for a stalled consumer; older data are dropped, newest kept.
    prefer : callable
        Which of several streams that match is meant, None for a `UserError`.
    """

    live = True

    def __init__(
        self,
        query: StreamQuery | None = None,
        *,
        unit: str | None = None,
        montage_labels: tuple[str, ...] | None = None,
        buffer_s: int = BUFFER_S,
        prefer: Prefer = nobody,
    ):
        self.query = query or StreamQuery()
        self._unit = unit or self.query.unit
        self._montage_labels = montage_labels
        self._buffer_s = buffer_s
        self._connector = Connector(self.query, self._read, buffer_s, prefer)
        self._inlet: Puller | None = None
        self._layout: ChannelLayout | None = None  # as first opened
        self._current: ChannelLayout | None = None
        self._sfreq_hz: float | None = None  # as first stated
        self._scale: np.ndarray | None = None
        self._columns: slice | None = None
        self._offset_s: float | None = None
        self._offset_at = 0.0
        self._lost_error: type[Exception] = RuntimeError
        self.drained = False
        self.min_channels = MIN_CHANNELS  # a stream with fewer is refused; a live run sets what its pack needs

    def open(self, timeout_s: float) -> StreamInfo:
        """See `Source.open`; the search itself runs in a helper thread, so 0 returns at once."""
        self._connector.seek()
        deadline = time.monotonic() + timeout_s
        while (connection := self._connector.take()) is None:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"no LSL stream matches {self.query.xpath()} yet")
            time.sleep(min(0.01, max(0.0, deadline - time.monotonic())))
        return self._adopt(connection)

    def pull(self) -> Chunk | None:
        """Return what lies in the inlet, at most 0.5 s of it (pull again then), in µV."""
        if self._inlet is None:
            raise SourceLost("the stream is not open")
        try:
            raw, stamps = self._inlet.pull()
        except self._lost_error as error:
            self._inlet = None
            self._connector.drop()
            raise SourceLost("the outlet closed its connection") from error
        self.drained = len(stamps) < self._inlet.n_rows
        if len(stamps) == 0:
            return None
        if self._connector.seeking:
            self._connector.cancel()
        arrived_s = lsl_clock()
        return Chunk(self._convert(raw), stamps + self._offset(arrived_s), arrived_s)

    def close(self) -> None:
        """Close the inlet and end the helper thread."""
        self._inlet = None
        self._connector.close()

    def choose(self, stream: FoundStream) -> None:
        """Let go of the stream there is; the next `open` finds this one, whatever it is."""
        self.close()
        self.query = StreamQuery(
            predicate=f"uid={quoted(stream.uid)}", unit=self.query.unit, montage=self.query.montage
        )
        self._layout = self._current = self._sfreq_hz = self._scale = self._columns = self._offset_s = None
        self._connector = Connector(self.query, self._read, self._buffer_s)

    def _read(self, info: Any) -> ChannelLayout:
        layout = self._layout
        if self._sfreq_hz is not None and info.nominal_srate() != self._sfreq_hz:
            raise UserError(
                f"Stream {info.name()!r} came back with {info.nominal_srate():g} Hz instead of {self._sfreq_hz:g} Hz; "
                "restart bci-music, or set the amplifier back."
            )
        found = read_layout(
            info.as_xml(), info.name(), info.channel_count(), unit=self._unit, montage_labels=self._montage_labels,
            min_channels=self.min_channels,
        )
        if layout is not None:
            check_rejoin(layout, found, info.name(), self.min_channels)
        return found

    def _adopt(self, connection: Connection) -> StreamInfo:
        stream, layout = connection.stream, connection.layout
        if self._layout is not None:
            layout = rejoined(self._layout, layout)
        else:
            self._layout = layout
            self._sfreq_hz = stream.sfreq_hz
        rate_hz = stream.sfreq_hz or UNSTATED_HZ
        self._inlet = Puller(connection.inlet, min(max(64, int(PULL_S * rate_hz)), MAX_ROWS))
        self._lost_error = liblsl().util.LostError
        self._columns = layout.contiguous
        self._scale = None if (layout.to_uv == 1).all() else layout.to_uv
        self._current = layout
        self._offset_s = None
        return StreamInfo(
            name=stream.name, kind="simulated" if layout.simulated else "lsl", labels=layout.labels,
            sfreq_hz=stream.sfreq_hz, excluded=layout.excluded, source_id=stream.source_id, unit=layout.unit,
            positions_m=layout.positions_m, simulated=layout.simulated,
            notes=(*layout.notes, *([connection.remark] if connection.remark else [])),
        )

    def _convert(self, raw: np.ndarray) -> np.ndarray:
        """EEG columns in the order of the labels, in µV, in memory of their own."""
        if self._columns is not None:
            picked = raw[:, self._columns].astype(np.float32)
        else:
            assert self._current is not None
            columns = self._current.columns
            picked = raw[:, columns].astype(np.float32)
            picked[:, columns < 0] = np.nan
        if self._scale is not None:
            picked *= self._scale
        return picked

    def _offset(self, now: float) -> float:
        """Clock offset to add to stamps, slewed towards the newest measurement."""
        target = self._connector.correction_s or 0.0
        if self._offset_s is None or abs(target - self._offset_s) > STEP_S:
            self._offset_s = target
        else:
            reach = MAX_SLEW * max(0.0, now - self._offset_at)
            self._offset_s += min(max(target - self._offset_s, -reach), reach)
        self._offset_at = now
        return self._offset_s
