"""Where electrodes sit: names as amplifiers write them, looked up in tables of positions.

All positions are on one sphere of 95 mm, so that electrodes of different nets can be compared: MNE's standard
montage in head coordinates (x right, y front, z up), a sphere fitted to it, each electrode moved along its radius.
The tables ship as ``configs/electrodes.yaml`` because importing MNE takes longer than everything else at the start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bci_music.config import read_yaml, shipped

SPHERE_M = 0.095
# Table name -> MNE's name. The standard 10-05 set is called colin27_1005 since MNE 1.13.
TABLES: Mapping[str, str] = {
    "standard": "colin27_1005",
    "egi64": "GSN-HydroCel-65_1.0",
    "egi128": "GSN-HydroCel-129",
    "egi256": "GSN-HydroCel-257",
    "biosemi64": "biosemi64",
    "biosemi128": "biosemi128",
    "biosemi160": "biosemi160",
    "biosemi256": "biosemi256",
}
_OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
_VERTEX_NAMES = {"VREF", "VERTEX", "CZREF", "VREFERENCE"}
_PREFIX = re.compile(r"^(EEG|EXG|CH)[\s_:\-]+(?=[A-Z])")
_SUFFIX = re.compile(r"[\s_\-:/]+(REF|LE|RE|AR|AVG|AV|CAR|A1A2|A1|A2|M1|M2|CZ|0)$")
_NUMBERED = re.compile(r"^([A-Z]+)0+([1-9]\d*)$")


def clean_label(label: str) -> str:
    """Upper-case name without what amplifiers add.

    ``"EEG T3-REF"`` -> ``"T7"``, ``"Fc5."`` -> ``"FC5"``, ``"E001"`` -> ``"E1"``.
    """
    name = _PREFIX.sub("", label.strip().upper())
    name = _SUFFIX.sub("", name)
    name = re.sub(r"[\s._]", "", name)
    if match := _NUMBERED.match(name):
        name = match[1] + match[2]
    return "CZ" if name in _VERTEX_NAMES else _OLD_NAMES.get(name, name)


@cache
def table(name: str) -> dict[str, NDArray[np.float64]]:
    """Electrodes of one shipped table: name as its maker writes it -> (3,) m on the sphere."""
    rows = (line.split() for line in _file()[name].strip().splitlines())
    return {row[0]: np.array([float(x) for x in row[1:]]) / 1000 for row in rows}


def known(label: str, tables: Sequence[str]) -> NDArray[np.float64] | None:
    """Position (3,) of a label in the first of `tables` that knows it, else None."""
    for name in tables:
        position = _by_clean_name(name).get(clean_label(label))
        if position is not None:
            return position
    return None


def tables_for(labels: Sequence[str]) -> tuple[str, ...]:
    """Which tables may explain these labels, looking at all of them at once.

    ``E17`` means another place on a 128- and a 256-channel net, and ``A1`` is an earlobe in the 10-20 system
    but the vertex of a BioSemi cap: the whole set of labels decides.
    """
    names = [clean_label(label) for label in labels]
    numbers = [int(n[1:]) for n in names if re.fullmatch(r"E\d+", n)]
    letters = [n for n in names if re.fullmatch(r"[A-H]\d+", n)]
    if len(numbers) > len(names) // 2:
        return ("egi128",) if max(numbers) <= 129 else ("egi256",)
    if len(letters) > len(names) // 2:
        for name in ("biosemi128", "biosemi160", "biosemi256"):
            if all(n in _by_clean_name(name) for n in letters):
                return (name,)
        return ()
    return ("standard",)


def on_sphere(positions_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move positions (n, 3) along their radii onto the 95 mm sphere; rows that are not finite stay so.

    The centre is that of the sphere fitted to them, kept on the midline; below 8 positions it is the origin.
    """
    positions = np.asarray(positions_m, float)
    good = np.isfinite(positions).all(axis=1) & (np.abs(positions).sum(axis=1) > 0)
    centre = np.zeros(3)
    if good.sum() >= 8:
        points = positions[good]
        system = np.column_stack([2 * points, np.ones(len(points))])
        centre = np.linalg.lstsq(system, (points**2).sum(axis=1), rcond=None)[0][:3]
        centre[0] = 0.0
    out = np.full_like(positions, np.nan)
    arms = positions[good] - centre
    out[good] = SPHERE_M * arms / np.linalg.norm(arms, axis=1, keepdims=True)
    return out


def from_mne(montage: str) -> dict[str, NDArray[np.float64]]:
    """Electrodes of one of MNE's standard montages, on the sphere (imports MNE)."""
    import mne

    made = mne.channels.make_standard_montage(montage)
    info = mne.create_info(made.ch_names, 100.0, "eeg", verbose="error")
    info.set_montage(made, verbose="error")
    positions = on_sphere(np.array([ch["loc"][:3] for ch in info["chs"]]))
    return dict(zip(made.ch_names, positions, strict=True))


@cache
def _file() -> dict[str, str]:
    return read_yaml(shipped("configs/electrodes.yaml"))["tables"]


@cache
def _by_clean_name(name: str) -> dict[str, NDArray[np.float64]]:
    entries = {clean_label(key): position for key, position in table(name).items()}
    if name in ("egi64", "egi128", "egi256"):  # the vertex electrode is also written as the last number
        entries[{"egi64": "E65", "egi128": "E129", "egi256": "E257"}[name]] = entries["CZ"]
    return entries
