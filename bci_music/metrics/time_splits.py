"""Splits within recordings: by single windows, by blocks of a recording's time, by blocks of song time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import UserError
from bci_music.metrics.splits import Split, WindowTable

_EPS_S = 1e-6  # stamps are exact to a microsecond


@dataclass(frozen=True)
class RandomSplit(Split):
    """Single windows are held out, as the paper does: the easy split, in which the music is always known.

    Windows must not overlap. Everything else is on both sides: the recording, its neighbouring seconds, and the
    very music tested, heard by others.
    """

    kind: ClassVar[str] = "random"

    @classmethod
    def make(cls, table: WindowTable, *, share: float = 0.05, seed: int = 42) -> Self:
        """Hold out `share` of the windows, drawn by `seed`."""
        order = np.random.default_rng(seed).permutation(len(table))
        n_test = int(np.ceil(share * len(table)))
        return cls(table, np.sort(order[n_test:]), np.sort(order[:n_test]))

    def check(self) -> None:
        """No two windows share a sample."""
        rows = np.concatenate([self.train, self.test])
        table = self.table
        order = rows[np.lexsort((table.start_s[rows], table.recording[rows]))]
        same = table.recording[order][1:] == table.recording[order][:-1]
        into = table.start_s[order][1:] < table.stop_s[order][:-1] - _EPS_S
        if (same & into).any():
            name = table.recording[order][1:][same & into][0]
            raise UserError(
                f"The random split leaks: {int((same & into).sum())} windows overlap the one before, the first in "
                f"recording {name!r}; cut windows that do not overlap (hop = window length)."
            )

    @property
    def keeps_apart(self) -> str:
        """What is on one side only, in words."""
        return "single windows only; recordings, neighbouring seconds and the music itself are shared with training"


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

    kind: ClassVar[str] = "recording-block"

    @classmethod
    def make(cls, table: WindowTable, *, block_s: float, share: float, guard_s: float, seed: int) -> Self:
        """Hold out about `share` of the blocks of `block_s` seconds, drawn by `seed`, in every recording."""
        test = blocks_of(table.recording, table.start_s, table.stop_s, block_s, share, seed)
        near = near_test(table.recording, table.start_s, table.stop_s, test, guard_s)
        return cls(table, np.flatnonzero(~near), np.flatnonzero(test), guard_s)

    def check(self) -> None:
        """No training window within `guard_s` of a test window of the same recording."""
        table = self.table
        far_enough(self, table.recording, table.start_s, table.stop_s, self.guard_s, "recording")

    @property
    def keeps_apart(self) -> str:
        """What is on one side only, in words."""
        return f"blocks of recording time, {self.guard_s:g} s apart (their music was heard in training by others)"


@dataclass(frozen=True)
class SongTimeSplit(Split):
    """The same blocks of song time are held out for every listener: what is tested nobody heard in training.

    Windows of a version whose seconds have no place in the song (`WindowTable.origin_s` is NaN: its measures were
    shuffled, say) are not tested, nor trained on where any second of their song is tested.

    Attributes
    ----------
    guard_s : float
        At least this much lies between any training and any test window, in the time of the recording (whoever
        listens to whatever) and in the time of the song (whoever heard it, and forwards or backwards).
    """

    guard_s: float = 0.0

    kind: ClassVar[str] = "time-block"

    @classmethod
    def make(cls, table: WindowTable, *, block_s: float, share: float, guard_s: float, seed: int) -> Self:
        """Hold out about `share` of the blocks of `block_s` seconds, drawn by `seed`, in every song."""
        _placed(table)
        stop_s = table.origin_s + (table.stop_s - table.start_s)
        test = blocks_of(table.name, table.origin_s, stop_s, block_s, share, seed)
        near = near_test(table.name, table.origin_s, stop_s, test, guard_s)
        near |= near_test(table.recording, table.start_s, table.stop_s, test, guard_s)
        return cls(table, np.flatnonzero(~near), np.flatnonzero(test), guard_s)

    def check(self) -> None:
        """No training window within `guard_s` of a test window, in the recording or in the song."""
        table = self.table
        _placed(table)
        far_enough(self, table.recording, table.start_s, table.stop_s, self.guard_s, "recording")
        stop_s = table.origin_s + (table.stop_s - table.start_s)
        far_enough(self, table.name, table.origin_s, stop_s, self.guard_s, "song")

    @property
    def keeps_apart(self) -> str:
        """What is on one side only, in words."""
        apart = f"blocks of song time, the same for every listener, {self.guard_s:g} s apart in recording and song"
        table = self.table
        lost = np.isnan(table.origin_s) & np.isin(table.name, table.name[self.test])
        if not lost.any():
            return apart
        return f"{apart}; {lost.sum()} windows of versions in another order than a tested song's are left out"


def blocks_of(
    names: NDArray[np.str_], start_s: NDArray[np.float64], stop_s: NDArray[np.float64], block_s: float, share: float,
    seed: int,
) -> NDArray[np.bool_]:
    """(n,) windows that lie wholly in the blocks drawn: about `share` of those under each name, at least one.

    Where there are not two whole blocks of time under a name, nothing is drawn; nor are windows without a time (NaN).
    """
    rng = np.random.default_rng(seed)
    test = np.zeros(len(names), bool)
    for name in np.unique(names):
        rows = np.flatnonzero((names == name) & ~np.isnan(start_s))
        if not len(rows):
            continue
        starts, stops = start_s[rows][:, None], stop_s[rows][:, None]
        first = starts.min()
        length = (stops.max() - first) / block_s
        n_whole = int(length + _EPS_S)
        if n_whole < 2:
            continue
        n_held = min(n_whole - 1, max(1, round(share * length)))
        begin = first + block_s * rng.choice(n_whole, n_held, replace=False)
        inside = (starts >= begin - _EPS_S) & (stops <= begin + block_s + _EPS_S)
        test[rows] = inside.any(axis=1)
    return test


def near_test(
    names: NDArray[np.str_], start_s: NDArray[np.float64], stop_s: NDArray[np.float64], test: NDArray[np.bool_],
    guard_s: float,
) -> NDArray[np.bool_]:
    """(n,) windows that lie within `guard_s` of a window under `test` of the same name, those of `test` included.

    A window without a time (NaN) lies near everything of its name.
    """
    near = test.copy()
    for name in np.unique(names[test]):
        held = np.flatnonzero(test & (names == name))
        rows = np.flatnonzero(~test & (names == name))
        held = held[np.argsort(start_s[held], kind="stable")]
        starts, stops = start_s[held], np.maximum.accumulate(stop_s[held])
        # the last test window that starts before this one (with guard) ends must have stopped before it
        last = np.searchsorted(starts, stop_s[rows] + guard_s - _EPS_S, side="left") - 1
        near[rows] = (last >= 0) & ~(stops[np.maximum(last, 0)] <= start_s[rows] - guard_s + _EPS_S)  # NaN is near
        near[rows] |= np.isnan(starts).any()
    return near


def far_enough(
    split: Split, names: NDArray[np.str_], start_s: NDArray[np.float64], stop_s: NDArray[np.float64], guard_s: float,
    what: str,
) -> None:
    """Raise if a training window lies within `guard_s` of a test window of the same recording or song."""
    test = np.zeros(len(names), bool)
    test[split.test] = True
    leaks = split.train[near_test(names, start_s, stop_s, test, guard_s)[split.train]]
    if len(leaks):
        raise UserError(
            f"The {split.kind} split leaks: {len(leaks)} training windows of {what} {names[leaks[0]]!r} lie within "
            f"{guard_s:g} s of a test window; enlarge the gap between the blocks."
        )


def _placed(table: WindowTable) -> None:
    if (np.isnan(table.origin_s) & np.isnan(table.song_start_s)).any():
        raise UserError("A time-block split needs the song second of every window: give song_start_s in the table.")
