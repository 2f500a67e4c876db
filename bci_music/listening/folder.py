"""The folder of one listener's calibration: what is to be heard, its sound, and the sessions in which it was heard.

`calibration.yaml` holds the plan and is written last, `songs/` every song as it is played (in the song's own time,
silent where it is not played), `songs.yaml` which song has which file, and there is a session for each time that it was
begun or gone on with.
`bci-music calibrate --session FOLDER --audio FOLDER/songs.yaml` reads all of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config
from bci_music.data.session import HeardSpan, heard_spans
from bci_music.data.xdf import choose_eeg, read_xdf, shared_clock
from bci_music.files import opening, plain_file, shown, write_whole
from bci_music.listening.songs import Excerpt
from bci_music.messages import AUDIO_RATE_HZ, UserError
from bci_music.sessions.folder import RECORDING
from bci_music.sound.player import AudioFile

PLAN, SONGS, AUDIO = "calibration.yaml", "songs", "songs.yaml"
SHORT_S = 1.0  # an excerpt was heard if no more than this is missing of it
EEG_SHARE = 0.9  # of its samples that have to be there


class PlannedExcerpt(Config):
    """An `Excerpt` and its file in `songs/`."""

    song: str
    title: str
    start_s: float = Field(ge=0)
    seconds: float = Field(gt=0)
    file: str = Field(pattern=r"^[^./\\][^/\\]*$")


class Plan(Config):
    """Who hears what, in this order. `music` says where the songs are from."""

    format: Literal[1] = 1
    listener: str = Field(min_length=1, max_length=100)
    pack: str
    pack_sha256: str
    music: str
    excerpts: tuple[PlannedExcerpt, ...] = Field(min_length=1)


@dataclass(frozen=True)
class CalibrationFolder:
    """A folder with its plan."""

    path: Path
    plan: Plan

    @classmethod
    def open(cls, path: Path) -> CalibrationFolder | None:
        """Open what was begun before, None where there is nothing."""
        if not (path / PLAN).is_file():
            return None
        return cls(path, Plan.load(path / PLAN))

    @classmethod
    def begin(
        cls, path: Path, excerpts: Sequence[Excerpt], sound_of: Callable[[Excerpt], NDArray[np.float32]], *,
        listener: str, pack: str, pack_sha256: str, music: str,
    ) -> CalibrationFolder:
        """Write songs and plan into a folder that is empty, or not there."""
        if path.exists() and (not path.is_dir() or any(p.name not in (SONGS, AUDIO) for p in path.iterdir())):
            raise UserError(f"{shown(path)} holds something else than a calibration: give another --record.")
        with opening(path, "a folder", "give --record a folder you may write to"):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            (path / SONGS).mkdir(exist_ok=True, mode=0o700)
        names = {song: f"{number:02d}.flac" for number, song in enumerate(dict.fromkeys(e.song for e in excerpts), 1)}
        for song, name in names.items():
            _write_song(path / SONGS / name, [e for e in excerpts if e.song == song], sound_of)
        titles = {excerpt.song: excerpt.title for excerpt in excerpts}
        entries = {song: {"file": f"{SONGS}/{name}", "title": titles[song]} for song, name in names.items()}
        _write_yaml(path / AUDIO, {"songs": entries})
        plan = Plan(
            listener=folder_name(listener), pack=pack, pack_sha256=pack_sha256, music=music,
            excerpts=tuple(
                PlannedExcerpt(song=e.song, title=e.title, start_s=e.start_s, seconds=e.seconds, file=names[e.song])
                for e in excerpts
            ),
        )  # fmt: skip
        _write_yaml(path / PLAN, plan.model_dump(mode="json"))
        return cls(path, plan)

    @property
    def session(self) -> Path:
        """Where the next session is recorded, or beside it where one is there."""
        return self.path / self.plan.listener

    def excerpts(self) -> list[Excerpt]:
        """What is to be heard, in order; the path is that of the whole song."""
        return [
            Excerpt(e.song, e.title, e.start_s, e.seconds, self.path / SONGS / e.file) for e in self.plan.excerpts
        ]

    def missing(self) -> list[Excerpt]:
        """What no recording holds as yet: what counts is the recorded EEG, not what was once noted."""
        there = [span for path in sorted(self.path.glob(f"*/{RECORDING}")) for span in heard_in(path)]
        return [excerpt for excerpt in self.excerpts() if not any(_holds(span, excerpt) for span in there)]


def played(excerpt: Excerpt) -> NDArray[np.float32]:
    """(n, 2) float32 at 48 kHz of an excerpt of the plan."""
    import soundfile

    first, n = round(excerpt.start_s * AUDIO_RATE_HZ), round(excerpt.seconds * AUDIO_RATE_HZ)
    with opening(excerpt.path, "a song of the calibration", "begin it again with another --record"):
        samples, rate = soundfile.read(plain_file(excerpt.path), n, first, dtype="float32", always_2d=True)
        if (rate, len(samples), samples.shape[1]) != (AUDIO_RATE_HZ, n, 2):
            raise ValueError(f"it has not the {excerpt.seconds:.1f} s from {excerpt.start_s:.1f} s on")
    return np.ascontiguousarray(samples)


def heard_in(recording: Path) -> list[HeardSpan]:
    """What was heard while EEG came, in a recording with song markers; its samples are not read."""
    streams, _ = read_xdf(recording, keep=lambda stream: stream.is_markers)
    if not any(stream.is_eeg and len(stream.times_s) > 1 for stream in streams):
        return []
    eeg = choose_eeg(streams, None, str(recording))
    times = np.sort(eeg.times_s)
    rate = eeg.nominal_hz or (len(times) - 1) / max(float(times[-1] - times[0]), 1e-9)
    spans = heard_spans(shared_clock(streams, eeg)[0], float(times[-1]))
    came = [np.searchsorted(times, s.stop_s) - np.searchsorted(times, s.start_s) for s in spans]
    return [
        span for span, n in zip(spans, came, strict=True) if n >= EEG_SHARE * (span.stop_s - span.start_s) * rate - 1
    ]


def folder_name(listener: str) -> str:
    """Return the listener's name as a folder can have it."""
    return re.sub(r"[^\w.-]+", "-", listener)[:100].strip("-.") or "listener"


def _holds(span: HeardSpan, excerpt: Excerpt) -> bool:
    stop_s = span.song_position_s(span.stop_s)
    return (
        span.song == excerpt.song and span.song_start_s <= excerpt.start_s + SHORT_S
        and stop_s >= excerpt.stop_s - SHORT_S
    )  # fmt: skip


def _write_song(
    path: Path, excerpts: Sequence[Excerpt], sound_of: Callable[[Excerpt], NDArray[np.float32]]
) -> None:
    song = np.zeros((max(round(e.stop_s * AUDIO_RATE_HZ) for e in excerpts), 2), np.float32)
    for excerpt in excerpts:
        first, n = round(excerpt.start_s * AUDIO_RATE_HZ), round(excerpt.seconds * AUDIO_RATE_HZ)
        sound = sound_of(excerpt)[: min(n, len(song) - first)]
        song[first : first + len(sound)] = sound
    path.touch(mode=0o600)
    file = AudioFile(path)
    file(song)
    file.close()
    if file.lost:
        raise UserError(file.lost)


def _write_yaml(path: Path, values: dict[str, object]) -> None:
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"), private=True)
