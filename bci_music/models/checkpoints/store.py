"""Where checkpoints lie on this machine, and how one is found: by directory, by name, or by a pack's reference."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pydantic import Field

from bci_music.config import Config
from bci_music.files import home, shown
from bci_music.messages import UserError
from bci_music.models.checkpoints.catalogue import hub_name, known
from bci_music.models.checkpoints.manifest import PULLED, Lock, Pulled
from bci_music.models.checkpoints.weights import check_folder

REFERENCE = "hub.yaml"  # stands in a pack instead of weights that are too large to copy: name and revision


class Reference(Config):
    """`hub.yaml`: which checkpoint stands for this folder."""

    name: str
    revision: str | None = Field(None, pattern=r"^\w{1,100}$")

    def write(self, folder: Path) -> None:
        """Write it into `folder` (made if absent)."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / REFERENCE).write_text(f"name: {self.name}\nrevision: \"{self.revision}\"\n", encoding="utf-8")


def cache_dir() -> Path:
    """Folder of what this program fetched: BCI_MUSIC_CACHE, else the system's place for caches."""
    if own := os.environ.get("BCI_MUSIC_CACHE"):
        return Path(own).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home() / "AppData" / "Local")) / "bci-music"
    if sys.platform == "darwin":
        return home() / "Library" / "Caches" / "bci-music"
    return Path(os.environ.get("XDG_CACHE_HOME") or home() / ".cache") / "bci-music"


def user_lock() -> Path:
    """The lock of this machine's user."""
    return cache_dir() / "models.lock.json"


def folder_of(name: str, revision: str) -> Path:
    """Folder of one commit of a checkpoint."""
    return cache_dir() / "models" / name.replace("/", "--") / revision


def pulled_revision(name: str, revision: str | None = None) -> str | None:
    """Commit of `name` that lies here: the one given, else that of the lock; None if it is not here."""
    if revision is None:
        entry = Lock.read(user_lock()).checkpoints.get(name)
        revision = entry.revision if entry else None
    here = revision is not None and (folder_of(name, revision) / PULLED).is_file()
    return revision if here else None


def find_checkpoint(where: str | Path, revision: str | None = None) -> Path:
    """Find a checkpoint without going online.

    Parameters
    ----------
    where : str or Path
        A directory (which may hold `hub.yaml` in place of weights), an alias of the catalogue, or a name on the hub.
    revision : str, optional
        Commit; by default the one that was pulled.

    Raises
    ------
    UserError
        If it is not here, or not what was pulled.
    """
    folder = Path(where).expanduser()
    if folder.is_dir():
        check_folder(folder)
        if (folder / REFERENCE).is_file():
            given = Reference.load(folder / REFERENCE)
            return _pulled(given.name, given.revision)  # by its name on the hub, never another folder
        if (folder / PULLED).is_file():
            Pulled.read(folder).verify(folder)
        return folder
    if isinstance(where, Path) or folder.is_absolute() or str(where).startswith((".", "~")):
        raise UserError(f"There is no directory {shown(folder)}: give the folder of a checkpoint, or its name.")
    return _pulled(str(where), revision)


def _pulled(where: str, revision: str | None) -> Path:
    """Folder of a checkpoint that was pulled, by alias or name on the hub."""
    name = hub_name(where)
    commit = pulled_revision(name, revision)
    if commit is None:
        raise UserError(_absent(name, revision))
    found = folder_of(name, commit)
    check_folder(found)
    Pulled.read(found).verify(found)
    return found


def origin_of(folder: Path) -> Reference | None:
    """Name and commit of what was pulled into `folder`; None for other directories."""
    if not (folder / PULLED).is_file():
        return None
    pulled = Pulled.read(folder)
    return Reference(name=pulled.name, revision=pulled.revision)


def _absent(name: str, revision: str | None) -> str:
    entry = known(name)
    at = f" at {revision[:12]}" if revision else ""
    option = f" --revision {revision}" if revision else ""
    size = f" ({entry.bytes / 1e9:.1f} GB, {entry.licence})" if entry and entry.bytes else ""
    return (
        f"{name}{at} is not on this machine: fetch it{size} with `bci-music models pull {name}{option}`, or give a "
        "directory."
    )
