"""Montages, and how the channels of a stream are laid onto the electrodes a decoder knows."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config, read_yaml, shipped
from bci_music.eeg import electrodes
from bci_music.files import SHOWN, shown
from bci_music.messages import UserError

NMED_CHANNELS: tuple[str, ...] = (*(f"E{i}" for i in range(1, 125)), "Cz")
MAX_DISTANCE_M = 0.020
MIN_MAPPED = 8
MOST_ELECTRODES = 1024
HEAD_ORIGIN_M = -0.040  # the middle between the ears, on the z axis of the fitted sphere


class MontageFile(Config):
    """A montage as YAML: names in the order of the stream; where they sit comes from a table or from the file.

    A file of this kind in ``configs/`` is a montage that ships; its name is the file's.

    `names` may hold ranges such as ``E1..E128``.
    """

    name: str
    names: tuple[str, ...]
    table: str = ""
    positions_mm: dict[str, tuple[float, float, float]] = Field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Montage:
    """Electrode names in order, each with its place on a sphere of 95 mm.

    Attributes
    ----------
    name : str
        What the montage is called.
    names : tuple of str
        Electrodes in channel order.
    positions_m : (n_channels, 3) float64
        Metres in head directions (x right, y front, z up) on the sphere.
    """

    name: str
    names: tuple[str, ...]
    positions_m: NDArray[np.float64]

    @classmethod
    def nmed(cls) -> Montage:
        """The layout of the NMED data: E1..E124 and the vertex of a 128-channel HydroCel net."""
        places = electrodes.table("egi128")
        return cls("nmed", NMED_CHANNELS, np.array([places[name] for name in NMED_CHANNELS]))

    @classmethod
    def from_names(
        cls, names: Sequence[str], positions_m: NDArray[np.float64] | None = None, name: str = "custom"
    ) -> Montage:
        """Montage from names MNE's standard montages know, or from any names with positions (n_channels, 3) in m."""
        names = tuple(names)
        if positions_m is not None:
            return cls(name, names, electrodes.on_sphere(positions_m))
        tables = electrodes.tables_for(names)
        found = [electrodes.known(label, tables) for label in names]
        unknown = [label for label, place in zip(names, found, strict=True) if place is None]
        if unknown:
            raise UserError(
                f"{len(unknown)} of {len(names)} electrode names are in no standard montage "
                f"({', '.join(unknown[:5])}): use 10-20 or EGI names, or give their positions."
            )
        return cls(name, names, np.array(found, float))

    @classmethod
    def load(cls, name_or_yaml: str | Path) -> Montage:
        """A shipped montage by name (``nmed``, ``egi128`` ...) or one from a YAML file."""
        text = str(name_or_yaml)
        if text == "nmed":
            return cls.nmed()
        if re.fullmatch(r"[\w\-]{1,100}", text) and not Path(text).exists():
            known = shipped_montages()
            if text not in known:
                near = difflib.get_close_matches(text, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"use nmed, {', '.join(known)} or a YAML file."
                raise UserError(f"There is no montage {text!r}: {hint}")
            return cls.shipped(text)
        return cls._from_file(MontageFile.parse(read_yaml(name_or_yaml), shown(text)), shown(text))

    @classmethod
    def shipped(cls, name: str) -> Montage:
        """A shipped montage, whatever files of that name lie in the current folder."""
        if name == "nmed":
            return cls.nmed()
        return cls._from_file(MontageFile.load(shipped(f"configs/{name}.yaml")), name)

    @classmethod
    def _from_file(cls, file: MontageFile, where: str) -> Montage:
        names = tuple(label for entry in file.names for label in _expand(entry))
        if not 1 <= len(names) <= MOST_ELECTRODES:
            raise UserError(f"{where} names {len(names)} electrodes, expected 1 to {MOST_ELECTRODES}: correct names.")
        places: dict[str, Any] = {key: np.array(xyz) / 1000 for key, xyz in file.positions_mm.items()}
        if file.table:
            if file.table not in electrodes.TABLES:
                raise UserError(f"table {file.table!r} in {where} is unknown: use {', '.join(electrodes.TABLES)}.")
            places = {label: electrodes.known(label, (file.table,)) for label in names} | places
        missing = [label for label in names if places.get(label) is None]
        if missing:
            some = shown(", ".join(missing[:5]))
            raise UserError(f"{where} gives no position for {some}: add them under positions_mm.")
        if doubled := {label for label in names if names.count(label) > 1}:
            raise UserError(f"{where} names {shown(', '.join(sorted(doubled)[:5]))} more than once: name each once.")
        positions = np.array([places[label] for label in names])
        if file.positions_mm:
            positions = electrodes.on_sphere(positions)
        if not np.isfinite(positions).all():
            raise UserError(f"{where} has positions that are nowhere on a head: give them in mm, away from the origin.")
        return cls(file.name, names, positions)

    def positions_2d(self) -> NDArray[np.float64]:
        """Places to draw at: (n_channels, 2), x right, y front, in units of the head outline's radius.

        MNE's projection for scalp maps: seen from the head's origin between the ears, the distance from the middle
        is the angle from the vertical times the distance from the origin.
        """
        x, y, z = (self.positions_m - [0.0, 0.0, HEAD_ORIGIN_M]).T
        distance = np.sqrt(x**2 + y**2 + z**2)
        radius = np.arccos(z / distance) / (np.pi / 2) * distance / electrodes.SPHERE_M
        azimuth = np.arctan2(y, x)
        return np.column_stack([radius * np.cos(azimuth), radius * np.sin(azimuth)])

    def regions(self) -> tuple[str, ...]:
        """For each electrode "front", "left", "centre", "right" or "back"."""
        found = []
        for x, y in self.positions_2d():
            if np.hypot(x, y) < 0.4:
                found.append("centre")
            elif abs(y) > abs(x):
                found.append("front" if y > 0 else "back")
            else:
                found.append("right" if x > 0 else "left")
        return tuple(found)


@dataclass(frozen=True, eq=False)
class ChannelMap:
    """Which channel of a stream stands for which electrode of a montage.

    Attributes
    ----------
    source_index : (n_channels,) int64
        Stream channel per montage electrode, -1 where the electrode is absent.
    distance_mm : (n_channels,) float64
        How far the stream's electrode sits from the montage's; NaN where absent.
    how : tuple of str
        Per electrode "name", "position" (by a standard or the stream's own position) or "absent".
    reference : int
        Montage index of the electrode the amplifier used as reference and left out of the stream, so that it is
        known to be zero there; -1 if there is none.
    """

    source_index: NDArray[np.int64]
    distance_mm: NDArray[np.float64]
    how: tuple[str, ...]
    reference: int = -1

    @property
    def n_mapped(self) -> int:
        """Electrodes of the montage that the stream has."""
        return int((self.source_index >= 0).sum())

    def describe(self) -> str:
        """One sentence for a person."""
        by_place = np.array([how == "position" for how in self.how])
        text = f"{self.n_mapped} of {len(self.how)} electrodes mapped"
        if by_place.any():
            text += f" ({by_place.sum()} by position, median {np.median(self.distance_mm[by_place]):.1f} mm off)"
        absent = len(self.how) - self.n_mapped
        return f"{text}, {absent} absent." if absent else f"{text}."


def map_channels(
    labels: Sequence[str], montage: Montage, positions_m: NDArray[np.float64] | None = None,
    min_mapped: int = MIN_MAPPED,
) -> ChannelMap:
    """Lay stream channels onto a montage, one to one.

    The montage's own names come first; then names known to the standard montages, then the stream's positions
    (n_channels, 3) in m, each to the electrode that is nearest as a whole assignment and at most 20 mm away.

    Raises
    ------
    UserError
        If fewer than `min_mapped` electrodes of the montage are found.
    """
    n = len(montage.names)
    source, distance, how = np.full(n, -1), np.full(n, np.nan), ["absent"] * n
    tables = electrodes.tables_for(labels)
    by_name = {electrodes.clean_label(name): i for i, name in enumerate(montage.names)}
    if "egi256" in tables and "E200" not in by_name:
        by_name = {}  # E17 of a 256-channel net is another place than E17 of the pack's net
    for k, label in enumerate(labels):
        i = by_name.get(electrodes.clean_label(label), by_name.get("CZ") if _is_vertex(label, tables) else None)
        if i is not None and source[i] < 0:
            source[i], distance[i], how[i] = k, 0.0, "name"
    rest = [k for k in range(len(labels)) if k not in set(source.tolist())]
    places = _places([labels[k] for k in rest], tables, None if positions_m is None else np.asarray(positions_m)[rest])
    for k, i, metres in _assign(places, montage.positions_m, taken=source >= 0):
        source[i], distance[i], how[i] = rest[k], 1000 * metres, "position"
    found = ChannelMap(source, distance, tuple(how), _left_out_reference(montage, source, tables))
    if found.n_mapped < min_mapped:
        raise UserError(
            f"Only {found.n_mapped} of the stream's {len(labels)} EEG channels ({', '.join(labels[:4])} ...) lie on "
            f"electrodes of the montage {montage.name!r}, at least {min_mapped} are needed: "
            "name the channels in the stream, or give `montage:` (for example egi128)."
        )
    return found


def shipped_montages() -> tuple[str, ...]:
    """Names of all montages in ``configs/``: the files there with a key ``names:``."""
    files = sorted(shipped("configs").glob("*.yaml"))
    return tuple(file.stem for file in files if re.search(r"^names:", file.read_text(encoding="utf-8"), re.MULTILINE))


def _expand(entry: str) -> list[str]:
    match = re.fullmatch(r"([A-Za-z]*)(\d{1,6})\.\.\1(\d{1,6})", entry[:SHOWN])
    if not match:
        return [entry]
    first, last = int(match[2]), int(match[3])
    return [f"{match[1]}{i}" for i in range(first, min(last, first + MOST_ELECTRODES) + 1)]


def _is_vertex(label: str, tables: tuple[str, ...]) -> bool:
    return electrodes.clean_label(label) == "E129" and "egi128" in tables


def _places(
    labels: Sequence[str], tables: tuple[str, ...], own: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Where each label sits (n, 3), NaN where nobody knows."""
    places = np.full((len(labels), 3), np.nan)
    own_on_sphere = electrodes.on_sphere(own) if own is not None and len(own) else places
    for k, label in enumerate(labels):
        place = electrodes.known(label, tables)
        places[k] = own_on_sphere[k] if place is None else place
    return places


def _assign(
    places: NDArray[np.float64], targets: NDArray[np.float64], taken: NDArray[np.bool_]
) -> list[tuple[int, int, float]]:
    """Pairs (place, target, distance) of the cheapest one-to-one assignment within reach; most pairs first."""
    from scipy.optimize import linear_sum_assignment

    rows, free = np.flatnonzero(np.isfinite(places).all(axis=1)), np.flatnonzero(~taken)
    if not len(rows) or not len(free):
        return []
    far = 1e3  # so dear that a pair within reach is never given up for nearer ones
    metres = np.linalg.norm(places[rows, None] - targets[None, free], axis=2)
    cost = np.where(metres <= MAX_DISTANCE_M, metres, far)
    pairs = zip(*linear_sum_assignment(cost), strict=True)
    return [(int(rows[a]), int(free[b]), float(metres[a, b])) for a, b in pairs if cost[a, b] < far]


def _left_out_reference(montage: Montage, source: NDArray[np.int64], tables: tuple[str, ...]) -> int:
    """The vertex of an EGI net that streams its 128 electrodes without their reference."""
    vertex = [i for i, name in enumerate(montage.names) if electrodes.clean_label(name) == "CZ"]
    is_net = "egi128" in tables and (source >= 0).sum() > len(source) // 2
    return vertex[0] if is_net and vertex and source[vertex[0]] < 0 else -1
