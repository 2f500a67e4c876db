"""The one entry point for files: XDF by pyxdf, EDF and BDF here, the rest by MNE, or one sentence why not."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from bci_music.data.session import AS_IT_IS, Reading
from bci_music.messages import UserError

if TYPE_CHECKING:
    from bci_music.data.session import Session

READABLE = "XDF, EDF, BDF, GDF, FIF, EEGLAB .set, BrainVision .vhdr, EGI .mff, CNT and other raw formats of MNE"
EDF = (".edf", ".bdf")
_PARTNERS = {".fdt": ".set", ".vmrk": ".vhdr", ".amrk": ".ahdr"}
_REFUSED = {".txt", ".asc", ".snirf"}  # MNE would try a reader for something other than EEG


def open_session(path: str | Path, reading: Reading = AS_IT_IS) -> Session:
    """Open a recording.

    Parameters
    ----------
    path : path
        XDF or anything MNE reads.
    reading : Reading
        Which EEG stream is meant, in which unit it is, and how its electrodes are named.

    Raises
    ------
    UserError
        When the file cannot be opened or holds no EEG.
    """
    path = check_path(path)
    if is_xdf(path):
        from bci_music.data.xdf import open_xdf

        return open_xdf(path, reading)
    if reading.stream is not None:
        raise UserError(f"{path.name} holds one recording and no streams: leave out --stream.")
    if path.suffix.lower() in EDF:
        from bci_music.data.readers.edf import open_edf

        return open_edf(path, reading)
    from bci_music.data.mne_files import open_mne

    return open_mne(path, reading)


def is_xdf(path: Path) -> bool:
    """Whether the name is that of an XDF file."""
    return path.suffix.lower() in (".xdf", ".xdfz") or path.name.lower().endswith(".xdf.gz")


def check_path(path: str | Path) -> Path:
    """Refuse what cannot be a recording before any reader is loaded."""
    path = Path(path)
    try:
        kind = path.stat().st_mode
    except (OSError, ValueError) as error:
        why = "There is no file" if isinstance(error, FileNotFoundError) else f"{getattr(error, 'strerror', error)}:"
        raise UserError(f"{why} {str(path)[:200]}: give the path of a recording ({READABLE}).") from error
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise UserError(f"{path.name} is a pipe or a device and no file: give the path of a recording ({READABLE}).")
    if path.is_file() and path.stat().st_size == 0:
        raise UserError(f"{path.name} is empty (0 bytes): the recording was never written; give another file.")
    suffix = path.suffix.lower()
    if is_xdf(path) or (suffix in EDF and path.is_file()):
        return path
    if partner := _partner(path, suffix):
        raise UserError(f"{path.name} is only a part of a recording: open {partner.name} beside it.")
    if suffix == ".eeg" and not _is_nihon(path):
        raise UserError(f"{path.name} holds samples without a header: open its .vhdr file, which is missing here.")
    if not _mne_reads(path):
        raise UserError(f"{path.name} is not of a kind that can be opened ({READABLE}): convert it to one of these.")
    return path


def _partner(path: Path, suffix: str) -> Path | None:
    """Return the file a person meant when giving one that belongs to it."""
    if suffix in _PARTNERS:
        return path.with_suffix(_PARTNERS[suffix])
    header = path.with_suffix(".vhdr")
    return header if suffix == ".eeg" and header.exists() else None


def _is_nihon(path: Path) -> bool:
    return path.with_suffix(".21E").exists() or path.with_suffix(".pnt").exists()


def _mne_reads(path: Path) -> bool:
    """Whether MNE knows the suffix, for a file or for the folder formats it has."""
    if path.suffix.lower() in _REFUSED:
        return False
    if path.is_dir() and path.suffix.lower() not in (".mff", ".ds", ".mefd", ".data"):
        return False
    from mne.io._read_raw import split_name_ext

    return split_name_ext(str(path))[1] is not None
