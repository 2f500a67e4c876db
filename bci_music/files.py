"""Files that somebody else made, and files of our own.

Of others only plain files of a bounded size are read, and what fails is one sentence; ours are there whole or not.
"""

from __future__ import annotations

import json
import math
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

from bci_music.messages import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHOWN = 200  # characters of what was given that a message repeats
TEXT_BYTES = 2**21
ARRAY_BYTES = 2**29
_DEEPEST = 64
_KINDS = (
    (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
)  # fmt: skip


def shown(given: object) -> str:
    """What a message repeats of something it was given: one line, at most `SHOWN` characters.

    Texts stand as they are; of other values their representation.
    """
    if isinstance(given, str | Path):
        text = str(given)[: 8 * SHOWN]
    elif isinstance(given, list | tuple | dict | set) and len(given) > SHOWN:
        text = f"a {type(given).__name__} of {len(given)}"
    else:
        try:
            text = repr(given)
        except Exception:  # a number of more digits than Python writes, a structure that is too deep
            text = f"a {type(given).__name__}"
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: 8 * SHOWN]).split())
    return text if len(text) <= SHOWN else text[: SHOWN - 4] + " ..."


@contextmanager
def opening(path: str | Path, kind: str, advice: str) -> Iterator[None]:
    """Turn whatever a loader raises into one sentence with the file's name.

    Parameters
    ----------
    path : path
        What is opened.
    kind : str
        What it is to be, as in "could not be read as `kind`".
    advice : str
        What to do, without a full stop.
    """
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        if error.filename is None or Path(error.filename) == Path(path):
            raise UserError(f"There is no file {shown(path)}: {advice}.") from None
        raise UserError(f"{shown(path)} needs {shown(error.filename)}, which is not there: {advice}.") from error
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # of loaders in Rust
            raise
        raise UserError(f"{shown(path)} could not be read as {kind} ({_reason(error)}): {advice}.") from error


def plain_file(path: str | Path, most_bytes: int = ARRAY_BYTES) -> Path:
    """Return `path` if it is a file with contents of at most `most_bytes`: no folder, pipe or device.

    Raises
    ------
    UserError
        If it is anything else; an `OSError` where it cannot be looked at.
    """
    path = Path(path)
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        kind = next((words for test, words in _KINDS if test(found.st_mode)), "no file")
        raise UserError(f"{shown(path)} could not be read, for it is {kind}: give a file.")
    if found.st_size > most_bytes:
        raise UserError(
            f"{shown(path)} has {found.st_size / 2**20:.0f} MiB, which is more than such a file can have "
            f"({most_bytes / 2**20:.0f} MiB): give another one."
        )
    return path


def read_json(path: str | Path, advice: str, most_bytes: int = TEXT_BYTES) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    UserError
        If it is missing, no plain file, too large, or no object.
    """
    with opening(path, "JSON", advice):
        values = json.loads(plain_file(path, most_bytes).read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise UserError(f"{shown(path)} holds a {type(values).__name__}, expected an object: {advice}.")
        _check_depth(values)
    return values


def read_array(path: str | Path, shape: tuple[int | None, ...] | None, advice: str) -> NDArray[np.float32]:
    """Read a `.npy` file of finite numbers as float32; its shape (None: any) is checked before its contents.

    Raises
    ------
    UserError
        If it is missing, damaged, of another shape, or not finite.
    """
    import numpy as np

    with opening(path, "an array", advice):
        with plain_file(path).open("rb") as handle:
            _check_header(handle, Path(path).stat().st_size, shape)
        values = np.load(path, allow_pickle=False)
    return _finite(values, path, advice)


def read_arrays(path: str | Path, names: tuple[str, ...], advice: str) -> dict[str, NDArray[Any]]:
    """Read arrays of finite numbers out of a `.npz` file, none of them larger than the file says it is."""
    import numpy as np

    with opening(path, "a file of arrays", advice):
        with ZipFile(plain_file(path)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > ARRAY_BYTES:
                raise ValueError("its contents are too large")
            for name in names:
                entry = archive.getinfo(f"{name}.npy")
                with archive.open(entry) as handle:
                    _check_header(handle, entry.file_size, None)
        with np.load(path, allow_pickle=False) as stored:
            found = {name: np.asarray(stored[name]) for name in names}
    return {name: values if values.dtype == np.uint8 else _finite(values, path, advice)
            for name, values in found.items()}  # fmt: skip


def _check_header(handle: Any, size: int, wanted: tuple[int | None, ...] | None) -> None:
    """Compare what the header of an array promises with what there is; nothing is allocated."""
    from numpy.lib import format as npy

    version = npy.read_magic(handle)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"version {version} of the format is not known")
    shape, _, dtype = read(handle)
    if dtype.kind not in "fiu":
        raise ValueError(f"it holds {shown(str(dtype))}, expected numbers")
    if math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"it is cut short: {shown(str(shape))} numbers are more than its bytes")
    if wanted is not None and (
        len(shape) != len(wanted) or any(w not in (None, n) for n, w in zip(shape, wanted, strict=True))
    ):
        expected = " × ".join("any" if n is None else str(n) for n in wanted)
        raise ValueError(f"its shape is {' × '.join(map(str, shape)) or 'none'}, expected {expected}")


def _finite(values: NDArray[Any], path: str | Path, advice: str) -> NDArray[np.float32]:
    import numpy as np

    with np.errstate(over="ignore"):  # what is too large becomes infinite, which is refused
        numbers = values.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise UserError(f"{shown(path)} holds numbers that are not finite: {advice}.")
    return numbers


def _check_depth(values: Any) -> None:
    level, deeper = 0, [values]
    while deeper:
        level += 1
        if level > _DEEPEST:
            raise ValueError("it is nested too deeply")
        deeper = [
            child for part in deeper for child in (part.values() if isinstance(part, dict) else part)
            if isinstance(child, dict | list)
        ]


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    if isinstance(error, KeyError):
        return f"it has no {shown(str(error))}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return shown(str(error)) or type(error).__name__


def home() -> Path:
    """The user's home; without HOME and without an entry among the users a place where nothing is or can be."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.devnull, "no home")


def settings_dir() -> Path:
    """Folder of what the program remembers for its user: BCI_MUSIC_SETTINGS, else the system's place for settings."""
    if own := os.environ.get("BCI_MUSIC_SETTINGS"):
        return Path(own).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", home() / "AppData" / "Roaming")) / "bci-music"
    if sys.platform == "darwin":
        return home() / "Library" / "Application Support" / "bci-music"
    return Path(os.environ.get("XDG_CONFIG_HOME") or home() / ".config") / "bci-music"


def write_whole(path: Path, write: Callable[[Path], object], *, private: bool = False) -> None:
    """Write a file that is there whole or not at all.

    Parameters
    ----------
    path : Path
    write : callable
        Writes to the path it is given, which lies beside `path` and ends like it.
    private : bool
        Readable by this user only.
    """
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if private else 0o666), "wb"):
            pass
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def remember(what: str, **values: str) -> None:
    """Keep an operator's choice for next time, where that is possible; `what` as in "stream"."""
    path = settings_dir() / f"last-{what}.json"
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, lambda part: part.write_text(json.dumps(values), encoding="utf-8"), private=True)


def remembered(what: str, key: str) -> str | None:
    """One value of an operator's last choice, None where there is none that can be read."""
    path = settings_dir() / f"last-{what}.json"
    with suppress(UserError, OSError):
        value = read_json(path, "choose again, which replaces it", 2**16).get(key) if path.is_file() else None
        return value if isinstance(value, str) else None
    return None


def try_folder(folder: Path, option: str) -> None:
    """Make a folder and try to write into it; `UserError` naming the command's `option` where that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(4096))
            probe.flush()
    except OSError as error:
        raise UserError(
            f"Nothing can be written to {shown(folder)} ({error.strerror}): give {option} a folder you may write to."
        ) from error


def refuse_filled(out: Path) -> None:
    """Raise if something is in the folder to be written."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{shown(out)} is not empty: remove it or choose another --out.")
