"""Headers of BrainVision files, checked and written again as MNE reads them rightly.

The samples and the markers lie in files of their own, which the header names: one that was renamed names files that
are gone, and one may name anything. Units come in any code page; MNE takes channels of a unit it does not know for
something other than EEG, and a decimal comma for the next field.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path

from bci_music.data.channels import uv_per_unit
from bci_music.files import shown
from bci_music.messages import UserError

_MOST_BYTES = 1 << 23
_UNITS = {1.0: "µV", 1e3: "mV", 1e6: "V", 1e-3: "nV"}
_CHANNEL = re.compile(r"^(\s*Ch\d+\s*=)(.*)$", re.I)
_KEY = re.compile(r"^\s*(DataFile|MarkerFile|SamplingInterval|Codepage|NumberOfChannels)\s*=\s*(.*?)\s*$", re.I)
_COMMA = re.compile(r"^\s*-?\d+$")


@dataclass(frozen=True)
class Vhdr:
    """A header that was checked: its text as MNE reads it rightly, and its file of markers."""

    text: str
    markers: Path | None
    notes: tuple[str, ...]

    def written(self, name: str, folder: Path) -> Path:
        """Write the header into `folder`; the files it names stay where they are."""
        copy = folder / name
        copy.write_text(self.text, encoding="utf-8")
        return copy


def read_vhdr(path: Path, unit: str | None = None) -> Vhdr:
    """Check a header.

    Parameters
    ----------
    unit : str, optional
        The user's unit, instead of those of all channels.

    Raises
    ------
    UserError
        Where a file it names lies outside its folder, is missing, or is no plain file.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise UserError(f"{path.name} has {path.stat().st_size} bytes, expected a header of some thousand.")
    text = _decoded(path.read_bytes())
    lines: list[str] = []
    notes: list[str] = []
    data = markers = None
    section = ""
    for line in text.splitlines():
        if match := re.match(r"\s*\[(.+?)\]", line):
            section = match[1].strip().lower()
        elif section == "common infos" and (match := _KEY.match(line)):
            key, value = match[1].lower(), match[2]
            if key == "datafile":
                data = _beside(path, value, "data", (".eeg", ".dat", ".avg"), notes)
                line = f"DataFile={data.absolute()}" if data is not None else line
            elif key == "markerfile" and value:
                markers = _beside(path, value, "marker", (".vmrk",), notes)
                line = f"MarkerFile={markers.absolute()}" if markers is not None else "MarkerFile="
            elif key == "codepage":
                line = "Codepage=UTF-8"
            else:
                line = line.replace(",", ".")
        elif section == "channel infos" and (match := _CHANNEL.match(line)):
            line = match[1] + _channel(match[2], unit)
        lines.append(line)
    if data is None:
        raise UserError(f"{path.name} names no data file: give the whole recording, .vhdr, .eeg and .vmrk.")
    return Vhdr("\n".join(lines) + "\n", markers, tuple(notes))


def _decoded(data: bytes) -> str:
    page = re.search(rb"^\s*Codepage\s*=\s*([\w-]+)", data, re.I | re.M)
    for name in ((page[1].decode("ascii").replace("ANSI", "cp1252") if page else "utf-8"), "utf-8"):
        try:
            return data.decode(name).removeprefix("\ufeff")
        except (UnicodeDecodeError, LookupError):
            continue
    return data.decode("latin-1")


def _beside(path: Path, named: str, what: str, suffixes: tuple[str, ...], notes: list[str]) -> Path | None:
    """The file of `path` that its header names, or the one of the same name as the header; None if neither is here."""
    name = named.replace("$b", path.stem)
    if re.search(r"[\\/]", name) or name in (".", "..") or "\0" in name:
        inside = re.split(r"[\\/]", name)[-1]
        if not inside or not (path.parent / inside).is_file():
            raise UserError(
                f"{path.name} names the {what} file {shown(named)!r} outside its folder, which is not opened: put it "
                "beside the header and name it there without a folder."
            )
        notes.append(f"{path.name} names its {what} file in another folder: {inside} beside it is read")
        name = inside
    found = path.parent / name
    if not found.exists():
        twins = [twin for suffix in suffixes if (twin := path.with_suffix(suffix)).exists()]
        if not twins and what == "data":
            raise UserError(f"{path.name} names the data file {shown(name)!r}, which is not here: put it beside it.")
        which = f"{twins[0].name} is read" if twins else "the recording is read without markers"
        notes.append(f"{path.name} names the {what} file {shown(name)!r}, which is not here: {which}")
        if not twins:
            return None
        found = twins[0]
    if not stat.S_ISREG(found.stat().st_mode):
        raise UserError(f"{path.name} names the {what} file {shown(name)!r}, which is no file: it is not opened.")
    return found


def _channel(fields: str, unit: str | None) -> str:
    """A channel's name, reference, resolution and unit, with a point and a unit that MNE knows."""
    parts = [part.strip() for part in fields.split(",")]
    if len(parts) > 4 and _COMMA.match(parts[2]) and _COMMA.match(parts[3]):
        parts[2:4] = [f"{parts[2]}.{parts[3]}"]
    given = unit if unit is not None else (parts[3] if len(parts) > 3 else "")
    factor = uv_per_unit(given)
    if factor is not None:
        parts = [*parts, *[""] * (4 - len(parts))]
        parts[3] = _UNITS[factor]
    return ",".join(parts)
