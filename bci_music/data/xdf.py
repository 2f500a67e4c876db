"""XDF files: read by pyxdf, chosen and typed here.

Clock offsets are applied, stamps are *not* de-jittered: pyxdf's de-jittering draws one straight line through
everything up to 500 samples of silence, which would hide the very holes that the live path flags. What comes out
is what an inlet would have delivered, so the same stamp grid sees the same gaps live and offline.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci_music.data.channels import microvolts, split_channels
from bci_music.data.readers.xdf_chunks import Spliced, opened, whole_chunks
from bci_music.data.session import AS_IT_IS, Event, Reading, Session
from bci_music.messages import UserError
from bci_music.timing.recorded import recorded_rate

_SAME_CLOCK_S = 3600.0  # markers further than this from all EEG are on another clock
_MARKER_WORDS = ("marker", "event", "stim", "trigger", "annotation")


@dataclass(frozen=True)
class XdfStream:
    """One stream of a file. `values` is (n, n_channels) numeric, or a list of rows of strings."""

    stream_id: int
    name: str
    kind: str
    source_id: str
    channel_format: str
    nominal_hz: float
    labels: tuple[str, ...]
    types: tuple[str, ...]
    units: tuple[str, ...]
    positions_m: NDArray[np.float64] | None
    simulated: bool
    times_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    values: Any = None
    has_labels: bool = True

    @property
    def text(self) -> bool:
        """Whether the stream carries strings."""
        return self.channel_format == "string"

    @property
    def is_eeg(self) -> bool:
        """Whether this can be EEG at all: numbers, and called EEG by its type, or by its channels at a stated rate."""
        if self.text or not self.labels:
            return False
        if self.kind.lower() == "eeg":
            return True
        by_channel = self.kind.lower() in ("", "data", "signal") and any(t.lower() == "eeg" for t in self.types)
        return by_channel and self.nominal_hz > 0

    @property
    def is_markers(self) -> bool:
        """Whether the samples are events: strings, or single numbers at no rate in a stream called markers."""
        named = any(word in self.kind.lower() for word in _MARKER_WORDS)
        return self.text or (self.nominal_hz == 0 and len(self.labels) == 1 and named)

    def describe(self) -> str:
        """Name and kind as a person would choose by."""
        source = f"source id {self.source_id}, " if self.source_id else ""
        return f"{self.name!r} ({self.kind or 'no type'}, {len(self.labels)} channels, {source}number {self.stream_id})"


def read_xdf(
    path: Path, keep: Callable[[XdfStream], bool] = lambda stream: True
) -> tuple[list[XdfStream], tuple[str, ...]]:
    """Read all streams, with the values of those that `keep` wants, and what pyxdf complained about."""
    import pyxdf

    headers: dict[int, XdfStream] = {}

    def thin(values: Any, stamps: Any, header: Any, stream_id: int) -> tuple[Any, Any, Any]:
        """Drop what is not wanted chunk by chunk, so that memory holds only what is."""
        if stream_id not in headers:
            headers[stream_id] = _header(header, stream_id)
        if not isinstance(values, list):
            if not keep(headers[stream_id]):
                values = values[:, :0]
            elif values.dtype == np.float64:
                values = values.astype(np.float32)
        return values, stamps, header

    with _complaints() as notes:
        try:
            with opened(path) as file:
                found = whole_chunks(file, file.seek(0, io.SEEK_END))
                whole = io.BufferedReader(Spliced(file, found.pieces))
                raw, _ = pyxdf.load_xdf(whole, dejitter_timestamps=False, on_chunk=thin)
        except Exception as error:  # damaged bytes raise whatever the parser trips over
            raise UserError(
                f"{path.name} cannot be read as XDF ({_words(error)[:200]}): it is damaged or no XDF; record it again."
            ) from error
    notes[:0] = found.all_notes(path.name)
    streams = []
    for item in raw:
        head = _header(item, item["info"]["stream_id"])
        times = np.asarray(item["time_stamps"], np.float64)
        streams.append(XdfStream(**{**head.__dict__, "times_s": times, "values": item["time_series"]}))
    return streams, tuple(notes)


def open_xdf(path: Path, reading: Reading = AS_IT_IS) -> Session:
    """Open the EEG stream of an XDF file; `reading.stream` chooses it where there are several."""
    streams, notes = read_xdf(path, keep=lambda s: s.is_eeg or s.is_markers)
    eeg = choose_eeg(streams, reading.stream, path.name)
    return session_of(eeg, streams, path, reading, notes)


def session_of(
    eeg: XdfStream, streams: list[XdfStream], path: Path, reading: Reading = AS_IT_IS, notes: tuple[str, ...] = ()
) -> Session:
    """Make a Session of one stream's EEG channels, with the markers of `streams` that share its clock."""
    labels, types, named = _names(eeg, reading)
    columns, aside = split_channels(labels, types)
    if not columns:
        there = ", ".join(aside[:6])
        raise UserError(f"Stream {eeg.name!r} of {path.name} holds only {there}: give a recording of EEG.")
    where = f"stream {eeg.name!r}"
    rate_hz, times, note = recorded_rate(eeg.times_s, eeg.nominal_hz, where)
    factors, unit, doubts = microvolts([eeg.units[c] for c in columns], where, reading.unit)
    events, apart = shared_clock(streams, eeg)
    positions = None if eeg.positions_m is None else eeg.positions_m[columns]
    if positions is not None and not np.isfinite(positions).all():
        positions = None  # as live: some places without the others are no montage
    more = [*([note] if note else []), *doubts, *named, *apart]
    return Session(
        name=eeg.name or path.stem, labels=tuple(labels[c] for c in columns), sfreq_hz=rate_hz,
        samples_uv=_microvolts(eeg, columns, factors), times_s=times, events=events, simulated=eeg.simulated,
        positions_m=positions, path=path, excluded=aside, notes=notes + tuple(more), unit=unit,
        source_id=eeg.source_id,
    )  # fmt: skip


def choose_eeg(streams: list[XdfStream], wanted: str | None, where: str) -> XdfStream:
    """Pick the EEG stream, or explain in one sentence why that cannot be done."""
    if not streams:
        raise UserError(f"{where} holds no stream: the recorder found none, or the file was cut off; record it again.")
    eeg = [s for s in streams if s.is_eeg]
    if wanted is not None:
        keys = (lambda s: s.name, lambda s: s.source_id, lambda s: str(s.stream_id))
        named = [[s for s in eeg if key(s) == wanted] for key in keys]
        eeg = next((found for found in named if found), [])
        if not eeg:
            there = ", ".join(s.describe() for s in streams[:8])
            raise UserError(f"{where} has no EEG stream {wanted[:80]!r}: it holds {there}.")
    if not eeg:
        there = ", ".join(s.describe() for s in streams[:6])
        raise UserError(f"{where} holds no EEG stream, only {there}: give a recording whose stream type is EEG.")
    full = [s for s in eeg if len(s.times_s) > 1]
    if not full:
        names = ", ".join(s.describe() for s in eeg[:6])
        raise UserError(f"The EEG stream of {where} has fewer than 2 samples: {names} was recorded without its data.")
    if wanted is None:  # one without a rate is meant only where there is no other
        full = [s for s in full if s.nominal_hz > 0] or full
    if len(full) > 1:
        raise UserError(f"{where} holds {several(full)}.")
    return full[0]


def several(streams: list[XdfStream]) -> str:
    """Several EEG streams in words, with what tells them apart."""
    names = ", ".join(s.describe() for s in streams[:6])
    keys = (("NAME", {s.name for s in streams}), ("SOURCE-ID", {s.source_id for s in streams}))
    by = next((key for key, there in keys if len(there) == len(streams)), "NUMBER")
    return f"several EEG streams, {names}: choose one with --stream {by}"


def _names(eeg: XdfStream, reading: Reading) -> tuple[list[str], list[str], list[str]]:
    """Names and types of all channels, and a note where the names are not the stream's own."""
    labels, types = list(eeg.labels), list(eeg.types)
    names = None if eeg.has_labels else reading.electrodes()
    if names is not None:
        if len(names) > len(labels):
            raise UserError(
                f"Stream {eeg.name!r} holds {len(labels)} unnamed channels but the montage {reading.montage!r} names "
                f"{len(names)}: choose the montage that fits."
            )
        for k in range(len(labels)):
            inside = k < len(names)
            labels[k] = names[k] if inside else f"column {k + 1}"
            types[k] = types[k] if inside else "not in the montage"
        return labels, types, []
    note = f"stream {eeg.name!r} names no channels: they are called {labels[0]} to {labels[-1]}"
    return labels, types, [] if eeg.has_labels else [f"{note}; name the electrodes with --montage"]


def _microvolts(stream: XdfStream, columns: list[int], to_uv: list[float]) -> NDArray[np.float32]:
    """Select `columns` as float32 µV, scaled as the live source scales."""
    values = stream.values if len(columns) == len(stream.labels) else stream.values[:, columns]
    samples = np.ascontiguousarray(values, np.float32)
    factors = np.array(to_uv, np.float32)
    return samples * factors if (factors != 1.0).any() else samples


def shared_clock(streams: list[XdfStream], eeg: XdfStream) -> tuple[tuple[Event, ...], list[str]]:
    """Return the markers on the clock of `eeg` by time, and notes on marker streams that lie on another."""
    events: list[Event] = []
    notes = []
    begin_s, end_s = np.percentile(eeg.times_s, [1, 99])  # a single stamp may be damaged
    for stream in streams:
        if not stream.is_markers or not len(stream.times_s):
            continue
        away_s = max(begin_s - float(stream.times_s.max()), float(stream.times_s.min()) - end_s)
        if away_s > _SAME_CLOCK_S:
            notes.append(
                f"the markers of stream {stream.name!r} lie {away_s:.3g} s from all EEG of {eeg.name!r}: they share no "
                f"clock, so none of the {len(stream.times_s)} can be placed; record both on one clock"
            )
        else:
            events.extend(stream_events([stream]))
    return tuple(sorted(events, key=lambda e: e.time_s)), notes


def stream_events(streams: list[XdfStream]) -> tuple[Event, ...]:
    """Collect the samples of all marker streams by time."""
    found = []
    for stream in streams:
        if not stream.is_markers:
            continue
        for time_s, row in zip(stream.times_s, stream.values, strict=True):
            text = " ".join(str(part) for part in np.atleast_1d(np.asarray(row, object)) if part not in (None, ""))
            if text:
                found.append(Event(float(time_s), text))
    return tuple(sorted(found, key=lambda e: e.time_s))


def _header(item: Any, stream_id: int) -> XdfStream:
    """Typed header; damaged files lack any field, so every one has a default."""
    info = item["info"]
    n_channels = int(_first(info, "channel_count") or 0)
    desc = _branch(info, "desc")
    listed = [c for c in (_branch(desc, "channels").get("channel") or []) if isinstance(c, dict)]
    given = [_first(c, "label") or _first(c, "name") for c in listed]
    has_labels = len(listed) == n_channels and all(given)
    if len(listed) != n_channels:
        listed = [{} for _ in range(n_channels)]
        given = [""] * n_channels
    labels = [name or f"ch{i + 1}" for i, name in enumerate(given)]
    return XdfStream(
        stream_id=int(stream_id), name=_first(info, "name"), kind=_first(info, "type"),
        source_id=_first(info, "source_id"), channel_format=_first(info, "channel_format"),
        nominal_hz=float(_first(info, "nominal_srate") or 0), labels=tuple(labels),
        types=tuple(_first(c, "type") for c in listed), units=tuple(_first(c, "unit") for c in listed),
        positions_m=_positions(listed), simulated=_first(desc, "simulated").lower() == "true", has_labels=has_labels,
    )  # fmt: skip


def _positions(listed: list[Any]) -> NDArray[np.float64] | None:
    """(n_channels, 3) m from the millimetres in the header, NaN where there is no usable place; None if nowhere."""
    places = np.full((len(listed), 3), np.nan)
    for row, channel in enumerate(listed):
        location = _branch(channel, "location")
        try:
            places[row] = [float(_first(location, axis)) / 1000.0 for axis in "XYZ"]
        except ValueError:
            continue
    return places if np.isfinite(places).any() else None


def _first(node: Any, key: str) -> str:
    """First text under `key` of pyxdf's dict of lists, or an empty string."""
    values = node.get(key) if isinstance(node, dict) else None
    value = values[0] if isinstance(values, list) and values else None
    return value.strip() if isinstance(value, str) else ""


def _branch(node: Any, key: str) -> dict[str, Any]:
    """First element under `key`, or an empty one."""
    values = node.get(key) if isinstance(node, dict) else None
    value = values[0] if isinstance(values, list) and values else None
    return value if isinstance(value, dict) else {}


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what pyxdf logs as warnings, instead of letting it reach the terminal."""
    notes: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if "Segments and clock-segments differ" not in text:  # always so without de-jittering
                notes.append(f"pyxdf: {text}")

    logger = logging.getLogger("pyxdf.pyxdf")
    handler, propagate, level = Collector(logging.WARNING), logger.propagate, logger.level
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of NumPy's, where stamps stand still: said by `recorded_rate`
            yield notes
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
        logger.setLevel(level)
