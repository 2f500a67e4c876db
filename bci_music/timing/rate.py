"""The rate at which samples really come, measured on their stamps, for streams and files whose header is wrong.

Programs that state a wrong rate often leave the stamps to LSL, which then counts back from the time of sending at the
stated rate (or, where none is stated, gives a whole chunk one stamp). Within such a run stamps say nothing: only its
last one is a measurement.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FASTER = 1.05  # a stated rate that is less wrong is kept: the stamp grid follows the clock of an amplifier that far
SLOWER = 0.90  # samples that were lost make a stream look slower: the grid fills them in
_STEADY = 0.03  # blocks of stamps whose rates differ by less show one rate
_BLOCKS = 4
_ODD_BLOCKS = 1  # so many may hold a gap or a jump of the clock
_CHUNK_S = 2.0  # no program sends longer chunks
_STRETCH = 8  # rows over which jitter averages out
_JITTERY = 0.02  # of a period
_SNAP = 0.01
_COMMON_HZ = (
    100, 125, 128, 150, 160, 200, 220, 250, 256, 300, 400, 500, 512, 600, 800, 1000, 1024, 1200, 2000, 2048, 2400,
    2500, 4000, 4096, 4800, 5000, 8000, 8192, 9600, 10_000, 16_384, 20_000,
)  # fmt: skip


def agrees(measured_hz: float, stated_hz: float) -> bool:
    """Whether a measured rate leaves the stated one standing."""
    return stated_hz > 0 and SLOWER < measured_hz / stated_hz < FASTER


def steady_rate(times_s: NDArray[np.float64], stated_hz: float = 0.0) -> float | None:
    """Return the rate that stamps (n,) show throughout, None where they show no single one.

    The rate is the mean over four stretches of equal length; one of them may hold a gap. Where stamps at the stated
    rate only miss whole samples, that is the rate.
    """
    rows = np.flatnonzero(np.isfinite(times_s))
    stamps = times_s[rows]
    if _only_gaps(stamps, stated_hz) or _jittery_gaps(stamps, stated_hz):
        return stated_hz
    ends = _measured_at(stamps, stated_hz)
    if len(ends) >= _BLOCKS:
        rows, stamps = rows[ends], stamps[ends]
    elif len(ends) > 1 and max(np.diff(ends, prepend=-1)) < min(0.75 * len(rows), _CHUNK_S * stated_hz):
        return None  # a few chunks whose stamps were only counted: nothing was measured yet
    if len(rows) < _BLOCKS:
        return None
    if len(rows) < 4 * _BLOCKS:
        return _rate_of_few(rows, stamps)
    cuts = np.searchsorted(rows, np.linspace(rows[0], rows[-1] + 1, _BLOCKS + 1))
    rates = []
    for first, stop in pairwise(cuts):
        if stop - first < 3:
            return None
        row, stamp = rows[first:stop], stamps[first:stop]
        period = float(np.polyfit(row - row[0], stamp - stamp[0], 1)[0])
        rates.append(1.0 / period if period > 0 else 0.0)
    middle = float(np.median(rates))
    near = [r for r in rates if middle > 0 and abs(r / middle - 1.0) < _STEADY]
    return float(np.mean(near)) if len(near) >= _BLOCKS - _ODD_BLOCKS else None


def _rate_of_few(rows: NDArray[np.int64], stamps: NDArray[np.float64]) -> float | None:
    """Rate from the few stamps of long runs, None where the two halves differ."""
    middle = len(rows) // 2
    pairs = ((0, middle), (middle, len(rows) - 1), (0, len(rows) - 1))
    periods = [(stamps[b] - stamps[a]) / (rows[b] - rows[a]) for a, b in pairs]
    if min(periods) <= 0 or abs(periods[0] / periods[1] - 1.0) > _STEADY:
        return None
    return float(1.0 / periods[2])


def usual_rate(hz: float) -> float:
    """Return the rate an amplifier would call its own: a common one within 1 %, else a whole number."""
    near = min(_COMMON_HZ, key=lambda common: abs(hz / common - 1.0))
    return float(near) if abs(hz / near - 1.0) < _SNAP else float(round(hz)) if hz >= 20 else hz


def rate_note(name: str, stated_hz: float, measured_hz: float, used_hz: float) -> str:
    """Say that another rate is used than the one stated."""
    says = f"states {stated_hz:g} Hz" if stated_hz > 0 else "states no sampling rate"
    return f"{name} {says} but sends {measured_hz:.1f} samples per second: {used_hz:g} Hz is used"


def spread(times_s: NDArray[np.float64], stated_hz: float, hz: float) -> NDArray[np.float64]:
    """Space stamps (n,) that were counted at `stated_hz` (0: all the same) by `hz` instead, up to each run's last."""
    if len(times_s) < 2:
        return times_s
    ends = _measured_at(times_s, stated_hz)
    if len(ends) == len(times_s):
        return times_s
    own = ends[np.searchsorted(ends, np.arange(len(times_s)))]  # the end of the run that each row belongs to
    return times_s[own] - (own - np.arange(len(times_s))) / hz


def _only_gaps(stamps: NDArray[np.float64], stated_hz: float) -> bool:
    """Whether these are stamps of the stated rate from which samples are missing."""
    if stated_hz <= 0 or len(stamps) < 4 * _BLOCKS:
        return False
    steps = np.diff(stamps) * stated_hz
    odd = np.flatnonzero(np.abs(steps - 1.0) > 0.1)
    if not len(odd):
        return bool(abs(steps.mean() - 1.0) < _STEADY)
    missing = steps[odd]
    if np.mean((missing > 1.5) & (np.abs(missing - np.rint(missing)) < 0.1)) < 0.8:
        return False
    return bool(steps.mean() < 1.3 or _irregular(odd))


def _jittery_gaps(stamps: NDArray[np.float64], stated_hz: float) -> bool:
    """Whether jittery stamps run at the stated rate but for a few gaps, which together look like one slower rate."""
    if stated_hz <= 0 or len(stamps) < 8 * _STRETCH:
        return False
    pace = (stamps[_STRETCH:] - stamps[:-_STRETCH]) / _STRETCH * stated_hz
    if abs(float(np.median(pace)) - 1.0) > _STEADY or abs(float(pace.mean()) - 1.0) < _STEADY:
        return False
    steps = np.diff(stamps) * stated_hz
    spread = float(np.median(np.abs(steps - np.median(steps))))
    if spread < _JITTERY:  # counted stamps say nothing
        return False
    return _irregular(np.flatnonzero(np.abs(steps - 1.0) > max(0.5, 6.0 * spread)), 0.05)


def _irregular(odd: NDArray[np.int64], uneven: float = 0.25) -> bool:
    """Whether rows lie at uneven distances: chunks counted at a wrong rate are equally long."""
    between = np.diff(odd)
    return bool(len(between) < 3 or between.std() > uneven * between.mean())


def _measured_at(stamps: NDArray[np.float64], stated_hz: float) -> NDArray[np.int64]:
    """Rows whose stamp was not merely counted on from the row before: the last of each run."""
    step = 1.0 / stated_hz if stated_hz > 0 else 0.0
    counted = np.abs(np.diff(stamps) - step) < 1e-5 * step + 2e-6
    return np.flatnonzero(np.append(~counted, True))
