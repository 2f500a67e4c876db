"""NMED-T and NMED-H as a study: the published clean .mat files, and anything of their shape (simulated, or a part).

Every file is looked into when the study is opened (names, shapes, rate, listeners, whether it is whole); samples are
read when a recording is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci_music.config import read_yaml
from bci_music.data import matlab
from bci_music.data.audio_map import check_length, find_audio_map, with_audio
from bci_music.data.nmed_published import DATA_SETS, N_ROWS, SFREQ_HZ, T_LISTENERS, DataSet
from bci_music.data.session import Event, Session, song_marker
from bci_music.data.study import Recording, Stimulus, Study
from bci_music.eeg.montage import NMED_CHANNELS
from bci_music.messages import UserError

SIMULATED_MARK = "SIMULATED.yaml"
BEFORE = "before_"  # beside song21_Imputed.mat lies before_song21_Imputed.mat, with EEG from before the music


@dataclass(frozen=True)
class MatFile:
    """One .mat file: `variable` is (125, n_times, n_listeners)."""

    path: Path
    variable: str
    listeners: tuple[str, ...]
    n_times: int

    @property
    def seconds(self) -> float:
        """Length of each listener's EEG."""
        return self.n_times / SFREQ_HZ


@dataclass(frozen=True)
class Clean:
    """EEG of one stimulus: who heard it, and the file of before the music where there is one."""

    number: int
    repeat: str
    file: MatFile
    before: MatFile | None


def open_nmed(kind: str, directory: Path, audio: Path | None = None) -> Study:
    """Open a folder of NMED-T (`kind` "nmed-t") or NMED-H ("nmed-h") files.

    Raises
    ------
    UserError
        When the folder holds none of the files, or one of them is not as published: the sentence names file and
        expectation.
    """
    data_set = DATA_SETS[kind]
    simulated = is_simulated(directory)
    cleans = clean_files(data_set, directory)
    stimuli = _stimuli(data_set, {c.number for c in cleans}, simulated)
    all_ids = [f"{kind}/{n}" for n in data_set.stimuli]
    mapping = find_audio_map(directory, audio)
    stimuli = with_audio(stimuli, mapping, kind=kind, all_ids=all_ids, where=str(directory))
    for clean in cleans:
        check_length(stimuli[f"{kind}/{clean.number}"], clean.file.seconds, clean.file.path.name)
    recordings = [r for clean in cleans for r in _recordings(kind, clean, stimuli, simulated)]
    notes = _notes(data_set, cleans, simulated)
    return Study(kind, directory, tuple(recordings), stimuli, simulated, notes, _simulated_snr_db(directory))


def is_simulated(directory: Path) -> bool:
    """Whether a file in the folder, or the one above, declares its EEG simulated."""
    return any(bool(made.get("simulated", True)) for made in _marks(directory))


def _marks(directory: Path) -> list[dict[str, Any]]:
    """What the files say that declare EEG simulated."""
    files = [d / SIMULATED_MARK for d in (directory, directory.resolve().parent)]
    return [read_yaml(file) for file in files if file.is_file()]


def _simulated_snr_db(directory: Path) -> float | None:
    known = [made["config"].get("snr_db") for made in _marks(directory) if isinstance(made.get("config"), dict)]
    return None if not known or known[0] is None else float(known[0])


def clean_files(data_set: DataSet, directory: Path) -> list[Clean]:
    """Look into all clean files of a folder (or of folders in it, as the archives unpack)."""
    if not directory.is_dir():
        raise UserError(f"There is no folder {directory}: give the folder of the {data_set.name} files.")
    found = []
    for number in data_set.stimuli:
        for repeat in data_set.repeats:
            name = data_set.file_name(number, repeat)
            if (path := _find(directory, name)) is None:
                continue
            variable = data_set.variable(number, repeat)
            subjects = data_set.variable(number, repeat, "subs")
            before = path.with_name(BEFORE + name)
            names = [data_set.variable(number, r, "before") for r in dict.fromkeys((repeat, ""))]
            found.append(Clean(
                number, repeat, look_into(path, [variable], subjects, data_set),
                look_into(before, names, subjects, data_set) if before.is_file() else None,
            ))  # fmt: skip
    if not found:
        example = data_set.file_name(21, data_set.repeats[0])
        raise UserError(
            f"{directory} holds no file of {data_set.name} (expected {example} and the like): fetch them from "
            f"{data_set.page}."
        )
    return found


def look_into(path: Path, names: list[str], subjects: str, data_set: DataSet) -> MatFile:
    """Check one file without loading its samples; `names` are the variables that may hold them."""
    shapes = matlab.variables(path)
    name = next((n for n in names if n in shapes), None)
    missing = [n for n in (subjects, "fs") if n not in shapes]
    if name is None or missing:
        there = ", ".join(shapes) or "nothing"
        raise UserError(
            f"{path.name} holds no variable {missing[0] if name else names[0]} (it has {there}): expected a clean file "
            f"of {data_set.name} as published at {data_set.page}."
        )
    shape = shapes[name] if len(shapes[name]) == 3 else (*shapes[name], 1)
    if len(shape) != 3 or shape[0] != N_ROWS:
        size = f"{shape[0]} rows" if len(shape) == 3 else f"an array of {len(shapes[name])} dimensions"
        raise UserError(
            f"{name} in {path.name} has {size}, expected {N_ROWS} (E1 to E124 and the vertex) by time by listeners: "
            "give the file as published."
        )
    about = matlab.small(path, [subjects, "fs"])
    rate = np.ravel(np.asarray(about["fs"]))
    if rate.size != 1 or not np.issubdtype(rate.dtype, np.number) or abs(float(rate[0]) - SFREQ_HZ) > 1e-6:
        stated = f"{float(rate[0]):g} Hz" if rate.size == 1 and np.issubdtype(rate.dtype, np.number) else repr(rate)
        raise UserError(f"fs in {path.name} is {stated}, expected {SFREQ_HZ:g} Hz: give the clean EEG as published.")
    listeners = _listeners(about[subjects])
    if len(listeners) != shape[2] or len(set(listeners)) != len(listeners):
        raise UserError(
            f"{subjects} in {path.name} names {len(set(listeners))} listeners, {name} holds EEG of {shape[2]}: "
            "expected one id for each; give the file as published."
        )
    if not shape[1]:
        raise UserError(f"{name} in {path.name} holds no samples: expected EEG at {SFREQ_HZ:g} Hz.")
    return MatFile(path, name, listeners, shape[1])


def _listeners(cell: NDArray) -> tuple[str, ...]:
    """Ids from a MATLAB cell of strings; plain numbers become ``S02``."""
    texts = [str(np.ravel(item)[0]) if np.size(item) else "" for item in np.ravel(np.asarray(cell))]
    return tuple(f"S{int(float(t)):02d}" if t.replace(".", "", 1).isdigit() else t.strip() for t in texts)


def open_mat(
    file: MatFile, column: int, name: str, marker: str | None, simulated: bool
) -> Session:
    """One listener's EEG as a session that starts at 0 s; a `UserError` where it holds what is no number."""
    array = matlab.samples(file.path, file.variable)
    samples = (array[:, :, column] if array.ndim == 3 else array).T
    if not np.isfinite(samples).all():
        row, electrode = np.argwhere(~np.isfinite(samples))[0]
        raise UserError(
            f"{file.path.name} holds NaN for {file.listeners[column]} ({NMED_CHANNELS[electrode]} at "
            f"{row / SFREQ_HZ:.2f} s): expected imputed EEG without gaps; download it again."
        )
    return Session(
        name=name, labels=NMED_CHANNELS, sfreq_hz=SFREQ_HZ, samples_uv=samples,
        times_s=np.arange(len(samples)) / SFREQ_HZ, events=(Event(0.0, marker),) if marker else (),
        simulated=simulated, path=file.path,
    )  # fmt: skip


def _recordings(kind: str, clean: Clean, stimuli: dict[str, Stimulus], simulated: bool) -> list[Recording]:
    stimulus = stimuli[f"{kind}/{clean.number}"]
    marker = song_marker(stimulus.id, stimulus.title)
    found = []
    for column, listener in enumerate(clean.file.listeners):
        name = " ".join(filter(None, (kind, listener, f"song{clean.number}", clean.repeat)))
        before: Callable[[], Session] | None = None
        if clean.before is not None and listener in clean.before.listeners:
            before = partial(open_mat, clean.before, clean.before.listeners.index(listener), name, None, simulated)
        found.append(Recording(
            name=name, listener=f"{kind} {listener}", path=clean.file.path, repeat=clean.repeat,
            open=partial(open_mat, clean.file, column, name, marker, simulated), open_before=before,
            duration_s=clean.file.seconds, songs=(stimulus.id,),
        ))  # fmt: skip
    return found


def _stimuli(data_set: DataSet, numbers: set[int], simulated: bool) -> dict[str, Stimulus]:
    found = {}
    for number in sorted(numbers):
        key, song = f"{data_set.kind}/{number}", data_set.stimuli[number]
        title = f"composed music {number}" if simulated else song.title
        found[key] = Stimulus(key, title, title if simulated else song.name)
    return found


def _find(directory: Path, name: str) -> Path | None:
    """Return the file in the folder, or in folders up to two below it."""
    places = (name, f"*/{name}", f"*/*/{name}")
    return next((path for place in places for path in sorted(directory.glob(place))), None)


def _notes(data_set: DataSet, cleans: list[Clean], simulated: bool) -> tuple[str, ...]:
    """Describe what differs from the published data set."""
    notes = ["all EEG is simulated"] if simulated else []
    there = {c.number for c in cleans}
    if absent := [str(n) for n in data_set.stimuli if n not in there]:
        notes.append(f"{len(there)} of {len(data_set.stimuli)} stimuli are here (not {', '.join(absent)})")
    fewer = {len(c.file.listeners) for c in cleans} - {data_set.listeners}
    if fewer:
        notes.append(f"files hold {_span(fewer)} listeners, {data_set.listeners} are published")
    odd = [c for c in cleans if abs(c.file.seconds - data_set.stimuli[c.number].seconds) > 1.0]
    if odd:
        seconds = _span({round(c.file.seconds, 1) for c in odd})
        wanted = _span({round(data_set.stimuli[c.number].seconds, 1) for c in odd})
        notes.append(f"{len(odd)} files last {seconds} s, {wanted} s are published")
    if data_set.kind == "nmed-t" and not simulated:
        strange = sorted({s for c in cleans for s in c.file.listeners} - set(T_LISTENERS))
        if strange:
            notes.append(f"listeners {', '.join(strange[:5])} are none of the published ones")
    if not any(c.before for c in cleans):
        notes.append("there is no EEG from before the music, so the before-song control cannot be shown")
    return tuple(notes)


def _span(values: set) -> str:
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
