"""Everything MNE reads, as a Session: EEG channels in µV, breaks shown in the stamps."""

from __future__ import annotations

import io
import re
import tempfile
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bci_music.data.channels import split_channels, unit_option
from bci_music.data.readers.brainvision import read_vhdr
from bci_music.data.session import AS_IT_IS, UNKNOWN_BREAK_S, Event, Reading, Session
from bci_music.messages import UserError

T = TypeVar("T")
_BLOCK = 200_000  # rows read at once: MNE hands out float64
_WITHOUT_UNIT = (".set", ".cnt", ".data")  # MNE takes them for µV
_BOUNDARY = re.compile(r"^(edge boundary|bad boundary|boundary|new segment/?.*)$", re.I)
_NOT_EEG_TYPES = ("stim", "eog", "ecg", "emg", "bio", "resp", "misc", "gsr", "temperature", "seeg", "ecog", "dbs")


def open_mne(path: Path, reading: Reading = AS_IT_IS) -> Session:
    """Open a file or folder that MNE reads."""
    with tempfile.TemporaryDirectory(prefix="bci-music-") as folder:
        vhdr = read_vhdr(path, reading.unit) if path.suffix.lower() == ".vhdr" else None
        opened = path if vhdr is None else vhdr.written(path.name, Path(folder))
        raw, notes = _quietly(lambda: _read(opened), path)
    labels = [str(name) for name in raw.ch_names]
    types = [str(kind) for kind in raw.get_channel_types()]
    columns, aside = split_channels(labels, types)
    if not columns or "eeg" not in types:
        there = ", ".join(aside[:6]) or "none at all"
        unit = " (or its unit with --unit, where it states none of voltage)" if vhdr else ""
        raise UserError(f"{path.name} holds no EEG channel, only {there}: give a recording of EEG{unit}.")
    if raw.n_times < 2:
        raise UserError(f"{path.name} holds {raw.n_times} samples: a recording needs at least 2.")
    samples, more = _quietly(lambda: _samples(raw, columns, _times_uv(path, reading)), path)
    keep, times, breaks = _timing(raw, vhdr.markers if vhdr else None)
    if not keep.all():
        samples = samples[keep]
        notes.append(f"{int((~keep).sum())} samples annotated as not acquired (BAD_ACQ_SKIP) are left out: a gap")
    notes[:0] = vhdr.notes if vhdr else ()
    notes.extend(breaks)
    if reading.montage:
        notes.append(f"{path.name} names its channels: --montage is not needed and changes nothing")
    return Session(
        name=path.name, labels=tuple(labels[c] for c in columns), sfreq_hz=float(raw.info["sfreq"]),
        samples_uv=samples, times_s=times[keep], events=_events(raw, times), positions_m=_positions(raw, columns),
        path=path, excluded=aside, notes=tuple(dict.fromkeys(notes + more)), simulated=_simulated(raw),
    )  # fmt: skip


def _read(path: Path) -> Any:
    import mne

    return mne.io.read_raw(path, preload=False, verbose="WARNING")


def _quietly(read: Callable[[], T], path: Path) -> tuple[T, list[str]]:
    """Run a reader; its warnings (and prints) become notes, its failure one sentence."""
    printed = io.StringIO()
    with warnings.catch_warnings(record=True) as caught, redirect_stdout(printed):
        warnings.simplefilter("always")
        try:
            value = read()
        except UserError:
            raise
        except Exception as error:  # readers of damaged files raise anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(
                f"{path.name} cannot be read ({reason[:200]}): the file is damaged, incomplete or of a variant "
                "that MNE does not read; export it again as EDF, BrainVision or FIF."
            ) from error
    messages = [str(w.message) for w in caught] + [line for line in printed.getvalue().splitlines() if line.strip()]
    return value, [f"MNE: {' '.join(text.split())}" for text in messages]


def _times_uv(path: Path, reading: Reading) -> float:
    """By how much values differ from what MNE makes of them: the user's unit, where the format has none."""
    given = unit_option(reading.unit)
    if given is None or path.suffix.lower() == ".vhdr":  # whose header was written with it
        return 1.0
    if path.suffix.lower() not in _WITHOUT_UNIT:
        raise UserError(f"{path.name} is of a format that states its unit: leave out --unit.")
    return given


def _samples(raw: Any, columns: list[int], scale: float) -> NDArray[np.float32]:
    """(n_times, n_channels) float32 µV, read block by block."""
    samples = np.empty((raw.n_times, len(columns)), np.float32)
    for start in range(0, raw.n_times, _BLOCK):
        stop = min(start + _BLOCK, raw.n_times)
        samples[start:stop] = (raw.get_data(columns, start, stop) * (1e6 * scale)).T
    return samples


def _timing(raw: Any, markers: Path | None) -> tuple[NDArray[np.bool_], NDArray[np.float64], list[str]]:
    """Which rows are real, the stamp of every row with breaks shown as missing time, and notes on them."""
    sfreq = float(raw.info["sfreq"])
    times = np.arange(raw.n_times) / sfreq
    keep = np.ones(raw.n_times, bool)
    known = _clock_jumps(markers, sfreq)
    notes: list[str] = []
    for onset, duration, text in _annotations(raw):
        row = round(onset * sfreq)
        if text.upper().startswith("BAD_ACQ_SKIP"):
            keep[max(row, 0) : row + max(1, round(duration * sfreq))] = False
        elif _BOUNDARY.match(text) and 0 < row < raw.n_times:
            missing = known.get(row, 0.0)
            times[row:] += max(missing, UNKNOWN_BREAK_S)
            length = f"{missing:.3f} s are missing" if missing else f"for an unknown time, shown as {UNKNOWN_BREAK_S} s"
            notes.append(f"the recording was interrupted at {onset:.3f} s: {length}")
    return keep, times, notes


def _annotations(raw: Any) -> list[tuple[float, float, str]]:
    """(onset from the first sample, duration, text) of every annotation."""
    start = raw.first_time if raw.annotations.orig_time is not None else 0.0
    return [(float(a["onset"]) - start, float(a["duration"]), str(a["description"])) for a in raw.annotations]


def _clock_jumps(markers: Path | None, sfreq: float) -> dict[int, float]:
    """Seconds missing before a row, where BrainVision's "New Segment" markers carry clock times."""
    if markers is None:
        return {}
    pattern = re.compile(r"^Mk\d+=New Segment,[^,]*,(\d+),\d*,\d*,(\d{20})", re.M)
    found = pattern.findall(markers.read_text(encoding="utf-8", errors="replace"))
    starts = [(int(row) - 1, datetime.strptime(stamp, "%Y%m%d%H%M%S%f")) for row, stamp in found]
    jumps = {}
    for (row_a, time_a), (row_b, time_b) in pairwise(starts):
        missing = (time_b - time_a).total_seconds() - (row_b - row_a) / sfreq
        if missing > 0:
            jumps[row_b] = missing
    return jumps


def _events(raw: Any, times: NDArray[np.float64]) -> tuple[Event, ...]:
    """Annotations on the session's clock, breaks included."""
    sfreq = float(raw.info["sfreq"])
    events = []
    for onset, duration, text in _annotations(raw):
        row = min(max(round(onset * sfreq), 0), len(times) - 1)
        events.append(Event(float(times[row]) + onset - row / sfreq, text, duration))
    return tuple(sorted(events, key=lambda e: e.time_s))


def _positions(raw: Any, columns: list[int]) -> NDArray[np.float64] | None:
    """(n_channels, 3) m in head coordinates; None unless the file places every electrode."""
    places = np.array([raw.info["chs"][c]["loc"][:3] for c in columns], np.float64)
    return places if np.isfinite(places).all() and places.any(axis=1).all() else None


def _simulated(raw: Any) -> bool:
    """Whether the file declares its EEG simulated."""
    return "simulated" in str(raw.info.get("description") or "").lower()
