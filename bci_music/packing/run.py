"""`bci-music pack build --run`: from a run of the lab that was aligned and adapted to a pack for the stage."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bci_music.data.study import Stimulus
from bci_music.eeg.montage import shipped_montages
from bci_music.evaluation.decoded import DecodedWindows, Trained, predict, predict_before
from bci_music.evaluation.music.audio import training_music
from bci_music.evaluation.protocol import evaluate_decoded
from bci_music.files import refuse_filled
from bci_music.messages import Log, UserError
from bci_music.metrics.identification import top1_hits
from bci_music.metrics.metric import Metric
from bci_music.models.adapter import RidgeAdapter
from bci_music.models.confidence import fit_confidence
from bci_music.models.library import MusicLibrary
from bci_music.models.network import Network
from bci_music.models.pack import (
    ADAPTER_FILE,
    ENCODER_FILE,
    ConfidenceFit,
    DecoderConfig,
    Pack,
    PackManifest,
    Provenance,
    Spaces,
)
from bci_music.packing.run_library import write_run_library
from bci_music.packing.write import LICENCE, VERSION
from bci_music.training.lab.config import LabConfig
from bci_music.training.lab.prepared import Prepared
from bci_music.training.lab.run import ExperimentData, experiment_data, load_aligner, new_network
from bci_music.training.lab.windows import training_seconds
from bci_music.training.provenance import ALIGNER, CONFIG, PROVENANCE, describe_data

MONTAGE_FILE = "montage.yaml"
OWN_MUSIC = (
    "weights: as the licence of the study they were trained on; the library holds excerpts of the music you provided: "
    "pass the pack on only if you may pass that on"
)


@dataclass(frozen=True)
class _Run:
    """A finished run and what it learned from."""

    directory: Path
    config: LabConfig
    experiment: ExperimentData
    trained: Trained

    @property
    def seconds(self) -> dict[str, list[tuple[float, float]]]:
        """Training seconds of every song."""
        return training_seconds(self.experiment.segments, self.experiment.prepared.sfreq_hz)


def build_run_pack(run: Path, data: Path, out: Path, *, name: str | None = None, log: Log = lambda text: None) -> Pack:
    """Write a pack with the weights of a run, metrics on its test side, and a library of its training music.

    Parameters
    ----------
    run : Path
        Folder of `bci-music align`, after `bci-music adapt`.
    data : Path
        The prepared study it was trained on.

    Raises
    ------
    UserError
        If the run is not finished, is a baseline's, or `out` is not empty.
    """
    refuse_filled(out)
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    log("opening the run")
    opened = _written(_open(run, data), part)
    experiment, config = opened.experiment, opened.config
    experiment.embedder.save(part / "embedder")
    log("writing the library")
    songs = write_run_library(
        part / "library", experiment.prepared.stimuli, experiment.music, opened.seconds, experiment.embedder,
        config.window_s,
    )
    log("decoding the test side")
    decoded = predict(opened.trained, experiment, experiment.split.test)
    metrics = _metrics(opened, decoded)
    prototypes = MusicLibrary.load(part / "library").prototypes
    confidence = _confidence(decoded, prototypes, songs, experiment.prepared.stimuli)
    manifest = _manifest(opened, name or run.resolve().name, metrics, confidence)
    Pack.write(part, manifest.model_copy(update={"montage": _own_montage(manifest.montage, part)}))
    if out.exists():
        out.rmdir()
    part.replace(out)
    return Pack.open(out)


def _open(run: Path, data: Path) -> _Run:
    for file, verb in ((ALIGNER, "align"), (ADAPTER_FILE, "adapt")):
        if not (run / file).is_file():
            raise UserError(f"There is no {file} in {run}: make it with `bci-music {verb}`.")
    config = LabConfig.load(run / CONFIG)
    if config.model != "channel":
        raise UserError(f"{run} trained the baseline {config.model}: a pack holds the channel-oriented decoder only.")
    prepared = Prepared.open(data)
    was = _noted(run).get("data_hash", prepared.data_hash)
    if was != prepared.data_hash:
        raise UserError(f"{data} is not the study that {run} was trained on: give the folder it was prepared in.")
    experiment = experiment_data(prepared, config)
    aligner = load_aligner(new_network(config, prepared), experiment, config, run)
    return _Run(run, config, experiment, Trained(aligner, RidgeAdapter.load(run / ADAPTER_FILE)))


def _written(run: _Run, directory: Path) -> _Run:
    """Write the weights, and go on with what was written: half precision, which is what the metrics are then of."""
    aligner, adapter = run.trained.aligner, run.trained.adapter
    assert aligner is not None
    assert adapter is not None
    network: Any = aligner.network
    network.save(directory / ENCODER_FILE)
    adapter.save(directory / ADAPTER_FILE)
    aligner.network = Network.load(directory / ENCODER_FILE, _decoder(run.config)).eval()
    return run


def _decoder(config: LabConfig) -> DecoderConfig:
    return DecoderConfig(encoder=config.encoder, head=config.head, bf16=True)


def _manifest(run: _Run, name: str, metrics: tuple[Metric, ...], confidence: ConfidenceFit) -> PackManifest:
    prepared, config, noted = run.experiment.prepared, run.config, _noted(run.directory)
    window = prepared.signal.window.model_copy(update={"seconds": config.window_s})
    signal = prepared.signal.model_copy(update={"window": window})
    provenance = Provenance(
        kind="simulated" if prepared.simulated else "real", data=describe_data(prepared),
        seeds={"training": config.seed, "split": config.splitting.seed}, git_sha=noted.get("git_sha", ""),
        config=config.model_dump(mode="json", exclude={"encoder", "head"}),
        trained_seconds={song: [(round(a, 3), round(b, 3)) for a, b in s] for song, s in run.seconds.items()},
        recordings={"fingerprint of the prepared study": prepared.data_hash},
    )  # fmt: skip
    sha = run.experiment.embedder.sha
    return PackManifest(
        name=re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "run", version=VERSION,
        licence=LICENCE if prepared.simulated else OWN_MUSIC, provenance=provenance, montage=prepared.config.montage,
        reference=signal.preprocess.reference, signal=signal, normalise=prepared.normalise,
        decoder=_decoder(config), metrics=metrics, confidence=confidence, spaces=Spaces(targets=sha, generator=sha),
    )  # fmt: skip


def _own_montage(name: str, pack: Path) -> str:
    """Name of a montage that ships; another one is copied into the pack, which opens nothing outside itself."""
    if name in ("nmed", *shipped_montages()):
        return name
    shutil.copyfile(name, pack / MONTAGE_FILE)
    return MONTAGE_FILE


def _metrics(run: _Run, decoded: DecodedWindows) -> tuple[Metric, ...]:
    """Identification on the test side, as `bci-music evaluate` gives it."""
    experiment = run.experiment
    vectors = training_music(experiment.split, experiment.music)[3]
    found = evaluate_decoded(
        decoded, before=predict_before(run.trained, experiment), mean_embedding=vectors.mean(0), split=experiment.split,
        window_s=run.config.window_s, sample_s=1.0 / experiment.windows.sfreq_hz,
    )  # fmt: skip
    origin = "simulated EEG; " if experiment.prepared.simulated else ""
    return tuple(
        metric.rounded().model_copy(update={"protocol": origin + metric.protocol})
        for metric in found if metric.chance is not None and metric.ci95 is not None
    )  # fmt: skip


def _confidence(
    decoded: DecodedWindows, prototypes: np.ndarray, songs: tuple[str, ...], stimuli: dict[str, Stimulus]
) -> ConfidenceFit:
    """Probability that the nearest song of the library is the one heard, in whatever version."""
    assert decoded.attention is not None
    numbers = {stimuli[song].name or song: number for number, song in enumerate(songs)}
    truth = np.array([numbers.get(name, -1) for name in decoded.name.tolist()])
    unit = decoded.clap / np.maximum(np.linalg.norm(decoded.clap, axis=1, keepdims=True), 1e-12)
    recording = np.unique(decoded.recording, return_inverse=True)[1]
    right = top1_hits(unit, prototypes, truth)
    return fit_confidence(decoded.clap, decoded.attention, right, recording, prototypes)


def _noted(run: Path) -> dict[str, Any]:
    """What a run noted of itself."""
    path = run / PROVENANCE
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found
