"""The checksums of a session's files: written last, in the format of `sha256sum -c`, with their own checksum last."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from bci_music.files import opening, plain_file, shown, write_whole

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  ([^/\0\n\\]{1,255})")
_OWN = "# sha256 of the lines above: "  # sha256sum takes it for a comment
MOST_FILES = 1000


def sha256(path: Path) -> str:
    """Return the checksum of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_checksums(folder: Path, names: Iterable[str]) -> Path:
    """Write the checksums of those of the files that are in `folder`; from then on any change can be found."""
    lines = "".join(f"{sha256(folder / name)}  {name}\n" for name in names if (folder / name).is_file())
    text = f"{lines}{_OWN}{hashlib.sha256(lines.encode()).hexdigest()}\n"
    path = folder / SUMS
    write_whole(path, lambda part: part.write_bytes(text.encode()), private=True)
    return path


def compare_checksums(folder: Path) -> tuple[dict[str, str], list[str]]:
    """Compare a folder with its checksums.

    Returns
    -------
    faults : dict
        What is wrong, in words, by the name of the file; empty where nothing is.
    others : list of str
        Files that are not of the session: there is no checksum of them.

    Raises
    ------
    UserError
        If there are no checksums, or the file is not one that could hold them.
    """
    path = folder / SUMS
    with opening(path, "the checksums of a session", "give the folder of a session that was closed"):
        text = plain_file(path, 2**20).read_bytes().decode("utf-8", "replace")
    lines, separator, own = text.rpartition(_OWN)
    if not separator or own != f"{hashlib.sha256(lines.encode()).hexdigest()}\n":
        return {SUMS: "was changed, so that it can vouch for nothing"}, []
    entries = [_LINE.fullmatch(line) for line in lines.splitlines()]
    if len(entries) > MOST_FILES or not all(entries):
        return {SUMS: "holds a line that is no checksum"}, []
    sums = {entry[2]: entry[1] for entry in entries if entry is not None}
    faults = {}
    for name, wanted in sums.items():
        file = folder / name
        if not file.is_file():
            faults[name] = "is missing"
        elif sha256(file) != wanted:
            faults[name] = "was changed since the session was closed"
    return faults, [shown(p.name) for p in _files(folder) if p.name not in sums]


def _files(folder: Path) -> list[Path]:
    """All plain files but the checksums and what is still being written, by name."""
    return sorted(
        p for p in folder.iterdir() if p.is_file() and not p.is_symlink() and p.name != SUMS and ".part" not in p.name
    )
