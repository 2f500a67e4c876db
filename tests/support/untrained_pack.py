"""A valid pack whose weights are random: for wiring, never for a claim."""

from pathlib import Path

import numpy as np
import torch

from bci_music.eeg.chain import SignalConfig
from bci_music.eeg.montage import Montage
from bci_music.messages import EMBEDDING_DIM
from bci_music.models.adapter import RidgeAdapter
from bci_music.models.network import Network
from bci_music.models.pack import DecoderConfig, Pack, Provenance
from bci_music.packing.write import MONTAGE, write_demo_pack
from bci_music.training.provenance import git_sha


def write_untrained(directory: Path, *, seed: int = 0, decoder: DecoderConfig | None = None) -> Pack:
    """Write a valid pack whose weights are random: for wiring and tests, never for a claim.

    Music that should come with it (`library/`, `embedder/`) must lie in `directory` before.
    """
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
