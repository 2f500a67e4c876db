"""What the judge says about one row of a table, as it is saved, joined and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from bci_music.config import Config


class Control(Config):
    """The same figure where there is nothing to find."""

    value: float
    ci95: tuple[float, float] | None = None
    protocol: str = ""


class Figure(Config):
    """One number with what makes it readable.

    `controls` has the keys ``deranged``, ``before_song`` (EEG from before the music), ``mean_embedding``, as far as
    they can be had; `missing` says in words why one cannot. `p` is by permutation over recordings.
    """

    name: str  # key, e.g. "50-way"
    label: str  # for people
    value: float
    ci95: tuple[float, float] | None
    n: int  # independent (not overlapping) windows
    n_recordings: int
    chance: float | None = None
    controls: dict[str, Control] = {}
    missing: dict[str, str] = {}
    p: float | None = None
    protocol: str
    better: Literal["higher", "lower"] = "higher"


class SplitSummary(Config):
    """How training and test were kept apart."""

    kind: str
    describe: str
    n_train: int
    n_test: int
    n_recordings: int
    seed: int
    shared: dict[str, int] = {}  # how many recordings, listeners, songs, song-seconds are on both sides


class ModelSummary(Config):
    """What was trained."""

    title: str
    parameters: int
    initialised: str  # "random", "pretrained here for 200 steps", "hub NAME@REVISION"
    tokens_per_window: int | None = None
    windows_per_s: float | None = None  # encoder forward on this machine


class TrainingSummary(Config):
    """How long it learned, beside the recipe of the paper."""

    pretrain_steps: int = 0
    pretrain_minutes: float = 0.0
    align_steps: int = 0
    align_minutes: float = 0.0
    batch: int = 0
    recipe: dict[str, int] = {"pretrain_steps": 40_000, "align_steps": 30_000, "batch": 500}
    curves: dict[str, list[tuple[int, float]]] = {}  # name -> (step, value), thinned


class ResultRow(Config):
    """One trained thing under one split."""

    format: Literal[1] = 1
    name: str
    kind: Literal["row", "ablation", "split"] = "row"
    model: ModelSummary
    training: TrainingSummary = TrainingSummary()
    split: SplitSummary
    figures: tuple[Figure, ...]
    robustness: dict[str, list[dict[str, float]]] = {}  # "removed" | "noise": share, value, low, high, control
    song_attention: dict[str, list[float]] = {}  # song -> share of each channel
    song_distances: dict[str, Any] = {}  # songs: [...], eeg: [[...]], music: [[...]]
    data: str  # e.g. "simulated NMED-T + NMED-H (composed music, simulated listeners)"
    simulated: bool
    generator: str = ""  # what made the audio that the audio metrics judge
    embedder: str = ""
    provenance: dict[str, Any] = {}
    minutes: float = Field(0.0, ge=0)

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(self.model_dump_json(indent=1), encoding="utf-8")
        part.replace(path)

    @classmethod
    def read(cls, path: Path) -> ResultRow:
        """Read what `save` wrote."""
        return cls.model_validate_json(path.read_text(encoding="utf-8"))
