"""What an evaluation found of one experiment, as it is saved, joined and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from bci_music.config import Config
from bci_music.metrics.metric import Metric

Kind = Literal["system", "ablation", "split", "seed"]  # "seed": a row once more, with another training seed


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


class Removal(Config):
    """What it costs to remove the electrodes that a map weighs most, beside as many drawn at random.

    `cost` is `random` less `most`, window by window: what the map knows. `least`: those weighed least removed.
    """

    map: str
    removed: int
    draws: int  # of the random electrodes, over which rates are averaged
    whole: Metric
    most: Metric
    random: Metric
    least: Metric
    cost: Metric


class Result(Config):
    """One experiment: a trained system under one split, and its metrics."""

    RENAMED = {"figures": "metrics"}
    RENAMED_VALUES = {"kind": {"row": "system"}}

    format: Literal[1] = 1
    name: str
    kind: Kind = "system"
    row: str = ""  # the system of a table that it belongs to, under whatever condition and seed
    model: ModelSummary
    training: TrainingSummary = TrainingSummary()
    split: SplitSummary
    metrics: tuple[Metric, ...]
    robustness: dict[str, list[dict[str, float]]] = {}  # "removed" | "noise": share, value, low, high, control
    electrode_maps: dict[str, list[float]] = {}  # how it is weighed -> mean weight of each channel; 0 where never used
    removal: tuple[Removal, ...] = ()  # a test of each of these maps; the one that the decoder gives first
    song_attention: dict[str, list[float]] = {}  # song -> share of each channel
    song_distances: dict[str, Any] = {}  # songs: [...], eeg: [[...]], music: [[...]]
    data: str  # e.g. "simulated NMED-T + NMED-H (composed music, simulated listeners)"
    simulated: bool
    generator: str = ""  # what made the audio that the audio metrics are of
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
    def read(cls, path: Path) -> Result:
        """Read what `save` wrote."""
        return cls.model_validate_json(path.read_text(encoding="utf-8"))
