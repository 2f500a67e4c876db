"""A study as tracking reads it: EEG between 1 and 8 Hz at 64 Hz beside the sound that was heard, trial by trial."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bci_music.heard.features import RATE_HZ, eeg_rows, sound_rows, standardised
from bci_music.messages import UserError
from bci_music.training.eeg.corpus import Segment
from bci_music.training.eeg.targets import read_song
from bci_music.training.lab.prepared import Prepared

MIN_SHIFT_S = 3.0  # by less than this a shifted sound is not another alignment
LEAST_S = 4 * MIN_SHIFT_S  # a trial with less EEG has too few alignments to compare with
PART_S = 3.0  # a part between breaks shorter than this is left out
Report = Callable[[int, int, str], None]  # done, of how many, what


@dataclass(frozen=True)
class Part:
    """EEG without a break: (n, C) float16, z-scored over the trial; `first` is the sound's row at its first one."""

    eeg: NDArray[np.float16]
    first: int

    @property
    def rows(self) -> slice:
        """Rows of the sound."""
        return slice(self.first, self.first + len(self.eeg))


@dataclass(frozen=True)
class Trial:
    """One listener hearing one sound once. `sound` is a version of `piece`; whole pieces are held out."""

    listener: str
    piece: str
    sound: str
    recording: str
    parts: tuple[Part, ...]

    @property
    def seconds(self) -> float:
        """EEG in all parts."""
        return sum(len(part.eeg) for part in self.parts) / RATE_HZ


@dataclass(frozen=True)
class TrackingStudy:
    """Trials and sounds.

    Attributes
    ----------
    sounds : mapping
        Rows (n, 2) at 64 Hz, flux and envelope, of every sound heard.
    notes : tuple of str
        What a reader should know, in sentences.
    """

    name: str
    trials: tuple[Trial, ...]
    sounds: dict[str, NDArray[np.float64]]
    simulated: bool
    notes: tuple[str, ...] = ()

    def names(self, what: str) -> list[str]:
        """The study's listeners, pieces or recordings, each once, in order."""
        return list(dict.fromkeys(getattr(trial, what) for trial in self.trials))


@dataclass(frozen=True)
class RawPart:
    """EEG (C, n) without a break at its own rate, with what was heard from `sound_start_s` on."""

    eeg: NDArray[np.floating]
    sfreq_hz: float
    sound_start_s: float


def make_trial(
    listener: str, piece: str, sound: str, recording: str, raw: Iterable[RawPart], n_sound: int
) -> Trial | None:
    """Bring one trial's EEG onto the sound's grid; None where less than `LEAST_S` of it is left."""
    rows, firsts = [], []
    for part in raw:
        eeg, first = eeg_rows(part.eeg, part.sfreq_hz, part.sound_start_s)
        skipped = max(0, -first)
        eeg, first = eeg[skipped : max(0, n_sound - first)], first + skipped
        if len(eeg) >= PART_S * RATE_HZ:
            rows.append(eeg)
            firsts.append(first)
    if sum(len(eeg) for eeg in rows) < LEAST_S * RATE_HZ:
        return None
    scaled = zip(standardised(rows), firsts, strict=True)
    return Trial(listener, piece, sound, recording, tuple(Part(e.astype(np.float16), first) for e, first in scaled))


def from_segments(
    name: str, segments: Iterable[Segment], sfreq_hz: float, sounds: dict[str, NDArray[np.float64]],
    pieces: Mapping[str, str], *, simulated: bool, report: Report = lambda done, of, what: None,
) -> TrackingStudy:
    """Take segments of prepared EEG.

    Parameters
    ----------
    sounds : mapping of song id to (n, 2)
        Its `sound_rows`.
    pieces : mapping of song id to the song's name
        Versions of one song share it.
    """
    groups: dict[tuple[str, str, str], list[Segment]] = {}
    for segment in segments:
        groups.setdefault((segment.recording, segment.song, segment.listener), []).append(segment)
    trials: list[Trial] = []
    for done, ((recording, song, listener), own) in enumerate(groups.items(), 1):
        raw = (RawPart(np.where(s.used[:, None], s.eeg, 0), sfreq_hz, s.song_start_s) for s in own)
        trial = make_trial(listener, pieces.get(song, song), song, recording, raw, len(sounds[song]))
        trials += [trial] if trial else []
        report(done, len(groups), recording)
    return finished(name, trials, len(groups), sounds, simulated)


def from_prepared(prepared: Prepared, report: Report = lambda done, of, what: None) -> TrackingStudy:
    """Take a prepared study; songs without audio are left out, and there must be one that has it."""
    heard = sorted(prepared.song_seconds())
    known = {song: s for song in heard if (s := prepared.stimuli.get(song)) is not None and s.audio is not None}
    if not known:
        raise UserError(
            f"There is no audio for any song of {prepared.directory}: name the files under `songs:` of an audio.yaml "
            "and prepare again with --audio (what is prepared stays)."
        )
    sounds = {song: sound_rows(*read_song(stimulus)) for song, stimulus in known.items()}
    segments = [segment for segment in prepared.segments if segment.song in sounds]
    pieces = {song: stimulus.name for song, stimulus in known.items()}
    study = from_segments(
        f"{prepared.kind} in {prepared.directory}", segments, prepared.sfreq_hz, sounds, pieces,
        simulated=prepared.simulated, report=report,
    )  # fmt: skip
    silent = len(heard) - len(known)
    notes = (f"{silent} of {len(heard)} songs have no audio and are left out",) if silent else ()
    return TrackingStudy(study.name, study.trials, study.sounds, study.simulated, (*notes, *study.notes))


def finished(
    name: str, trials: list[Trial], asked: int, sounds: dict[str, NDArray[np.float64]], simulated: bool
) -> TrackingStudy:
    """Put a study together; one without a usable trial is an error."""
    if not trials:
        raise UserError(
            f"No recording of {name} holds {LEAST_S:g} s of EEG beside known sound: give longer recordings, or look at "
            "one with `bci-music data info`."
        )
    short = asked - len(trials)
    notes = (f"{short} of {asked} recordings hold less than {LEAST_S:g} s of usable EEG and are left out",)
    return TrackingStudy(name, tuple(trials), sounds, simulated, notes if short else ())
