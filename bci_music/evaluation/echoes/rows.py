"""Reconstructions of music from EEG, one row of the table each, as they lie in a folder.

A row is two files, ``KEY--SPLIT.npz`` with the sounds and ``KEY--SPLIT.json`` with everything else. Whatever makes
sound writes one with `save_row`; nothing here knows a model.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci_music.files import SHOWN, read_arrays, read_json, shown, write_whole
from bci_music.messages import UserError
from bci_music.metrics.sound_timing import FRAME_HZ
from bci_music.models.log_mel import HOP, RATE_HZ

TITLES = {
    "way-a": "way A (latent diffusion on the decoded style)",
    "way-b-pooled": "way B, pooled condition (a)",
    "way-b-sequence": "way B, sequence condition (b)",
    "no-music-embedding": "way B without music embedding",
    "no-eeg": "way B without EEG",
    "no-subject": "way B without subject",
    "postolache": "ControlNet on the U-Net (Postolache form)",
    "adapter": "adapters of equal size",
    "eeg2mel": "EEG2Mel",
    "ridge-onset": "ridge onset → control",
    "silent-eeg": "silent EEG",
    "shuffled-eeg": "shuffled EEG",
    "oracle": "oracle (the true music embedding)",
}  # fmt: skip
SPLITS = {"listener": "subject-independent", "time-block": "subject-dependent"}
LEAST_S, MOST_S = 2.0, 12.0
FORMAT = 1
_KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_FULL_SCALE = 32767.0
_ADVICE = "make this row again"
_COSTS = ("steps", "minutes", "parameters")


@dataclass(frozen=True, eq=False)
class Reconstructions:
    """One row of the table under one split: what was made of n windows of EEG, and the music heard in them.

    Attributes
    ----------
    row, split : str
        A key of `TITLES`, or another one with a `title`; and how training and test were kept apart, a key of `SPLITS`
        or another.
    song, listener : (n,) str
        What is independent. Versions of one song share it.
    second : (n,) float
        Of the song, at the window's beginning.
    heard : (p, samples)
        The pieces of music, mono at 16 kHz, each once.
    piece : (n,) int
        Which of them every window heard; `distinct_pieces` counts them.
    made : (n, samples), optional
        The reconstructions, as long as the pieces.
    curve : (n, samples / 160), optional
        In place of `made`, onset curves at 100 Hz: a baseline that makes no sound.
    before : (m, samples), optional
        Sounds (or curves, where the row is of curves) made of EEG from before the music.
    before_of : (m,) int
        The window whose recording each of those is from; they are compared with the music of that window.
    made_vector, heard_vector, before_vector : (n, d), (p, d), (m, d), optional
        Unit vectors of the sounds, for CLAP score and Fréchet distance.
    lag_s : float
        By how much the sound made is to come after the music heard: where its timing is evaluated.
    title, made_by : str
        The row's name for people; what made the sound (generator, steps, guidance).
    simulated : bool
        Whether the EEG is.
    costs : mapping
        ``steps``, ``minutes`` and ``parameters`` of what was trained for it, as far as known.
    """

    row: str
    split: str
    song: NDArray[np.str_]
    listener: NDArray[np.str_]
    second: NDArray[np.float64]
    heard: NDArray[np.floating]
    piece: NDArray[np.int64]
    made: NDArray[np.floating] | None = None
    curve: NDArray[np.floating] | None = None
    before: NDArray[np.floating] | None = None
    before_of: NDArray[np.int64] | None = None
    made_vector: NDArray[np.floating] | None = None
    heard_vector: NDArray[np.floating] | None = None
    before_vector: NDArray[np.floating] | None = None
    lag_s: float = 0.0
    title: str = ""
    made_by: str = ""
    simulated: bool = True
    costs: Mapping[str, float] | None = None

    def __post_init__(self):
        if problem := _problem(self):
            raise UserError(f"The row {shown(self.row)} ({shown(self.split)}) cannot be evaluated: {problem}.")
        object.__setattr__(self, "title", self.title or TITLES.get(self.row, self.row))

    @property
    def seconds(self) -> float:
        """Length of every piece."""
        return self.heard.shape[1] / RATE_HZ


def distinct_pieces(song: NDArray[np.str_], second: NDArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count each piece of music once: the first window (p,) that heard it, and the piece (n,) of every window."""
    keys = [f"{name}\0{at:.3f}" for name, at in zip(song.tolist(), second.tolist(), strict=True)]
    _, first, piece = np.unique(keys, return_index=True, return_inverse=True)
    return first, piece.reshape(-1).astype(np.int64)


def save_row(directory: Path, row: Reconstructions) -> Path:
    """Write one row, sounds as 16-bit numbers; returns the file of the sounds."""
    directory.mkdir(parents=True, exist_ok=True)
    names = {what: sorted(set(getattr(row, what).tolist())) for what in ("song", "listener")}
    arrays: dict[str, NDArray] = {
        what: np.array([names[what].index(v) for v in getattr(row, what).tolist()], np.int32) for what in names
    }
    arrays |= {"second": row.second.astype(np.float64), "piece": row.piece.astype(np.int32)}
    arrays["heard"] = _sixteen_bit(row.heard)
    if row.made is not None:
        arrays["made"] = _sixteen_bit(row.made)
    if row.before is not None and row.before_of is not None:
        arrays["before"] = row.before.astype(np.float16) if row.made is None else _sixteen_bit(row.before)
        arrays["before_of"] = row.before_of.astype(np.int32)
    for what in ("curve", "made_vector", "heard_vector", "before_vector"):
        if (values := getattr(row, what)) is not None:
            arrays[what] = np.asarray(values, np.float32)
    note = {
        "format": FORMAT, "row": row.row, "split": row.split, "title": row.title, "made_by": row.made_by,
        "simulated": row.simulated, "lag_s": row.lag_s, "rate_hz": RATE_HZ, "songs": names["song"],
        "listeners": names["listener"], "arrays": sorted(arrays), "costs": dict(row.costs or {}),
    }  # fmt: skip
    path = directory / f"{row.row}--{row.split}.npz"
    path.with_suffix(".json").unlink(missing_ok=True)  # a row begins and ends with its note
    write_whole(path, lambda part: np.savez(part, **arrays))  # type: ignore[arg-type]
    write_whole(path.with_suffix(".json"), lambda part: part.write_text(json.dumps(note, indent=1), encoding="utf-8"))
    return path


def load_row(path: Path) -> Reconstructions:
    """Read what `save_row` wrote.

    Parameters
    ----------
    path : Path
        Either of the two files.

    Raises
    ------
    UserError
        Where one is missing or damaged, or they do not fit together.
    """
    note = read_json(path.with_suffix(".json"), _ADVICE)
    about = _checked_note(note, path.with_suffix(".json"))
    sounds = path.with_suffix(".npz")
    arrays = read_arrays(sounds, tuple(about.pop("arrays")), _ADVICE)
    names = {what: np.array(about.pop(f"{what}s"), np.str_) for what in ("song", "listener")}
    for what in names:
        arrays[what] = _of(arrays.get(what), names[what], f"{what}s", sounds)
    for what in ("piece", "before_of"):
        if what in arrays:
            arrays[what] = _whole_numbers(arrays[what], what, sounds)
    for what in ("heard", "made", "before"):
        if what in arrays and (what != "before" or "made" in arrays):
            arrays[what] = arrays[what] / np.float32(_FULL_SCALE)
    if "second" in arrays:
        arrays["second"] = np.round(arrays["second"].astype(np.float64), 3)
    parts: dict[str, Any] = about | arrays
    try:
        return Reconstructions(**parts)
    except UserError as error:
        raise UserError(f"{shown(sounds)} is damaged. {error} {_ADVICE.capitalize()}.") from None
    except TypeError as error:
        raise UserError(f"{shown(sounds)} lacks a part of a row ({shown(str(error))}): {_ADVICE}.") from None


_ARRAYS = (
    "song", "listener", "second", "heard", "piece", "made", "curve", "before", "before_of", "made_vector",
    "heard_vector", "before_vector",
)  # fmt: skip
_TEXTS = ("row", "split", "title", "made_by")
_MOST_NAMES = 10_000
_MOST_WINDOWS = 20_000


def _checked_note(note: dict[str, Any], path: Path) -> dict[str, Any]:
    """What of a note becomes part of a row."""

    def refuse(what: str) -> UserError:
        return UserError(f"{shown(path)} {what}: {_ADVICE}.")

    if note.get("format") != FORMAT or note.get("rate_hz") != RATE_HZ:
        raise refuse(f"is no note of reconstructions in format {FORMAT} at {RATE_HZ} Hz")
    found: dict[str, Any] = {}
    for key in _TEXTS:
        if not isinstance(note.get(key), str) or len(note[key]) > 10 * SHOWN:
            raise refuse(f"has no text for {key!r}")
        found[key] = note[key]
    for key in ("songs", "listeners", "arrays"):
        texts = note.get(key)
        if not isinstance(texts, list) or not all(isinstance(t, str) and len(t) <= SHOWN for t in texts):
            raise refuse(f"has no list of names for {key!r}")
        if len(texts) > _MOST_NAMES:
            raise refuse(f"names more {key} than {_MOST_NAMES:,}")
        found[key] = texts
    if not set(found["arrays"]) <= set(_ARRAYS):
        raise refuse("names arrays that no row has")
    if not _number(note.get("lag_s")) or not isinstance(note.get("simulated"), bool):
        raise refuse("does not say its lag in seconds, or whether it is simulated")
    costs = note.get("costs")
    if not isinstance(costs, dict) or not all(k in _COSTS and _number(v) for k, v in costs.items()):
        raise refuse(f"has costs other than numbers for {', '.join(_COSTS)}")
    return found | {"lag_s": float(note["lag_s"]), "simulated": note["simulated"], "costs": costs}


def _number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of more digits than a float has
        return False


def _of(index: NDArray | None, names: NDArray[np.str_], what: str, path: Path) -> NDArray[np.str_]:
    if index is None:
        raise UserError(f"{shown(path)} does not say which {what} its windows are of: {_ADVICE}.")
    rows = _whole_numbers(index, what, path)
    if len(rows) and not (rows.min() >= 0 and rows.max() < len(names)):
        raise UserError(f"{shown(path)} names {what} that its note does not list: {_ADVICE}.")
    return names[rows] if len(names) else np.zeros(len(rows), np.str_)


def _whole_numbers(values: NDArray, what: str, path: Path) -> NDArray[np.int64]:
    if values.ndim != 1 or (np.abs(values) >= 2**24).any() or (values != np.rint(values)).any():
        raise UserError(f"{shown(path)} holds no whole numbers for {what}: {_ADVICE}.")
    return values.astype(np.int64)


def _sixteen_bit(sound: NDArray) -> NDArray[np.int16]:
    """Sound as 16-bit numbers; what is louder than full scale is brought down as a whole, its timbre stays."""
    peak = np.maximum(np.abs(sound).max(axis=1, keepdims=True), 1.0)
    return np.rint(sound / peak * _FULL_SCALE).astype(np.int16)


def _problem(row: Reconstructions) -> str:
    """What is wrong with a row, in words; empty if nothing is."""
    if not _KEY.fullmatch(row.row) or not _KEY.fullmatch(row.split):
        return "row and split are words of small letters and digits, joined by hyphens"
    n = len(row.song)
    if row.heard.ndim != 2 or not LEAST_S <= row.heard.shape[1] / RATE_HZ <= MOST_S:
        return f"the music heard is (pieces, samples), {LEAST_S:g} to {MOST_S:g} s each, got {row.heard.shape}"
    if n < 2 or any(v.shape != (n,) for v in (row.song, row.listener, row.second, row.piece)):
        return "song, listener, second and piece are of one length, and there are two windows or more"
    if max(n, 0 if row.before_of is None else len(row.before_of)) > _MOST_WINDOWS:
        return f"there are more windows than {_MOST_WINDOWS:,}, take fewer"
    if (row.piece < 0).any() or (row.piece >= len(row.heard)).any():
        return f"its windows heard pieces other than the {len(row.heard)} there are"
    if len(set(row.song.tolist())) < 2:
        return "all its windows are of one song, and there is none to tell it from"
    if (row.made is None) == (row.curve is None):
        return "it has either sounds or onset curves"
    if (row.before is None) != (row.before_of is None):
        return "sounds from before the music and the windows they belong to come together"
    samples, p, d = row.heard.shape[1], len(row.heard), _width(row)
    frames = samples // HOP if row.made is None else samples
    m = 0 if row.before_of is None else len(row.before_of)
    shapes = {
        "made": (n, samples), "curve": (n, samples // HOP), "before": (m, frames), "made_vector": (n, d),
        "heard_vector": (p, d), "before_vector": (m, d),
    }  # fmt: skip
    for what, shape in shapes.items():
        values = getattr(row, what)
        if values is not None and values.shape != shape:
            return f"{what} has the shape {values.shape}, expected {shape}"
        if values is not None and not np.isfinite(values).all():
            return f"{what} holds numbers that are not finite"
    if row.before_of is not None and (not m or row.before_of.min() < 0 or row.before_of.max() >= n):
        return "sounds from before the music belong to windows that there are not"
    if not np.isfinite(row.heard).all() or not np.isfinite(row.second).all():
        return "what was heard, or when, holds numbers that are not finite"
    if not (math.isfinite(row.lag_s) and abs(row.lag_s) <= 1.0):
        return "its lag is between -1 and 1 s"
    return ""


def _width(row: Reconstructions) -> int:
    return 0 if row.heard_vector is None else row.heard_vector.shape[-1]


assert RATE_HZ == FRAME_HZ * HOP
