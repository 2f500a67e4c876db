"""`pack build --demo`: from composed songs and simulated listeners to a verified pack with its metrics."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field

from bci_music.compose.composer import HELD_OUT_SECONDS, SONGS, TRAIN_SECONDS, mono_16k
from bci_music.config import Config
from bci_music.eeg.chain import SignalConfig
from bci_music.eeg.montage import Montage
from bci_music.evaluation.robustness import even_subset
from bci_music.messages import Log, UserError
from bci_music.metrics.metric import Metric
from bci_music.models.adapter import RidgeAdapter
from bci_music.models.confidence import Confidence
from bci_music.models.decoder import Decoder
from bci_music.models.device import choose_device
from bci_music.models.embedder import FrameEmbedder, StatisticsEmbedder
from bci_music.models.network import Network
from bci_music.models.pack import (
    ENCODER_FILE,
    ConfidenceFit,
    DecoderConfig,
    GeneratorPart,
    Pack,
    Provenance,
)
from bci_music.models.sizes import LatentQueryConfig
from bci_music.packing.demo_metrics import Decoded, confidence_of, decode_heard, identification, song_identification
from bci_music.packing.excerpts import song_prototypes, write_library
from bci_music.packing.music_models import MusicModels, PackMusic
from bci_music.packing.write import MONTAGE, write_demo_pack
from bci_music.training.eeg.adapt import fit_adapter
from bci_music.training.eeg.align import AlignConfig, Aligner, align, continued, recompute_batchnorm
from bci_music.training.eeg.closed_form import ClosedFormConfig, init_closed_form
from bci_music.training.eeg.corpus import Corpus, Music
from bci_music.training.eeg.sessions import HeardWindows
from bci_music.training.eeg.simulated import (
    AUDIO_HZ,
    SimulatedDataConfig,
    demo_music,
    held_out_windows,
    training_segments,
)
from bci_music.training.loop import LoopConfig
from bci_music.training.provenance import git_sha

ELECTRODES = (64, 32, 16)  # what is left of 125 in rows of the metrics


class DemoBuildConfig(Config):
    """All of a demo build: data, network, the start of its filters, and its training."""

    RENAMED: ClassVar = {"backward": "closed_form"}

    data: SimulatedDataConfig = SimulatedDataConfig(recordings=4, training_snr_db=(-4.0, -8.0, -12.0, -16.0))
    signal: SignalConfig = SignalConfig()
    decoder: DecoderConfig = DecoderConfig(encoder=LatentQueryConfig())
    closed_form: ClosedFormConfig = ClosedFormConfig(patterns=12)
    align: AlignConfig = AlignConfig(
        batch=96, keep=(32, 64), noise=0.0, loop=LoopConfig(steps=3200, lr=1e-3, watch_every=10_000)
    )
    seed: int = Field(0, ge=0)


def build_demo_pack(
    out: Path, work: Path, config: DemoBuildConfig, *, minutes: float, resume: bool = False,
    models: MusicModels | PackMusic | None = None, start: Pack | None = None,
) -> Pack:
    """Compose, listen, train, evaluate and write.

    Parameters
    ----------
    minutes : float
        Upper limit of the training time; the steps of the configuration end it earlier.
    resume : bool
        Continue from the checkpoints in `work`.
    models : MusicModels, optional
        Trained music models to ship; the decoder then learns towards their embedder.
    start : Pack, optional
        An earlier demo pack whose encoder goes on learning; else one is trained from nothing.
    """
    choose_device("cpu")
    montage = Montage.load(MONTAGE)
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty: remove it or choose another --out.")
    if start:
        require_fair_start(start, config)
    with _progress() as log:
        embedder: FrameEmbedder = models.embedder if models else fit_embedder()
        music = demo_music(embedder)
        segments, hashes = training_segments(config.data, config.signal, montage, work / "recordings", log)
        encoder = config.decoder.encoder
        rate = config.signal.preprocess.sfreq_hz
        corpus = Corpus(segments, music, sfreq_hz=rate, n_times=encoder.n_times, patch=encoder.patch)
        runs = work / f"towards-{embedder.sha[:12]}" if models else work  # checkpoints belong to their targets
        if start:  # and to what they began from
            runs /= f"from-{start.manifest.files[ENCODER_FILE].sha256[:12]}"
        aligner = train_demo(corpus, config, montage, runs, minutes=minutes, resume=resume, log=log, start=start)
        log("fitting the adapter")
        adapter = fit_adapter(aligner.network, corpus, hop_s=4.0)
    return evaluate_and_write(out, aligner.ours, adapter, config, embedder, music, hashes, models, start)


def require_fair_start(start: Pack, config: DemoBuildConfig) -> None:
    """Refuse an encoder of another shape, or one that knows what the new pack is evaluated on."""
    manifest, data = start.manifest, config.data
    p, signal = manifest.provenance, config.signal.model_copy(update={"quality": manifest.signal.quality})
    ours = (config.decoder.encoder, config.decoder.head, signal, MONTAGE)  # channels may be assessed in another way
    seeds = {key: set(v) if isinstance(v, list) else set() for key, v in p.seeds.items()}
    spans = [span for some in p.trained_seconds.values() for span in some]
    first, last = TRAIN_SECONDS
    why = None
    if p.kind != "simulated" or not spans or not seeds.get("listeners"):
        why = "it was not trained on this program's songs and simulated listeners"
    elif (manifest.decoder.encoder, manifest.decoder.head, manifest.signal, manifest.montage) != ours:
        why = "its network or signal chain is another than that of the build"
    elif any(begin < first or end > last for begin, end in spans) or seeds["listeners"] & set(data.held_out_listeners):
        why = "it learned from seconds or listeners that the new pack is evaluated on"
    if why:
        raise UserError(f"The build cannot go on from {start.name} ({start.directory}): {why}. Choose another --start.")


def fit_embedder() -> StatisticsEmbedder:
    """Fit the statistics embedder on the training seconds of all songs."""
    start, stop = (int(second * AUDIO_HZ) for second in TRAIN_SECONDS)
    return StatisticsEmbedder.fit([mono_16k(spec.id)[start:stop] for spec in SONGS], AUDIO_HZ)


def train_demo(
    corpus: Corpus, config: DemoBuildConfig, montage: Montage, work: Path, *, minutes: float, resume: bool, log: Log,
    start: Pack | None = None,
) -> Aligner:
    """Filters in closed form, then alignment, within the time. From an earlier pack's encoder only the latter."""
    torch.manual_seed(config.seed)
    if start:
        log(f"reading with the encoder of {start.name}")
        aligner = continued(Network.load(start.file(ENCODER_FILE), config.decoder), corpus)
    else:
        network = Network(config.decoder, montage.positions_m)
        read = init_closed_form(network.encoder, corpus, config.closed_form)
        log(f"the linear front end reads {read:.1%} of the bands' variance")
        aligner = Aligner(network, corpus)
    began, steps = time.monotonic(), config.align.loop.steps

    def report(step: int, metrics: dict[str, float]) -> None:
        log(f"step {step} of {steps}: InfoNCE {metrics['nce']:.2f}, found {metrics['top1']:.0%}")

    def late() -> bool:
        return time.monotonic() - began > 60.0 * minutes

    aligner = align(aligner, corpus, config.align, work / "align", resume=resume, report=report, until=late)
    log("measuring the batch norm on all channels")
    recompute_batchnorm(aligner.network, corpus)
    return aligner


def evaluate_and_write(
    out: Path, network: Network, adapter: RidgeAdapter, config: DemoBuildConfig, embedder: FrameEmbedder,
    music: dict[str, Music], hashes: dict[str, str], models: MusicModels | PackMusic | None = None,
    start: Pack | None = None,
) -> Pack:
    """Metrics on held-out recordings, then the pack with library and embedder."""
    write_library(out / "library", embedder)
    if models:
        models.write_embedder(out)
    else:
        embedder.save(out / "embedder")
    generator = models.write(out) if models else None
    prototypes = song_prototypes(embedder)
    with _progress() as log:
        metrics, confidence, bf16 = evaluate(network, adapter, config, music, prototypes, log)
    provenance = Provenance(
        kind="simulated",
        data=_remark(start, generator),
        seeds={"training": config.seed, "listeners": list(config.data.listeners),
               "training_recordings": [1000 + r for r in range(config.data.recordings)],
               "held_out_listeners": list(config.data.held_out_listeners),
               "test_recordings": [500_000 + r for r in range(config.data.test_recordings)]},
        git_sha=git_sha(), config=config.model_dump(mode="json", exclude={"signal", "decoder"}),
        trained_seconds={spec.id: [TRAIN_SECONDS] for spec in SONGS}, recordings=hashes,
    )  # fmt: skip
    return write_demo_pack(
        out, network, adapter, decoder=config.decoder.model_copy(update={"bf16": bf16}), signal=config.signal,
        provenance=provenance, embedder_sha=embedder.sha, metrics=metrics, confidence=confidence, generator=generator,
    )


def _remark(start: Pack | None, generator: GeneratorPart | None) -> str:
    """What the parts learned from, in words."""
    text = "composed music heard by simulated listeners (bci_music.simulate); no real EEG"
    tracks = len(generator.credits) if generator else 0
    text += f"; the music models also learned from {tracks} real tracks (CARD.md)" if tracks else ", no real music"
    return text + (f"; the encoder went on from {start.name} of {start.manifest.provenance.git_sha}" if start else "")


def evaluate(
    network: Network, adapter: RidgeAdapter, config: DemoBuildConfig, music: dict[str, Music], prototypes: np.ndarray,
    log: Log,
) -> tuple[tuple[Metric, ...], ConfidenceFit, bool]:
    """All metrics of the pack, its fitted confidence, and whether bfloat16 keeps them."""
    data, montage = config.data, Montage.load(MONTAGE)
    songs = [spec.id for spec in SONGS]

    def decoded(heard: list[HeardWindows], bf16: bool = False, electrodes: int | None = None) -> Decoded:
        device = choose_device("cpu", bf16=bf16)
        decoder = Decoder(network, adapter, Confidence(ConfidenceFit(), None), config.decoder, device)
        log("decoding")
        there = None if electrodes is None else even_subset(montage.positions_m, electrodes)
        return decode_heard(decoder, heard, music, songs, there)

    def listen(listeners: tuple[int, ...], recordings: int, snr_db: float) -> list[HeardWindows]:
        return held_out_windows(listeners, recordings, snr_db, config.signal, montage, log)

    where = (
        f"song seconds {HELD_OUT_SECONDS[0]:g}-{HELD_OUT_SECONDS[1]:g} and noise seeds that training never uses, "
        "4 s windows without overlap, simulated EEG"
    )
    known = f"listeners of the training, {where}, {data.snr_db:g} dB per channel"
    harder = f"listeners of the training, {where}, {data.snr_db - 10:g} dB per channel"
    strangers = f"listeners never in training, {where}, {data.snr_db:g} dB per channel"
    recordings = listen(data.listeners, data.test_recordings, data.snr_db)
    full = decoded(recordings)
    few = decoded(recordings[:3], bf16=True)
    weak = decoded(listen(data.listeners, 1, data.snr_db - 10.0))
    new = decoded(listen(data.held_out_listeners, data.test_recordings, data.snr_db))
    weaker = f"at {data.snr_db - 10:g} dB"
    metrics = (
        identification(full, "50-way identification", known),
        song_identification(full, prototypes, "14-way song identification", known),
        identification(weak, f"50-way identification {weaker}", harder),
        song_identification(weak, prototypes, f"14-way song identification {weaker}", harder),
        identification(new, "50-way identification, held-out listeners", strangers),
        song_identification(new, prototypes, "14-way song identification, held-out listeners", strangers),
        *(
            identification(
                decoded(recordings, electrodes=size), f"50-way identification, {size} electrodes",
                f"{known}; only {size} electrodes, evenly spread",
            )
            for size in ELECTRODES
        ),
    )
    same = full.of(full.recording < 3)
    keeps = abs(identification(few, "", "").value - identification(same, "", "").value) < 0.01
    return metrics, confidence_of(full, prototypes), bool(keeps)


@contextmanager
def _progress() -> Iterator[Log]:
    """One line that tells what is done and for how long."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), transient=True) as progress:
        task = progress.add_task("composing")
        yield lambda text: progress.update(task, description=text)
