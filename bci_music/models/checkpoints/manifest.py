"""What was pulled, file by file: written at the first pull, compared from then on; shared as a lock."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Literal, Self

from pydantic import Field

from bci_music.config import Config
from bci_music.files import read_json, shown
from bci_music.messages import UserError
from bci_music.models.pack import FileEntry, file_sha256

PULLED = "pulled.json"  # in the folder of every checkpoint that was pulled


class Stored(FileEntry):
    """A file here; `seen_ns` is its time when it was last hashed, so that it need not be hashed at every opening."""

    seen_ns: int = 0


class Pulled(Config):
    """`pulled.json`.

    Attributes
    ----------
    source : dict
        Files as the hub gave them, which is what a lock holds.
    files : dict
        Files as they lie here: weights that came pickled were written again as safetensors.
    """

    format: Literal[1] = 1
    name: str
    revision: str
    licence: str
    source: dict[str, FileEntry]
    files: dict[str, Stored]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what a pull left in `folder`."""
        return cls.parse(_json(folder / PULLED), str(folder / PULLED))

    def write(self, folder: Path) -> None:
        """Write it; the file is whole or not there."""
        write_json(folder / PULLED, self.model_dump(mode="json"))

    def verify(self, folder: Path, *, full: bool = False) -> None:
        """Compare what lies in `folder` with what was pulled.

        Files of the size and time at which they were hashed are taken as unchanged, unless `full`.

        Raises
        ------
        UserError
            One sentence for the first file that is missing or another.
        """
        again = f"`bci-music models pull {self.name}` fetches it again."
        for rel, entry in self.files.items():
            path = folder / checked(rel)
            if not path.is_file():
                raise UserError(f"{rel} of {self.name} is not in {folder}: {again}")
            stat = path.stat()
            if stat.st_size != entry.bytes:
                raise UserError(f"{rel} of {self.name} has {stat.st_size} bytes, expected {entry.bytes}: {again}")
            if (full or stat.st_mtime_ns != entry.seen_ns) and file_sha256(path) != entry.sha256:
                raise UserError(f"{rel} of {self.name} was changed (its hash is another): {again}")


class Locked(Config):
    """One checkpoint in a lock."""

    revision: str = Field(pattern="^[0-9a-f]{40}$")
    files: dict[str, FileEntry]


class Lock(Config):
    """Revisions and hashes of checkpoints: what makes two machines have the same weights."""

    format: Literal[1] = 1
    checkpoints: dict[str, Locked] = {}

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a lock; an empty one where there is none."""
        return cls.parse(_json(path), str(path)) if path.is_file() else cls()

    def with_pulled(self, pulled: Pulled) -> Self:
        """Return the lock with one checkpoint written in."""
        entry = Locked(revision=pulled.revision, files=pulled.source)
        return self.model_copy(update={"checkpoints": {**self.checkpoints, pulled.name: entry}})

    def write(self, path: Path) -> None:
        """Write it; the file is whole or not there."""
        write_json(path, self.model_dump(mode="json"))


def stored(folder: Path, names: list[str]) -> dict[str, Stored]:
    """Hash files of a folder."""
    found = {}
    for rel in sorted(names):
        path = folder / rel
        stat = path.stat()
        found[rel] = Stored(sha256=file_sha256(path), bytes=stat.st_size, seen_ns=stat.st_mtime_ns)
    return found


def checked(rel: str) -> PurePosixPath:
    """Return a relative path that stays inside its folder; others are refused."""
    path = PurePosixPath(rel)
    if path.is_absolute() or ".." in path.parts or "\\" in rel or not path.parts:
        raise UserError(f"A checkpoint lists {shown(rel)!r}, which lies outside it: do not use it.")
    return path


def write_json(path: Path, values: Mapping[str, object]) -> None:
    """Write JSON so that the file is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    part.replace(path)


def _json(path: Path) -> dict[str, object]:
    return read_json(path, "delete it and pull again")
