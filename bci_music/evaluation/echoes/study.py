"""The second way on a study: train decoder and ControlNets under one split, and make the rows of the table.

Decoder and ControlNets learn on the training side only. The music vector with which the ControlNets learn half of the
time is predicted by decoders that did not know the listener; at the test it is always predicted, by the decoder itself.
The true one comes to the row `oracle` alone.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config
from bci_music.evaluation.decoded import BATCH, Trained
from bci_music.evaluation.experiment import fit
from bci_music.generation.audioldm.echoes import EchoesLdm, with_control
from bci_music.generation.audioldm.flow import load_transformer
from bci_music.generation.audioldm.loading import TRANSFORMER
from bci_music.generation.audioldm.sampler import AudioLdm
from bci_music.generation.audioldm.solver import SamplerSettings
from bci_music.messages import EMBEDDING_DIM, Log
from bci_music.models.embedder import to_mono_16k
from bci_music.models.log_mel import normalised
from bci_music.models.network import Network
from bci_music.models.pack import Pack
from bci_music.training.audioldm.parts import load_part
from bci_music.training.echoes.control import ControlConfig, train_control
from bci_music.training.echoes.pairs import EegMusicPairs, cut_latents
from bci_music.training.eeg.targets import read_song
from bci_music.training.lab.config import LabConfig, lab_preset
from bci_music.training.lab.prepared import Prepared
from bci_music.training.lab.run import ExperimentData, experiment_data, thread_limit
from bci_music.training.lab.windows import LabWindows, study_windows
from bci_music.training.loop import log_lines

FORMS: dict[str, dict[str, str]] = {  # of ControlNets that are trained, by the row they make
    "way-b-sequence": {"form": "sequence"},
    "way-b-pooled": {"form": "pooled"},
    "adapter": {"form": "sequence", "kind": "adapters"},
}
Split = Literal["listener", "time-block"]
SPLITS: tuple[Split, ...] = ("listener", "time-block")


class EchoesStudyConfig(Config):
    """How long all of it learns, and what is made."""

    preset: str = Field("small", description="of the decoder; it learns towards the pack's embedder")
    share: float = Field(0.25, gt=0, lt=1, description="of listeners, or of blocks of song time, kept for the test")
    minutes: float = Field(4.0, gt=0, description="of a thread for every training: each decoder, each ControlNet")
    folds: int = Field(2, ge=2, description="decoders that predict the music vectors of listeners they do not know")
    hop_s: float = Field(1.0, gt=0, description="between windows that the ControlNets learn from")
    control: ControlConfig = ControlConfig()
    windows: int = Field(120, ge=4, description="of the test side that music is made for, evenly spread")
    before: int = Field(24, ge=0, description="windows from before the music")
    sampler: SamplerSettings | None = Field(None, description="null: what the transformer was made for")
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of EEG as a decoder reads them: (n, S, E) steps, (n, 512) predicted music vectors."""

    steps: NDArray[np.float32]
    predicted: NDArray[np.float32]

    def of(self, rows: NDArray[np.int64]) -> Windows:
        """Some of them."""
        return Windows(self.steps[rows], self.predicted[rows])


@dataclass(frozen=True)
class EchoesStudy:
    """A prepared study under one split, a pack with a transformer, and a folder that keeps all that is learned."""

    prepared: Prepared
    pack: Pack
    split: Split
    config: EchoesStudyConfig
    work: Path
    log: Log = print

    @cached_property
    def lab(self) -> LabConfig:
        """Settings of the decoder."""
        return lab_preset(
            self.config.preset, embedder=str(self.pack.directory / "embedder"), split=self.split, pretrain=None,
            minutes=self.config.minutes, splitting={"share": self.config.share},
            align={"loop": {"steps": 100_000}},
        )  # fmt: skip

    @cached_property
    def data(self) -> ExperimentData:
        """The study under its split, with the pack's embeddings as targets."""
        return experiment_data(self.prepared, self.lab)

    @cached_property
    def window_s(self) -> float:
        """Length of a window."""
        return self.lab.window_s

    @cached_property
    def trained(self) -> Trained:
        """The decoder, learned from the whole training side."""
        self.log(f"{self.split}: training the decoder")
        return fit(self.lab, self.data, self.work, self.folder("decoder")).trained

    @cached_property
    def plain(self) -> AudioLdm:
        """The pack's transformer with autoencoder and vocoder."""
        assert self.pack.generator is not None
        return load_transformer(self.pack.generator, device="cpu")

    @cached_property
    def audio(self) -> dict[str, NDArray[np.float32]]:
        """Every song as it was heard, (n,) at 16 kHz from the EEG's first sample on."""
        return {s: normalised(to_mono_16k(*read_song(self.prepared.stimuli[s]))) for s in self.data.music}

    @cached_property
    def learned(self) -> LabWindows:
        """Windows of the training side that the ControlNets learn from."""
        return study_windows(
            self.prepared, self.window_s, segments=self.data.segments, hop_s=self.config.hop_s
        )

    @cached_property
    def pairs(self) -> EegMusicPairs:
        """What the ControlNets learn from."""
        path = self.folder("pairs") / "pairs.npz"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._make_pairs().save(path)
        return EegMusicPairs.load(path)

    @property
    def listeners(self) -> list[str]:
        """Those of the training side: place in the list is row of the ControlNet's table."""
        return sorted(set(self.learned.table.listener.tolist()))

    def read(self, trained: Trained, windows: LabWindows, rows: NDArray[np.int64]) -> Windows:
        """Read windows with a decoder: step by step, and the music vector it predicts."""
        steps, predicted = [], []
        network = trained.aligner.network if trained.aligner is not None else None
        assert isinstance(network, Network)
        assert trained.adapter is not None
        for first in range(0, len(rows), BATCH):
            x, used = windows.gather(rows[first : first + BATCH])
            shared, _, found = read_steps(network, x, used)
            steps.append(found)
            predicted.append(unit(trained.adapter(shared)))
        return Windows(np.concatenate(steps), np.concatenate(predicted))

    def control(self, row: str) -> tuple[EchoesLdm, dict[str, float]]:
        """The ControlNet that makes a row, trained or as an earlier call left it; with its steps and minutes."""
        assert self.pack.generator is not None
        directory = self.folder(f"control-{row}")
        settings = self.config.control.model_copy(update=FORMS[row])
        settings = settings.model_copy(update={"loop": settings.loop.model_copy(update={"steps": 100_000})})
        pairs = self.pairs
        held = pairs.of(np.arange(len(pairs))[:: max(1, len(pairs) // 40)])
        self.log(f"{self.split}: training the ControlNet of {row}")
        limit = thread_limit(self.config.minutes, directory)
        made = train_control(
            load_part(self.pack.generator, TRANSFORMER), pairs, held, settings, directory, until=limit
        )
        log = log_lines(directory / "log.jsonl")
        cost = {
            "steps": float(len(log)), "minutes": sum(line["thread_s"] for line in log) / 60,
            "parameters": float(sum(p.numel() for p in made.parameters())),
        }  # fmt: skip
        return with_control(self.plain, made), cost

    def _make_pairs(self) -> EegMusicPairs:
        windows, table = self.learned, self.learned.table
        rows = np.arange(len(table))
        own = self.read(self.trained, windows, rows)
        predicted = np.empty((len(rows), EMBEDDING_DIM), np.float32)
        for fold, listeners in enumerate(np.array_split(np.array(self.listeners), self.config.folds)):
            held = np.isin(table.listener, listeners)
            self.log(f"{self.split}: training a decoder without {', '.join(listeners)}")
            data = replace(
                self.data, segments=[s for s in self.data.segments if s.listener not in listeners],
                labelled=[s for s in self.data.labelled if s.listener not in listeners],
            )  # fmt: skip
            other = fit(self.lab, data, self.work, self.folder(f"fold-{fold}")).trained
            predicted[held] = self.read(other, windows, rows[held]).predicted
        latents = {song: self._latents(song) for song in sorted(set(table.song.tolist()))}
        cut = [
            cut_latents(latents[song], np.array([at]), self.window_s)
            for song, at in zip(table.song.tolist(), table.song_start_s.tolist(), strict=True)
        ]
        style = np.stack([
            self.data.music[song].target_at(at)
            for song, at in zip(table.song.tolist(), table.song_start_s.tolist(), strict=True)
        ])  # fmt: skip
        place = {listener: number for number, listener in enumerate(self.listeners)}
        return EegMusicPairs(
            np.concatenate(cut), own.steps.astype(np.float16), style.astype(np.float32), predicted,
            np.array([place[listener] for listener in table.listener.tolist()]), table.song, table.recording,
            table.song_start_s,
        )  # fmt: skip

    def _latents(self, song: str) -> NDArray[np.float16]:
        return self.plain.encode(self.audio[song])[0].cpu().numpy().astype(np.float16)

    def folder(self, name: str) -> Path:
        """Folder of one training: what it depends on is in its name."""
        return self.work / f"{self.split}-{self._key({'windows', 'before', 'sampler'})}" / name

    @property
    def rows(self) -> Path:
        """Folder of the rows of all splits."""
        return self.work / f"rows-{self._key(set())}"

    def _key(self, left_out: set[str]) -> str:
        given = self.config.model_dump_json(exclude=left_out)
        files = {name: file.sha256 for name, file in self.pack.manifest.files.items() if "generator/" in name}
        text = json.dumps([given, files, self.prepared.data_hash])
        return hashlib.sha256(text.encode()).hexdigest()[:10]


@torch.inference_mode()
def read_steps(
    network: Network, x: NDArray[np.float32], used: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Unit shared vectors, attention, and steps (B, S, E) of windows (B, C, T), in float32."""
    found = network.infer_steps(torch.from_numpy(x), torch.from_numpy(used))
    return tuple(part.float().numpy() for part in found)  # type: ignore[return-value]


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length one."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))
