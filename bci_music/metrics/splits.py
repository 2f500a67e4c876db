"""Ways to divide windows into training and test; one that leaks cannot be made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import UserError


def _empty() -> NDArray:
    return np.zeros(0)


@dataclass(frozen=True)
class WindowTable:
    """Where each window comes from: all arrays are (n,).

    Attributes
    ----------
    start_s, stop_s : float
        Seconds of the recording.
    song : str
        The stimulus heard.
    song_start_s : float
        Second of the song at the window's start; NaN where not given.
    repeat : str
        Which hearing of the same music, or which session, e.g. ``"a"``; empty where not given.
    name : str
        Name of the song: what versions of one song (played backwards, say) share; `song` where not given.
    origin_s : float
        Second, in the song's original version, of the music in the window: for a version played backwards
        ``duration - song_start_s - (stop_s - start_s)``; NaN for a version in another order. `song_start_s` where not
        given.
    """

    start_s: NDArray[np.float64]
    stop_s: NDArray[np.float64]
    recording: NDArray[np.str_]
    listener: NDArray[np.str_]
    song: NDArray[np.str_]
    song_start_s: NDArray[np.float64] = field(default_factory=_empty)
    repeat: NDArray[np.str_] = field(default_factory=_empty)
    name: NDArray[np.str_] = field(default_factory=_empty)
    origin_s: NDArray[np.float64] = field(default_factory=_empty)

    def __post_init__(self):
        n = len(self.start_s)
        absent = {"song_start_s": np.full(n, np.nan), "repeat": np.full(n, ""), "name": np.asarray(self.song)}
        for key, values in absent.items():
            if n and not len(getattr(self, key)):
                object.__setattr__(self, key, values)
        object.__setattr__(self, "name", np.where(self.name == "", self.song, self.name) if n else self.name)
        if n and not len(self.origin_s):
            object.__setattr__(self, "origin_s", self.song_start_s)
        if len({len(v) for v in vars(self).values()}) != 1:
            raise ValueError("a WindowTable has one start, stop, recording, listener and song per window")

    def __len__(self) -> int:
        return len(self.start_s)

    @property
    def song_stop_s(self) -> NDArray[np.float64]:
        """(n,) second of the song at each window's end."""
        return self.song_start_s + (self.stop_s - self.start_s)


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

    @property
    def keeps_apart(self) -> str:
        """What is on one side only, in words."""
        return "single windows"

    def describe(self) -> str:
        """Say what was kept apart, for a report."""
        held = len(np.unique(self.table.recording[self.test]))
        return (
            f"{self.kind} split: {len(self.train)} windows to train, {len(self.test)} to test from {held} recordings; "
            f"kept apart: {self.keeps_apart}"
        )


def shared_counts(split: Split) -> dict[str, int]:
    """How many recordings, listeners, songs, song names and whole seconds of songs are on both sides."""
    table = split.table
    columns = {
        "recordings": table.recording, "listeners": table.listener, "songs": table.song, "song names": table.name,
    }  # fmt: skip
    counts = {key: len(np.intersect1d(v[split.train], v[split.test])) for key, v in columns.items()}
    if not np.isnan(table.song_start_s).any():
        counts["song seconds"] = len(_seconds(table, split.train) & _seconds(table, split.test))
    return counts


def _seconds(table: WindowTable, rows: NDArray[np.int64]) -> set[tuple[str, int]]:
    """Every (song, whole second) that a window covers at least in part."""
    first = np.floor(table.song_start_s[rows] + 1e-6).astype(int)
    last = np.ceil(table.song_stop_s[rows] - 1e-6).astype(int)
    places = zip(table.song[rows].tolist(), first.tolist(), last.tolist(), strict=True)
    return {(song, second) for song, a, b in set(places) for second in range(a, b)}


def by_name(names: NDArray[np.str_], held_out: set[str], kind: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows whose name is not, and is, in `held_out`; every name must exist."""
    unknown = held_out - set(names.tolist())
    if unknown:
        there = ", ".join(sorted(set(names.tolist())))
        raise UserError(f"There is no {kind} {sorted(unknown)[0]!r} to hold out: there are {there}.")
    test = np.isin(names, sorted(held_out))
    return np.flatnonzero(~test), np.flatnonzero(test)


def none_shared(names: NDArray[np.str_], split: Split, what: str) -> None:
    """Raise if a name is on both sides of a split."""
    shared = np.intersect1d(names[split.train], names[split.test])
    if len(shared):
        raise UserError(f"The {split.kind} split leaks: {what} {str(shared[0])!r} is in training and in test.")


@dataclass(frozen=True)
class RecordingSplit(Split):
    """Whole recordings are held out."""

    kind: ClassVar[str] = "recording"

    @classmethod
    def make(cls, table: WindowTable, held_out: set[str]) -> Self:
        """Hold out the recordings named."""
        return cls(table, *by_name(table.recording, held_out, cls.kind))

    def check(self) -> None:
        """No recording on both sides."""
        none_shared(self.table.recording, self, "recording")

    @property
    def keeps_apart(self) -> str:
        """What is on one side only, in words."""
        return "whole recordings (their music was heard in training by others)"


@dataclass(frozen=True)
class ListenerSplit(Split):
    """Whole listeners are held out."""

    kind: ClassVar[str] = "listener"

    @classmethod
    def make(cls, table: WindowTable, held_out: set[str]) -> Self:
        """Hold out the listeners named."""
        return cls(table, *by_name(table.listener, held_out, cls.kind))

    def check(self) -> None:
        """No listener on both sides."""
        none_shared(self.table.listener, self, "listener")

    @property
    def keeps_apart(self) -> str:
        """What is on one side only, in words."""
        return "whole listeners (their music was heard in training by others)"


@dataclass(frozen=True)
class SongSplit(Split):
    """Whole songs are held out, with every version of them."""

    kind: ClassVar[str] = "song"

    @classmethod
    def make(cls, table: WindowTable, held_out: set[str]) -> Self:
        """Hold out the songs named, by their names (`WindowTable.name`)."""
        return cls(table, *by_name(table.name, held_out, cls.kind))

    def check(self) -> None:
        """No song on both sides, in whatever version."""
        none_shared(self.table.name, self, "song")
        none_shared(self.table.song, self, "stimulus")

    @property
    def keeps_apart(self) -> str:
        """What is on one side only, in words."""
        return "whole songs with all their versions (their listeners are known)"


@dataclass(frozen=True)
class RepeatSplit(Split):
    """One hearing of the music, or one session, trains; another is tested.

    Attributes
    ----------
    listeners_apart : bool
        Whether listeners are on one side only, too.
    """

    listeners_apart: bool = False

    kind: ClassVar[str] = "repeat"

    @classmethod
    def make(cls, table: WindowTable, held_out: set[str], listeners: set[str] | None = None) -> Self:
        """Hold out the repeats named; with `listeners`, test on these and train on all others."""
        train, test = by_name(table.repeat, held_out, cls.kind)
        if not listeners:
            return cls(table, train, test)
        others, theirs = by_name(table.listener, listeners, "listener")
        return cls(table, np.intersect1d(train, others), np.intersect1d(test, theirs), True)

    def check(self) -> None:
        """No repeat and no recording on both sides, and no listener where that is promised."""
        none_shared(self.table.repeat, self, "repeat")
        none_shared(self.table.recording, self, "recording")
        if self.listeners_apart:
            none_shared(self.table.listener, self, "listener")

    @property
    def keeps_apart(self) -> str:
        """What is on one side only, in words."""
        return "repeats of the music" + (" and listeners" if self.listeners_apart else "")
