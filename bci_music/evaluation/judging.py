"""From a trained model to its `ResultRow`: every measure with its controls, robustness, attention, distances."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config
from bci_music.evaluation.measure import NO_BEFORE
from bci_music.evaluation.music.audio import AudioJudge, training_music
from bci_music.evaluation.music.generated import GeneratedJudge
from bci_music.evaluation.music.genre import EmbeddingGenres, GenreClassifier, HubGenres
from bci_music.evaluation.outputs import Outputs
from bci_music.evaluation.predict import Trained, predict, predict_before, true_targets
from bci_music.evaluation.protocol import judge_outputs, split_summary
from bci_music.evaluation.results import ModelSummary, ResultRow, TrainingSummary
from bci_music.evaluation.robustness import TestWindows, robustness, subset_figures
from bci_music.evaluation.songs import song_attention, song_distances
from bci_music.messages import Log
from bci_music.models.embedder import to_mono_16k
from bci_music.training.eeg.targets import read_song
from bci_music.training.lab.config import LabConfig
from bci_music.training.lab.run import ExperimentData
from bci_music.training.provenance import describe_data, provenance

NO_EEG = "the oracle reads no EEG"


class Judging(Config):
    """What is looked at besides identification."""

    audio: bool = True
    generator: str | None = Field(None, description="pack whose generator makes the sound; none: the library")
    genres: str | None = Field(None, description="audio classifier, NAME[@COMMIT] or folder; none: fitted here")
    robustness: bool = False
    k: int = Field(50, ge=2)
    seed: int = 0


def judge_row(
    name: str, kind: Literal["row", "ablation", "split"], config: LabConfig, trained: Trained, model: ModelSummary,
    training: TrainingSummary, data: ExperimentData, judging: Judging, log: Log = lambda text: None,
) -> ResultRow:
    """Judge a trained model on the test side of its split; `log` is given a line before what takes long."""
    song, _, _, vectors = training_music(data.split, data.music)
    audio: AudioJudge | GeneratedJudge | None = None
    if judging.audio:  # first: a pack or classifier that does not fit is told before the long work
        audio = _audio_judge(data, song, vectors, config.window_s, judging.genres)
        if judging.generator:
            audio = GeneratedJudge.of_pack(
                judging.generator, audio, data.embedder, lambda made: log(f"{made} clips generated")
            )
    log("decoding the test windows")
    oracle = config.model == "oracle"
    outputs = _oracle(data) if oracle else predict(trained, data, data.split.test)
    before = None if oracle else predict_before(trained, data)
    log("judging")
    figures = judge_outputs(
        outputs, before=before, mean_embedding=vectors.mean(0), split=data.split, seed=judging.seed, audio=audio,
        window_s=config.window_s, k=judging.k, no_before=NO_EEG if oracle else NO_BEFORE,
        sample_s=1.0 / data.windows.sfreq_hz,
    )  # fmt: skip
    log("decoding with electrodes removed" if judging.robustness else "writing the row")
    curves = _robustness(trained, data, outputs, judging, config.window_s) if judging.robustness else {}
    if judging.robustness:
        figures += subset_figures(trained, data, window_s=config.window_s, k=judging.k, seed=judging.seed)
    return ResultRow(
        name=name, kind=kind, model=model, training=training, figures=figures, robustness=curves,
        split=split_summary(data.split, config.splitting.seed), song_attention=song_attention(outputs),
        song_distances=song_distances(outputs), data=describe_data(data.prepared), simulated=data.prepared.simulated,
        generator=audio.name if audio else "", embedder=data.embedder.name,
        provenance=provenance(data.prepared, config.seed) | {"config": config.model_dump(mode="json")},
    )  # fmt: skip


def _audio_judge(
    data: ExperimentData, song: NDArray[np.str_], vectors: NDArray[np.float32], window_s: float, named: str | None
) -> AudioJudge:
    genre: GenreClassifier | None = HubGenres.load(named) if named else None
    stimuli = data.prepared.stimuli
    audio = {s: to_mono_16k(*read_song(stimuli[s])) for s in data.music}
    genres = [stimuli[s].genre for s in song]
    if genre is None and all(genres) and len(set(genres)) > 1:
        genre = EmbeddingGenres.fit(vectors, genres, data.embedder)
    return AudioJudge.of_training(data.split, data.music, audio, genre=genre, window_s=window_s)


def _oracle(data: ExperimentData) -> Outputs:
    """What a decoder would give that reads the music's embedding without fault."""
    rows, table = data.split.test, data.windows.table
    target = true_targets(data, rows)
    return Outputs(
        None, None, target.copy(), target, table.song[rows], table.name[rows], table.song_start_s[rows],
        table.start_s[rows], table.recording[rows], table.listener[rows],
    )  # fmt: skip


def _robustness(
    trained: Trained, data: ExperimentData, outputs: Outputs, judging: Judging, window_s: float
) -> dict[str, list[dict[str, float]]]:
    rows = data.split.test
    x, used = data.windows.gather(rows)
    windows = TestWindows(x, used, outputs.target, outputs.song, outputs.name, outputs.recording, outputs.second)
    music = outputs.music
    if music is None:
        return robustness(trained.clap, windows, k=judging.k, window_s=window_s, seed=judging.seed)

    def shared(x: NDArray[np.float32], used: NDArray[np.bool_]) -> NDArray:
        return np.asarray(trained.decode(x, used)[0])

    return robustness(shared, replace(windows, target=music), k=judging.k, window_s=window_s, seed=judging.seed)


def figure_lines(row: ResultRow) -> list[str]:
    """Every figure in one line each: value, interval, controls, n."""
    lines = [f"{row.model.title}; {row.data}; {row.split.describe}"]
    for f in row.figures:
        held = "" if f.ci95 is None else f" [{f.ci95[0]:.3f}, {f.ci95[1]:.3f}]"
        controls = ", ".join(f"{name.replace('_', ' ')} {c.value:.3f}" for name, c in f.controls.items())
        p = "" if f.p is None else f", p {f.p:.3g}"
        lines.append(f"{f.label}: {f.value:.3f}{held} ({controls}{p}; {f.n} windows, {f.n_recordings} recordings)")
    return lines
