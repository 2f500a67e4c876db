"""Making a prepared study: every recording through the live chain once, file by file, in several processes if asked."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci_music.data.formats import is_xdf
from bci_music.data.matlab import forget
from bci_music.data.session import AS_IT_IS, Reading
from bci_music.data.study import Recording, Study
from bci_music.eeg.chain import SignalConfig
from bci_music.eeg.montage import Montage
from bci_music.messages import UserError
from bci_music.training.eeg.corpus import Segment
from bci_music.training.eeg.sessions import segments_of, unheard_segments, whole_segments
from bci_music.training.lab.prepared import (
    SETTINGS,
    Normalise,
    Place,
    Prepared,
    PreparedConfig,
    place_of,
    segment_rows,
    write_prepared,
    write_text,
)
from bci_music.training.pool import open_pool, process_pool

Report = Callable[[int, int, str], None]  # files done, of how many, what was done last


@dataclass(frozen=True)
class _Way:
    """How segments are made."""

    signal: SignalConfig
    montage: str
    normalise: Normalise
    reading: Reading


def prepare(
    study: Study, out: Path, *, signal: SignalConfig | None = None, normalise: Normalise = "causal",
    quality: bool = True, montage: str = "nmed", reading: Reading = AS_IT_IS, workers: int = 1,
    scheduler: str | None = None, report: Report = lambda done, of, what: None,
) -> Prepared:
    """Write a study's segments into a folder and open them; a file of the study that is done is not done again.

    Parameters
    ----------
    signal : SignalConfig, optional
        The live chain; its defaults if not given.
    normalise : str
        "causal": the live chain. "whole-recording": the samples as they are, z-scored per channel over the whole
        recording (standard deviation + 1e-6); this looks ahead.
    quality : bool
        Whether bad electrodes are found (and then absent in segments).
    reading : Reading
        How `study` reads its recordings: a folder is not mixed of several ways.
    workers : int
        Processes that work on different files of the study.
    scheduler : str, optional
        Address of a dask scheduler, whose workers are used instead; they see study and `out` under the same paths.
    """
    signal = signal or SignalConfig()
    if not quality:
        signal = signal.model_copy(update={"quality": signal.quality.model_copy(update={"enabled": False})})
    way, out = _Way(signal, montage, normalise, reading), out if scheduler is None else out.resolve()
    _begin(out, way)
    groups: dict[Path, list[Recording]] = {}
    for recording in study.recordings:
        groups.setdefault(recording.path, []).append(recording)
    stems, songs = _stems(groups), frozenset(study.stimuli)
    jobs = [(out, stems[path], recordings, way, songs) for path, recordings in groups.items()]
    places: list[Place] = []
    hashes: dict[str, str] = {}
    for done, (name, digest, own) in enumerate(_each(jobs, workers, scheduler), 1):
        places += own
        hashes[name] = digest
        report(done, len(jobs), name)
    if not any(not p.before for p in places):
        raise UserError(
            f"No recording of {study.path} holds {signal.window.seconds:g} s of usable EEG with music: look at one "
            "with `bci-music data info` and `bci-music replay`."
        )
    heard = {p.song for p in places}
    config = PreparedConfig(
        kind=study.kind, normalise=normalise, signal=signal, montage=montage, simulated=study.simulated,
        data_hash="", stimuli={}, notes=study.notes, snr_db=study.snr_db,
    )  # fmt: skip
    write_prepared(out, places, hashes, config, {k: s for k, s in study.stimuli.items() if k in heard})
    forget()
    return Prepared.open(out)


def _begin(out: Path, way: _Way) -> None:
    """Refuse to mix segments that were made in different ways."""
    settings = {"signal": way.signal.model_dump(mode="json"), "montage": way.montage, "normalise": way.normalise}
    if way.reading != AS_IT_IS:
        settings["reading"] = asdict(way.reading)
    note = out / "eeg" / "way.json"
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        if note.is_file() and json.loads(note.read_text(encoding="utf-8")) != settings:
            raise UserError(f"{out} holds segments that were prepared with other settings: choose another folder.")
        write_text(note, json.dumps(settings))
        (out / SETTINGS).unlink(missing_ok=True)  # until all is done the folder counts as unfinished
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}): give --out a folder you may write to.") from error


def _each(jobs: list[Any], workers: int, scheduler: str | None) -> Iterator[tuple[str, str, list[Place]]]:
    if scheduler is not None:
        with open_pool(scheduler=scheduler) as pool:
            yield from (future.result() for future in [pool.submit(_one_file, *job) for job in jobs])
        return
    if workers <= 1:
        yield from (_one_file(*job) for job in jobs)
        return
    with process_pool(min(workers, len(jobs))) as pool:
        yield from pool.map(partial(_starred, _one_file), jobs)


def _starred(function: Callable[..., Any], job: Iterable[Any]) -> Any:
    return function(*job)


def _one_file(
    out: Path, stem: str, recordings: list[Recording], way: _Way, songs: frozenset[str]
) -> tuple[str, str, list[Place]]:
    """Prepare all recordings of one file, or return what was made of them before."""
    name = f"eeg/{stem}.npy"
    note = out / "eeg" / f"{stem}.json"
    source = _state_of(recordings, songs)
    if note.is_file() and (out / name).is_file():
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["source"] == source:
            return name, known["sha256"], [place_of(row) for row in segment_rows(known, note)]
    montage = Montage.load(way.montage)
    places: list[Place] = []
    rows: list[NDArray[np.float16]] = []
    at = 0
    for before, segment in _segments(recordings, way, montage, songs):
        absent = tuple(np.flatnonzero(~segment.used).tolist())
        n = segment.eeg.shape[1]
        places.append(Place(
            name, at, n, segment.song, segment.song_start_s, segment.listener, segment.recording, segment.start_s,
            segment.repeat, absent, before,
        ))  # fmt: skip
        rows.append(segment.eeg.T)
        at += n
    empty = np.zeros((1, len(montage.names)), np.float16)
    array = np.ascontiguousarray(np.concatenate(rows) if rows else empty)
    digest = hashlib.sha256(array.data).hexdigest()
    part = out / "eeg" / f"{stem}.part.npy"
    np.save(part, array)
    part.replace(out / name)
    write_text(note, json.dumps({"source": source, "sha256": digest, "segments": [vars(p) for p in places]}))
    return name, digest, places


def _segments(
    recordings: list[Recording], way: _Way, montage: Montage, songs: frozenset[str]
) -> Iterator[tuple[bool, Segment]]:
    """(from before the music, segment) of every recording; all that comes from one file one after the other."""
    for recording in recordings:
        who = (recording.listener, recording.name, recording.repeat)
        session = recording.open()
        if way.normalise == "causal":
            made = segments_of(session, way.signal, montage, *who)
        else:
            made = whole_segments(session, way.signal, montage, *who)
        yield from ((False, segment) for segment in made if segment.song in songs)
    for recording in recordings:
        if recording.open_before is None:
            continue
        who = (recording.listener, recording.name, recording.repeat)
        session = recording.open_before()
        if way.normalise == "causal":
            made = unheard_segments(session, way.signal, montage, *who)
        else:
            made = whole_segments(session, way.signal, montage, *who, heard=False)
        yield from ((True, segment) for segment in made)


def _stems(paths: Iterable[Path]) -> dict[Path, str]:
    """A file name for every file, in order: folder and name, with a number where two are alike."""
    stems: dict[Path, str] = {}
    for path in paths:
        text = "-".join(path.resolve().parts[-2:]).rsplit(".", 1)[0]
        stem = plain = re.sub(r"[^A-Za-z0-9_]+", "-", text)
        number = 1
        while stem in stems.values():
            number += 1
            stem = f"{plain}-{number}"
        stems[path] = stem
    return stems


def _state_of(recordings: list[Recording], songs: frozenset[str]) -> list[Any]:
    """What must be unchanged for earlier segments to be good: the file, who is in it, which songs are wanted."""
    about = recordings[0].path.stat()
    before = [r.name for r in recordings if r.open_before is not None]
    wanted = sorted({song for r in recordings for song in r.songs} & songs)
    way = ["gaps filled"] if is_xdf(recordings[0].path) else []  # segments made before gaps were are made again
    return [about.st_size, about.st_mtime_ns, [r.name for r in recordings], before, wanted, *way]
