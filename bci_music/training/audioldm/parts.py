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

from bci_music.generation.audioldm.loading import NOTE, PARTS, UNCONDITIONAL, Note, quiet_loading, vocoder_loader
from bci_music.messages import UserError

FEW = "unet-few"  # the UNet distilled to less work, beside the one it comes from
FEW_NOTE = "unet-few.json"  # how the sampler uses it
EMBEDDER = "embedder.json"  # beside the parts: which embedder's vectors lead the UNet
BUDGET = {"unet": 6_000_000, "vae": 2_000_000, "vocoder": 3_000_000}  # parameters
CREDITS = "credits.json"  # of the real music learned from: beside the parts, and in a pack's generator/
_KIND = {"unet": "UNet2DConditionModel", FEW: "UNet2DConditionModel", "vae": "AutoencoderKL"}


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
    _forget_place(fresh / "config.json")
    for file in fresh.glob("*.safetensors"):
        file.chmod(0o644)  # written for their owner alone
    shutil.rmtree(parts / name, ignore_errors=True)
    fresh.rename(parts / name)
    return parts / name


def _forget_place(path: Path) -> None:
    """Take out of a part's configuration where it was read from, which is nobody's business."""
    config = json.loads(path.read_text(encoding="utf-8"))
    if config.pop("_name_or_path", None) is not None:
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def load_part(parts: Path, name: str, device: str = "cpu") -> Any:
    """Read what `save_part` wrote, in single precision."""
    folder = parts / name
    if not folder.is_dir():
        raise UserError(f"There is no {name} in {parts}: train it first (`bci-music pack train`).")
    with quiet_loading():
        if name in _KIND:
            import diffusers

            model = getattr(diffusers, _KIND[name]).from_pretrained(
                folder, use_safetensors=True, local_files_only=True, torch_dtype=torch.float32
            )
        else:
            loader, options = vocoder_loader(folder)
            model = loader.from_pretrained(folder, local_files_only=True, **options)
    return model.to(device)


def save_conditioning(parts: Path, scheduler: Any, unconditional: NDArray[np.float32]) -> None:
    """Write what belongs to the UNet: noise levels, and the condition of its unguided branch."""
    scheduler.save_pretrained(parts / "scheduler")
    np.save(parts / UNCONDITIONAL, unconditional.astype(np.float32))


def assemble(
    parts: Path, out: Path, *, name: str, settings: Mapping[str, Any], trained: bool = True, few: bool = False
) -> Path:
    """Put a generator together that `load_audioldm` opens: the four parts, what they were made for, the credits.

    Parameters
    ----------
    settings : mapping
        Sampler settings for this model: solver, steps, guidance ...
    few : bool
        Take the UNet that was distilled to less work.
    """
    note = Note.parse({"trained": trained, "name": name, **settings}, "the generator's settings")
    note.settings("the generator's settings")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for part in PARTS:
        source = parts / (FEW if few and part == "unet" else part)
        if not source.is_dir():
            raise UserError(f"There is no {source.name} in {parts}: train it first (`bci-music pack train`).")
        shutil.copytree(source, out / part)
        if part != "scheduler":
            _forget_place(out / part / "config.json")
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
