"""From a trained model to its `Result`: every metric with its controls, robustness, attention, distances."""

from __future__ import annotations

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
from bci_music.evaluation.results import Kind, ModelSummary, Removal, Result, TrainingSummary
from bci_music.evaluation.robustness import Predict, TestWindows, robustness, subset_metrics
from bci_music.evaluation.weighing import electrode_map, found_planted, maps_of, mean_map, removal
from bci_music.messages import Log, UserError
from bci_music.metrics.metric import Metric
from bci_music.metrics.scoring import NO_BEFORE
from bci_music.models.embedder import to_mono_16k
from bci_music.simulate.study_plan import Region
from bci_music.training.eeg.targets import read_song
from bci_music.training.lab.config import LabConfig
from bci_music.training.lab.run import ExperimentData
from bci_music.training.provenance import describe_data, provenance

MOST_REMOVED = 10  # electrodes that a map is tested with
NO_EEG = "the oracle reads no EEG"


class EvaluateConfig(Config):
    """What is looked at besides identification."""

    audio: bool = True
    generator: str | None = Field(None, description="pack whose generator makes the sound; none: the library")
    genres: str | None = Field(None, description="audio classifier, NAME[@COMMIT] or folder; none: fitted here")
    robustness: bool = False
    maps: bool = Field(False, description="test every map of the electrodes, not only the one the decoder gives")
    planted: Region | None = Field(None, description="simulated: the region whose electrodes alone carry the response")
    k: int = Field(50, ge=2)
    seed: int = 0


def evaluate_model(
    name: str, kind: Kind, config: LabConfig, trained: Trained, model: ModelSummary,
    training: TrainingSummary, data: ExperimentData, settings: EvaluateConfig,
    log: Log = lambda text: None,
) -> Result:
    """Evaluate a trained model on the test side of its split; `log` gets a line before what takes long."""
    if settings.planted and not data.prepared.simulated:
        raise UserError("A planted region is known of simulated EEG only: leave it out for recorded EEG.")
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
    curves: dict[str, list[dict[str, float]]] = {}
    if settings.robustness:
        log("decoding with electrodes removed")
        curves = _robustness(trained, data, decoded, settings, config.window_s)
        metrics += subset_metrics(trained, data, window_s=config.window_s, k=settings.k, seed=settings.seed)
    maps, removed, found = _weighing(trained, data, decoded, settings, config.window_s, log)
    log("writing the result")
    return Result(
        name=name, kind=kind, model=model, training=training, metrics=(*metrics, *found), robustness=curves,
        electrode_maps=maps, removal=removed,
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
    windows = _test_windows(data, decoded)
    predict = trained.clap if decoded.music is None else _shared(trained)
    return robustness(predict, windows, k=settings.k, window_s=window_s, seed=settings.seed)


def _test_windows(data: ExperimentData, decoded: DecodedWindows) -> TestWindows:
    """The EEG of what was decoded, beside the music in the space that EEG and music share, if there is one."""
    x, used = data.windows.gather(data.split.test)
    target = decoded.target if decoded.music is None else decoded.music
    return TestWindows(x, used, target, decoded.song, decoded.name, decoded.recording, decoded.second)


def _shared(trained: Trained) -> Predict:
    def predict(x: NDArray[np.float32], used: NDArray[np.bool_]) -> NDArray:
        return np.asarray(trained.decode(x, used)[0])

    return predict


def _weighing(
    trained: Trained, data: ExperimentData, decoded: DecodedWindows, settings: EvaluateConfig, window_s: float, log: Log
) -> tuple[dict[str, list[float]], tuple[Removal, ...], tuple[Metric, ...]]:
    """Maps of the electrodes; each tested by removal and, with a planted region, by what it finds of it."""
    wanted = settings.maps or settings.planted or (settings.robustness and decoded.attention is not None)
    if not wanted or trained.aligner is None or decoded.music is None or len(np.unique(decoded.recording)) < 2:
        return {}, (), ()
    network, windows = trained.aligner.network, _test_windows(data, decoded)
    kinds = maps_of(network) if settings.maps or settings.planted else maps_of(network)[:1]
    planted = np.array(data.prepared.montage.regions()) == settings.planted
    n_removed = min(MOST_REMOVED, int(windows.used.sum(1).min()) // 3)  # of a small headset fewer
    maps: dict[str, list[float]] = {}
    removed, found = [], []
    for kind in kinds:
        log(f"testing the map of the electrodes by {kind}")
        weighed = electrode_map(kind, network, windows)
        maps[kind] = np.nan_to_num(mean_map(weighed, windows.recording)).tolist()
        removed.append(removal(
            _shared(trained), windows, weighed, name=kind, n_removed=n_removed, k=settings.k, window_s=window_s,
            seed=settings.seed,
        ))  # fmt: skip
        if settings.planted:
            found.append(found_planted(weighed, planted, windows.recording, name=kind, seed=settings.seed))
    return maps, tuple(removed), tuple(found)


def metric_lines(result: Result) -> list[str]:
    """Every metric in one line each: value, interval, controls, n."""
    lines = [f"{result.model.title}; {result.data}; {result.split.describe}"]
    for f in result.metrics:
        held = "" if f.ci95 is None else f" [{f.ci95[0]:.3f}, {f.ci95[1]:.3f}]"
        controls = ", ".join(f"{name.replace('_', ' ')} {c.value:.3f}" for name, c in f.controls.items())
        p = "" if f.p is None else f", p {f.p:.3g}"
        lines.append(f"{f.label}: {f.value:.3f}{held} ({controls}{p}; {f.n} windows, {f.n_recordings} recordings)")
    return lines + [_removal_line(r) for r in result.removal]


def _removal_line(tested: Removal) -> str:
    """One test of a map of the electrodes, for people."""
    values = {
        name: f"{m.value:.3f}" + ("" if m.ci95 is None else f" [{m.ci95[0]:.3f}, {m.ci95[1]:.3f}]")
        for name, m in (
            ("all", tested.whole), ("most", tested.most), ("random", tested.random), ("least", tested.least),
            ("cost", tested.cost),
        )
    }  # fmt: skip
    return (
        f"{tested.whole.label} by {tested.map} of the electrodes: all {values['all']}; {tested.removed} removed: most "
        f"weighed {values['most']}, random {values['random']}, least weighed {values['least']}; the most weighed cost "
        f"{values['cost']} more than random ones"
    )
