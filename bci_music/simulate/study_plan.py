"""Who hears what in a simulated study: ids, lengths and sessions as in the published NMED-T and NMED-H."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from bci_music.compose.composer import SONGS
from bci_music.compose.score import SongSpec
from bci_music.config import Config
from bci_music.messages import UserError
from bci_music.simulate.background import BackgroundConfig

SFREQ_HZ = 125
N_SONGS_T, N_SONGS_H = 10, 4
FIRST_SONG = 21
# Samples of songs 21 to 30 of NMED-T; seconds of songs 21 to 24 of NMED-H.
SAMPLES_T = (34795, 33891, 34469, 36797, 36114, 34478, 36454, 36513, 36712, 37221)
SECONDS_H = (266.2, 265.6, 263.0, 271.9)
LISTENERS_T = (*range(2, 18), 19, 20, 21, 23)  # 1, 18 and 22 are missing there as well
N_LISTENERS_H = 48
VERSIONS = ("orig", "rev", "phase", "meas")  # in the order of their ids 21, 25, 29, 33; only the first two are made
Region = Literal["front", "left", "centre", "right", "back"]


class NmedSimConfig(Config):
    """A simulated study: how large it is, how well music shows in the EEG, and what else is in it.

    `listeners_h` counts the listeners of each stimulus of NMED-H. When `crossed`, the same ones hear all of them;
    otherwise each hears every song in one version only, as in the real study, which has four times as many.
    """

    seed: int = Field(0, ge=0)
    songs_t: int = Field(N_SONGS_T, ge=0, le=N_SONGS_T)
    songs_h: int = Field(N_SONGS_H, ge=0, le=N_SONGS_H)
    listeners_t: int = Field(len(LISTENERS_T), ge=1, le=len(LISTENERS_T))
    listeners_h: int = Field(N_LISTENERS_H // len(VERSIONS), ge=1, le=N_LISTENERS_H // len(VERSIONS))
    crossed: bool = False
    versions: tuple[Literal["orig", "rev"], ...] = Field(("orig",), min_length=1)
    repeats: Literal[1, 2] = 2  # of NMED-H; NMED-T has one
    song_seconds: float | None = Field(None, ge=5.0)  # None: the published lengths
    before_s: float = Field(12.0, ge=0)  # EEG of each trial from before its music
    snr_db: float = -6.0  # power of the response over power of the background, 0.5 .. 45 Hz
    snr_db_by_group: dict[Region, float] = {}  # added to `snr_db` at these electrodes
    fingerprint: float = Field(0.5, ge=0)  # spread of the trial's own rhythms over spread of the background
    latency_spread_s: float = Field(0.006, ge=0)  # how much listeners differ
    gain_spread: float = Field(0.15, ge=0)
    place_spread_m: float = Field(0.003, ge=0)
    direction_spread: float = Field(0.12, ge=0)
    drift_uv: float = Field(8.0, ge=0)
    min_bad: int = Field(1, ge=0)
    max_bad: int = Field(4, ge=0, le=60)
    background: BackgroundConfig = BackgroundConfig(mains_uv=0.2)  # drift and bad electrodes are set above

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.songs_t + self.songs_h == 0:
            raise ValueError("songs_t and songs_h are both 0")
        if self.max_bad < self.min_bad:
            raise ValueError(f"max_bad {self.max_bad} is less than min_bad {self.min_bad}")
        return self


PRESETS: dict[str, NmedSimConfig] = {
    "tiny": NmedSimConfig(
        songs_t=2, songs_h=1, listeners_t=2, listeners_h=2, crossed=True, song_seconds=20.0, before_s=6.0
    ),
    # far clearer than real EEG, so that minutes of training show what there is to show
    "small": NmedSimConfig(
        listeners_t=5, listeners_h=4, crossed=True, song_seconds=90.0, before_s=8.0, snr_db=3.0
    ),
    "full": NmedSimConfig(versions=("orig", "rev")),
}


def preset(name: str) -> NmedSimConfig:
    """Configuration of a preset; `UserError` if there is none of this name."""
    if name not in PRESETS:
        raise UserError(f"There is no preset {name!r}: use {', '.join(PRESETS)}.")
    return PRESETS[name]


@dataclass(frozen=True)
class SimStimulus:
    """One stimulus: `number` as in its file names, `song` the composed song, `n_samples` of EEG while it plays."""

    study: Literal["nmed-t", "nmed-h"]
    number: int
    song: SongSpec
    n_samples: int
    reversed: bool = False

    @property
    def id(self) -> str:
        """Id of the stimulus, e.g. ``"nmed-t/21"``."""
        return f"{self.study}/{self.number}"

    @property
    def audio_number(self) -> int:
        """Number of the file that is played (backwards, for a reversed version)."""
        return self.number - N_SONGS_H if self.reversed else self.number


@dataclass(frozen=True)
class Trial:
    """One listener hears one stimulus once.

    Attributes
    ----------
    listener : str
        As in the files, e.g. ``"S02"``.
    listener_seed, session_seed, seed : int
        What draws the head, what draws contact and bad electrodes of the session, what draws this trial's noise
        and fingerprint.
    """

    stimulus: SimStimulus
    listener: str
    repeat: str
    listener_seed: int
    session_seed: int
    seed: int


@dataclass(frozen=True)
class StudyFile:
    """One ``.mat`` file: all listeners of one stimulus (and repeat)."""

    study: str
    stimulus: SimStimulus
    repeat: str  # "" in NMED-T
    trials: tuple[Trial, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """Name of the file, e.g. ``"song21_a_Imputed.mat"``."""
        return f"song{self.stimulus.number}{self.suffix}_Imputed.mat"

    @property
    def suffix(self) -> str:
        """What file and variable names say about the repeat."""
        return f"_{self.repeat}" if self.repeat else ""

    @property
    def seconds(self) -> float:
        """Seconds of EEG while music plays, over all listeners."""
        return len(self.trials) * self.stimulus.n_samples / SFREQ_HZ


def stimuli(config: NmedSimConfig) -> Iterator[SimStimulus]:
    """All stimuli of a study, NMED-T first."""
    wanted = None if config.song_seconds is None else round(config.song_seconds * SFREQ_HZ)
    for i in range(config.songs_t):
        yield SimStimulus("nmed-t", FIRST_SONG + i, SONGS[i], wanted or SAMPLES_T[i])
    for version in config.versions:
        first = FIRST_SONG + N_SONGS_H * VERSIONS.index(version)
        for i in range(config.songs_h):
            n = wanted or round(SECONDS_H[i] * SFREQ_HZ)
            yield SimStimulus("nmed-h", first + i, SONGS[N_SONGS_T + i], n, reversed=version == "rev")


def files(config: NmedSimConfig) -> list[StudyFile]:
    """All files of a study."""
    found = []
    for stimulus in stimuli(config):
        for repeat in ("",) if stimulus.study == "nmed-t" else "ab"[:config.repeats]:
            trials = tuple(_trial(config, stimulus, number, repeat) for number in _listeners(config, stimulus))
            found.append(StudyFile(stimulus.study, stimulus, repeat, trials))
    return found


def _listeners(config: NmedSimConfig, stimulus: SimStimulus) -> tuple[int, ...]:
    """Numbers of the listeners of one stimulus."""
    if stimulus.study == "nmed-t":
        return LISTENERS_T[:config.listeners_t]
    if config.crossed:
        return tuple(range(1, config.listeners_h + 1))
    version, song = divmod(stimulus.number - FIRST_SONG, N_SONGS_H)
    group = (version + song) % len(VERSIONS)
    return tuple(1 + group + len(VERSIONS) * i for i in range(config.listeners_h))


def _trial(config: NmedSimConfig, stimulus: SimStimulus, number: int, repeat: str) -> Trial:
    which = 1 if stimulus.study == "nmed-t" else 2
    listener = _seed(config.seed, which, number)
    session = 0
    if stimulus.study == "nmed-t":  # two sessions of five songs each, in an order of the listener's own
        order = np.random.default_rng([listener, 10]).permutation(N_SONGS_T)
        session = int(order[stimulus.number - FIRST_SONG]) // (N_SONGS_T // 2)
    own = _seed(config.seed, which, number, stimulus.number, *repeat.encode())
    return Trial(stimulus, f"S{number:02d}", repeat, listener, _seed(config.seed, which, number, 0, session), own)


def _seed(*parts: int) -> int:
    """One number from several, so that no two trials of any two studies share their draws."""
    return int(np.random.SeedSequence(list(parts)).generate_state(1)[0])
