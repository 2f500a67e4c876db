"""A folder of own XDF recordings as a study: what the program records, with the song markers it writes."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from bci_music.data.audio_map import check_length, find_audio_map, with_audio
from bci_music.data.formats import is_xdf, open_session
from bci_music.data.session import AS_IT_IS, HeardSpan, Reading, Session, heard_spans
from bci_music.data.study import Recording, Stimulus, Study
from bci_music.data.xdf import choose_eeg, read_xdf, shared_clock
from bci_music.messages import UserError

BEFORE_S = 6.0  # less EEG than this before the first song is no use as a control


def open_sessions(directory: Path, audio: Path | None = None, reading: Reading = AS_IT_IS) -> Study:
    """Open a folder of XDF recordings, also in folders within it.

    The listener is the folder a file lies in, or ``sub-XX`` at the beginning of its name; files right in `directory`
    count as one listener's. Stimulus ids are those of the song markers.

    Raises
    ------
    UserError
        Where no recording has song markers, or one cannot be read.
    """
    paths = sorted(p for p in directory.rglob("*") if p.is_file() and is_xdf(p))
    if not paths:
        raise UserError(f"{directory} holds no XDF recording: make one with `bci-music live --record`.")
    found: list[tuple[Recording, tuple[HeardSpan, ...]]] = []
    silent, simulated = [], []
    for path in paths:
        recording, spans, made_up = _look_into(path, directory, reading)
        if spans:
            found.append((recording, spans))
            simulated.append(made_up)
        else:
            silent.append(path.name)
    if not found:
        raise UserError(
            f"None of the {len(paths)} recordings in {directory} has song markers for what was heard: expected JSON "
            'markers such as {"song": "id", "song_start_s": 0} in a marker stream.'
        )
    stimuli = {s.song: Stimulus(s.song, s.title or s.song, s.title or s.song) for _, spans in found for s in spans}
    stimuli = with_audio(stimuli, find_audio_map(directory, audio), where=str(directory))
    for recording, spans in found:
        for span in spans:
            check_length(stimuli[span.song], span.song_start_s + span.stop_s - span.start_s, recording.path.name)
    notes = [f"{name} has no song marker and is left out" for name in silent]
    if any(path.parent == directory and not _subject(path) for path in paths) and len(found) > 1:
        notes.append("recordings right in the folder count as one listener's: give each listener a folder")
    if any(simulated):
        notes.insert(0, f"{sum(simulated)} of {len(simulated)} recordings are simulated")
    return Study("sessions", directory, tuple(r for r, _ in found), stimuli, any(simulated), tuple(notes))


def open_before(path: Path, first_song_s: float, reading: Reading = AS_IT_IS) -> Session:
    """Open what was recorded before the first song."""
    session = open_session(path, reading)
    rows = int((session.times_s < first_song_s).sum())
    return replace(session, samples_uv=session.samples_uv[:rows], times_s=session.times_s[:rows], events=())


def _look_into(path: Path, directory: Path, reading: Reading) -> tuple[Recording, tuple[HeardSpan, ...], bool]:
    """Read markers and stamps of one file, not its samples."""
    streams, _ = read_xdf(path, keep=lambda stream: stream.is_markers)
    eeg = choose_eeg(streams, reading.stream, path.name)
    begin_s, end_s = float(eeg.times_s[0]), float(eeg.times_s[-1])
    spans = heard_spans(shared_clock(streams, eeg)[0], end_s)
    name = path.relative_to(directory).with_suffix("").as_posix()
    quiet = spans[0].start_s - begin_s if spans else 0.0
    recording = Recording(
        name=f"sessions {name}", listener=f"sessions {_listener(path, directory)}", path=path,
        open=partial(open_session, path, reading), duration_s=end_s - begin_s,
        songs=tuple(dict.fromkeys(s.song for s in spans)),
        open_before=partial(open_before, path, spans[0].start_s, reading) if quiet >= BEFORE_S else None,
    )  # fmt: skip
    return recording, spans, eeg.simulated


def _listener(path: Path, directory: Path) -> str:
    inner = path.parent.relative_to(directory)
    name = inner.parts[0] if inner.parts else directory.resolve().name
    again = re.fullmatch(r"(.+)-\d+", name)  # `--record s01` made s01-2 beside s01: the same listener
    if again and path.name == "recording.xdf" and (directory / again[1] / path.name).is_file():
        name = again[1]
    return _subject(path) or name


def _subject(path: Path) -> str:
    match = re.match(r"(sub-[A-Za-z0-9]+)(?=[_.])", path.name)
    return match[1] if match else ""
