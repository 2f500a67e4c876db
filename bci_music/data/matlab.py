"""MATLAB files as the data sets hold them: what is inside without loading it, and one large array at a time."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import UserError

T = TypeVar("T")
_HEADER_BYTES, _TAG_BYTES = 128, 8


def variables(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the variables in a MATLAB v5 file; a `UserError` if it is none, or ends too early."""
    from scipy.io import whosmat

    _check_whole(path)
    return {str(name): tuple(shape) for name, shape, _ in _read(path, lambda: whosmat(path))}


def small(path: Path, names: list[str]) -> dict[str, Any]:
    """Load a few small variables; what is not there is left out."""
    from scipy.io import loadmat

    return dict(_read(path, lambda: loadmat(path, variable_names=names)))


def samples(path: Path, name: str) -> NDArray[np.float32]:
    """Load one numeric array as float32; the newest one stays in memory until another is asked for."""
    return _loaded(str(path), name, path.stat().st_mtime_ns)


def forget() -> None:
    """Let go of the array that is held."""
    _loaded.cache_clear()


@lru_cache(maxsize=1)
def _loaded(path: str, name: str, written_ns: int) -> NDArray[np.float32]:
    array = small(Path(path), [name])[name]
    if not np.issubdtype(np.asarray(array).dtype, np.number):
        raise UserError(f"{name} in {Path(path).name} holds {np.asarray(array).dtype}, expected numbers in µV.")
    return np.asarray(array, np.float32, order="K")  # K: a listener's samples stay together


def _read(path: Path, read: Callable[[], T]) -> T:
    """Run a reader of scipy's; its failure becomes one sentence."""
    try:
        return read()
    except Exception as error:  # damaged bytes raise whatever the parser trips over
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(
            f"{path.name} cannot be read as a MATLAB v5 file ({reason}): it is damaged; download it again."
        ) from error


def _check_whole(path: Path) -> None:
    """Walk over the top-level elements (type, bytes): the last one must end where the file ends."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
        if head[:8] == b"\x89HDF\r\n\x1a\n" or b"MATLAB 7.3" in head[:116]:
            raise UserError(f"{path.name} is MATLAB v7.3 (HDF5), expected v5 as published: save it with -v7.")
        order = {b"IM": "<", b"MI": ">"}.get(head[126:128])
        if order is None:
            raise UserError(
                f"{path.name} does not begin as a MATLAB v5 file ({size} bytes): expected the published .mat file; "
                "download it again."
            )
        at = _HEADER_BYTES
        while at < size:
            file.seek(at)
            tag = file.read(_TAG_BYTES)
            at += _TAG_BYTES + (struct.unpack(f"{order}II", tag)[1] if len(tag) == _TAG_BYTES else 0)
        if at > size or at == _HEADER_BYTES:
            raise UserError(
                f"{path.name} is cut off: it has {size} bytes, its contents need {max(at, _HEADER_BYTES + 1)}; "
                "download it again."
            )
