"""The encoder learns on: minutes of one listener move what no adapter can, where answers lie and when they come."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config
from bci_music.models.decoder import Decoder
from bci_music.models.pack import ENCODER_FILE, DecoderConfig
from bci_music.training.eeg.corpus import Corpus, Music, Segment
from bci_music.training.pool import process_pool

if TYPE_CHECKING:
    from bci_music.models.network import Network


class LearnConfig(Config):
    """How an encoder goes on learning from one listener, towards the music heard, as it was trained."""

    steps: int = Field(120, ge=1)
    lr: float = Field(1e-3, gt=0)
    batch: int = Field(48, ge=2)
    keep: tuple[int, int] = (32, 64)  # channels that stay in a view, drawn once per step
    workers: int | None = Field(None, ge=1, description="processes that learn at once; null: one per core")


@dataclass(frozen=True)
class _Task:
    """What a process needs to learn: the pack's encoder, and EEG with its music."""

    encoder: Path
    sizes: DecoderConfig
    segments: list[Segment]
    music: dict[str, Music]
    sfreq_hz: float
    config: LearnConfig


class EncoderLearner:
    """Makes decoders whose encoder went on learning from a pack's own; head, adapter and confidence stay.

    Parameters
    ----------
    decoder : Decoder
        Of the pack to start from.
    music : mapping of song to Music
    """

    def __init__(self, decoder: Decoder, music: dict[str, Music], config: LearnConfig):
        self._decoder, self._music, self._config = decoder, music, config

    def __call__(self, trainings: Sequence[list[Segment]]) -> list[Decoder]:
        """Return a decoder for each list of segments; the same segments give the same decoder bit for bit."""
        decoder, config = self._decoder, self._config
        rate = decoder.manifest.signal.preprocess.sfreq_hz
        weights = decoder.pack.file(ENCODER_FILE)
        tasks = [_Task(weights, decoder.manifest.decoder, some, self._music, rate, config) for some in trainings]
        workers = min(config.workers or os.cpu_count() or 1, len(tasks))
        if workers == 1:
            states = [_learn(task) for task in tasks]
        else:
            with process_pool(workers) as pool:
                states = list(pool.map(_learn, tasks))
        return [decoder.with_network(_network(weights, decoder.manifest.decoder, state)) for state in states]


def _network(weights: Path, sizes: DecoderConfig, state: dict[str, NDArray]) -> Network:
    import torch

    from bci_music.models.network import Network

    network = Network.load(weights, sizes)
    network.load_state_dict({name: torch.from_numpy(values) for name, values in state.items()})
    return network


def _learn(task: _Task) -> dict[str, NDArray]:
    """Learn with one thread, as several may at once; returns the weights by name."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        state = _aligned(task).state_dict()
    finally:
        torch.set_num_threads(threads)
    return {name: values.detach().numpy() for name, values in state.items()}


def _aligned(task: _Task) -> Network:
    from bci_music.models.network import Network
    from bci_music.training.eeg.align import AlignConfig, align, continued
    from bci_music.training.loop import LoopConfig

    encoder, config = task.sizes.encoder, task.config
    corpus = Corpus(
        task.segments, task.music, sfreq_hz=task.sfreq_hz, n_times=encoder.n_times, patch=encoder.patch
    )
    aligner = continued(Network.load(task.encoder, task.sizes), corpus, hop_s=1.0)
    n_channels = encoder.n_channels
    keep = (min(config.keep[0], n_channels), min(config.keep[1], n_channels))
    loop = LoopConfig(
        steps=config.steps, lr=config.lr, warmup=min(10, config.steps // 4), ema=0.95, bf16=False,
        checkpoint_every=10**6, watch_every=10**6,
    )  # fmt: skip
    settings = AlignConfig(
        loop=loop, batch=config.batch, keep=keep, noise=0.0, window_s=encoder.n_times / task.sfreq_hz
    )
    with tempfile.TemporaryDirectory(prefix="bci-music-") as folder:
        return align(aligner, corpus, settings, Path(folder)).ours
