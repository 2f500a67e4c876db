"""A plain folder as a study: recordings of any kind and a `tracking.yaml` that says who heard what, and from when on.

docs/evaluation.md shows one. What `bci-music data prepare` made is opened here too, by what lies in the folder.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from bci_music.config import Config, read_yaml
from bci_music.data.formats import open_session
from bci_music.data.session import Event, Reading, Session, song_marker
from bci_music.data.study import Stimulus
from bci_music.eeg.electrodes import clean_label
from bci_music.evaluation.tracking.study import (
    Part,
    RawPart,
    Report,
    TrackingStudy,
    Trial,
    finished,
    from_prepared,
    make_trial,
)
from bci_music.heard.features import RATE_HZ, envelope_rows, good_electrodes, referenced, sound_rows
from bci_music.messages import UserError
from bci_music.training.eeg.sessions import real_runs, whole_rows
from bci_music.training.eeg.targets import read_song
from bci_music.training.lab.prepared import SETTINGS, Prepared

FILE_NAME = "tracking.yaml"


class TrackingEntry(Config):
    """One recording of one sound; paths are relative to the file. `rate_hz` and `electrodes` are for ``.npy`` EEG."""

    eeg: str
    listener: str = Field(min_length=1)
    piece: str = Field(min_length=1)
    audio: str = ""
    envelope: str = ""
    envelope_hz: float | None = Field(None, gt=0)
    onset_s: float = Field(0.0, ge=0)  # second of the recording at which the sound begins
    seconds: float | None = Field(None, gt=0)  # how long it is heard; by default to its end
    rate_hz: float | None = Field(None, gt=16.0)
    electrodes: tuple[str, ...] = ()
    stream: str | None = None  # of an XDF file with several EEG streams
    unit: str | None = None  # of EEG whose file states none, or a wrong one

    @model_validator(mode="after")
    def _one_sound(self) -> TrackingEntry:
        if bool(self.audio) == bool(self.envelope):
            raise ValueError("give either audio or envelope")
        if self.envelope and self.envelope_hz is None:
            raise ValueError("an envelope needs envelope_hz, its samples per second")
        return self


class TrackingFile(Config):
    """``tracking.yaml``."""

    recordings: tuple[TrackingEntry, ...] = Field(min_length=1)
    simulated: bool = False


def open_tracking_study(directory: Path, report: Report = lambda done, of, what: None) -> TrackingStudy:
    """Open a folder that `bci-music data prepare` made, or one with a ``tracking.yaml``.

    Raises
    ------
    UserError
        Where it is neither, or something in it cannot be read.
    """
    if (directory / FILE_NAME).is_file():
        return _open_folder(directory / FILE_NAME, report)
    if (directory / SETTINGS).is_file() or (directory / "eeg" / "way.json").is_file():  # one that is not finished too
        return from_prepared(Prepared.open(directory), report)
    raise UserError(
        f"{directory} holds neither a prepared study ({SETTINGS}) nor a {FILE_NAME}: make the one with `bci-music data "
        "prepare`, or write the other as docs/evaluation.md shows."
    )


def read_entries(path: Path) -> TrackingFile:
    """Read and check a ``tracking.yaml``."""
    values = read_yaml(path)
    entries = values.get("recordings")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(
            f"{path} has no list `recordings:` of lines such as `- {{eeg: s01.edf, listener: s01, piece: song1, audio: "
            "song1.wav, onset_s: 12.5}`: see docs/evaluation.md."
        )
    for number, entry in enumerate(entries, 1):
        TrackingEntry.parse(entry, f"recording {number} of {path}")
    file = TrackingFile.parse(values, str(path))
    sources: dict[str, tuple[str, str, float | None]] = {}
    for entry in file.recordings:
        source = (entry.audio, entry.envelope, entry.envelope_hz)
        if sources.setdefault(entry.piece, source) != source:
            raise UserError(
                f"{path} gives the piece {entry.piece!r} two sounds ({sources[entry.piece][0] or entry.envelope} and "
                f"{entry.audio or entry.envelope}): give each sound a piece of its own."
            )
    return file


def open_recording(entry: TrackingEntry, directory: Path, number: int, sound_s: float) -> Session:
    """Open the EEG of an entry under a name of its own, with song markers for what was heard."""
    path = directory / entry.eeg
    session = _npy_session(path, entry) if path.suffix.lower() == ".npy" else _session(path, entry.stream, entry.unit)
    begin_s = float(session.times_s[0]) + entry.onset_s
    if entry.onset_s >= session.duration_s:
        raise UserError(
            f"{path.name} lasts {session.duration_s:.1f} s, but {entry.piece} is to begin at {entry.onset_s:g} s: give "
            "an onset_s within the recording."
        )
    stop_s = begin_s + min(sound_s, entry.seconds or np.inf)
    events = (Event(begin_s, song_marker(entry.piece, entry.piece, 0.0)), Event(stop_s, song_marker(None)))
    return replace(session, name=f"{number}: {entry.eeg}", events=events)


def piece_audio(entry: TrackingEntry, directory: Path) -> tuple[NDArray[np.float32], float] | None:
    """Sound of an entry (n,) and its rate; None where only an envelope is known."""
    return read_song(Stimulus(entry.piece, entry.piece, entry.piece, directory / entry.audio)) if entry.audio else None


def _open_folder(path: Path, report: Report) -> TrackingStudy:
    file, directory = read_entries(path), path.parent
    sounds = {entry.piece: _sound(entry, directory) for entry in {e.piece: e for e in file.recordings}.values()}
    found: list[tuple[Trial, tuple[str, ...]]] = []
    simulated = file.simulated
    for number, entry in enumerate(file.recordings, 1):
        n_sound = len(sounds[entry.piece])
        session = open_recording(entry, directory, number, n_sound / RATE_HZ)
        simulated = simulated or session.simulated
        trial = make_trial(entry.listener, entry.piece, entry.piece, session.name, _raw_parts(session), n_sound)
        if trial is not None:
            found.append((trial, tuple(clean_label(label) for label in session.labels)))
        report(number, len(file.recordings), entry.eeg)
    _session.cache_clear()
    return finished(str(path.parent), _on_common_electrodes(found), len(file.recordings), sounds, simulated)


def _sound(entry: TrackingEntry, directory: Path) -> NDArray[np.float64]:
    """Flux and envelope (n, 2)."""
    if (audio := piece_audio(entry, directory)) is not None:
        return sound_rows(*audio)
    path = directory / entry.envelope
    values = np.squeeze(_numbers(path))
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise UserError(
            f"{path} holds an array of shape {values.shape}, or what is no number: expected one finite column of the "
            "sound's envelope."
        )
    return envelope_rows(values, float(entry.envelope_hz or 0.0))


def _numbers(path: Path) -> NDArray[np.floating]:
    """Read ``.npy``, or text with one number a line (a head line is passed over)."""
    if not path.is_file():
        raise UserError(f"There is no file {path}: put it there, or fix its line in {FILE_NAME}.")
    try:
        if path.suffix.lower() == ".npy":
            values = np.load(path, allow_pickle=False)
        else:
            lines = [line for line in path.read_text(encoding="utf-8").replace(",", " ").splitlines() if line.strip()]
            head = 0 if not lines or _is_number(lines[0].split()[0]) else 1
            values = np.array([[float(word) for word in line.split()] for line in lines[head:]])
        return np.asarray(values, np.float64)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read ({reason}): give .npy, or text with one number a line.") from error


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=1)
def _session(path: Path, stream: str | None, unit: str | None) -> Session:
    """Open a recording; entries of one file follow each other, so the last one is kept."""
    try:
        return open_session(path, Reading(stream, unit))
    except UserError as error:  # options are keys here
        raise UserError(re.sub(r"--(stream|unit)\b", rf"`\1:` in {FILE_NAME}", str(error))) from error


def _npy_session(path: Path, entry: TrackingEntry) -> Session:
    """EEG of an ``.npy`` file (n_times, n_channels), in any unit."""
    if entry.rate_hz is None or not entry.electrodes:
        raise UserError(f"{path.name} is a plain array: give rate_hz and electrodes (their names) beside it.")
    samples = _numbers(path)
    if samples.ndim != 2 or samples.shape[1] != len(entry.electrodes):
        raise UserError(
            f"{path} has the shape {samples.shape}, expected (times, {len(entry.electrodes)}) for as many electrodes: "
            "turn it round, or name every electrode."
        )
    times = np.arange(len(samples)) / entry.rate_hz
    return Session(path.name, entry.electrodes, entry.rate_hz, samples.astype(np.float32), times, path=path)


def _raw_parts(session: Session) -> list[RawPart]:
    """EEG while the sound is heard, in parts without a break: the good electrodes about their mean, the others zero."""
    (span,) = session.heard()
    samples, times, flags = whole_rows(session)
    inside = slice(int(np.searchsorted(times, span.start_s)), int(np.searchsorted(times, span.stop_s)))
    heard = samples[inside].astype(np.float64)
    heard = referenced(heard, good_electrodes(heard))
    return [
        RawPart(heard[a:b].T, session.sfreq_hz, float(times[inside][a]) - span.start_s)
        for a, b in real_runs(flags[inside]) if b > a
    ]


def _on_common_electrodes(found: list[tuple[Trial, tuple[str, ...]]]) -> list[Trial]:
    """Lay all trials onto all electrodes by name; one that a recording lacks is zero there."""
    names = list(dict.fromkeys(label for _, labels in found for label in labels))
    laid = []
    for trial, labels in found:
        to = [names.index(label) for label in labels]
        parts = []
        for part in trial.parts:
            eeg = np.zeros((len(part.eeg), len(names)), np.float16)
            eeg[:, to] = part.eeg
            parts.append(Part(eeg, part.first))
        laid.append(replace(trial, parts=tuple(parts)))
    return laid
