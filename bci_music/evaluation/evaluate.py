"""From a trained model to its `Result`: every metric with its controls, robustness, attention, distances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config
from bci_music.evaluation.by_song import song_attention, song_distances
from bci_music.evaluation.decoded import DecodedWindows, Trained, predict, predict_before, true_targets
from bci_music.evaluation.music.audio import LibrarySound, training_music
from bci_music.evaluation.music.generated import GeneratedSound
from bci_music.evaluation.music.genre import EmbeddingGenres, GenreClassifier, HubGenres
from bci_music.evaluation.protocol import evaluate_decoded, split_summary
from bci_music.evaluation.results import Kind, ModelSummary, Result, TrainingSummary
from bci_music.evaluation.robustness import TestWindows, robustness, subset_metrics
from bci_music.messages import Log
from bci_music.metrics.scoring import NO_BEFORE
from bci_music.models.embedder import to_mono_16k
from bci_music.training.eeg.targets import read_song
from bci_music.training.lab.config import LabConfig
from bci_music.training.lab.run import ExperimentData
from bci_music.training.provenance import describe_data, provenance

NO_EEG = "the oracle reads no EEG"


class EvaluateConfig(Config):
    """What is looked at besides identification."""

    audio: bool = True
    generator: str | None = Field(None, description="pack whose generator makes the sound; none: the library")
    genres: str | None = Field(None, description="audio classifier, NAME[@COMMIT] or folder; none: fitted here")
    robustness: bool = False
    k: int = Field(50, ge=2)
    seed: int = 0


def evaluate_model(
    name: str, kind: Kind, config: LabConfig, trained: Trained, model: ModelSummary,
    training: TrainingSummary, data: ExperimentData, settings: EvaluateConfig,
    log: Log = lambda text: None,
) -> Result:
    """Evaluate a trained model on the test side of its split; `log` gets a line before what takes long."""
    song, _, _, vectors = training_music(data.split, data.music)
    audio: LibrarySound | GeneratedSound | None = None
    if settings.audio:  # first: a pack or classifier that does not fit is an error before the long work
        audio = _library_sound(data, song, vectors, config.window_s, settings.genres)
        if settings.generator:
            audio = GeneratedSound.of_pack(
                settings.generator, audio, data.embedder, lambda made: log(f"{made} clips generated")
            )
    log("decoding the test windows")
    oracle = config.model == "oracle"
    decoded = _oracle(data) if oracle else predict(trained, data, data.split.test)
    before = None if oracle else predict_before(trained, data)
    log("evaluating")
    metrics = evaluate_decoded(
        decoded, before=before, mean_embedding=vectors.mean(0), split=data.split, seed=settings.seed, audio=audio,
        window_s=config.window_s, k=settings.k, no_before=NO_EEG if oracle else NO_BEFORE,
        sample_s=1.0 / data.windows.sfreq_hz,
    )  # fmt: skip
    log("decoding with electrodes removed" if settings.robustness else "writing the result")
    curves = _robustness(trained, data, decoded, settings, config.window_s) if settings.robustness else {}
    if settings.robustness:
        metrics += subset_metrics(trained, data, window_s=config.window_s, k=settings.k, seed=settings.seed)
    return Result(
        name=name, kind=kind, model=model, training=training, metrics=metrics, robustness=curves,
        split=split_summary(data.split, config.splitting.seed), song_attention=song_attention(decoded),
        song_distances=song_distances(decoded), data=describe_data(data.prepared), simulated=data.prepared.simulated,
        generator=audio.name if audio else "", embedder=data.embedder.name,
        provenance=provenance(data.prepared, config.seed) | {"config": config.model_dump(mode="json")},
    )  # fmt: skip


def _library_sound(
    data: ExperimentData, song: NDArray[np.str_], vectors: NDArray[np.float32], window_s: float, named: str | None
) -> LibrarySound:
    genre: GenreClassifier | None = HubGenres.load(named) if named else None
    stimuli = data.prepared.stimuli
    audio = {s: to_mono_16k(*read_song(stimuli[s])) for s in data.music}
    genres = [stimuli[s].genre for s in song]
    if genre is None and all(genres) and len(set(genres)) > 1:
        genre = EmbeddingGenres.fit(vectors, genres, data.embedder)
    return LibrarySound.of_training(data.split, data.music, audio, genre=genre, window_s=window_s)


def _oracle(data: ExperimentData) -> DecodedWindows:
    """What a decoder would give that reads the music's embedding without fault."""
    rows, table = data.split.test, data.windows.table
    target = true_targets(data, rows)
    return DecodedWindows(
        None, None, target.copy(), target, table.song[rows], table.name[rows], table.song_start_s[rows],
        table.start_s[rows], table.recording[rows], table.listener[rows],
    )  # fmt: skip


def _robustness(
    trained: Trained, data: ExperimentData, decoded: DecodedWindows, settings: EvaluateConfig, window_s: float
) -> dict[str, list[dict[str, float]]]:
    rows = data.split.test
    x, used = data.windows.gather(rows)
    windows = TestWindows(x, used, decoded.target, decoded.song, decoded.name, decoded.recording, decoded.second)
    music = decoded.music
    if music is None:
        return robustness(trained.clap, windows, k=settings.k, window_s=window_s, seed=settings.seed)

    def shared(x: NDArray[np.float32], used: NDArray[np.bool_]) -> NDArray:
        return np.asarray(trained.decode(x, used)[0])

    return robustness(shared, replace(windows, target=music), k=settings.k, window_s=window_s, seed=settings.seed)


def metric_lines(result: Result) -> list[str]:
    """Every metric in one line each: value, interval, controls, n."""
    lines = [f"{result.model.title}; {result.data}; {result.split.describe}"]
    for f in result.metrics:
        held = "" if f.ci95 is None else f" [{f.ci95[0]:.3f}, {f.ci95[1]:.3f}]"
        controls = ", ".join(f"{name.replace('_', ' ')} {c.value:.3f}" for name, c in f.controls.items())
        p = "" if f.p is None else f", p {f.p:.3g}"
        lines.append(f"{f.label}: {f.value:.3f}{held} ({controls}{p}; {f.n} windows, {f.n_recordings} recordings)")
    return lines
