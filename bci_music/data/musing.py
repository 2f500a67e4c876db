"""MUSIN-G (OpenNeuro ds003774): 20 listeners, 12 songs, a 128-channel EGI net, with its audio; read by MNE.

Session and run N is song N. Every file is cut from the continuous recording 10 s before the marker of the song's
start, so the beginning of the song is known; the events that lie beside the files are those of the whole recording,
unshifted, and are not used. The marker comes about 62 ms after the sound.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from bci_music.data.audio_map import check_length, find_audio_map, with_audio
from bci_music.data.mne_files import open_mne
from bci_music.data.session import Event, Session, song_marker
from bci_music.data.study import Recording, Stimulus, Study
from bci_music.messages import UserError

PAGE = "https://openneuro.org/datasets/ds003774"
MARKER_S = 10.0
LAG_S = 0.062  # from the sound to its marker
ONSET_S = MARKER_S - LAG_S
SONGS, LISTENERS = 12, 20
_NAME = re.compile(r"sub-(\d+)_ses-(\d+)_task-MusicListening_run-(\d+)_eeg\.set$")


def open_musing(directory: Path, audio: Path | None = None) -> Study:
    """Open the folder of the data set; its own audio (``Code/ESongs/N.esh.wav``) is used if no mapping is given.

    Raises
    ------
    UserError
        Where the folder holds none of its recordings, or the audio does not fit them.
    """
    recordings = []
    for path in sorted(directory.glob("sub-*/ses-*/eeg/*_eeg.set")):
        match = _NAME.search(path.name)
        if match is None or int(match[2]) != int(match[3]):
            continue
        recordings.append(_recording(path, match[1], int(match[2])))
    if not recordings:
        raise UserError(
            f"{directory} holds no recording of MUSIN-G (expected sub-001/ses-01/eeg/"
            f"sub-001_ses-01_task-MusicListening_run-1_eeg.set and the like): fetch them from {PAGE}."
        )
    stimuli = _stimuli(directory, recordings)
    all_ids = [_id(number) for number in range(1, SONGS + 1)]
    stimuli = with_audio(
        stimuli, find_audio_map(directory, audio), kind="musin-g", all_ids=all_ids, where=str(directory)
    )
    for recording in recordings:
        if recording.duration_s:
            check_length(stimuli[recording.songs[0]], recording.duration_s - ONSET_S, recording.path.name)
    listeners = len({r.listener for r in recordings})
    notes = []
    if len(recordings) < SONGS * LISTENERS:
        notes.append(
            f"{len(recordings)} recordings of {listeners} listeners are here, {SONGS * LISTENERS} of {LISTENERS} are "
            "published"
        )
    return Study("musin-g", directory, tuple(recordings), stimuli, False, tuple(notes))


def open_song(path: Path, song: str, title: str) -> Session:
    """One listener hearing one song; the markers in the file are replaced by the one that is right."""
    session = open_mne(path)
    if session.duration_s <= ONSET_S:
        raise UserError(
            f"{path.name} lasts {session.duration_s:.1f} s, but its song begins after {ONSET_S:.1f} s: download it "
            f"again from {PAGE}."
        )
    return replace(session, events=(Event(float(session.times_s[0]) + ONSET_S, song_marker(song, title)),))


def open_before(path: Path) -> Session:
    """EEG from before the song: what comes before its beginning in the file."""
    session = open_mne(path)
    rows = int(ONSET_S * session.sfreq_hz)
    return replace(session, samples_uv=session.samples_uv[:rows], times_s=session.times_s[:rows], events=())


def _recording(path: Path, subject: str, number: int) -> Recording:
    song = _id(number)
    return Recording(
        name=f"musin-g {subject} song{number:02d}", listener=f"musin-g {subject}", path=path,
        open=partial(open_song, path, song, f"song {number}"), open_before=partial(open_before, path),
        duration_s=_duration_s(path), songs=(song,),
    )  # fmt: skip


def _stimuli(directory: Path, recordings: list[Recording]) -> dict[str, Stimulus]:
    found = {}
    for song in sorted({r.songs[0] for r in recordings}, key=lambda key: int(key.rpartition("/")[2])):
        number = song.rpartition("/")[2]
        audio = directory / "Code" / "ESongs" / f"{number}.esh.wav"
        title = f"song {number}"
        found[song] = Stimulus(song, title, title, audio if audio.is_file() else None)
    return found


def _duration_s(path: Path) -> float:
    """Length as the JSON beside the file states it, so that the samples need not be read; 0 where it is silent."""
    try:
        stated = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return float(stated["RecordingDuration"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def _id(number: int) -> str:
    return f"musin-g/{number}"
