"""A split by its name and a few numbers, as a configuration gives it."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config
from bci_music.messages import UserError
from bci_music.metrics.splits import ListenerSplit, RecordingSplit, RepeatSplit, SongSplit, Split, WindowTable
from bci_music.metrics.time_splits import RandomSplit, SongTimeSplit, TimeBlockSplit

SplitKind = Literal["random", "time-block", "recording-block", "recording", "song", "listener", "repeat"]
SPLITS: tuple[SplitKind, ...] = get_args(SplitKind)

_SHARES = {"random": 0.05, "time-block": 0.2, "recording-block": 0.2, "recording": 0.2, "song": 0.2, "listener": 0.2}


class SplitConfig(Config):
    """How training and test are kept apart, where the kind of split leaves a choice.

    `held_out` names what is tested (recordings, song names, listeners or repeats); where it is empty, `share` of
    them is drawn by `seed`, and of repeats the last is taken.
    """

    share: float | None = Field(None, gt=0, lt=1)
    seed: int = 42
    block_s: float = Field(20.0, gt=0)
    guard_s: float = Field(4.0, ge=0)
    held_out: tuple[str, ...] = ()
    listeners: tuple[str, ...] = ()  # with "repeat": test on these listeners only and train on all others


def make_split(kind: str, table: WindowTable, config: SplitConfig | None = None) -> Split:
    """Divide the windows of a table.

    Parameters
    ----------
    kind : str
        One of `SPLITS`.

    Raises
    ------
    UserError
        If there is no such split, if one side stays empty, or if what must be kept apart cannot be.
    """
    config = config or SplitConfig()
    if kind not in SPLITS:
        raise UserError(f"There is no split {kind!r}: choose one of {', '.join(SPLITS)}.")
    share = config.share or _SHARES.get(kind, 0.2)
    if kind == "random":
        return RandomSplit.make(table, share=share, seed=config.seed)
    if kind in ("time-block", "recording-block"):
        blocks = SongTimeSplit if kind == "time-block" else TimeBlockSplit
        return blocks.make(table, block_s=config.block_s, share=share, guard_s=config.guard_s, seed=config.seed)
    if kind == "repeat":
        last = {str(np.unique(table.repeat)[-1])} if len(table) else set()
        return RepeatSplit.make(table, set(config.held_out) or last, set(config.listeners))
    named: type[RecordingSplit] | type[SongSplit] | type[ListenerSplit]
    if kind == "recording":
        named, names = RecordingSplit, table.recording
    elif kind == "song":
        named, names = SongSplit, table.name
    else:
        named, names = ListenerSplit, table.listener
    return named.make(table, set(config.held_out) or _drawn(names, share, config.seed))


def _drawn(names: NDArray[np.str_], share: float, seed: int) -> set[str]:
    """About `share` of the names, at least one and never all."""
    there = np.unique(names)
    n = min(len(there) - 1, max(1, round(share * len(there))))
    return set(np.random.default_rng(seed).choice(there, n, replace=False).tolist()) if n > 0 else set()
