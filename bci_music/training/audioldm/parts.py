"""The trained parts on disk: half precision, safetensors, in the layout that the sampler opens."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bci_music.generation.audioldm.loading import (
    AUDIOLDM,
    NOTE,
    PARTS,
    PLAIN_FLOW,
    TRANSFORMER,
    UNCONDITIONAL,
    UNET,
    VOCODER,
    Note,
    denoiser_class,
    forget_place,
    quiet_loading,
    vocoder_loader,
)
from bci_music.messages import UserError

FEW = "unet-few"  # the UNet distilled to less work, beside the one it comes from
FEW_NOTE = "unet-few.json"  # how the sampler uses it
EMBEDDER = "embedder.json"  # beside the parts: which embedder's vectors lead the UNet
BUDGET = {  # parameters
    UNET: 6_000_000, "vae": 2_000_000, VOCODER: 3_000_000, TRANSFORMER: 2_800_000, "control": 2_000_000,
}  # fmt: skip
CREDITS = "credits.json"  # of the real music learned from: beside the parts, and in a pack's generator/


def save_part(model: Any, parts: Path, name: str) -> Path:
    """Write a copy of `model` in half precision to ``parts / name``, in one move; `model` stays as it is."""
    small = copy.deepcopy(model).eval()
    nn.Module.to(small, "cpu", torch.float16)  # the classes' own warns of parts that these do not have
    for key, value in small.state_dict().items():
        if not torch.isfinite(value).all():
            raise UserError(f"{name}'s {key} is not finite in half precision: the training diverged, start it again.")
    fresh = parts / f"{name}.part"
    shutil.rmtree(fresh, ignore_errors=True)
    with quiet_loading():
        small.save_pretrained(fresh)
    forget_place(fresh / "config.json")
    for file in fresh.glob("*.safetensors"):
        file.chmod(0o644)  # written for their owner alone
    shutil.rmtree(parts / name, ignore_errors=True)
    fresh.rename(parts / name)
    return parts / name


def load_part(parts: Path, name: str, device: str = "cpu") -> Any:
    """Read what `save_part` wrote, in single precision."""
    folder = parts / name
    if not folder.is_dir():
        raise UserError(f"There is no {name} in {parts}: train it first (`bci-music pack train`).")
    with quiet_loading():
        loader, options = _loader(folder, name)
        model = loader.from_pretrained(folder, use_safetensors=True, local_files_only=True, **options)
    return model.to(device)


def _loader(folder: Path, name: str) -> tuple[Any, dict[str, Any]]:
    """Class of a part, and the options its `from_pretrained` takes."""
    from diffusers import AutoencoderKL

    if name == VOCODER:
        return vocoder_loader(folder)
    kind = AutoencoderKL if name == "vae" else denoiser_class(UNET if name == FEW else name)
    return kind, {"torch_dtype": torch.float32}


def save_conditioning(parts: Path, scheduler: Any, unconditional: NDArray[np.float32]) -> None:
    """Write what belongs to the UNet: noise levels, and the condition of its unguided branch."""
    scheduler.save_pretrained(parts / "scheduler")
    np.save(parts / UNCONDITIONAL, unconditional.astype(np.float32))


def assemble(
    parts: Path, out: Path, *, name: str, settings: Mapping[str, Any], trained: bool = True, few: bool = False,
    flow: Mapping[str, Any] = PLAIN_FLOW, plays: str = AUDIOLDM,
) -> Path:
    """Put a generator together that `load_audioldm` opens: the parts, what they were made for, the credits.

    A transformer that lies among the parts comes, too.

    Parameters
    ----------
    settings : mapping
        Sampler settings for this model: solver, steps, guidance ...
    few : bool
        Take the UNet that was distilled to less work.
    flow : mapping
        Sampler settings for the transformer.
    plays : str
        Which of both plays by default.
    """
    values: dict[str, Any] = {"trained": trained, "name": name, **settings}
    wanted = [*PARTS]
    if (parts / TRANSFORMER).is_dir():
        values |= {TRANSFORMER: {"trained": trained, "name": f"{name}, transformer", **flow}, "plays": plays}
        wanted.append(TRANSFORMER)
    note = Note.parse(values, "the generator's settings")
    for denoiser in (note, note.transformer):
        if denoiser is not None:
            denoiser.settings("the generator's settings")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for part in wanted:
        source = parts / (FEW if few and part == UNET else part)
        if not source.is_dir():
            raise UserError(f"There is no {source.name} in {parts}: train it first (`bci-music pack train`).")
        shutil.copytree(source, out / part)
        if part != "scheduler":
            forget_place(out / part / "config.json")
    shutil.copyfile(parts / UNCONDITIONAL, out / UNCONDITIONAL)
    if (parts / CREDITS).is_file():
        shutil.copyfile(parts / CREDITS, out / CREDITS)
    text = json.dumps(note.model_dump(exclude_none=True), indent=1)
    (out / NOTE).write_text(text + "\n", encoding="utf-8")
    check_budget(out)
    return out


def check_budget(generator: Path) -> dict[str, int]:
    """Parameters of each part; raises `UserError` if one is larger than a shipped pack may carry."""
    from safetensors import safe_open

    counts = {}
    for part, most in BUDGET.items():
        if not (generator / part).is_dir():
            continue
        counts[part] = 0
        for path in (generator / part).glob("*.safetensors"):
            with safe_open(path, framework="np") as stored:
                counts[part] += sum(int(np.prod(stored.get_slice(k).get_shape())) for k in stored.keys())  # noqa: SIM118
        if counts[part] > most:
            raise UserError(f"The {part} has {counts[part]:,} parameters, a shipped pack carries at most {most:,}.")
    return counts


def save_embedder_note(parts: Path, sha: str) -> None:
    """Note beside the parts whose vectors lead the UNet."""
    (parts / EMBEDDER).write_text(json.dumps({"sha": sha}) + "\n", encoding="utf-8")
