"""The stages of the music models as data, and what each of them learns, from what, into which part."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from bci_music.config import Config, note_renamed
from bci_music.generation.audioldm.loading import TRANSFORMER, UNET
from bci_music.messages import Log, UserError
from bci_music.models.embedder import Embedder
from bci_music.training.audioldm.batches import FULL_SCALE, Clips, Figures, Task
from bci_music.training.audioldm.cache import cached_rows, rows_key, weights_key
from bci_music.training.audioldm.diffusion import UnetConfig, UnetTask, condition_moments, new_scheduler, new_unet
from bci_music.training.audioldm.discriminator import AdversarialPair, AdversarialTask, DiscriminatorConfig
from bci_music.training.audioldm.distil import DistilConfig, DistilTask
from bci_music.training.audioldm.flow import FlowConfig, FlowTask, new_transformer
from bci_music.training.audioldm.parts import (
    CREDITS,
    EMBEDDER,
    FEW,
    FEW_NOTE,
    load_part,
    save_conditioning,
    save_embedder_note,
    save_part,
)
from bci_music.training.audioldm.vae import VaeConfig, VaeTask, encode, new_vae, rebuild, settle_latents
from bci_music.training.audioldm.vocoder import VocoderConfig, VocoderTask, new_vocoder
from bci_music.training.loop import LoopConfig

SHARES = {"vae": 0.15, "vocoder": 0.25, "vocoder-fit": 0.1, "unet": 0.5}  # of the time there is, in this order
OPTIONAL = ("vocoder-adversarial", "distil", TRANSFORMER)  # a GPU's; one without guidance's work; another denoiser
STAGES = (*SHARES, *OPTIONAL)
_OLD_STAGES = {"vocoder-contest": "vocoder-adversarial"}


class MusicModelsConfig(Config):
    """Sizes and schedules of all stages; `fit` and `adversarial` continue the vocoder."""

    RENAMED: ClassVar = {"judges": "discriminators", "contest": "adversarial"}

    vae: VaeConfig = VaeConfig()
    vocoder: VocoderConfig = VocoderConfig()
    fit: VocoderConfig = VocoderConfig(
        seed=1, loop=LoopConfig(
            steps=3000, lr=4e-4, warmup=50, weight_decay=0.01, clip=1.0, ema=0.99, bf16=False, watch_every=1000
        ),
    )  # fmt: skip
    discriminators: DiscriminatorConfig = DiscriminatorConfig()
    adversarial: VocoderConfig = VocoderConfig(
        seed=2, batch=32, loop=LoopConfig(
            steps=20_000, lr=2e-4, warmup=200, weight_decay=0.0, clip=1000.0, ema=0.999, beta2=0.99, bf16=False,
            watch_every=2000,
        ),
    )  # fmt: skip
    unet: UnetConfig = UnetConfig()
    distil: DistilConfig = DistilConfig()
    transformer: FlowConfig = FlowConfig()


@dataclass(frozen=True)
class Workspace:
    """Where a stage works: training and held-out clips, the conditioning embedder, folders, device."""

    clips: Clips
    held: Clips
    out: Path
    embedder: Embedder | None = None
    device: str = "cpu"
    log: Log = print

    @property
    def parts(self) -> Path:
        """Where trained parts go."""
        return self.out / "parts"

    def rows(self, kind: str, make: Callable[[Clips, int, int], NDArray], key: str) -> tuple[NDArray, NDArray]:
        """Rows of the training and of the held-out clips, from disk where they were made before."""

        def of(name: str, clips: Clips) -> NDArray:
            return cached_rows(
                self.out / "cache" / f"{name}-{kind}.npy", len(clips.mel), lambda a, b: make(clips, a, b),
                key=f"{key} {rows_key(clips.mel)}",
                progress=lambda done, n: self.log(f"{kind} of {name} clips: {done} of {n}"),
            )  # fmt: skip

        return of("training", self.clips), of("held-out", self.held)

    def mel_rows(self, kind: str, call: Callable[[torch.Tensor], torch.Tensor], key: str) -> tuple[NDArray, NDArray]:
        """Rows computed from spectrograms (B, frames, 64) by a network."""

        def make(clips: Clips, first: int, stop: int) -> NDArray:
            mel = torch.from_numpy(np.asarray(clips.mel[first:stop], np.float32)).to(self.device)
            return call(mel).to("cpu", torch.float16).numpy()

        return self.rows(kind, make, key)

    def conditions(self) -> tuple[NDArray, NDArray]:
        """Embeddings (n, 512) of the clips' sound."""
        embedder = self.embedder
        if embedder is None:
            raise UserError("The denoiser learns from embeddings of the music: say which embedder conditions it.")

        def make(clips: Clips, first: int, stop: int) -> NDArray:
            sound = np.asarray(clips.sound[first:stop], np.float32) / np.float32(FULL_SCALE)
            return np.stack([embedder.embed(row, 16_000) for row in sound])

        return self.rows("conditions", make, embedder.sha)


@dataclass(frozen=True)
class Job:
    """One stage, ready to run.

    `export` writes what was learned into the parts and returns it as it was written, `evaluate` gives its figures.
    """

    task: Task
    loop: LoopConfig
    seed: int
    export: Callable[[Any], Any]
    evaluate: Callable[[Any], Figures]


def current_stage(name: str) -> str:
    """Name of a stage, which the version before may have called otherwise."""
    if name not in _OLD_STAGES:
        return name
    note_renamed("pack train", f"stage {name!r} is now called {_OLD_STAGES[name]!r}")
    return _OLD_STAGES[name]


def make_job(stage: str, workspace: Workspace, config: MusicModelsConfig, start: Path | None) -> Job:
    """Prepare a stage. `start` holds parts of an earlier training, from whose weights it goes on."""
    makers = {"vae": _vae, "vocoder": _vocoder, "unet": _unet, "distil": _distil, TRANSFORMER: _transformer}
    makers |= {"vocoder-fit": _vocoder, "vocoder-adversarial": _vocoder}
    if stage not in makers:
        raise UserError(f"There is no stage {stage!r}: choose one of {', '.join(STAGES)}.")
    return makers[stage](stage, workspace, config, start)


def _vae(stage: str, workspace: Workspace, config: MusicModelsConfig, start: Path | None) -> Job:
    c = config.vae
    torch.manual_seed(c.seed)
    module = load_part(start, "vae") if start else new_vae(c, workspace.clips.mel)
    task = VaeTask(module, workspace.clips.mel, workspace.held.mel, c, workspace.device)

    def export(vae: Any) -> Any:
        settle_latents(vae, workspace.clips.mel, workspace.device)
        save_part(vae, workspace.parts, "vae")
        return load_part(workspace.parts, "vae", workspace.device)

    return Job(task, c.loop, c.seed, export, task.evaluate)


def _vocoder(stage: str, workspace: Workspace, config: MusicModelsConfig, start: Path | None) -> Job:
    c = {"vocoder": config.vocoder, "vocoder-fit": config.fit, "vocoder-adversarial": config.adversarial}[stage]
    torch.manual_seed(c.seed)
    if stage == "vocoder":
        mel, held_mel = workspace.clips.mel, workspace.held.mel
    else:
        start = start or workspace.parts
        vae = load_part(workspace.parts, "vae", workspace.device).eval()
        mel, held_mel = workspace.mel_rows("rebuilt", lambda x: rebuild(vae, x), weights_key(vae))
    module = _begun_with(start) or new_vocoder(c, mel)
    inner = VocoderTask(module, workspace.clips, workspace.held, c, workspace.device, mel=mel, held_mel=held_mel)
    adversarial = stage == "vocoder-adversarial"
    task: Task = inner
    if adversarial:
        task = AdversarialTask(AdversarialPair(module, config.discriminators), inner, config.discriminators)

    def export(learned: Any) -> Any:
        save_part(learned.vocoder if adversarial else learned, workspace.parts, "vocoder")
        return load_part(workspace.parts, "vocoder", workspace.device)

    return Job(task, c.loop, c.seed, export, inner.evaluate)


def _begun_with(start: Path | None) -> Any:
    """The vocoder of earlier parts, unless there is none or it is a HiFi-GAN, which is not trained here."""
    vocoder = load_part(start, "vocoder") if start and (start / "vocoder").is_dir() else None
    return vocoder if hasattr(vocoder, "log_magnitude") else None


def _unet(stage: str, workspace: Workspace, config: MusicModelsConfig, start: Path | None) -> Job:
    _require_one_embedder(workspace, TRANSFORMER)
    torch.manual_seed(config.unet.seed)
    conditions, held = workspace.conditions()
    module = load_part(start, "unet") if start else new_unet(config.unet, conditions)
    task = _unet_task(module, workspace, config.unet, conditions, held)

    def export(unet: Any) -> Any:
        save_part(unet, workspace.parts, "unet")
        save_conditioning(workspace.parts, new_scheduler(config.unet), condition_moments(conditions)[0])
        _note(workspace)
        return load_part(workspace.parts, "unet", workspace.device)

    return Job(task, config.unet.loop, config.unet.seed, export, task.evaluate)


def _distil(stage: str, workspace: Workspace, config: MusicModelsConfig, start: Path | None) -> Job:
    torch.manual_seed(config.unet.seed)
    module = load_part(start or workspace.parts, "unet", workspace.device)
    conditions, held = workspace.conditions()
    inner = _unet_task(module, workspace, config.unet, conditions, held)
    task = DistilTask(module, inner, config.distil, workspace.device)

    def export(unet: Any) -> Any:
        save_part(unet, workspace.parts, FEW)
        (workspace.parts / FEW_NOTE).write_text(json.dumps(config.distil.sampler) + "\n", encoding="utf-8")
        return load_part(workspace.parts, FEW, workspace.device)

    return Job(task, config.distil.loop, config.unet.seed, export, task.evaluate)


def _transformer(stage: str, workspace: Workspace, config: MusicModelsConfig, start: Path | None) -> Job:
    c = config.transformer
    _require_one_embedder(workspace, UNET)
    torch.manual_seed(c.seed)
    conditions, held = workspace.conditions()
    module = load_part(start, TRANSFORMER) if start else new_transformer(c, conditions)
    latents, held_latents = _latents(workspace)
    task = FlowTask(module, latents, conditions, held_latents, held, c, workspace.device)

    def export(network: Any) -> Any:
        save_part(network, workspace.parts, TRANSFORMER)
        _note(workspace)
        return load_part(workspace.parts, TRANSFORMER, workspace.device)

    return Job(task, c.loop, c.seed, export, task.evaluate)


def _latents(workspace: Workspace) -> tuple[NDArray, NDArray]:
    """Latents (n, 8, frames, 16) of the training and of the held-out clips."""
    vae = load_part(workspace.parts, "vae", workspace.device).eval()
    return workspace.mel_rows("latents", lambda x: encode(vae, x), weights_key(vae))


def _unet_task(module: Any, workspace: Workspace, config: UnetConfig, conditions: NDArray, held: NDArray) -> UnetTask:
    latents, held_latents = _latents(workspace)
    return UnetTask(module, latents, conditions, held_latents, held, config, workspace.device)


def _require_one_embedder(workspace: Workspace, other: str) -> None:
    """Refuse to train a denoiser beside another one that vectors of another embedder lead."""
    note = workspace.parts / EMBEDDER
    if workspace.embedder is None or not (workspace.parts / other).is_dir() or not note.is_file():
        return
    if json.loads(note.read_text(encoding="utf-8"))["sha"] != workspace.embedder.sha:
        raise UserError(
            f"The {other} in {workspace.parts} learned from vectors of another embedder: train this one with the same, "
            "or in another folder (--models)."
        )


def _note(workspace: Workspace) -> None:
    """Write down whose vectors lead the denoisers, and which real music was learned from: a pack names both."""
    assert workspace.embedder is not None
    save_embedder_note(workspace.parts, workspace.embedder.sha)
    path = workspace.parts / CREDITS
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []  # of other parts' music
    credits = [*known, *(track for track in getattr(workspace.clips, "credits", []) if track not in known)]
    path.write_text(json.dumps(credits, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
