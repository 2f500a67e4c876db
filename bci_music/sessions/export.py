"""A session for other programs, by their own writers: BIDS by mne-bids, EDF and FIF by MNE."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bci_music.files import shown
from bci_music.messages import FILLED, HOLE, UserError
from bci_music.sessions.folder import RECORDING

if TYPE_CHECKING:
    from bci_music.data.session import Session

FORMATS = ("bids", "edf", "fif")
_LABEL = re.compile(r"[0-9A-Za-z]{1,50}")
NEEDED = {"bids": ("mne_bids", "pybv"), "edf": ("edfio",), "fif": ()}


def export_session(
    folder: Path, out: Path, kind: str, *, subject: str = "01", task: str = "music", bids_session: str | None = None
) -> tuple[Path, list[str]]:
    """Write the EEG of a session with its markers.

    Parameters
    ----------
    folder : Path
        The session.
    out : Path
        The root of a BIDS data set for "bids", a file for the others; what is there is never overwritten.
    kind : str
        One of `FORMATS`.
    subject, task, bids_session : str
        BIDS entities.

    Returns
    -------
    path : Path
        What was written.
    notes : list of str
        What differs from the recording.

    Raises
    ------
    UserError
        If a library is not installed, a name is not allowed, or something is there already.
    """
    from bci_music.data.formats import open_session

    _needs(kind)
    for name, value in (("--subject", subject), ("--task", task), ("--bids-session", bids_session or "1")):
        if not _LABEL.fullmatch(value):
            raise UserError(f"{name} {shown(value)!r} is no BIDS label: give letters and digits only.")
    if kind != "bids" and out.exists():
        raise UserError(f"{shown(out)} is there already and is not overwritten: give another --out.")
    session = open_session(folder / RECORDING)
    raw, notes = to_raw(session)
    with _writing(out, kind):
        if kind == "bids":
            return _write_bids(raw, out, subject, task, bids_session), notes
        out.parent.mkdir(parents=True, exist_ok=True)
        if kind == "fif":
            raw.save(out, overwrite=False, fmt="single", verbose="error")
            return out, notes
        from mne.export import export_raw

        export_raw(out, raw, fmt="edf", physical_range="channelwise", overwrite=False, verbose="error")
        span_uv = np.ptp(session.samples_uv, axis=0).max() if len(session.samples_uv) else 0.0
        return out, [*notes, f"EDF keeps 16 bits: steps of up to {span_uv / 65535:.3g} µV."]


def to_raw(session: Session) -> tuple[Any, list[str]]:
    """Bring a session onto a regular grid as MNE's Raw in volts; gaps are filled and marked ``BAD_gap``."""
    import mne

    pieces = list(session.grid_rows())
    samples = np.concatenate([p.samples for p in pieces])
    times = np.concatenate([p.times for p in pieces])
    flags = np.concatenate([p.flags for p in pieces])
    info = mne.create_info(list(session.labels), session.sfreq_hz, "eeg", verbose="error")
    raw = mne.io.RawArray(np.nan_to_num(samples.T.astype(np.float64)) * 1e-6, info, verbose="error")
    onsets, lengths, words = [], [], []
    for event in session.events:
        at = int(np.argmin(np.abs(times - event.time_s)))
        if event.time_s - times[0] + 0.5 / session.sfreq_hz >= 0 and event.time_s <= times[-1]:
            onsets.append(at / session.sfreq_hz)
            lengths.append(event.duration_s)
            words.append(" ".join(event.text.split()))
    outside = len(session.events) - len(onsets)
    filled = np.flatnonzero(np.diff(np.concatenate(([0], (flags & (FILLED | HOLE) != 0).astype(int), [0]))))
    jumps = np.flatnonzero(np.diff(times) > 1.5 / session.sfreq_hz)
    for start, stop in zip(filled[::2], filled[1::2], strict=True):
        onsets.append(start / session.sfreq_hz)
        lengths.append((stop - start) / session.sfreq_hz)
        words.append("BAD_gap")
    for row in jumps:  # too long to be filled: time goes on behind it
        onsets.append((row + 1) / session.sfreq_hz)
        lengths.append(0.0)
        words.append("BAD boundary")
    raw.set_annotations(mne.Annotations(onsets, lengths, words))
    notes = [f"{len(filled) // 2} gaps were filled and marked BAD_gap."] if len(filled) else []
    if len(jumps):
        lost_s = float((np.diff(times)[jumps] - 1 / session.sfreq_hz).sum())
        notes.append(f"{len(jumps)} breaks of {lost_s:.1f} s together are marked BAD boundary and left out.")
    if outside:
        notes.append(f"{outside} markers lie outside the EEG and are left out.")
    return raw, notes


def _write_bids(raw: Any, root: Path, subject: str, task: str, session: str | None) -> Path:
    from mne_bids import BIDSPath, write_raw_bids

    path = BIDSPath(subject=subject, session=session, task=task, datatype="eeg", root=root)
    existing = path.copy().update(suffix="eeg", extension=".vhdr").fpath
    if existing.exists():
        raise UserError(f"{shown(existing)} is there already and is not overwritten: give another --subject or --task.")
    root.mkdir(parents=True, exist_ok=True)
    written = write_raw_bids(raw, path, format="BrainVision", allow_preload=True, overwrite=False, verbose="error")
    return Path(written.fpath)


def _needs(kind: str) -> None:
    from importlib.util import find_spec

    if kind not in FORMATS:
        raise UserError(f"--format {shown(kind)!r} is not known: give one of {', '.join(FORMATS)}.")
    if missing := [name for name in NEEDED[kind] if find_spec(name) is None]:
        raise UserError(
            f"Writing {kind.upper()} needs {' and '.join(missing)}: install it with pip install 'bci-music[export]'."
        )


@contextmanager
def _writing(out: Path, kind: str) -> Iterator[None]:
    import warnings

    before = os.umask(0o077)  # EEG is for this user alone
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of writers, on names and dates that a recording does not have
            yield
    except UserError:
        raise
    except Exception as error:  # of any writer
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UserError(
            f"{shown(out)} could not be written as {kind.upper()} ({shown(reason)}): give --out another place, or "
            "another --format."
        ) from error
    finally:
        os.umask(before)
