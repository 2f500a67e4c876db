"""Rows computed once and kept on disk: latents, rebuilt spectrograms, embeddings. Restartable, read memory-mapped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import nn

from bci_music.messages import UserError


def cached_rows(
    path: Path, n: int, make: Callable[[int, int], NDArray], *, key: str, chunk: int = 8,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> NDArray:
    """Rows 0 to n, made by ``make(first, stop)`` where they are not in `path` yet.

    Parameters
    ----------
    path : Path
        A .npy file; what is done stands beside it.
    key : str
        Of everything the rows depend on: with another key they are made again.
    """
    if n < 1:
        raise UserError(f"There is nothing to make {path.name} from: the bank of clips is empty; build it first.")
    path.parent.mkdir(parents=True, exist_ok=True)
    note = path.with_suffix(".json")
    state = json.loads(note.read_text(encoding="utf-8")) if note.is_file() and path.is_file() else {}
    same = state.get("key") == key and state.get("n") == n
    done = int(state["done"]) if same else 0
    rows = open_memmap(path, mode="r+") if same else None
    while done < n:
        stop = min(n, done + chunk)
        made = make(done, stop)
        if rows is None:
            note.unlink(missing_ok=True)
            rows = open_memmap(path, mode="w+", dtype=made.dtype, shape=(n, *made.shape[1:]))
        rows[done:stop] = made
        rows.flush()
        done = stop
        _write(note, {"key": key, "n": n, "done": done})
        progress(done, n)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def weights_key(module: nn.Module) -> str:
    """Fingerprint of a module's weights."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def rows_key(rows: NDArray) -> str:
    """Fingerprint of rows by shape and a few of them."""
    digest = hashlib.sha256(repr((rows.shape, str(rows.dtype))).encode())
    for i in np.linspace(0, len(rows) - 1, 5).round().astype(int):
        digest.update(np.ascontiguousarray(rows[i]).tobytes())
    return digest.hexdigest()[:16]


def _write(note: Path, state: dict) -> None:
    part = note.with_suffix(".part")
    part.write_text(json.dumps(state), encoding="utf-8")
    part.replace(note)
