"""A study behind the signal chain, on disk: made once, opened without being loaded.

One ``.npy`` of float16, time-first (n_times, 125), holds all segments of one file of the study, so that a window is one
piece of the file. ``segments.json`` says where each segment lies, ``prepared.yaml`` how all of it was made.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from bci_music.config import Config, note_renamed
from bci_music.data.audio_map import AudioEntry
from bci_music.data.study import Stimulus
from bci_music.eeg.chain import SignalConfig
from bci_music.eeg.montage import Montage
from bci_music.messages import UserError
from bci_music.training.eeg.corpus import Segment

FORMAT = 1
SETTINGS, SEGMENTS = "prepared.yaml", "segments.json"
OLD_SEGMENTS, OLD_KEY = "takes.json", "takes"  # what the table and its key were called; read until the next version
Normalise = Literal["causal", "whole-recording"]


class PreparedConfig(Config):
    """``prepared.yaml``: how segments were made, and of what.

    `normalise` "causal" is the live chain; "whole-recording" a z-score over the whole recording, which looks ahead, so
    that a decoder trained behind it is refused by the live program.
    """

    format: int = FORMAT
    kind: str
    normalise: Normalise
    signal: SignalConfig
    montage: str = "nmed"
    simulated: bool
    data_hash: str
    stimuli: dict[str, AudioEntry]
    notes: tuple[str, ...] = ()
    snr_db: float | None = None  # of a simulated study


@dataclass(frozen=True)
class Place:
    """Where one segment lies on disk, and what it is."""

    file: str
    first: int
    n_times: int
    song: str
    song_start_s: float
    listener: str
    recording: str
    start_s: float
    repeat: str
    absent: tuple[int, ...]  # channels that are not used
    before: bool  # from before the music


@dataclass(frozen=True)
class Prepared:
    """A prepared study.

    Attributes
    ----------
    segments : list of Segment
        With music; `eeg` is (125, n) float16 and lies on disk until it is read.
    before : list of Segment
        From before the music, under the same recording names, `song` empty.
    data_hash : str
        SHA-256 over the hashes of all files and the settings.
    """

    directory: Path
    config: PreparedConfig
    segments: list[Segment]
    before: list[Segment]
    stimuli: dict[str, Stimulus]

    @classmethod
    def open(cls, directory: Path) -> Prepared:
        """Open what `prepare` wrote; a `UserError` if it is not there, not finished or not whole."""
        if not (directory / SETTINGS).is_file():
            unfinished = (directory / "eeg").is_dir()
            what = "is not finished: run the same `bci-music data prepare` again" if unfinished else \
                f"has no {SETTINGS}: make it with `bci-music data prepare`"
            raise UserError(f"{directory} {what}, it goes on where it stopped.")
        config = PreparedConfig.load(directory / SETTINGS)
        if config.format != FORMAT:
            raise UserError(f"{directory} has format {config.format}, this program reads {FORMAT}: prepare it again.")
        places = read_places(directory)
        files = {name: _map(directory / name) for name in dict.fromkeys(p.file for p in places)}
        n_channels = len(Montage.load(config.montage).names)
        segments = [(p.before, _segment(p, files[p.file], n_channels)) for p in places]
        return cls(
            directory, config, [t for before, t in segments if not before], [t for before, t in segments if before],
            {key: _stimulus(key, entry, directory) for key, entry in config.stimuli.items()},
        )

    @property
    def signal(self) -> SignalConfig:
        """The signal path; its window is the default window of the lab."""
        return self.config.signal

    @cached_property
    def montage(self) -> Montage:
        """Order of the channels."""
        return Montage.load(self.config.montage)

    @property
    def sfreq_hz(self) -> float:
        """Rate of the segments."""
        return self.config.signal.preprocess.sfreq_hz

    @property
    def normalise(self) -> Normalise:
        """"causal" or "whole-recording"."""
        return self.config.normalise

    @property
    def simulated(self) -> bool:
        """Whether any of the EEG is simulated."""
        return self.config.simulated

    @property
    def kind(self) -> str:
        """Kind of the study, e.g. ``nmed-t+nmed-h``."""
        return self.config.kind

    @property
    def data_hash(self) -> str:
        """Fingerprint of segments and settings."""
        return self.config.data_hash

    @property
    def seconds(self) -> float:
        """EEG with music in all segments."""
        return sum(segment.eeg.shape[1] for segment in self.segments) / self.sfreq_hz

    def song_seconds(self) -> dict[str, float]:
        """Up to which second each song is heard in any segment."""
        heard: dict[str, float] = {}
        for segment in self.segments:
            stop = segment.song_start_s + segment.eeg.shape[1] / self.sfreq_hz
            heard[segment.song] = max(heard.get(segment.song, 0.0), stop)
        return heard


def write_prepared(
    directory: Path, places: list[Place], hashes: dict[str, str], config: PreparedConfig, stimuli: dict[str, Stimulus]
) -> None:
    """Write the table of segments, then the settings: what has them is finished."""
    entries = {key: _entry(s, directory) for key, s in stimuli.items()}
    made = config.model_copy(update={"stimuli": entries, "data_hash": _hash(hashes, places, config, stimuli)})
    table = {"files": hashes, "segments": [vars(p) for p in places]}
    write_text(directory / SEGMENTS, json.dumps(table))
    text = yaml.safe_dump(made.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text(directory / SETTINGS, text)


def read_places(directory: Path) -> list[Place]:
    """Read the table of segments."""
    path = directory / SEGMENTS
    if not path.is_file() and (directory / OLD_SEGMENTS).is_file():
        path = directory / OLD_SEGMENTS
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return [place_of(row) for row in segment_rows(table, path)]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} cannot be read ({error}): prepare the study again.") from error


def segment_rows(table: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    """Rows of a table of segments, under its old name too."""
    if "segments" not in table and OLD_KEY in table:
        note_renamed(str(path), f"its table {OLD_KEY!r} is now called 'segments'")
        return list(table[OLD_KEY])
    return list(table["segments"])


def place_of(row: dict[str, Any]) -> Place:
    """Build from plain data."""
    return Place(**{**row, "absent": tuple(row["absent"])})


def _hash(
    hashes: dict[str, str], places: list[Place], config: PreparedConfig, stimuli: dict[str, Stimulus]
) -> str:
    """Fingerprint of EEG, of what was heard when, and of the sound itself: change one, and no old result is taken."""
    digest = hashlib.sha256(config.model_dump_json(include={"normalise", "signal", "montage"}).encode())
    for one in sorted(hashes.values()):
        digest.update(one.encode())
    heard = [{name: value for name, value in vars(p).items() if name != "file"} for p in places]
    digest.update(json.dumps(sorted(heard, key=json.dumps)).encode())
    for key, s in sorted(stimuli.items()):
        described = [key, s.name, s.genre, s.offset_s, s.reversed, file_hash(s.audio)]
        digest.update(json.dumps(described).encode())
    return digest.hexdigest()


def file_hash(path: Path | None) -> str:
    """SHA-256 of a file; empty where there is none."""
    if path is None or not path.is_file():
        return ""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _map(path: Path) -> NDArray[np.float16]:
    """(n_times, n_channels) without reading it."""
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is missing or cut off ({error}): remove it and prepare the study again.") from error


def _segment(place: Place, rows: NDArray[np.float16], n_channels: int) -> Segment:
    used = np.ones(n_channels, bool)
    used[list(place.absent)] = False
    eeg = rows[place.first : place.first + place.n_times].T
    return Segment(
        eeg, used, place.song, place.song_start_s, place.listener, place.recording, place.start_s, place.repeat
    )


def _entry(stimulus: Stimulus, directory: Path) -> AudioEntry:
    audio = os.path.relpath(stimulus.audio.resolve(), directory.resolve()) if stimulus.audio else ""
    return AudioEntry(
        file=audio, offset_s=stimulus.offset_s, reversed=stimulus.reversed, title=stimulus.title, name=stimulus.name,
        genre=stimulus.genre,
    )


def _stimulus(key: str, entry: AudioEntry, directory: Path) -> Stimulus:
    audio = directory / entry.file if entry.file else None
    return Stimulus(key, entry.title, entry.name, audio, entry.offset_s, entry.reversed, entry.genre)
