"""Shapes in short runs of time stamps: how clean they start, bursts and their end, repeats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LineStart:
    """Rate, place and jitter of a stream's first stamps: row k is expected at ``anchor_s + k * period_s``."""

    period_s: float
    anchor_s: float
    jitter_s: float


def calibrate(rows: NDArray[np.float64], sfreq_hz: float, break_s: float) -> LineStart:
    """Learn from the first `rows` (n,) of a stream how its stamps run.

    Whole missing samples and single repeats do not count as jitter, nor as another rate. Rows after a
    jump of more than `break_s` are left out. Jittery stamps change the nominal rate only if it is 1 % off.
    """
    period = 1.0 / sfreq_hz
    steps = np.diff(rows) / period
    far = np.flatnonzero(~(np.abs(steps) <= break_s * sfreq_hz))
    if len(far):
        rows, steps = rows[: far[0] + 1], steps[: far[0]]
    if len(rows) < 8:
        return LineStart(period, float(rows[0]), 0.0)
    whole = np.rint(steps)
    dropped = (steps > 1.5) & (np.abs(steps - whole) < 0.2)
    repeated = np.abs(steps) < 0.01
    if repeated.mean() > 0.05:
        repeated[:] = False
    plain = ~(dropped | repeated)
    if plain.any() and steps[plain].min() >= 0.5 and steps[plain].max() <= 1.5:
        places = np.concatenate(([0.0], np.cumsum(np.where(dropped, whole, np.where(repeated, 0.0, 1.0)))))
        slope = float(np.polyfit(places, rows - rows[0], 1)[0])
        if abs(slope * sfreq_hz - 1.0) > 2e-6:
            period = slope
    else:
        places = np.arange(float(len(rows)))
        slope = float(np.polyfit(places, rows - rows[0], 1)[0])
        if slope > 0 and abs(slope * sfreq_hz - 1.0) > 0.01:
            period = slope
    off = rows - rows[0] - places * period
    middle = float(np.median(off))
    return LineStart(period, float(rows[0]) + middle, float(np.abs(off - middle).max()))


def is_burst(rows: NDArray[np.float64], period_s: float) -> bool:
    """Whether `rows` (n,) come at more than twice the rate that their number allows."""
    if len(rows) < 4:
        return False
    span = float(rows[-1] - rows[0])
    return 0 <= span < 0.5 * (len(rows) - 1) * period_s


def end_of_burst(rows: NDArray[np.float64], reach: int, period_s: float) -> int | None:
    """Index of the first row whose `reach` predecessors ran at a true pace, or None.

    One long step (the process that sends was held up) is no pace: it is left out of the count.
    """
    if len(rows) <= reach:
        return None
    steps = np.diff(rows)
    longest = np.lib.stride_tricks.sliding_window_view(steps, reach).max(axis=1)
    lowest = np.lib.stride_tricks.sliding_window_view(steps, reach).min(axis=1)
    span = rows[reach:] - rows[:-reach]
    paced = (span >= 0.5 * reach * period_s) & (span - longest >= 0.25 * reach * period_s)
    paced &= lowest > -0.5 * reach * period_s
    found = np.flatnonzero(paced)
    return int(found[0]) + reach if len(found) else None


def leading_repeats(before: float, rows: NDArray[np.float64], period_s: float) -> int:
    """How many of `rows` (n,) from the first on carry the stamp of the row before them."""
    steps = np.diff(np.concatenate(([before], rows)))
    differs = np.flatnonzero(~(np.abs(steps) <= 0.01 * period_s))
    return int(differs[0]) if len(differs) else len(rows)
