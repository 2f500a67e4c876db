"""EEG from before each song, cut out of NMED-T's raw recordings (``PP_R_raw.mat``, HDF5, 1 kHz).

The clean files begin with the music. Whether a decoder reads the music or only the recording shows when it is given
EEG from before it; so nothing of the music may get in: the raw samples are cut at the song's onset first, and filtered
then.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci_music.data.nmed_published import N_ROWS, NMED_T, SFREQ_HZ
from bci_music.messages import UserError

Report = Callable[[int, int, str], None]
LEAST_S = 5.0  # listeners with less quiet before a song are left out for it
MARGIN_S = 10.0  # filtered along in front and thrown away: there the filters settle
_CLICK, _TRIAL = 128, 11  # click in the sound 1 s after its start; opening of a trial, still silent
_CLICK_WITHIN_S = 3.0
_RAW = re.compile(r"(\d+)_(\d+)_raw\.mat$")


@dataclass(frozen=True)
class Quiet:
    """Run of samples without music before a song, in samples of the raw file."""

    song: int
    start: int
    stop: int


def write_before(
    directory: Path, seconds: float = 12.0, *, report: Report = lambda done, of, what: None
) -> list[str]:
    """Write ``before_song21_Imputed.mat`` and so on beside the clean files; returns a sentence for each.

    As the authors filtered (high-pass 0.3 Hz, notch 59 to 61 Hz, low-pass 50 Hz, 1 kHz to 125 Hz, average reference),
    except that eye artefacts are not taken out and bad electrodes not imputed.

    Raises
    ------
    UserError
        Where there are no raw files, one is damaged, or no song has quiet before it.
    """
    paths = sorted(p for p in directory.rglob("*_raw.mat") if _RAW.search(p.name))
    if not paths:
        raise UserError(
            f"{directory} holds no raw file of NMED-T (expected 02_1_raw.mat and the like): fetch them from "
            f"{NMED_T.page}."
        )
    found: dict[int, dict[str, NDArray[np.float32]]] = {}
    for done, path in enumerate(paths, 1):
        listener = f"S{int(_RAW.search(path.name)[1]):02d}"  # type: ignore[index]
        for song, eeg in quiet_eeg(path, seconds).items():
            found.setdefault(song, {})[listener] = eeg
        report(done, len(paths), path.name)
    if not found:
        raise UserError(f"No raw file in {directory} has {LEAST_S:g} s of quiet before a song: nothing is written.")
    return [_write(directory, song, found[song]) for song in sorted(found)]


def quiet_eeg(path: Path, seconds: float) -> dict[int, NDArray[np.float32]]:
    """Clean EEG (125, n) at 125 Hz from before each song of one raw file."""
    h5py = _h5py()
    try:
        with h5py.File(path, "r") as file:
            raw, rate = file["X"], float(np.ravel(file["fs"])[0])
            if rate != 8 * SFREQ_HZ or 129 not in raw.shape:
                raise UserError(
                    f"{path.name} holds {raw.shape} samples at {rate:g} Hz, expected 129 channels at 1000 Hz as "
                    f"published at {NMED_T.page}."
                )
            time_first = raw.shape[1] == 129
            n_times = raw.shape[0 if time_first else 1]
            eeg = {}
            for quiet in quiet_before(read_events(file), rate, n_times, seconds):
                first = max(0, quiet.start - round(MARGIN_S * rate))
                part = raw[first : quiet.stop] if time_first else raw[:, first : quiet.stop].T
                clean = clean_as_published(np.asarray(part, np.float64).T, rate)
                eeg[quiet.song] = clean[:, -int((quiet.stop - quiet.start) / rate * SFREQ_HZ) :]
            return eeg
    except (OSError, KeyError, ValueError, IndexError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"{path.name} cannot be read as a raw file of NMED-T ({reason}): it is damaged or another file; download "
            "it again."
        ) from error


def read_events(file: Any) -> list[tuple[int, int]]:
    """Triggers as (code, sample) by sample: ``DI21`` is 21, ``D128`` 128, ``DIN5`` 5."""
    rows = [[np.ravel(file[ref]) for ref in row] for row in file["DIN_1"][()]]
    if not all(_is_text(row[0]) for row in rows):
        rows = [list(column) for column in zip(*rows, strict=True)]
    events = []
    for row in rows:
        digits = re.search(r"\d+", "".join(chr(int(c)) for c in row[0]))
        if digits:
            events.append((int(digits[0]), int(row[1][0])))
    return sorted(events, key=lambda event: event[1])


def quiet_before(events: list[tuple[int, int]], rate: float, n_times: int, seconds: float) -> list[Quiet]:
    """Up to `seconds` before the onset of each song, after whatever came before it (a rating, the last trial).

    The onset is the click less one second, where a click follows the song's trigger at once, but at the latest the
    trigger.
    """
    found = []
    for song, at in events:
        if song not in NMED_T.stimuli:
            continue
        clicks = [s for code, s in events if code == _CLICK and at <= s <= at + _CLICK_WITHIN_S * rate]
        onset = min(at, clicks[0] - round(rate)) if clicks else at
        earlier = [s for code, s in events if s < onset and code not in (_TRIAL, _CLICK) and s != at]
        start = max([onset - round(seconds * rate), 0, *earlier[-1:]])
        if onset <= n_times and onset - start >= LEAST_S * rate:
            found.append(Quiet(song, start, onset))
    return found


def clean_as_published(raw: NDArray[np.float64], rate: float) -> NDArray[np.float32]:
    """Filter (129, n) raw µV, decimate by 8, keep E1 to E124 and the vertex, take the average reference.

    Orders count both directions of the zero-phase filters: Butterworth of order 8, Chebyshev I of order 16, the latter
    being what `scipy.signal.decimate` applies.
    """
    from scipy import signal

    rows = np.concatenate([raw[:124], raw[128:129]])
    rows = rows - rows[:, :1]
    filters = (
        signal.butter(4, 0.3, "highpass", fs=rate, output="sos"),
        signal.butter(4, [59.0, 61.0], "bandstop", fs=rate, output="sos"),
    )
    for sos in filters:
        rows = signal.sosfiltfilt(sos, rows, axis=-1, padlen=min(rows.shape[1] - 1, round(3 * rate)))
    slow = signal.decimate(rows, 8, ftype="iir", zero_phase=True, axis=-1)
    return (slow - slow.mean(axis=0)).astype(np.float32)


def _write(directory: Path, song: int, eeg: dict[str, NDArray[np.float32]]) -> str:
    """All listeners of one song, cut to the shortest."""
    from scipy.io import savemat

    listeners = sorted(eeg)
    n_times = min(eeg[name].shape[1] for name in listeners)
    data = np.stack([eeg[name][:, -n_times:] for name in listeners], axis=2)
    cell = np.empty((1, len(listeners)), object)
    cell[0, :] = listeners
    clean = next(iter(directory.rglob(NMED_T.file_name(song, ""))), None)
    path = (clean.parent if clean else directory) / f"before_{NMED_T.file_name(song, '')}"
    if data.shape[0] != N_ROWS:
        raise ValueError(f"{N_ROWS} rows are expected, not {data.shape[0]}")
    savemat(path, {f"before{song}": data, f"subs{song}": cell, "fs": SFREQ_HZ})
    return f"{path.name}: {len(listeners)} listeners, {n_times / SFREQ_HZ:.1f} s from before song {song}"


def _is_text(cell: NDArray) -> bool:
    """MATLAB keeps text as uint16 in HDF5."""
    return bool(cell.dtype == np.uint16)


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise UserError(
            "Raw files of NMED-T are HDF5, and h5py is not installed: `pip install h5py` in this environment."
        ) from error
    return h5py
