"""What is in a study's folder, what is missing, and where to get it; bad data raise while looking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bci_music.data import matlab
from bci_music.data.audio_map import audio_seconds
from bci_music.data.musing import PAGE as MUSING_PAGE
from bci_music.data.nmed_published import DATA_SETS
from bci_music.data.open_study import open_study
from bci_music.data.session import AS_IT_IS, Reading
from bci_music.data.study import Recording, Study

Report = Callable[[int, int, str], None]  # recordings looked into, of how many, which
_QUIET_UV = 0.1  # EEG spreads by microvolts: less than this is most likely another unit


@dataclass(frozen=True)
class FileRow:
    """One file of EEG. `sfreq_hz` and `spread_uv` (median over listeners and channels) are NaN where not read."""

    file: str
    songs: tuple[str, ...]
    titles: tuple[str, ...]
    listeners: int
    seconds: float  # of each listener
    sfreq_hz: float
    n_channels: int
    spread_uv: float
    megabytes: float
    before: int  # listeners with EEG from before the music
    audio_s: float | None  # None: no audio is known; the shortest where there are several


@dataclass(frozen=True)
class StudyCheck:
    """A study's folder in figures; `as_json` is plain data."""

    kind: str
    directory: str
    simulated: bool
    rows: tuple[FileRow, ...]
    missing: tuple[tuple[str, str], ...]  # (file, where to get it)
    without_audio: tuple[str, ...]
    listeners: int
    hours: float
    page: str
    notes: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether all that is published is here; a simulated study is complete as it is."""
        return self.simulated or not self.missing

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self) | {"complete": self.complete}


def check_study(
    kind: str, directory: Path, audio: Path | None = None, *, deep: bool = True,
    reading: Reading = AS_IT_IS, report: Report = lambda done, of, what: None,
) -> StudyCheck:
    """Look into a study.

    Parameters
    ----------
    deep : bool
        Whether all samples are read too: only then NaN and foreign units are found.

    Raises
    ------
    UserError
        On bad data: one sentence that names file and expectation.
    """
    study = open_study(kind, directory, audio, reading)
    groups: dict[Path, list[Recording]] = {}
    for recording in study.recordings:
        groups.setdefault(recording.path, []).append(recording)
    rows, looked = [], 0
    for recordings in groups.values():
        spreads, rates, channels = [], [], [0]
        for recording in recordings if deep else ():
            session = recording.open()
            spreads.append(np.median(session.samples_uv.std(axis=0)))
            rates.append(session.sfreq_hz)
            channels.append(session.n_channels)
            if recording.open_before is not None:
                recording.open_before()
            looked += 1
            report(looked, len(study.recordings), recording.name)
        rows.append(_row(study, recordings, spreads, rates, max(channels)))
    matlab.forget()
    pages = {key: data_set.page for key, data_set in DATA_SETS.items()} | {"musin-g": MUSING_PAGE}
    notes = list(study.notes)
    if odd := [row.file for row in rows if row.spread_uv < _QUIET_UV]:
        notes.append(f"{odd[0]} spreads by less than {_QUIET_UV} µV: it may be in another unit")
    return StudyCheck(
        kind=kind, directory=str(directory), simulated=study.simulated, rows=tuple(rows), missing=_missing(study),
        without_audio=tuple(k for k, s in study.stimuli.items() if s.audio is None),
        listeners=len({r.listener for r in study.recordings}),
        hours=sum(r.duration_s for r in study.recordings) / 3600.0,
        page=pages.get(kind, ""), notes=tuple(notes),
    )  # fmt: skip


def _row(study: Study, recordings: list[Recording], spreads: list, rates: list, n_channels: int) -> FileRow:
    songs = tuple(dict.fromkeys(song for r in recordings for song in r.songs))
    stimuli = [study.stimuli[song] for song in songs if song in study.stimuli]
    lengths = [audio_seconds(s.audio) for s in stimuli if s.audio is not None]
    path = recordings[0].path
    return FileRow(
        file=str(path.relative_to(study.path)) if path.is_relative_to(study.path) else path.name, songs=songs,
        titles=tuple(s.title for s in stimuli), listeners=len({r.listener for r in recordings}),
        seconds=max(r.duration_s for r in recordings), sfreq_hz=rates[0] if rates else float("nan"),
        n_channels=n_channels, spread_uv=float(np.median(spreads)) if spreads else float("nan"),
        megabytes=path.stat().st_size / 1e6, before=sum(r.open_before is not None for r in recordings),
        audio_s=min(lengths) if lengths and len(lengths) == len(songs) else None,
    )  # fmt: skip


def _missing(study: Study) -> tuple[tuple[str, str], ...]:
    data_set = DATA_SETS.get(study.kind)
    if data_set is None:
        return ()
    here = {(song, r.repeat) for r in study.recordings for song in r.songs}
    return tuple(
        (data_set.file_name(number, repeat), data_set.where(number))
        for number in data_set.stimuli for repeat in data_set.repeats
        if (f"{study.kind}/{number}", repeat) not in here
    )

