"""One experiment: build the model, train it, evaluate it. What is done is not done again."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bci_music.evaluation.baselines.build import build_baseline
from bci_music.evaluation.baselines.cca import Cca
from bci_music.evaluation.baselines.courses import LaggedEeg, MusicCourses, fit_style
from bci_music.evaluation.baselines.linear import LinearEeg, fit_linear
from bci_music.evaluation.baselines.spectrum import SpectrumEeg, fit_spectrum
from bci_music.evaluation.baselines.trf import Trf
from bci_music.evaluation.decoded import Trained
from bci_music.evaluation.evaluate import EvaluateConfig, evaluate_model
from bci_music.evaluation.results import Kind, ModelSummary, Result, TrainingSummary
from bci_music.messages import Log, UserError
from bci_music.models.adapter import RidgeAdapter
from bci_music.models.network import Network
from bci_music.training.lab.config import LabConfig
from bci_music.training.lab.prepared import Prepared
from bci_music.training.lab.run import (
    PRETRAINED_LOG,
    PRETRAINING,
    ExperimentData,
    Report,
    experiment_data,
    init_encoder,
    load_encoder,
    new_network,
    run_adapt,
    run_align,
    run_pretrain,
    thread_limit,
)
from bci_music.training.loop import Clock, log_lines, logs_of, spent_s
from bci_music.training.provenance import ENCODER, began_with

Curves = dict[str, list[tuple[int, float]]]
RESULTS = "results"
_CURVE_POINTS = 120


@dataclass(frozen=True)
class Fitted:
    """A trained model and how it was made."""

    trained: Trained
    model: ModelSummary
    training: TrainingSummary


def run_experiment(
    name: str, kind: Kind, config: LabConfig, prepared: Prepared, work: Path, *, settings: EvaluateConfig | None = None,
    report: Report | None = None, log: Log = lambda text: None,
) -> Result:
    """Train and evaluate, or read what an earlier call with the same settings and data left.

    Parameters
    ----------
    work : Path
        ``work/results/NAME-KEY.json`` is the result, ``work/runs/NAME-KEY`` holds the training, which is resumed.
    """
    settings = settings or EvaluateConfig()
    key = experiment_key(config, prepared, settings)
    if done := find_result(work, name, key):
        return Result.read(done)
    began = time.monotonic()
    data = experiment_data(prepared, config)
    log(f"{name}: {data.split.describe()}")
    fitted = fit(config, data, work, work / "runs" / f"{name}-{key}", report)
    learned = fitted.training.pretrain_minutes + fitted.training.align_minutes
    fitting = max(learned, (time.monotonic() - began) / 60.0)  # it may have learned before a restart, or for others too
    log(f"{name}: evaluating")
    began = time.monotonic()
    result = evaluate_model(name, kind, config, fitted.trained, fitted.model, fitted.training, data, settings)
    result = result.model_copy(update={"minutes": round(fitting + (time.monotonic() - began) / 60.0, 2)})
    result.save(work / RESULTS / f"{name}-{key}.json")
    return result


def find_result(work: Path, name: str, key: str) -> Path | None:
    """Result of an earlier call, if there is one; `rows` is where earlier versions put it."""
    paths = (work / folder / f"{name}-{key}.json" for folder in (RESULTS, "rows"))
    return next((path for path in paths if path.is_file()), None)


def evaluate_run(
    config: LabConfig, data: ExperimentData, aligner: Any, directory: Path, settings: EvaluateConfig,
    log: Log = lambda text: None,
) -> Result:
    """Evaluate a run of ours that was aligned and adapted; the result is saved beside it."""
    adapter = directory / "adapter.safetensors"
    if not adapter.is_file():
        raise UserError(f"There is no adapter in {directory}: make it with `bci-music adapt --run {directory}`.")
    trained = Trained(aligner, RidgeAdapter.load(adapter))
    pretrained = TrainingSummary()
    first: Curves = {}
    started, start = _started(config, pretrained), began_with(directory)
    if start is not None:
        started = "pretrained, its steps were not kept" if start else "not noted by the run"
        if (directory / PRETRAINED_LOG).is_file():
            pretrained, first = _read_logs([directory / PRETRAINED_LOG], "pretrain", _objective(config))
            started = _started(config, pretrained)
    training, curves = _read_log(directory, "align", "nce")
    model = ModelSummary(
        title=config.title, parameters=sum(p.numel() for p in aligner.network.parameters()),
        initialised=started,
        tokens_per_window=aligner.network.encoder.tokens_of(config.encoder.n_channels, data.windows.n_times),
        windows_per_s=_windows_per_s(trained, data),
    )  # fmt: skip
    summary = _joined(training, pretrained, config, first | curves)
    result = evaluate_model("ours", "system", config, trained, model, summary, data, settings, log)
    result.save(directory / "result.json")
    return result


def experiment_key(config: LabConfig, prepared: Prepared, *more: Any) -> str:
    """Fingerprint of settings and data."""
    ours = config.model_dump(mode="json", exclude={"title"}, exclude_defaults=True)  # a new setting changes no old key
    text = json.dumps([ours, *[m.model_dump(mode="json", exclude_defaults=True) for m in more]])
    return hashlib.sha256((text + prepared.data_hash).encode()).hexdigest()[:10]


def fit(config: LabConfig, data: ExperimentData, work: Path, directory: Path, report: Report | None = None) -> Fitted:
    """Train what the experiment names."""
    if config.model == "oracle":
        summary = ModelSummary(title=config.title, parameters=0, initialised="the true embedding itself")
        return Fitted(Trained(None, None), summary, TrainingSummary())
    if config.model in ("linear", "spectrum"):
        return _fit_linear(config, data, directory)
    if config.model in ("trf", "cca"):
        return _fit_tracker(config, data, directory)
    return _fit_network(config, data, work, directory, report)


def _fit_linear(config: LabConfig, data: ExperimentData, directory: Path) -> Fitted:
    path, n_channels = directory / "linear.safetensors", len(data.prepared.montage.names)
    linear: LinearEeg | SpectrumEeg
    if path.is_file() and config.model == "spectrum":
        linear = SpectrumEeg.load(path, n_channels=n_channels, sfreq_hz=data.windows.sfreq_hz)
    elif path.is_file():
        linear = LinearEeg.load(path, n_channels=n_channels, n_times=data.windows.n_times)
    else:
        fit_one = fit_spectrum if config.model == "spectrum" else fit_linear
        linear = fit_one(data.corpus(config.encoder.patch), hop_s=config.adapt.hop_s)
        directory.mkdir(parents=True, exist_ok=True)
        linear.save(path)
    trained = Trained(None, None, direct=linear.clap)
    rate = _windows_per_s(trained, data)
    summary = ModelSummary(
        title=config.title, parameters=linear.parameters, initialised="closed form", windows_per_s=rate
    )
    return Fitted(trained, summary, TrainingSummary())


def _fit_tracker(config: LabConfig, data: ExperimentData, directory: Path) -> Fitted:
    path, corpus = directory / f"{config.model}.safetensors", data.corpus(config.encoder.patch)
    music = MusicCourses.of(data.prepared, LaggedEeg(data.windows.sfreq_hz, data.windows.n_times))
    kind: type[Trf | Cca] = Trf if config.model == "trf" else Cca
    if path.is_file():
        tracker = kind.load(path, music, len(data.prepared.montage.names))
    else:
        tracker = kind.fit(corpus, music)
        directory.mkdir(parents=True, exist_ok=True)
        tracker.save(path)
    adapter = fit_style(corpus, tracker.read, hop_s=config.adapt.hop_s, alpha=config.adapt.alpha)
    trained = Trained(None, adapter, tracker=tracker)
    summary = ModelSummary(
        title=config.title, parameters=tracker.parameters, initialised="closed form",
        windows_per_s=_windows_per_s(trained, data),
    )  # fmt: skip
    return Fitted(trained, summary, TrainingSummary())


def _fit_network(config: LabConfig, data: ExperimentData, work: Path, directory: Path, report: Report | None) -> Fitted:
    curves: Curves = {}
    network: Any
    pretrained, home = TrainingSummary(), None
    until = thread_limit(config.minutes, directory)  # what a closed form takes counts, too
    clock: Clock = "seconds" if config.minutes is None else "thread_s"
    if config.model == "channel":
        network = new_network(config, data.prepared)
        init_encoder(network, data, config)
        if config.pretrain is not None:
            home = pretraining_home(config, data.prepared, work)
            until = thread_limit(config.minutes, home)
            run_pretrain(network.encoder, data.segments, config, data.prepared, home, report=report, until=until)
            load_encoder(network.encoder, home / ENCODER)
            pretrained, curves = _read_log(home, "pretrain", _objective(config), clock)
            until = thread_limit(config.minutes, directory)
        started = _started(config, pretrained)
    else:
        torch.manual_seed(config.seed)
        network = build_baseline(
            config.model, data.prepared.montage, sfreq_hz=data.windows.sfreq_hz, n_times=data.windows.n_times,
            embed_dim=config.head.embed_dim, pretrained=config.pretrained,
        )  # fmt: skip
        started = network.initialised
    aligner = run_align(network, data, config, directory, pretrained=home, report=report, until=until)
    trained = Trained(aligner, run_adapt(aligner, data, config, directory))
    aligned, more = _read_log(directory, "align", "nce", clock)
    training = _joined(aligned, pretrained, config, curves | more)
    ours = isinstance(network, Network)
    tokens = network.encoder.tokens_of(config.encoder.n_channels, data.windows.n_times) if ours else None
    summary = ModelSummary(
        title=config.title, parameters=sum(p.numel() for p in aligner.network.parameters()), initialised=started,
        tokens_per_window=tokens or getattr(network, "tokens_per_window", None),
        windows_per_s=_windows_per_s(trained, data),
    )  # fmt: skip
    return Fitted(trained, summary, training)


def _started(config: LabConfig, pretrained: TrainingSummary) -> str:
    """What ours began with."""
    if pretrained.pretrain_steps:
        how = {"distil": "self-distillation", "masked": "masked prediction"}[_objective(config)]
        return f"pretrained here for {pretrained.pretrain_steps} steps of {how}"
    return "random" if config.closed_form is None else "first filters in closed form"


def _objective(config: LabConfig) -> str:
    """Name of the curve of the pretraining."""
    return "distil" if config.pretrain is None else config.pretrain.objective


def _joined(
    aligned: TrainingSummary, pretrained: TrainingSummary, config: LabConfig, curves: Curves
) -> TrainingSummary:
    return aligned.model_copy(update={
        "pretrain_steps": pretrained.pretrain_steps, "pretrain_minutes": pretrained.pretrain_minutes,
        "batch": config.align.batch, "curves": curves,
    })  # fmt: skip


def pretraining_home(config: LabConfig, prepared: Prepared, work: Path) -> Path:
    """Where pretraining lies: shared by all experiments that start alike and learn from the same segments."""
    wanted = set(PRETRAINING)
    text = json.dumps(config.model_dump(mode="json", include=wanted, exclude_defaults=True)) + prepared.data_hash
    return work / "runs" / f"pretrain-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def pretraining_is_done(config: LabConfig, home: Path) -> bool:
    """Whether pretraining ran to its end, or as long as this experiment allows."""
    if config.pretrain is None or not (home / ENCODER).is_file():
        return config.pretrain is None
    steps = _read_log(home, "pretrain", _objective(config))[0].pretrain_steps
    over = config.minutes is not None and spent_s(home, "thread_s") >= 60.0 * config.minutes
    return over or steps >= config.pretrain.loop.steps


def _read_log(directory: Path, stage: str, curve: str, clock: Clock = "seconds") -> tuple[TrainingSummary, Curves]:
    """Steps, minutes and the thinned, smoothed curve of a run; a first stage in a folder inside it counts too."""
    return _read_logs(logs_of(directory), stage, curve, clock)


def _read_logs(
    logs: list[Path], stage: str, curve: str, clock: Clock = "seconds"
) -> tuple[TrainingSummary, Curves]:
    curves: Curves = {}
    steps, seconds = 0, 0.0
    for log in logs:
        lines = log_lines(log)
        name = stage if log.parent == logs[-1].parent else log.parent.name
        steps += len(lines)
        seconds += spent_s(log, clock)
        every = max(1, len(lines) // _CURVE_POINTS)
        values = np.array([line[curve] for line in lines])
        curves[f"{name}: {curve}"] = [
            (int(lines[i]["step"]), float(values[i : i + every].mean()))
            for i in range(0, len(lines) - every + 1, every)
        ]
        watched = [(int(line["step"]), float(line["watch_top1"])) for line in lines if "watch_top1" in line]
        if watched:
            curves[f"{name}: found among 50, training side unseen"] = watched
    made = {f"{stage}_steps": steps, f"{stage}_minutes": round(seconds / 60.0, 2)}
    return TrainingSummary(**made), curves


def _windows_per_s(trained: Trained, data: ExperimentData) -> float:
    """Decoding speed on this machine, median of five batches."""
    x, used = data.windows.gather(data.split.test[:32])
    trained.clap(x, used)
    took = []
    for _ in range(5):
        began = time.perf_counter()
        trained.clap(x, used)
        took.append(time.perf_counter() - began)
    return round(len(x) / float(np.median(took)), 1)
