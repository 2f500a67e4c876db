"""The stages of one experiment, each in a folder of its own that it can be resumed from."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bci_music.messages import UserError
from bci_music.metrics.splits import Split
from bci_music.models import parallel
from bci_music.models.adapter import RidgeAdapter
from bci_music.models.embedder import FrameEmbedder, load_embedder
from bci_music.models.encoder import current_names
from bci_music.models.network import AnyEncoder, EegModel, Network
from bci_music.models.pack import DecoderConfig
from bci_music.training.eeg.adapt import fit_adapter
from bci_music.training.eeg.align import Aligner, align, recompute_batchnorm
from bci_music.training.eeg.closed_form import init_closed_form
from bci_music.training.eeg.corpus import Corpus, Music, Segment
from bci_music.training.eeg.pretrain import pretrain
from bci_music.training.eeg.targets import fit_embedder, music_of
from bci_music.training.lab.config import LabConfig
from bci_music.training.lab.prepared import Prepared
from bci_music.training.lab.windows import LabWindows, split_windows, study_windows, training_seconds
from bci_music.training.loop import TimeLimit, spent_s, thread_s
from bci_music.training.provenance import ALIGNER, ENCODER, pretrained_by, same_run, save_run

Report = Callable[[str, int, int, dict[str, float]], None]  # stage, step, of how many, figures
PRETRAINED_LOG = "pretrained.jsonl"  # of the pretraining that an alignment began with
PRETRAINING = frozenset({
    "encoder", "closed_form", "pretrain", "window_s", "split", "splitting", "labelled", "seed", "normalise"
})  # fmt: skip


@dataclass(frozen=True)
class ExperimentData:
    """What an experiment learns from and is evaluated on, under one split."""

    prepared: Prepared
    windows: LabWindows
    split: Split
    segments: list[Segment]  # to train on
    labelled: list[Segment]  # those of them whose music training knows
    embedder: FrameEmbedder
    music: dict[str, Music]

    def corpus(self, patch: int) -> Corpus:
        """The labelled part of the training side with its music."""
        w = self.windows
        return Corpus(self.labelled, self.music, sfreq_hz=w.sfreq_hz, n_times=w.n_times, patch=patch)


def experiment_data(prepared: Prepared, config: LabConfig) -> ExperimentData:
    """Split a prepared study; without one named, the embedder is fitted on the training side's music."""
    if prepared.normalise != config.normalise:
        raise UserError(
            f"{prepared.directory} was prepared with normalise: {prepared.normalise}, the preset wants "
            f"{config.normalise}: prepare the study again with --normalise {config.normalise}."
        )
    if config.align.window_s != config.window_s:
        raise UserError(
            f"Windows have {config.window_s:g} s, but align.window_s is {config.align.window_s:g}: make them the same."
        )
    _fits(config, prepared.sfreq_hz)
    windows = study_windows(prepared, config.window_s)
    split, segments = split_windows(windows, config.split, config.splitting)
    if config.embedder:
        embedder: FrameEmbedder = load_embedder(config.embedder)
    else:
        embedder = fit_embedder(prepared, training_seconds(segments, prepared.sfreq_hz))
    music = music_of(prepared, embedder, config.window_s)
    labelled = some_recordings(segments, config.labelled, config.splitting.seed)
    return ExperimentData(prepared, windows, split, segments, labelled, embedder, music)


def some_recordings(segments: list[Segment], share: float, seed: int) -> list[Segment]:
    """Draw the segments of this share of the recordings, at least of one; a larger share has those of a smaller."""
    names = np.random.default_rng((seed, 10)).permutation(sorted({segment.recording for segment in segments}))
    chosen = set(names[: max(1, round(share * len(names)))])
    return [segment for segment in segments if segment.recording in chosen]


def new_network(config: LabConfig, prepared: Prepared) -> Network:
    """Build the network of an experiment from its seed, on the study's electrodes."""
    torch.manual_seed(config.seed)
    wanted = config.encoder.n_channels
    if wanted != len(prepared.montage.names):
        raise UserError(f"The encoder has {wanted} channels, the prepared study {len(prepared.montage.names)}.")
    return Network(DecoderConfig(encoder=config.encoder, head=config.head), prepared.montage.positions_m)


def run_pretrain(
    encoder: AnyEncoder, segments: list[Segment], config: LabConfig, prepared: Prepared, directory: Path, *,
    resume: bool = True, device: str = "cpu", report: Report | None = None, tensorboard: bool = False,
    until: Callable[[], bool] = lambda: False,
) -> AnyEncoder:
    """Pretrain without music, or load what a finished run left; returns the encoder that it made."""
    done = directory / ENCODER
    if config.pretrain is None:
        return encoder
    if resume:
        same_run(directory, config, prepared, PRETRAINING)
    if resume and done.is_file():
        return load_encoder(encoder, done)
    save_run(directory, config, prepared, config.seed)
    steps = config.pretrain.loop.steps
    module = pretrain(
        encoder, segments, prepared.sfreq_hz, config.pretrain, directory, resume=resume, device=device,
        tensorboard=tensorboard, until=until, report=None if report is None else _named(report, "pretrain", steps),
    )
    teacher = module.pretrained.cpu().requires_grad_(True).eval()
    _save(teacher, done)
    return teacher


def run_align(
    network: EegModel, data: ExperimentData, config: LabConfig, directory: Path, *, pretrained: Path | None = None,
    resume: bool = True, device: str = "cpu", report: Report | None = None, tensorboard: bool = False,
    until: Callable[[], bool] = lambda: False,
) -> Aligner:
    """Align any model with the music, or load what a finished run left.

    `pretrained` is the folder of the pretraining that filled the network's encoder; the run remembers it.
    """
    corpus = data.corpus(config.encoder.patch)
    done = directory / ALIGNER
    module = _new_aligner(network, corpus, config)
    start = {"pretrained": None if pretrained is None else pretrained_by(pretrained)}
    if resume:
        same_run(directory, config, data.prepared, None, **start)
        if done.is_file():
            return _filled(module, done)
    save_run(directory, config, data.prepared, config.seed, **start)
    _keep_log(pretrained, directory)
    named = None if report is None else _named(report, "align", config.align.loop.steps)
    module = align(
        module, corpus, config.align, directory, resume=resume, device=device, report=named, until=until,
        tensorboard=tensorboard,
    )
    recompute_batchnorm(module.network, corpus, device=device)
    module = module.cpu()
    _save(module, done)
    return module


def load_aligner(network: EegModel, data: ExperimentData, config: LabConfig, directory: Path) -> Aligner:
    """Fill an aligner with what a finished alignment left."""
    return _filled(_new_aligner(network, data.corpus(config.encoder.patch), config), directory / ALIGNER)


def init_encoder(network: Network, data: ExperimentData, config: LabConfig) -> float | None:
    """Set the first filters in closed form, where the experiment asks for it; returns the variance read."""
    if config.closed_form is None:
        return None
    return init_closed_form(network.encoder, data.corpus(config.encoder.patch), config.closed_form)


def run_adapt(aligner: Aligner, data: ExperimentData, config: LabConfig, directory: Path) -> RidgeAdapter:
    """Fit the ridge into the embedder's space on the training side, and save embedder and ridge."""
    path = directory / "adapter.safetensors"
    if path.is_file():
        return RidgeAdapter.load(path)
    corpus = data.corpus(config.encoder.patch)
    adapter = fit_adapter(aligner.network, corpus, hop_s=config.adapt.hop_s, alpha=config.adapt.alpha)
    data.embedder.save(directory / "embedder")
    adapter.save(path)
    return adapter


def load_encoder(encoder: AnyEncoder, path: Path) -> AnyEncoder:
    """Fill an encoder with what a pretraining run left."""
    _filled(encoder, path)
    return encoder


def time_limit(minutes: float | None, *before: Path) -> TimeLimit:
    """Limit the learning to so many minutes; what the folders' logs tell of earlier calls counts, None is no limit."""
    return TimeLimit(_seconds(minutes), lambda: sum(spent_s(run) for run in before))


def thread_limit(minutes: float | None, *before: Path) -> TimeLimit:
    """Limit the learning as `time_limit` does, to so many minutes of one processor's work (`thread_s`)."""
    return TimeLimit(_seconds(minutes), lambda: sum(spent_s(run, "thread_s") for run in before), thread_s)


def _seconds(minutes: float | None) -> float:
    return math.inf if minutes is None else 60.0 * minutes


def _new_aligner(network: EegModel, corpus: Corpus, config: LabConfig) -> Aligner:
    bands = isinstance(network, Network) and config.align.bands_weight > 0
    return Aligner(network, corpus, config.align.temperature, embed_dim=config.head.embed_dim, bands=bands)


def _keep_log(pretrained: Path | None, directory: Path) -> None:
    """Keep the curve of the pretraining beside the alignment, for the report."""
    if parallel.rank() == 0:
        (directory / PRETRAINED_LOG).unlink(missing_ok=True)
        if pretrained is not None and (pretrained / "log.jsonl").is_file():
            shutil.copyfile(pretrained / "log.jsonl", directory / PRETRAINED_LOG)


def _fits(config: LabConfig, sfreq_hz: float) -> None:
    """Raise `UserError` where a window or a view is longer than what the encoder is built for."""
    if config.model != "channel":
        return
    most = config.encoder.n_times
    lengths = {"window_s": round(config.window_s * sfreq_hz)}
    if config.pretrain is not None:
        views = {"student_views": config.pretrain.student_views, "teacher_views": config.pretrain.teacher_views}
        lengths |= {f"pretrain.{name}.n_times": view.n_times for name, view in views.items()}
    for name, n_times in lengths.items():
        if not config.encoder.patch <= n_times <= most:
            raise UserError(
                f"{name} makes windows of {n_times} samples, the encoder takes {config.encoder.patch} to {most}: "
                "change it, or encoder.n_times."
            )


def _named(report: Report, stage: str, steps: int) -> Callable[[int, dict[str, float]], None]:
    return lambda step, values: report(stage, step, steps, values)


def _save(module: torch.nn.Module, path: Path) -> None:
    from safetensors.torch import save_file

    if parallel.rank() == 0:
        state = {name: t.detach().cpu().contiguous().clone() for name, t in module.state_dict().items()}
        part = path.with_suffix(".part")
        save_file(state, str(part))
        part.replace(path)


def _filled(module: Any, path: Path) -> Any:
    from safetensors.torch import load_file

    weights = current_names(load_file(str(path)))
    wanted = {name: tuple(t.shape) for name, t in module.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in weights.items()}
    if wanted != found:
        odd = sorted(n for n in wanted.keys() | found.keys() if wanted.get(n) != found.get(n))[0]
        raise UserError(
            f"{path} holds another model ({odd}: {found.get(odd, 'missing')}, expected {wanted.get(odd, 'nothing')}): "
            "give the preset it was trained with."
        )
    module.load_state_dict(weights)
    return module.eval()
