"""Weights as safetensors: names, shapes and numbers are looked at before a network is built for them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bci_music.files import opening, plain_file, read_json, shown
from bci_music.messages import UserError

if TYPE_CHECKING:
    from torch import Tensor

AGAIN = "copy it again, or give another checkpoint"
WEIGHTS_BYTES = 2**36
_MOST_FILES = 10_000
_MOST = 2**24  # no size in a configuration is larger, and no list longer than the next, nor a part deeper than the last
_LONGEST, _DEEPEST = 1024, 256
_INDEX = ".safetensors.index.json"


def read_tensors(path: Path, advice: str = AGAIN) -> dict[str, Tensor]:
    """Read all tensors of a file of finite numbers.

    Raises
    ------
    UserError
        If it is missing, damaged, or holds what is not finite.
    """
    from safetensors.torch import load_file

    with opening(path, "weights", advice):
        tensors = load_file(str(plain_file(path, WEIGHTS_BYTES)))
        for name, tensor in tensors.items():
            _check_finite(name, tensor)
    return tensors


def read_shapes(path: Path, advice: str = AGAIN) -> dict[str, tuple[int, ...]]:
    """Read the shapes of all tensors from the file's header."""
    from safetensors import safe_open

    with opening(path, "weights", advice), safe_open(str(plain_file(path, WEIGHTS_BYTES)), framework="np") as handle:
        return {name: tuple(handle.get_slice(name).get_shape()) for name in handle.keys()}  # noqa: SIM118


def check_weights(path: Path) -> None:
    """Look at every number of a file, one tensor at a time.

    Raises
    ------
    UserError
        If it is damaged, empty, or holds what is not finite.
    """
    from safetensors import safe_open

    with opening(path, "weights", AGAIN), safe_open(str(plain_file(path, WEIGHTS_BYTES)), framework="pt") as handle:
        names = list(handle.keys())
        if not names:
            raise ValueError("it holds none")
        for name in names:
            _check_finite(name, handle.get_tensor(name))


def check_model(model: Any, where: str | Path) -> None:
    """Refuse a loaded network that holds a weight which is not finite."""
    with opening(where, "weights", AGAIN):
        for name, tensor in model.state_dict().items():
            _check_finite(name, tensor)


def check_folder(folder: Path) -> None:
    """Refuse a checkpoint's folder that leads out of itself, or whose configurations cannot be true.

    Weights are not read. Links are followed where they lead to a file of the folder, or to the blobs of the Hugging
    Face cache it lies in.

    Raises
    ------
    UserError
        One sentence for the first fault.
    """
    with opening(folder, "a checkpoint", AGAIN):
        inside = [folder.resolve()]
        if folder.resolve().parent.name == "snapshots":
            inside.append(folder.resolve().parents[1] / "blobs")
        for number, path in enumerate(_walk(folder)):
            if number > _MOST_FILES:
                raise ValueError(f"it has more than {_MOST_FILES:,} files")
            if path.is_symlink() and not any(path.resolve().is_relative_to(place) for place in inside):
                raise UserError(f"{shown(path)} is a link that leads out of its folder: {AGAIN}.")
            if path.is_dir():
                continue
            plain_file(path, WEIGHTS_BYTES)
            if path.name.endswith(_INDEX):
                _check_index(path)
            elif path.name.endswith("config.json"):
                _check_config(path)


def _walk(folder: Path) -> Iterator[Path]:
    """All files, and links to anything, in the folder and in its parts."""
    for place in (folder, *sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))):
        if place.is_symlink() and place != folder:
            yield place
            continue
        yield from (path for path in place.iterdir() if path.is_symlink() or not path.is_dir())


def _check_index(path: Path) -> None:
    """Weights in several files: each has to lie beside the index."""
    named = read_json(path, AGAIN).get("weight_map")
    if not isinstance(named, dict):
        raise UserError(f"{shown(path)} has no weight_map: {AGAIN}.")
    for name in set(map(str, named.values())):
        if Path(name).name != name:
            raise UserError(f"{shown(path)} names {shown(name)}, which lies outside its folder: do not use it.")


def _check_config(path: Path) -> None:
    """Refuse sizes that no network has, and code that a checkpoint brings along."""
    words = path.name == "tokenizer_config.json"  # says of the longest text that it may be endless
    waiting: list[tuple[str, Any]] = list(read_json(path, AGAIN).items())
    while waiting:
        key, value = waiting.pop()
        if key == "auto_map":
            raise UserError(f"{shown(path)} names code of its own (auto_map), which is never run: {AGAIN}.")
        most = math.inf if words else _DEEPEST if re.search(r"layers|depth", key) else _MOST
        if isinstance(value, float) and not abs(value) < float("inf"):
            raise UserError(f"{shown(key)} in {shown(path)} is not finite: {AGAIN}.")
        if isinstance(value, int) and abs(value) > most:
            raise UserError(f"{shown(key)} in {shown(path)} is {shown(value)}, which no network has: {AGAIN}.")
        if isinstance(value, list) and len(value) > _LONGEST and not words:
            raise UserError(f"{shown(key)} in {shown(path)} has {len(value)} entries: {AGAIN}.")
        if isinstance(value, dict):
            waiting += value.items()
        elif isinstance(value, list):
            waiting += [(key, part) for part in value]


def _check_finite(name: str, tensor: Tensor) -> None:
    if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
        raise ValueError(f"{shown(name)} holds numbers that are not finite")
