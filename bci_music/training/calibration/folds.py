"""Which windows of a calibration are tested together, and what may be learned from meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bci_music.metrics.splits import WindowTable
from bci_music.metrics.time_splits import near_test

_EPS = 1e-6
SONGS_ENOUGH = 3  # with so many songs whole songs are held out, too


@dataclass(frozen=True)
class Question:
    """One way to hold out: the folds that belong to it, and what it keeps apart, in words."""

    name: str
    folds: tuple[int, ...]
    kept_apart: str


@dataclass(frozen=True)
class Folds:
    """Parts of a calibration that are held out in turn.

    Attributes
    ----------
    tested : (n, k) bool
        Whether a window is tested in fold k.
    free : (n, k) bool
        Whether it may be learned from while fold k is held out.
    block : (n,) str
        Song and number of the block of song time that a window begins in.
    questions : tuple of Question
        Blocks of song time: songs it is calibrated on, at other seconds. Songs: others than it is calibrated on.
    """

    tested: NDArray[np.bool_]
    free: NDArray[np.bool_]
    block: NDArray[np.str_]
    questions: tuple[Question, ...]

    def of(self, question: Question) -> NDArray[np.bool_]:
        """(n,) windows that are tested at all under a question."""
        return np.asarray(self.tested[:, question.folds].any(axis=1), bool)


def make_folds(table: WindowTable, *, block_s: float, guard_s: float, n: int) -> Folds:
    """Lay folds over windows: `n` of blocks of song time and, where there are three songs, up to `n` of whole songs.

    Parameters
    ----------
    guard_s : float
        At least this much lies between what is learned from and what is tested, in song and in recording.
    """
    begin, end = table.origin_s, table.origin_s + (table.stop_s - table.start_s)
    number = np.floor(begin / block_s + _EPS).astype(int)
    songs, song = np.unique(table.name, return_inverse=True)
    fold = np.zeros(len(number), int)
    for i in range(len(songs)):
        _, rank = np.unique(number[song == i], return_inverse=True)
        fold[song == i] = (rank + i) % n
    fold[end > (number + 1) * block_s + _EPS] = -1  # across two blocks
    tested = [fold == k for k in range(n) if (fold == k).any()]
    apart = f"{guard_s:g} s apart in recording and song"
    questions = [Question(
        "songs calibrated on, other seconds", tuple(range(len(tested))),
        f"blocks of {block_s:g} s of song time held out in {len(tested)} parts, {apart}",
    )]  # fmt: skip
    if len(songs) >= SONGS_ENOUGH:
        parts = min(n, len(songs))
        tested += [song % parts == k for k in range(parts)]
        questions.append(Question(
            "songs not calibrated on", tuple(range(len(tested) - parts, len(tested))),
            f"{len(songs)} songs held out in {parts} parts, {apart}",
        ))  # fmt: skip
    free = []
    for held in tested:
        near = near_test(table.name, begin, end, held, guard_s)
        free.append(~(near | near_test(table.recording, table.start_s, table.stop_s, held, guard_s)))
    block = np.array([f"{name} {i}" for name, i in zip(table.name, number, strict=True)])
    return Folds(np.stack(tested, axis=1), np.stack(free, axis=1), block, tuple(questions))
