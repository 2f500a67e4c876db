"""Ways to divide windows into training and test; one that leaks cannot be made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import UserError


@dataclass(frozen=True)
class WindowTable:
    """Where each window comes from: all arrays are (n,)."""

    start_s: NDArray[np.float64]
    stop_s: NDArray[np.float64]
    recording: NDArray[np.str_]
    listener: NDArray[np.str_]
    song: NDArray[np.str_]

    def __post_init__(self):
        if len({len(v) for v in vars(self).values()}) != 1:
            raise ValueError("a WindowTable has one start, stop, recording, listener and song per window")

    def __len__(self) -> int:
        return len(self.start_s)


@dataclass(frozen=True)
class Split:
    """Rows of a `WindowTable` for training and for test; making one checks it."""

    table: WindowTable
    train: NDArray[np.int64]
    test: NDArray[np.int64]

    kind: ClassVar[str] = "rows"

    def __post_init__(self):
        if not len(self.train) or not len(self.test):
            raise UserError(
                f"The {self.kind} split leaves {len(self.train)} windows to train and {len(self.test)} to test: "
                "both need some, add recordings or change the share."
            )
        shared = np.intersect1d(self.train, self.test)
        if len(shared):
            raise UserError(f"The {self.kind} split leaks: {len(shared)} windows are in training and in test.")
        self.check()

    def check(self) -> None:
        """Raise `UserError` if anything the split promises to keep apart is on both sides."""

    @property
    def shared_songs(self) -> tuple[str, ...]:
        """Songs on both sides: fine for telling known songs apart, not for a claim about unknown music."""
        return tuple(np.intersect1d(self.table.song[self.train], self.table.song[self.test]).tolist())

    def describe(self) -> str:
        """Say what was kept apart, for a report."""
        held = len(np.unique(self.table.recording[self.test]))
        return f"{self.kind} split: {len(self.train)} windows to train, {len(self.test)} to test from {held} recordings"


def _by_name(names: NDArray[np.str_], held_out: set[str], kind: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows whose name is not, and is, in `held_out`; every name must exist."""
    unknown = held_out - set(names.tolist())
    if unknown:
        there = ", ".join(sorted(set(names.tolist())))
        raise UserError(f"There is no {kind} {sorted(unknown)[0]!r} to hold out: there are {there}.")
    test = np.isin(names, sorted(held_out))
    return np.flatnonzero(~test), np.flatnonzero(test)


def _none_shared(names: NDArray[np.str_], split: Split) -> None:
    shared = np.intersect1d(names[split.train], names[split.test])
    if len(shared):
        raise UserError(f"The {split.kind} split leaks: {split.kind} {shared[0]!r} is in training and in test.")


@dataclass(frozen=True)
class RecordingSplit(Split):
    """Whole recordings are held out."""

    kind: ClassVar[str] = "recording"

    @classmethod
    def make(cls, table: WindowTable, held_out: set[str]) -> Self:
        """Hold out the recordings named."""
        return cls(table, *_by_name(table.recording, held_out, cls.kind))

    def check(self) -> None:
        """No recording on both sides."""
        _none_shared(self.table.recording, self)


@dataclass(frozen=True)
class ListenerSplit(Split):
    """Whole listeners are held out."""

    kind: ClassVar[str] = "listener"

    @classmethod
    def make(cls, table: WindowTable, held_out: set[str]) -> Self:
        """Hold out the listeners named."""
        return cls(table, *_by_name(table.listener, held_out, cls.kind))

    def check(self) -> None:
        """No listener on both sides."""
        _none_shared(self.table.listener, self)


@dataclass(frozen=True)
class TimeBlockSplit(Split):
    """Blocks of time are held out within recordings, with `guard_s` of nothing on either side of them.

    Attributes
    ----------
    guard_s : float
        At least this much time lies between any training and any test window of one recording: longer than
        the memory of the filters and of the running z-score that still matters.
    """

    guard_s: float = 0.0

    kind: ClassVar[str] = "time-block"

    @classmethod
    def make(cls, table: WindowTable, *, block_s: float, share: float, guard_s: float, seed: int) -> Self:
        """Hold out about `share` of the blocks of `block_s` seconds, drawn by `seed`, in every recording."""
        rng = np.random.default_rng(seed)
        train: list[int] = []
        test: list[int] = []
        for name in np.unique(table.recording):
            rows = np.flatnonzero(table.recording == name)
            starts, stops = table.start_s[rows][:, None], table.stop_s[rows][:, None]
            blocks = np.unique((starts - starts.min()) // block_s)
            n_held = max(1, round(share * len(blocks))) if len(blocks) > 1 else 0
            begin = starts.min() + block_s * rng.choice(blocks, n_held, replace=False)
            inside = (starts >= begin) & (stops <= begin + block_s)
            near = (stops > begin - guard_s) & (starts < begin + block_s + guard_s)
            test.extend(rows[inside.any(axis=1)].tolist())
            train.extend(rows[~near.any(axis=1)].tolist())
        return cls(table, np.array(train, np.int64), np.array(test, np.int64), guard_s)

    def check(self) -> None:
        """No training window within `guard_s` of a test window of the same recording."""
        table = self.table
        for name in np.unique(table.recording[self.test]):
            test = self.test[table.recording[self.test] == name]
            train = self.train[table.recording[self.train] == name]
            order = test[np.argsort(table.start_s[test], kind="stable")]
            starts, stops = table.start_s[order], np.maximum.accumulate(table.stop_s[order])
            # the last test window that starts before a training window (with guard) ends must have stopped before it
            last = np.searchsorted(starts, table.stop_s[train] + self.guard_s - 1e-9, side="left") - 1
            leaks = (last >= 0) & (stops[np.maximum(last, 0)] > table.start_s[train] - self.guard_s + 1e-9)
            if leaks.any():
                raise UserError(
                    f"The time-block split leaks: {int(leaks.sum())} training windows of recording {name!r} lie within "
                    f"{self.guard_s} s of a test window; widen the gap between the blocks."
                )
