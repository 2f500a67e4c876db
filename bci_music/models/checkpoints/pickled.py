"""Pickled weights become safetensors without anything in the pickle being run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from bci_music.files import plain_file, shown
from bci_music.messages import UserError
from bci_music.models.checkpoints.weights import WEIGHTS_BYTES

_NAMES = {
    "pytorch_model.bin": "model.safetensors",
    "diffusion_pytorch_model.bin": "diffusion_pytorch_model.safetensors",
}
KEPT = (".json", ".txt", ".safetensors", ".npy")  # beside the weights, what a checkpoint consists of
# Training scripts leave numpy's scalars beside the weights (epoch, loss). What rebuilds them is replaced by `_Left`.
_NUMPY = (
    "numpy.dtype", "numpy.ndarray", "numpy.core.multiarray.scalar", "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar", "numpy._core.multiarray._reconstruct",
)  # fmt: skip


class _Left:
    """Stands for a value that was left in the file unread."""

    def __new__(cls, *values: object) -> _Left:
        return object.__new__(cls)

    def __init__(self, *values: object):
        pass

    def __setstate__(self, state: object) -> None:
        pass


def read_pickled(path: str | Path) -> dict[str, Any]:
    """Read the tensors of a pickled checkpoint by torch's restricted reader, which calls nothing the file names.

    Raises
    ------
    UserError
        If the file holds anything but tensors and plain values, or no table of tensors.
    """
    import torch

    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no file {path}: give a checkpoint with pickled weights (.pt, .bin).")
    plain_file(path, WEIGHTS_BYTES)
    try:
        with torch.serialization.safe_globals([(_Left, name) for name in _NUMPY]):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a reader of somebody else's file raises is its own affair
        raise UserError(
            f"{path} holds more than weights, or is damaged ({_reason(error)}): it is not opened, since that could run "
            "what somebody put into it; get the weights as safetensors."
        ) from error
    state = found.get("state_dict", found) if isinstance(found, dict) else {}
    tensors = {str(k): v for k, v in state.items() if isinstance(v, torch.Tensor)} if isinstance(state, dict) else {}
    if not tensors:
        raise UserError(f"{path} holds no table of weights: give a checkpoint's state_dict.")
    damaged = next((k for k, v in tensors.items() if v.is_floating_point() and not bool(v.isfinite().all())), None)
    if damaged is not None:
        raise UserError(f"{shown(damaged)} in {path} holds numbers that are not finite: get the weights again.")
    return tensors


def pickled_only(folder: Path) -> list[Path]:
    """Files with pickled weights in a checkpoint's folders that hold no safetensors, by relative path."""
    found = []
    for place in [folder, *sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))]:
        if not any(place.glob("*.safetensors")):
            found += sorted(
                p.relative_to(folder) for suffix in ("bin", "pt", "ckpt") for p in place.glob(f"*.{suffix}")
            )
    return found


def converted_name(path: str) -> str:
    """Relative path of the safetensors that a `.bin` file is written to."""
    folder, slash, name = path.rpartition("/")
    if name not in _NAMES:
        raise UserError(f"{name} cannot be converted: known are {', '.join(_NAMES)}, one file a part.")
    return f"{folder}{slash}{_NAMES[name]}"


def convert_weights(path: Path) -> Path:
    """Write the weights of one `.bin` file as safetensors beside it; the new file's path."""
    from safetensors.torch import save_file

    target = path.with_name(converted_name(path.name))
    tensors = {key: value.detach().clone().contiguous() for key, value in read_pickled(path).items()}
    part = target.with_name(target.name + ".part")
    save_file(tensors, str(part), metadata={"format": "pt"})
    part.replace(target)
    return target


def convert_folder(source: Path, target: Path) -> list[Path]:
    """Copy a checkpoint to `target` with its pickled weights written as safetensors; what was converted.

    Raises
    ------
    UserError
        If there is nothing to convert, or `target` is not empty.
    """
    if not source.is_dir():
        raise UserError(f"There is no directory {source}: give the folder of a checkpoint, or a .pt file.")
    if target.exists() and any(target.iterdir()):
        raise UserError(f"{target} is not empty: remove it or name another folder.")
    todo = [rel for rel in pickled_only(source) if rel.name in _NAMES]
    if not todo:
        raise UserError(
            f"{source} has no pickled weights without safetensors beside them: there is nothing to convert."
        )
    for path in sorted(p for p in source.rglob("*") if p.is_file() and p.suffix in KEPT):
        rel = path.relative_to(source)
        if not any(part.startswith(".") for part in rel.parts):
            (target / rel).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / rel)
    made = []
    for rel in todo:
        (target / rel).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / rel, target / rel)
        made.append(convert_weights(target / rel))
        (target / rel).unlink()
    return made


def _reason(error: Exception) -> str:
    """Torch's long advice, cut to what it stumbled over."""
    words = " ".join(str(error).split())
    at = words.find("Unsupported global:")
    return words[at : at + 90].split(" was not")[0] if at >= 0 else words[:90]
