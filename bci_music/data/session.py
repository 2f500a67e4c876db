"""One recording as the rest of the program sees it: µV, time-first, with its markers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bci_music.messages import UserError
from bci_music.timing.rows import Rows, grid_rows, stamp_report

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNKNOWN_BREAK_S = 0.3  # a break whose length is not known is shown as this much missing time: more than any filled gap


@dataclass(frozen=True, slots=True)
class Event:
    """A marker or annotation, on the clock of the session's samples."""

    time_s: float
    text: str
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class HeardSpan:
    """Music that was heard: `song_start_s` is the position in the song at `start_s`."""

    start_s: float
    stop_s: float
    song: str
    title: str
    song_start_s: float

    def song_position_s(self, time_s: float) -> float:
        """Position in the song at `time_s` of the session's clock."""
        return self.song_start_s + time_s - self.start_s


@dataclass(frozen=True, slots=True)
class Reading:
    """What the user says of a recording: the options --stream, --unit and --montage.

    `stream` is the name, source id or number of the EEG stream where a file holds several; `unit` overrides what the
    file states; `montage` names the electrodes of a stream that names none.
    """

    stream: str | None = None
    unit: str | None = None
    montage: str | None = None

    def electrodes(self) -> tuple[str, ...] | None:
        """Return the names of the montage, None where none was given."""
        if self.montage is None:
            return None
        from bci_music.eeg.montage import Montage

        return Montage.load(self.montage).names


AS_IT_IS = Reading()


@dataclass(frozen=True, slots=True)
class Session:
    """One recording.

    Attributes
    ----------
    samples_uv : (n_times, n_channels) float32
        EEG in µV; NaN where the file has NaN.
    times_s : (n_times,) float64
        Stamp of each row as recorded, clock-corrected but not de-jittered: gaps stay gaps.
        XDF keeps the recording computer's LSL clock, other formats start at 0.
    events : tuple of Event
        Markers of all marker streams, or annotations, by time.
    notes : tuple of str
        What a reader should know: doubtful things met while opening, in sentences.
    excluded : tuple of str
        Channels that are no EEG, as ``"label (type)"``.
    """

    name: str
    labels: tuple[str, ...]
    sfreq_hz: float
    samples_uv: NDArray[np.float32]
    times_s: NDArray[np.float64]
    events: tuple[Event, ...] = ()
    simulated: bool = False
    positions_m: NDArray[np.float64] | None = None
    path: Path | None = None
    excluded: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unit: str = "µV"
    source_id: str = ""

    def __post_init__(self):
        n, channels = self.samples_uv.shape
        if self.samples_uv.dtype != np.float32:
            raise ValueError(f"a Session holds float32 µV, got {self.samples_uv.dtype}")
        if self.times_s.shape != (n,) or len(self.labels) != channels:
            raise ValueError(
                f"a Session of {n} rows by {channels} channels needs as many times and labels, "
                f"got {self.times_s.shape} and {len(self.labels)}"
            )

    @property
    def n_channels(self) -> int:
        """EEG channels."""
        return len(self.labels)

    @property
    def duration_s(self) -> float:
        """From the first stamp to one sample after the last."""
        return float(self.times_s[-1] - self.times_s[0]) + 1.0 / self.sfreq_hz if len(self.times_s) else 0.0

    def heard(self) -> tuple[HeardSpan, ...]:
        """Songs heard, from the JSON song markers among the events."""
        end_s = float(self.times_s[-1]) + 1.0 / self.sfreq_hz if len(self.times_s) else 0.0
        return heard_spans(self.events, end_s)

    def grid_rows(self, start_s: float = 0.0) -> Iterator[Rows]:
        """Yield the rows of the live path, in order: gaps filled and flagged, repeats left out.

        A `SignalChain` that is fed them gives what it gives live or in a replay at any speed, bit for bit.

        Parameters
        ----------
        start_s : float
            Seconds into the session to begin at, as in a replay.
        """
        first = self.first_row(start_s)
        return grid_rows(self.samples_uv[first:], self.times_s[first:], self.sfreq_hz)

    def segments(self) -> tuple[tuple[int, int], ...]:
        """Row ranges ``(start, stop)``, as recorded, between breaks."""
        breaks = stamp_report(self.times_s, self.sfreq_hz).breaks
        edges = [0, *(row for row in breaks if row > 0), len(self.times_s)]
        return tuple((a, b) for a, b in pairwise(edges) if b > a)

    def first_row(self, start_s: float) -> int:
        """Return the first row at or after `start_s` seconds into the session."""
        if start_s == 0:
            return 0
        if not 0 < start_s < self.duration_s:
            raise UserError(
                f"{self.name} lasts {self.duration_s:.1f} s: a start at {start_s:g} s is outside, give one within."
            )
        return int(np.argmax(np.maximum.accumulate(self.times_s) >= self.times_s[0] + start_s))


def song_marker(song: str | None, title: str = "", song_start_s: float = 0.0) -> str:
    """Text of a song marker; `song` None: the music has ended."""
    if song is None:
        return json.dumps({"song": None})
    return json.dumps({"song": song, "title": title, "song_start_s": song_start_s})


def heard_spans(events: Iterable[Event], end_s: float) -> tuple[HeardSpan, ...]:
    """Read the song markers among `events`; a song that never ended stops at `end_s`."""
    spans: list[HeardSpan] = []
    playing: tuple[float, str, str, float] | None = None
    for event in sorted(events, key=lambda e: e.time_s):
        marker = parse_song_marker(event.text)
        if marker is None:
            continue
        if playing is not None and event.time_s > playing[0]:
            spans.append(HeardSpan(playing[0], event.time_s, *playing[1:]))
        playing = None if marker[0] is None else (event.time_s, marker[0], marker[1], marker[2])
    if playing is not None and end_s > playing[0]:
        spans.append(HeardSpan(playing[0], end_s, *playing[1:]))
    return tuple(spans)


def parse_song_marker(text: str) -> tuple[str | None, str, float] | None:
    """``(song, title, song_start_s)`` of a song marker, or None if `text` is something else."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        values = json.loads(text)
        if not isinstance(values, dict) or "song" not in values:
            return None
        song = None if values["song"] is None else str(values["song"])
        begin_s = float(values.get("song_start_s") or 0)
    except (ValueError, TypeError, OverflowError):
        return None
    return (song, str(values.get("title") or ""), begin_s) if math.isfinite(begin_s) else None
