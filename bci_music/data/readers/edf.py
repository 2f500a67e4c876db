"""EDF and BDF files as a Session, read here: units, onsets of records, rates and triggers as the file states them.

MNE reads a file of any unit it does not know as volts, joins what a pause parts, brings all signals to the highest
rate, and leaves the status word of a BDF file to its user.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bci_music.data.channels import microvolts, split_channels, uv_per_unit
from bci_music.data.readers.edf_header import Header, Signal, read_header
from bci_music.data.session import AS_IT_IS, Event, Reading, Session
from bci_music.messages import UserError

_BLOCK_BYTES = 1 << 25  # read at once
_NOTED_BREAKS = 5
_TAL = re.compile(rb"^([+-]\d+(?:[.,]\d*)?)(?:\x15(\d*(?:[.,]\d*)?))?\x14([\s\S]*)$")
_STATUS_BITS, _MOST_CHANGES = 0xFFFF, 0.1  # of a trigger signal that changes more often, no event is made


def open_edf(path: Path, reading: Reading = AS_IT_IS) -> Session:
    """Open an EDF or BDF file, plain or plus, continuous or not."""
    header = read_header(path)
    columns, labels, aside, notes = _eeg(header, path)
    signals = [header.signals[k] for k in columns]
    per_record = signals[0].per_record
    factors, unit, doubts = microvolts([s.dimension for s in signals], path.name, reading.unit)
    parts, triggers = _read(path, header, signals, np.array(factors))
    onsets, annotations = _annotations(path, header)
    starts, breaks = _starts(onsets, header, per_record / header.record_s)
    events = [*annotations, *_trigger_events(header, triggers, starts)]
    if reading.montage:
        doubts.append(f"{path.name} names its channels: --montage is not needed and changes nothing")
    return Session(
        name=path.name, labels=tuple(labels), sfreq_hz=per_record / header.record_s, samples_uv=parts,
        times_s=_times(starts, header, per_record), events=tuple(sorted(events, key=lambda e: e.time_s)), path=path,
        excluded=aside, notes=(*header.notes, *notes, *doubts, *breaks), unit=unit, simulated=header.simulated,
    )  # fmt: skip


def _eeg(header: Header, path: Path) -> tuple[list[int], list[str], tuple[str, ...], list[str]]:
    """Which signals are EEG of one rate, their names, the others with why, and notes."""
    there = [k for k, s in enumerate(header.signals) if not s.annotations]
    labels = [header.signals[k].label or "-" for k in there]
    types = ["no range" if np.isnan(header.signals[k].gain) or not header.signals[k].per_record else "" for k in there]
    types = ["" if set(label) <= set("- ") else kind for kind, label in zip(types, labels, strict=True)]
    first, _ = split_channels(labels, types)
    units = {k: header.signals[there[k]].dimension for k in first}
    voltage = any(uv_per_unit(unit) is not None for unit in units.values())
    rates = Counter(header.signals[there[k]].per_record for k in first)
    rate = max(rates, key=lambda n: (rates[n], n), default=0)
    notes = []
    for k in first:
        per_record = header.signals[there[k]].per_record
        if voltage and units[k] and uv_per_unit(units[k]) is None:
            types[k] = f"in {units[k]}"
        elif per_record != rate:
            types[k] = f"{per_record / header.record_s:g} Hz"
    keep, aside = split_channels(labels, types)
    if not keep:
        listed = ", ".join(aside[:6]) or "texts"
        raise UserError(f"{path.name} holds no EEG channel, only {listed}: give a recording of EEG.")
    if odd := [labels[k] for k in first if types[k].endswith(" Hz")]:
        notes.append(
            f"EEG of {len(rates)} rates: the {rates[rate]} channels at {rate / header.record_s:g} Hz are read, "
            f"{len(odd)} others are excluded"
        )
    names, twice = _unique([labels[k] for k in keep])
    return [there[k] for k in keep], names, aside, notes + twice


def _unique(labels: list[str]) -> tuple[list[str], list[str]]:
    seen: Counter[str] = Counter()
    names, doubled = [], []
    for label in labels:
        seen[label] += 1
        names.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
        if seen[label] == 2:
            doubled.append(label)
    return names, [f"channel {label!r} is there {seen[label]} times: the names are numbered" for label in doubled]


def _read(
    path: Path, header: Header, signals: list[Signal], factors: NDArray[np.float64]
) -> tuple[NDArray[np.float32], dict[int, NDArray[np.int32]]]:
    """(n_times, n_channels) µV of `signals`, and the digital values of the trigger signals by their place."""
    per_record = signals[0].per_record
    gains = np.array([s.gain for s in signals]) * factors
    offsets = np.array([s.offset for s in signals]) * factors
    samples = np.empty((header.records * per_record, len(signals)), np.float32)
    wanted = [k for k, s in enumerate(header.signals) if _is_trigger(s)]
    triggers = {k: np.empty(header.records * header.signals[k].per_record, np.int32) for k in wanted}
    step = max(1, _BLOCK_BYTES // header.record_bytes)
    with path.open("rb") as file:
        file.seek(header.data_at)
        for start in range(0, header.records, step):
            n = min(step, header.records - start)
            block = _integers(file.read(n * header.record_bytes), header.sample_bytes).reshape(n, -1)
            rows = slice(start * per_record, (start + n) * per_record)
            for column, signal in enumerate(signals):
                part = block[:, signal.first : signal.first + per_record].ravel()
                samples[rows, column] = part * gains[column] + offsets[column]
            for k, values in triggers.items():
                s = header.signals[k]
                part = block[:, s.first : s.first + s.per_record]
                values[start * s.per_record : (start + n) * s.per_record] = part.ravel()
    return samples, triggers


def _integers(data: bytes, sample_bytes: int) -> NDArray[np.int32]:
    if sample_bytes == 2:
        return np.frombuffer(data, "<i2").astype(np.int32)
    wide = np.zeros((len(data) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return wide.view("<i4")[:, 0] >> 8  # keeps the sign


def _annotations(path: Path, header: Header) -> tuple[NDArray[np.float64] | None, list[Event]]:
    """Onset of each record in seconds after the first one's, None where they are not stated; and all texts."""
    places = [s for s in header.signals if s.annotations and s.per_record]
    if not places:
        return None, []
    onsets = np.full(header.records, np.nan)
    events: list[Event] = []
    with path.open("rb") as file:
        for record in range(header.records):
            for number, signal in enumerate(places):
                file.seek(header.data_at + record * header.record_bytes + signal.first * header.sample_bytes)
                found = _texts(file.read(signal.per_record * header.sample_bytes))
                if number == 0 and found:
                    onsets[record] = found[0].time_s
                events.extend(e for e in found if e.text)
    if np.isnan(onsets).any():
        return None, [Event(e.time_s, e.text, e.duration_s) for e in events]
    begin_s = float(onsets[0])
    return onsets - begin_s, [Event(e.time_s - begin_s, e.text, e.duration_s) for e in events]


def _texts(data: bytes) -> list[Event]:
    """Time-stamped texts of one record; the first has an empty one and is the record's onset."""
    events = []
    for entry in data.split(b"\0"):
        match = _TAL.match(entry)
        if match is None:
            continue
        onset_s = float(match[1].replace(b",", b"."))
        duration_s = float((match[2] or b"0").replace(b",", b".").strip(b".") or 0)
        texts = match[3].split(b"\x14")
        texts = texts[:-1] if texts[-1] == b"" and len(texts) > 1 else texts
        for text in texts:
            try:
                words = text.decode("utf-8")
            except UnicodeDecodeError:
                words = text.decode("latin-1")
            events.append(Event(onset_s, words.strip(), duration_s))
    return events


def _starts(
    onsets: NDArray[np.float64] | None, header: Header, rate_hz: float
) -> tuple[NDArray[np.float64], list[str]]:
    """Time of each record's first sample, counted on within a run of records, and notes on the breaks between runs."""
    even = np.asarray(np.arange(header.records) * header.record_s, np.float64)
    if onsets is None:
        doubt = "not all its records state when they begin: they are taken as following each other"
        return even, [doubt] if header.discontinuous else []
    off = np.diff(onsets) - header.record_s
    if not header.discontinuous and off.min(initial=0) < -0.5 / rate_hz:
        return even, ["its records state times that fall, though it is continuous: they are taken as following"]
    at = np.flatnonzero(np.abs(off) > 0.5 / rate_hz) + 1
    starts = even.copy()
    for first, stop in zip([0, *at], [*at, header.records], strict=True):
        starts[first:stop] = onsets[first] + even[first:stop] - even[first]
    notes = []
    for k in at[:_NOTED_BREAKS]:
        where_s, missing_s = float(starts[k - 1]) + header.record_s, float(off[k - 1])
        how = f"{missing_s:.3f} s are missing" if missing_s > 0 else f"its clock jumps back by {-missing_s:.3f} s"
        notes.append(f"the recording was interrupted at {where_s:.3f} s: {how}")
    if len(at) > _NOTED_BREAKS:
        notes.append(f"the recording was interrupted {len(at) - _NOTED_BREAKS} more times")
    return starts, notes


def _times(starts: NDArray[np.float64], header: Header, per_record: int) -> NDArray[np.float64]:
    """Stamps of a signal's samples: along a run of records they are whole multiples of the period."""
    if len(starts) == 1 or np.allclose(np.diff(starts), header.record_s, rtol=0, atol=1e-9):
        return np.arange(header.records * per_record) / (per_record / header.record_s) + starts[0]
    within = np.arange(per_record) / (per_record / header.record_s)
    return np.asarray(starts[:, None] + within).ravel()


def _is_trigger(signal: Signal) -> bool:
    words = signal.label.lower()
    return bool(signal.per_record) and re.match(r"status|trig|stim?\b|sti |digi|marker|event", words) is not None


def _trigger_events(
    header: Header, triggers: dict[int, NDArray[np.int32]], starts: NDArray[np.float64]
) -> list[Event]:
    """Return an event wherever a trigger signal leaves its usual value for another."""
    events: list[Event] = []
    for k, values in triggers.items():
        signal = header.signals[k]
        status = header.sample_bytes == 3 and signal.label.lower() == "status"
        if status:
            values = values & _STATUS_BITS  # above them stands what the amplifier says of itself
        at = np.flatnonzero(np.diff(values)) + 1
        if not len(at) or len(at) > max(20, _MOST_CHANGES * len(values)):
            continue
        kinds, counts = np.unique(values, return_counts=True)
        usual = int(kinds[counts.argmax()])
        times = _times(starts, header, signal.per_record)
        rows = at[values[at] != usual]
        shown = values[rows] & ~usual if status else values[rows]  # of lines that are high by themselves what was added
        physical = values[rows] * signal.gain + signal.offset
        if not status and np.allclose(physical, np.rint(physical), atol=0.01):
            shown = np.rint(physical).astype(np.int64)
        events.extend(Event(float(times[r]), str(v)) for r, v in zip(rows, shown, strict=True) if v or not status)
    return events
