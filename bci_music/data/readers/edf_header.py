"""Headers of EDF and BDF files: checked against the file's size before anything is made of them.

Written by many programs for thirty years, they hold commas for points, any code page, counts of records that were
never filled in, and signals that hold nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from bci_music.files import shown
from bci_music.messages import UserError

_MOST_SIGNALS, _LONGEST_RECORD_S, _HIGHEST_HZ = 4096, 86_400.0, 1e6
_WIDTHS = (("label", 16), ("transducer", 80), ("dimension", 8), ("physical_min", 8), ("physical_max", 8),
           ("digital_min", 8), ("digital_max", 8), ("filter", 80), ("per_record", 8), ("reserved", 32))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal of the file.

    Attributes
    ----------
    gain, offset : float
        Of digital to physical values, in `dimension`; a gain of NaN: its ranges are none, so it holds nothing.
    per_record, first : int
        Samples in each record, and where they begin in it.
    """

    label: str
    dimension: str
    gain: float
    offset: float
    per_record: int
    first: int

    @property
    def annotations(self) -> bool:
        """Whether it holds texts."""
        return self.label in ("EDF Annotations", "BDF Annotations")


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself, and what its size says."""

    signals: tuple[Signal, ...]
    records: int
    record_s: float
    sample_bytes: int
    data_at: int
    discontinuous: bool  # there may be pauses between records
    simulated: bool
    notes: tuple[str, ...]

    @property
    def record_bytes(self) -> int:
        """Bytes of one record."""
        return sum(s.per_record for s in self.signals) * self.sample_bytes


def read_header(path: Path) -> Header:
    """Read and check the header of an EDF or BDF file, whichever its first byte says it is.

    Raises
    ------
    UserError
        In one sentence, where it cannot be one, states what cannot be, or holds no whole record.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        main = file.read(256)
        if len(main) < 256 or (main[:8] != b"\xffBIOSEMI" and main[:8].strip(b" \0") != b"0"):
            raise UserError(f"{path.name} cannot be read as EDF or BDF: it does not begin as one; give another file.")
        n = _whole(path, main[252:256], "number of signals", 1, _MOST_SIGNALS)
        stated = _number(main[184:192])
        if stated not in (0, 256 * (n + 1)) and not math.isnan(stated):
            raise UserError(
                f"{path.name} states a header of {stated:.12g} bytes, but its {n} signals need {256 * (n + 1)}: it is "
                "damaged."
            )
        rest = file.read(n * 256)
    if len(rest) < n * 256:
        raise UserError(f"{path.name} is cut off within its header of {n} signals: nothing was recorded in it.")
    record_s = _decimal(path, main[244:252], "duration of a record")
    if not 0 < record_s <= _LONGEST_RECORD_S:
        raise UserError(f"{path.name} states records of {record_s:g} s: EEG needs a duration above 0.")
    sample_bytes = 3 if main[0] == 0xFF else 2
    signals = _signals(path, rest, n, record_s)
    data_at = 256 * (n + 1)
    record_bytes = sum(s.per_record for s in signals) * sample_bytes
    records = (size - data_at) // record_bytes if record_bytes else 0
    if records < 1:
        raise UserError(
            f"{path.name} holds no whole record: its header states {record_bytes} bytes for each, and "
            f"{size - data_at} follow; the recording was cut off or never written."
        )
    notes = _size_notes(path, main[236:244], records, record_s, (size - data_at) % record_bytes)
    return Header(
        signals, records, record_s, sample_bytes, data_at,
        discontinuous=_text(main[192:236]).upper()[:5] in ("EDF+D", "BDF+D"),
        simulated=b"simulated" in main[8:168].lower(), notes=notes,
    )  # fmt: skip


def _signals(path: Path, rest: bytes, n: int, record_s: float) -> tuple[Signal, ...]:
    columns: dict[str, list[bytes]] = {}
    at = 0
    for key, width in _WIDTHS:
        columns[key] = [rest[at + k * width : at + (k + 1) * width] for k in range(n)]
        at += n * width
    signals = []
    first = 0
    for k in range(n):
        label = _text(columns["label"][k])
        most = int(_HIGHEST_HZ * record_s) + 1
        per_record = _whole(path, columns["per_record"][k], f"samples in a record of {label!r}", 0, most)
        gain, offset = _scale(*(columns[key][k] for key in _WIDTHS_OF_RANGES))
        signals.append(Signal(label, _text(columns["dimension"][k]), gain, offset, per_record, first))
        first += per_record
    return tuple(signals)


_WIDTHS_OF_RANGES = ("physical_min", "physical_max", "digital_min", "digital_max")


def _scale(*ranges: bytes) -> tuple[float, float]:
    """Gain and offset to physical values; NaN where the ranges are none."""
    low, high, digital_low, digital_high = (_number(field) for field in ranges)
    if not math.isfinite(low + high + digital_low + digital_high) or low == high or digital_low == digital_high:
        return math.nan, 0.0
    gain = (high - low) / (digital_high - digital_low)
    return gain, low - gain * digital_low


def _size_notes(path: Path, field: bytes, records: int, record_s: float, rest: int) -> tuple[str, ...]:
    stated = _number(field)
    notes = []
    if stated == -1 or math.isnan(stated):
        notes.append(
            f"{path.name} does not state how many records it holds, as while it is recorded: {records} by its size"
        )
    elif stated > records:
        lost_s = (stated - records) * record_s
        notes.append(f"{path.name} is cut off: it holds {records} of {stated:.0f} records, {lost_s:.3g} s are lost")
    elif stated < records:
        notes.append(f"{path.name} states {stated:.0f} records and holds {records}: all of them are read")
    if rest:
        notes.append(f"{path.name} ends within a record: the last {rest} bytes are left out")
    return tuple(notes)


def _text(field: bytes) -> str:
    """A field's text: UTF-8 where it is, else Latin-1, which every byte is."""
    field = field.strip(b" \0\t\r\n")
    try:
        return field.decode("utf-8").strip()
    except UnicodeDecodeError:
        return field.decode("latin-1").strip()


def _number(field: bytes) -> float:
    """A number, also with a decimal comma; NaN where it is none."""
    try:
        return float(field.split(b"\0")[0].strip().replace(b",", b"."))
    except ValueError:
        return math.nan


def _decimal(path: Path, field: bytes, what: str) -> float:
    value = _number(field)
    if not math.isfinite(value):
        raise UserError(f"{path.name} states {shown(_text(field))!r} as its {what}, expected a number: it is damaged.")
    return value


def _whole(path: Path, field: bytes, what: str, least: int, most: int) -> int:
    value = _decimal(path, field, what)
    if value != int(value) or not least <= value <= most:
        raise UserError(f"{path.name} states {value:.12g} as its {what}, expected {least} to {most}: it is damaged.")
    return int(value)
