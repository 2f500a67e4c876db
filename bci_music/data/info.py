"""What is in a file: streams or channels, rates, breaks, markers, and what could not be read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci_music.data.formats import check_path, is_xdf, open_session
from bci_music.data.session import AS_IT_IS, Event, HeardSpan, Reading, Session, heard_spans
from bci_music.data.xdf import XdfStream, choose_eeg, read_xdf, session_of, several, stream_events
from bci_music.timing.rows import StampReport, stamp_report

_FIRST_EVENTS = 8
_PARTS = {".vhdr": (".eeg", ".vmrk"), ".set": (".fdt",)}


@dataclass(frozen=True)
class StreamSummary:
    """One stream of a file; files of other formats count as one stream."""

    name: str
    kind: str
    channel_count: int
    channel_format: str
    labels: tuple[str, ...]
    excluded: tuple[str, ...]
    unit: str
    nominal_hz: float
    measured_hz: float | None
    samples: int
    start_s: float | None
    duration_s: float
    segments: tuple[tuple[float, float], ...]  # (start, stop) in seconds from the first sample, between breaks
    gaps: int
    missing_samples: int
    nan_samples: int  # samples with NaN in any channel
    simulated: bool = False
    decoded: bool = False  # whether this is the stream that would be decoded


@dataclass(frozen=True)
class FileInfo:
    """A file in figures; `as_json` is plain data."""

    path: str
    bytes: int
    streams: tuple[StreamSummary, ...]
    markers: int
    first_markers: tuple[Event, ...]
    heard: tuple[HeardSpan, ...]
    notes: tuple[str, ...]  # what is doubtful or could not be read

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def file_info(path: str | Path, reading: Reading = AS_IT_IS) -> FileInfo:
    """Look into a recording; `UserError` when it cannot be opened or holds no EEG at all."""
    path = check_path(path)
    if is_xdf(path):
        return _xdf_info(path, reading)
    session = open_session(path, reading)
    summary = _summary(session, str(path.suffix.lstrip(".").upper() or "file"))
    return _info(path, (summary,), session.events, session.heard(), session.notes)


def _xdf_info(path: Path, reading: Reading) -> FileInfo:
    streams, notes = read_xdf(path, keep=lambda s: s.is_eeg or s.is_markers)
    candidates = [s for s in streams if s.is_eeg and len(s.times_s) > 1]
    more: list[str] = []
    if len(candidates) > 1 and reading.stream is None:
        more.append(several(candidates) + " when it is to be decoded")
    else:
        candidates = [choose_eeg(streams, reading.stream, path.name)]
    summaries = []
    events = stream_events(streams)
    for stream in streams:
        if stream in candidates:
            session = session_of(stream, streams, path, reading)
            more.extend(session.notes)
            summaries.append(_summary(session, stream.kind or "EEG", stream, decoded=len(candidates) == 1))
            events = session.events if len(candidates) == 1 else events
        else:
            summaries.append(_other(stream))
            if not len(stream.times_s):
                more.append(f"stream {stream.describe()} is empty")
    end_s = max(float(s.times_s[-1]) for s in candidates)
    return _info(path, tuple(summaries), events, heard_spans(events, end_s), notes + tuple(more))


def _summary(session: Session, kind: str, stream: XdfStream | None = None, decoded: bool = True) -> StreamSummary:
    """Summarise EEG by the same stamp grid as the live path."""
    report = stamp_report(session.times_s, session.sfreq_hz)
    times = session.times_s - session.times_s[0]
    step_s = 1.0 / session.sfreq_hz
    return StreamSummary(
        name=session.name, kind=kind, channel_count=session.n_channels + len(session.excluded),
        channel_format=stream.channel_format if stream else "", labels=session.labels, excluded=session.excluded,
        unit=session.unit, nominal_hz=stream.nominal_hz if stream else session.sfreq_hz,
        measured_hz=_rate(session.times_s, report, session.sfreq_hz),
        samples=len(times), start_s=float(session.times_s[0]), duration_s=session.duration_s,
        segments=tuple((float(times[a]), float(times[b - 1]) + step_s) for a, b in session.segments()),
        gaps=report.gaps, missing_samples=report.missing_samples,
        nan_samples=int(np.isnan(session.samples_uv).any(axis=1).sum()), simulated=session.simulated, decoded=decoded,
    )  # fmt: skip


def _other(stream: XdfStream) -> StreamSummary:
    """Summarise a stream that is not decoded."""
    times = stream.times_s
    duration = float(times[-1] - times[0]) if len(times) else 0.0
    return StreamSummary(
        name=stream.name, kind=stream.kind, channel_count=len(stream.labels), channel_format=stream.channel_format,
        labels=stream.labels if stream.has_labels else (), excluded=(), unit=stream.units[0] if stream.units else "",
        nominal_hz=stream.nominal_hz, measured_hz=_plain_rate(times) if stream.nominal_hz > 0 else None,
        samples=len(times), start_s=float(times[0]) if len(times) else None, duration_s=duration,
        segments=((0.0, duration),) if len(times) else (), gaps=0, missing_samples=0, nan_samples=0,
        simulated=stream.simulated,
    )  # fmt: skip


def _rate(times_s: NDArray[np.float64], report: StampReport, nominal_hz: float) -> float | None:
    """Samples per second of time in which there were any, gaps taken out."""
    if report.backwards or len(times_s) < 2:
        return report.measured_hz
    lost_s = report.missing_samples / nominal_hz
    span = float(times_s[-1] - times_s[0]) - lost_s
    return (len(times_s) - 1) / span if span > 0 else None


def _plain_rate(times_s: NDArray[np.float64]) -> float | None:
    span = float(times_s[-1] - times_s[0]) if len(times_s) > 1 else 0.0
    return (len(times_s) - 1) / span if span > 0 else None


def _info(
    path: Path, streams: tuple[StreamSummary, ...], events: tuple[Event, ...], heard: tuple[HeardSpan, ...],
    notes: tuple[str, ...],
) -> FileInfo:
    files = [path, *(path.with_suffix(s) for s in _PARTS.get(path.suffix.lower(), ()))]
    if path.is_dir():
        files = list(path.rglob("*"))
    return FileInfo(
        path=str(path), bytes=sum(f.stat().st_size for f in files if f.is_file()), streams=streams, markers=len(events),
        first_markers=events[:_FIRST_EVENTS], heard=heard, notes=tuple(dict.fromkeys(notes)),
    )  # fmt: skip
