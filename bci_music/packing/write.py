"""Put a demo pack together: networks, library, manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bci_music.eeg.chain import SignalConfig
from bci_music.messages import EMBEDDING_DIM
from bci_music.metrics.metric import Metric
from bci_music.models.adapter import RidgeAdapter
from bci_music.models.network import Network
from bci_music.models.pack import (
    ADAPTER_FILE,
    ENCODER_FILE,
    ConfidenceFit,
    DecoderConfig,
    GeneratorPart,
    Pack,
    PackManifest,
    Provenance,
    Spaces,
)
from bci_music.training.provenance import git_sha

MONTAGE = "nmed"
VERSION = "0.1.0"
LICENCE = "MIT (weights, music and simulated EEG are made by this program)"
LICENCE_REAL = "MIT (composed music, simulated EEG; the music models also learned from tracks credited in CARD.md)"


def write_demo_pack(
    directory: str | Path, network: Network, adapter: RidgeAdapter, *, decoder: DecoderConfig, signal: SignalConfig,
    provenance: Provenance, embedder_sha: str, metrics: tuple[Metric, ...] = (),
    confidence: ConfidenceFit | None = None, generator: GeneratorPart | None = None, name: str = "demo",
) -> Pack:
    """Write weights and manifest beside what already lies in `directory` (library, embedder), and open the result."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    licence = LICENCE_REAL if generator and generator.credits else LICENCE
    network.save(directory / ENCODER_FILE)
    adapter.save(directory / ADAPTER_FILE)
    manifest = PackManifest(
        name=name, version=VERSION, licence=licence, provenance=provenance, montage=MONTAGE,
        reference=signal.preprocess.reference, signal=signal, decoder=decoder, metrics=metrics,
        confidence=confidence or ConfidenceFit(), spaces=Spaces(targets=embedder_sha, generator=embedder_sha),
        generator=generator,
    )
    return Pack.write(directory, manifest)


def write_untrained(directory: str | Path, *, seed: int = 0, decoder: DecoderConfig | None = None) -> Pack:
    """Write a valid pack whose weights are random: for wiring and tests, never for a claim.

    Music that should come with it (`library/`, `embedder/`) must lie in `directory` before.
    """
    import torch

    from bci_music.eeg.montage import Montage

    decoder = decoder or DecoderConfig()
    positions = Montage.load(MONTAGE).positions_m
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(decoder, positions if len(positions) == decoder.encoder.n_channels else None)
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((decoder.head.embed_dim, EMBEDDING_DIM)).astype(np.float32)
    adapter = RidgeAdapter(weights / np.float32(EMBEDDING_DIM**0.5), np.zeros(EMBEDDING_DIM, np.float32))
    provenance = Provenance(
        kind="simulated", data="none: the weights are random and untrained", seeds={"weights": seed}, git_sha=git_sha()
    )
    return write_demo_pack(
        directory, network, adapter, decoder=decoder, signal=SignalConfig(), provenance=provenance, embedder_sha="",
        name="untrained",
    )
