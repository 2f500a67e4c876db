"""A pack's decoder through the same gate: what it decodes against the embedding of what was heard, along each song."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bci_music.evaluation.tracking.controls import Course, shift_draws, shifted_r
from bci_music.evaluation.tracking.folder import FILE_NAME, open_recording, piece_audio, read_entries
from bci_music.evaluation.tracking.result import Evidence, TrackingSettings, weigh
from bci_music.messages import UserError
from bci_music.models.decoder import Decoder
from bci_music.models.embedder import load_embedder
from bci_music.training.eeg.corpus import Segment
from bci_music.training.eeg.sessions import segments_of
from bci_music.training.eeg.targets import GRID_S, embed_song, read_song
from bci_music.training.lab.prepared import SETTINGS, Prepared
from bci_music.training.lab.windows import LabWindows, lab_windows

HOP_S = 1.0
APART_S = 2.0  # between two windows, on top of their length, for their music to count as another
BATCH = 16
Sounds = dict[str, tuple[NDArray[np.float32], float]]
Progress = Callable[[int, int], None]  # windows decoded, of how many


@dataclass(frozen=True)
class HeardEeg:
    """EEG as a pack's decoder reads it, the sound of every song heard, and the name its versions share."""

    segments: list[Segment]
    sounds: Sounds
    pieces: dict[str, str]


def heard_eeg(directory: Path, decoder: Decoder) -> HeardEeg:
    """Read a study, in either form, as this decoder's own signal path makes it.

    Raises
    ------
    UserError
        Where a prepared study was made with another signal path or montage, or no sound is known.
    """
    if (directory / FILE_NAME).is_file():
        return _of_folder(directory, decoder)
    prepared, manifest = Prepared.open(directory), decoder.manifest
    if (prepared.signal, prepared.montage.names) != (manifest.signal, decoder.montage.names) or \
            prepared.normalise != "causal":
        raise UserError(
            f"{directory} was prepared for another signal path than pack {manifest.name}'s (see {SETTINGS} there and "
            "the pack's pack.yaml): prepare it again with the pack's --signal and --montage, and --normalise causal."
        )
    known = {key: s for key, s in prepared.stimuli.items() if s.audio is not None}
    segments = [segment for segment in prepared.segments if segment.song in known]
    sounds = {key: read_song(known[key]) for key in sorted({segment.song for segment in segments})}
    return HeardEeg(segments, sounds, {key: s.name for key, s in known.items()})


def decoder_evidence(
    decoder: Decoder, heard: HeardEeg, settings: TrackingSettings | None = None,
    report: Progress = lambda done, of: None,
) -> Evidence:
    """Decode every window and hold the course of the embedding along each song against circular shifts.

    Only what changes within a song counts: knowing the song, or the recording, is a constant that correlation takes
    away. The control before the sound pairs a window with the music of the window after it.
    """
    manifest = decoder.manifest
    if decoder.pack.embedder is None:
        raise UserError(f"Pack {manifest.name} has no embedder/, so music cannot be compared with it: take another.")
    window_s = manifest.signal.window.seconds
    embedder = load_embedder(decoder.pack.embedder)
    music = {song: embed_song(embedder, audio, rate, window_s, GRID_S) for song, (audio, rate) in heard.sounds.items()}
    windows, rows = _windows(heard, music, decoder)
    vectors = _decoded(decoder, windows, rows, report)
    courses, before = _courses(windows, rows, vectors, music, window_s)
    if not courses:
        shortest = 4 * round((window_s + APART_S) / HOP_S) * HOP_S
        raise UserError(
            f"No recording holds {shortest:g} s of EEG that pack {manifest.name} can decode beside one known sound: "
            "give longer recordings, or leave out --pack."
        )
    settings = settings or TrackingSettings()
    r = [float(shifted_r(course.made, course.heard)[0]) for course in courses]
    draws = shift_draws(courses, settings.draws, np.random.default_rng([settings.seed, 42]))
    return weigh(
        courses, r, before, draws, held_out=f"of pack {manifest.name}", target="embedding", pieces=heard.pieces,
        settings=settings,
    )  # fmt: skip


def _of_folder(directory: Path, decoder: Decoder) -> HeardEeg:
    """Bring the recordings of a plain folder onto the pack's signal path."""
    file = read_entries(directory / FILE_NAME)
    sounds = {e.piece: sound for e in file.recordings if (sound := piece_audio(e, directory)) is not None}
    if not sounds:
        raise UserError(f"{directory / FILE_NAME} gives envelopes only, but a pack compares with sound: give audio.")
    segments: list[Segment] = []
    for number, entry in enumerate(file.recordings, 1):
        if entry.piece in sounds:
            audio, rate = sounds[entry.piece]
            session = open_recording(entry, directory, number, len(audio) / rate)
            segments += segments_of(
                session, decoder.manifest.signal, decoder.montage, entry.listener, session.name
            )
    return HeardEeg(segments, sounds, {piece: piece for piece in sounds})


def _windows(
    heard: HeardEeg, music: Mapping[str, NDArray[np.float32]], decoder: Decoder
) -> tuple[LabWindows, NDArray[np.int64]]:
    """Windows every second, and the rows of those with electrodes enough and music to compare with."""
    signal = decoder.manifest.signal
    rate, window_s = signal.preprocess.sfreq_hz, signal.window.seconds
    windows = lab_windows(heard.segments, heard.pieces, window_s=window_s, sfreq_hz=rate, hop_s=HOP_S)
    there = np.array([segment.used.sum() >= decoder.manifest.decoder.min_channels for segment in heard.segments])
    ends = np.array([len(music[song]) for song in windows.table.song])
    return windows, np.flatnonzero(there[windows.segment] & (np.round(windows.table.song_start_s / GRID_S) < ends))


def _decoded(
    decoder: Decoder, windows: LabWindows, rows: NDArray[np.int64], report: Progress
) -> NDArray[np.float32]:
    made = []
    for first in range(0, len(rows), BATCH):
        made.append(decoder.decode_many(*windows.gather(rows[first : first + BATCH]))["vector"])
        report(min(first + BATCH, len(rows)), len(rows))
    return np.concatenate(made) if made else np.zeros((0, 512), np.float32)


def _courses(
    windows: LabWindows, rows: NDArray[np.int64], vectors: NDArray[np.float32],
    music: Mapping[str, NDArray[np.float32]], window_s: float,
) -> tuple[list[Course], list[float]]:
    """One course per recording and song, and its correlation with the music that came after each window."""
    table, min_shift = windows.table, round((window_s + APART_S) / HOP_S)
    later = round(window_s / HOP_S)
    names: Sequence[tuple[str, str]] = list(zip(table.recording[rows].tolist(), table.song[rows].tolist(), strict=True))
    courses, before = [], []
    for recording, song in dict.fromkeys(names):
        own = np.array([i for i, name in enumerate(names) if name == (recording, song)])
        own = own[np.argsort(table.song_start_s[rows[own]], kind="stable")]
        if len(own) < 4 * min_shift:
            continue
        heard = music[song][np.round(table.song_start_s[rows[own]] / GRID_S).astype(int)]
        listener = str(table.listener[rows[own[0]]])
        courses.append(Course(vectors[own], heard, listener, song, recording, min_shift))
        before.append(float(shifted_r(vectors[own[:-later]], heard[later:])[0]))
    return courses, before
