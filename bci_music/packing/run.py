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
from bci_music.evaluation.music.audio import training_music
from bci_music.evaluation.outputs import Outputs
from bci_music.evaluation.predict import Trained, predict, predict_before
from bci_music.evaluation.protocol import judge_outputs
from bci_music.evaluation.results import Figure
from bci_music.messages import Log, UserError
from bci_music.models.adapter import RidgeAdapter
from bci_music.models.network import Network
from bci_music.models.pack import (
    ADAPTER_FILE,
    ENCODER_FILE,
    Calibration,
    DecoderConfig,
    Metric,
    Pack,
    PackManifest,
    Provenance,
    Spaces,
)
from bci_music.packing.listener import refuse_filled
from bci_music.packing.run_library import write_run_library
from bci_music.packing.write import LICENCE, VERSION
from bci_music.training.evaluate import Decoded, calibrate
from bci_music.training.lab.config import LabConfig
from bci_music.training.lab.prepared import Prepared
from bci_music.training.lab.run import ExperimentData, experiment_data, load_aligner, new_network
from bci_music.training.lab.windows import training_seconds
from bci_music.training.provenance import ALIGNER, CONFIG, PROVENANCE, describe_data

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
    """Write a pack with the weights of a run, figures on its test side, and a library of its training music.

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
    outputs = predict(opened.trained, experiment, experiment.split.test)
    figures = _figures(opened, outputs)
    prototypes = np.load(part / "library" / "prototypes.npy", allow_pickle=False)
    confidence = _confidence(outputs, prototypes, songs, experiment.prepared.stimuli)
    manifest = _manifest(opened, name or run.resolve().name, figures, confidence)
    Pack.write(part, manifest)
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
    """Write the weights, and go on with what was written: half precision, which is what the figures are then of."""
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


def _manifest(run: _Run, name: str, metrics: tuple[Metric, ...], calibration: Calibration) -> PackManifest:
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
        decoder=_decoder(config), metrics=metrics, calibration=calibration, spaces=Spaces(targets=sha, generator=sha),
    )  # fmt: skip


def _figures(run: _Run, outputs: Outputs) -> tuple[Metric, ...]:
    """Identification on the test side, as `bci-music evaluate` gives it."""
    experiment = run.experiment
    vectors = training_music(experiment.split, experiment.music)[3]
    judged = judge_outputs(
        outputs, before=predict_before(run.trained, experiment), mean_embedding=vectors.mean(0), split=experiment.split,
        window_s=run.config.window_s, sample_s=1.0 / experiment.windows.sfreq_hz,
    )  # fmt: skip
    return tuple(made for figure in judged if (made := _metric(figure, experiment.prepared.simulated)) is not None)


def _metric(figure: Figure, simulated: bool) -> Metric | None:
    """A figure as a pack holds it; None where it has no chance level or no interval."""
    if figure.chance is None or figure.ci95 is None:
        return None
    deranged, before = figure.controls.get("deranged"), figure.controls.get("before_song")
    more = "" if before is None else f"; EEG from before the music: {before.value:.3f}"
    return Metric(
        name=figure.label, protocol=f"{'simulated EEG; ' if simulated else ''}{figure.protocol}{more}",
        value=round(figure.value, 4), chance=round(figure.chance, 4), n=figure.n, n_recordings=figure.n_recordings,
        ci95=(round(figure.ci95[0], 4), round(figure.ci95[1], 4)),
        control="" if deranged is None else "music of another song",
        control_value=None if deranged is None else round(deranged.value, 4),
    )  # fmt: skip


def _confidence(
    outputs: Outputs, prototypes: np.ndarray, songs: tuple[str, ...], stimuli: dict[str, Stimulus]
) -> Calibration:
    """Probability that the nearest song of the library is the one heard, in whatever version."""
    assert outputs.attention is not None
    numbers = {stimuli[song].name or song: number for number, song in enumerate(songs)}
    truth = np.array([numbers.get(name, -1) for name in outputs.name.tolist()])
    unit = outputs.clap / np.maximum(np.linalg.norm(outputs.clap, axis=1, keepdims=True), 1e-12)
    recording = np.unique(outputs.recording, return_inverse=True)[1]
    fitted = calibrate(
        Decoded(outputs.clap, unit, outputs.attention, outputs.target, truth, recording), prototypes
    )
    known = fitted.auroc is not None and np.isfinite(fitted.auroc)
    return fitted if known else fitted.model_copy(update={"auroc": None})


def _noted(run: Path) -> dict[str, Any]:
    """What a run noted of itself."""
    path = run / PROVENANCE
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found
