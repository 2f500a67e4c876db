"""Put a demo pack together: networks, library, manifest."""

from __future__ import annotations

from pathlib import Path

from bci_music.eeg.chain import SignalConfig
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
