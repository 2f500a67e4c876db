"""Gaps, bursts, backwards stamps and duplicates, found from time stamps alone, the same live and offline.

A *line* predicts the stamp of the next sample; it follows the stream's rate slowly. Stamps near the
line cost one subtraction. A stamp away from it is classified, where needed after the rows of the next
0.1 s have been seen (they are held back so long): a late packet comes back to the line, a gap does not.
Every decision counts rows and never looks at how they were chunked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bci_music.messages import BREAK, BURST
from bci_music.timing.pieces import HOLE_S, Piece, append, filler_flag

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ClockFit:
    """Rate, place and jitter of a stream's first stamps: row k is expected at ``anchor_s + k * period_s``."""

    period_s: float
    anchor_s: float
    jitter_s: float


def fit_clock(rows: NDArray[np.float64], sfreq_hz: float, break_s: float) -> ClockFit:
    """Fit the clock to the stamps of the first `rows` (n,) of a stream.

    Whole missing samples and single repeats do not count as jitter, nor as another rate. Rows after a
    jump of more than `break_s` are left out. Jittery stamps change the nominal rate only if it is 1 % off.
    """
    period = 1.0 / sfreq_hz
    steps = np.diff(rows) / period
    far = np.flatnonzero(~(np.abs(steps) <= break_s * sfreq_hz))
    if len(far):
        rows, steps = rows[: far[0] + 1], steps[: far[0]]
    if len(rows) < 8:
        return ClockFit(period, float(rows[0]), 0.0)
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
    return ClockFit(period, float(rows[0]) + middle, float(np.abs(off - middle).max()))


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


_LATTICE = 2.0**20  # stamps per second that a double holds exactly up to 2**33 s
LOOK_AHEAD_S = 0.1  # rows looked at before an unclear stamp is classified
FIT_S = 0.5  # rows at the very start from which rate and jitter are learnt
BLOCK_S = 0.25  # the line is corrected this often
CLEAN = 0.2  # jitter, in periods, of stamps that show each single step
DRIFT = 0.05  # a pace that changes by more is none that a clock drifts to
MEMORY_BLOCKS = 40  # jitter older than one to two of these spans is forgotten


class StampGrid:
    """Find, row by row, whether stamps follow a grid of `sfreq_hz`.

    A gap is a deviation from the line that persists and is larger than half a sample and than 1.5 times
    the jitter of the last 10 to 20 s. On clean stamps that is exact to the sample and immediate.

    Parameters
    ----------
    sfreq_hz : float
        Nominal rate, above 0.
    """

    def __init__(self, sfreq_hz: float):
        if not sfreq_hz > 0:
            raise ValueError(f"a grid needs a rate above 0 Hz, got {sfreq_hz}")
        self.sfreq_hz = sfreq_hz
        self._n_fit = max(16, round(FIT_S * sfreq_hz))
        self._n_ahead = max(6, round(LOOK_AHEAD_S * sfreq_hz))
        self._n_fill = int(HOLE_S * sfreq_hz + 1e-9)
        self._block = np.zeros(max(8, round(BLOCK_S * sfreq_hz)))
        self._ramp = np.arange(float(len(self._block)))
        self._expected = np.zeros(len(self._block))  # stamps that the line predicts for the rows of the block
        self._smooth = False  # whether they are still right
        self._n_block = 0
        self._blocks = 0
        self._held: NDArray[np.float64] = np.empty(0)
        self._fitted = False
        self._anchored = False
        self._period = self._period0 = 1.0 / sfreq_hz
        self._anchor = 0.0
        self._k = 0  # rows (and missing rows) since the anchor
        self._jitter = self._old_jitter = 0.0
        self._tolerance = 0.5 * self._period
        self._last = float("nan")
        self._burst: NDArray[np.float64] | None = None  # newest stamps of the burst that goes on
        self._n_burst = 0

    @property
    def rate_hz(self) -> float:
        """Rate that the stamps show."""
        return 1.0 / self._period

    @property
    def drift(self) -> float:
        """By which part the stream is faster than it declares (0.01: 1 %)."""
        return 1.0 / (self._period * self.sfreq_hz) - 1.0

    @property
    def jitter_s(self) -> float:
        """Largest ordinary deviation of a stamp from the line in the last 10 to 20 s."""
        return max(self._jitter, self._old_jitter)

    @property
    def held(self) -> int:
        """Rows accepted but not returned yet."""
        return len(self._held)

    def accept(self, times_s: NDArray[np.float64]) -> list[Piece]:
        """Take the stamps of new rows; return what is decided, for held-back rows too, in order."""
        n, at = len(times_s), self._n_block
        if self._smooth and 0 < n < len(self._block) - at and not len(self._held):
            off = np.subtract(times_s, self._expected[at : at + n], out=self._block[at : at + n])
            if np.maximum.reduce(off) <= self._tolerance and np.minimum.reduce(off) >= -self._tolerance:
                self._n_block += n
                self._k += n
                self._last = float(times_s[-1])
                return [Piece(n)]
        rows = np.concatenate((self._held, times_s)) if len(self._held) else times_s
        return self._walk(rows, final=False)

    def flush(self) -> list[Piece]:
        """Decide about the rows held back without waiting for more: the stream is gone or ended."""
        rows, self._held = self._held, np.empty(0)
        return self._walk(rows, final=True)

    def restart(self) -> None:
        """Begin a new line at the next row (the stream was rejoined); rate and jitter are kept."""
        self._anchored = self._smooth = False
        self._burst = None
        self._n_block = 0

    def _walk(self, rows: NDArray[np.float64], final: bool) -> list[Piece]:
        pieces: list[Piece] = []
        at = 0
        if not self._fitted and len(rows):
            if len(rows) < self._n_fit and not final:
                self._held = rows.copy()
                return pieces
            self._fit(rows[: self._n_fit])
        while at < len(rows):
            piece = self._advance(rows[at:], final)
            if piece is None:
                break
            at += piece.n
            if piece.n:
                append(pieces, piece)
        self._held = rows[at:].copy() if at < len(rows) else _NONE
        return pieces

    def _fit(self, rows: NDArray[np.float64]) -> None:
        shape = fit_clock(rows, self.sfreq_hz, HOLE_S)
        self._period = self._period0 = shape.period_s
        self._anchor, self._k, self._anchored = shape.anchor_s, 0, True
        self._fitted = True
        self._learn_jitter(shape.jitter_s)

    def _learn_jitter(self, jitter_s: float) -> None:
        self._jitter = max(self._jitter, jitter_s)
        self._tolerance = max(0.5 * self._period, 1.5 * self.jitter_s)

    def _advance(self, rows: NDArray[np.float64], final: bool) -> Piece | None:
        """Decide about at least one row (or learn jitter: a piece of no rows); None asks for more rows."""
        if self._burst is not None:
            return self._in_burst(rows)
        if not self._anchored:
            self._anchor, self._k, self._anchored, self._smooth = float(rows[0]), 0, True, False
        m = min(len(rows), len(self._block) - self._n_block)
        if not self._smooth:
            left = len(self._block) - self._n_block
            self._expected[self._n_block :] = self._anchor + (self._ramp[:left] + self._k) * self._period
            self._smooth = True
        off = rows[:m] - self._expected[self._n_block : self._n_block + m]
        if not (off.min() >= -self._tolerance and off.max() <= self._tolerance):
            m = int(np.argmax(~(np.abs(off) <= self._tolerance)))
            if m == 0:
                return self._classify(rows, float(off[0]), final)
            off = off[:m]
        self._follow(rows, off)
        return Piece(m)

    def _lean(self, off: NDArray[np.float64]) -> float | None:
        """Seconds per row by which consecutive rows, `off` (n,) s from the line, leave it; None if not evenly."""
        ramp = self._ramp[: len(off)]
        slope, level = (float(part) for part in np.polyfit(ramp, off, 1))
        even = np.abs(off - level - slope * ramp).max() <= 0.25 * CLEAN * self._period
        return slope if even else None

    def _follow(self, rows: NDArray[np.float64], off: NDArray[np.float64]) -> None:
        """Account for rows near the line; correct the line at the end of each block."""
        m = len(off)
        self._block[self._n_block : self._n_block + m] = off
        self._n_block += m
        self._k += m
        self._last = float(rows[m - 1])
        if self._n_block < len(self._block):
            return
        middle = float(np.median(self._block))
        jitter_s = float(np.abs(self._block - middle).max())
        if jitter_s > CLEAN * self._period > self.jitter_s and self._turn(self._block):
            return
        self._learn_jitter(jitter_s)
        self._anchor += 0.5 * middle
        period = self._period + 0.05 * middle / len(self._block)
        kept = min(max(period, 0.95 * self._period0), 1.05 * self._period0)
        self._anchor += self._k * (self._period - kept)  # turn the line about its newest point
        self._period = kept
        self._n_block = 0
        self._smooth = False
        self._blocks += 1
        if self._blocks % MEMORY_BLOCKS == 0:
            self._old_jitter, self._jitter = self._jitter, 0.0
            self._learn_jitter(0.0)

    def _classify(self, rows: NDArray[np.float64], off: float, final: bool) -> Piece | None:
        """Decide what the first row is, which lies `off` seconds from the line."""
        self._smooth = False
        if not np.isfinite(off):
            return self._keep_line(1, "unstamped", 1)
        if self._drifts(float(rows[0])):
            return Piece(0)
        if off > 0:
            nearest = off / self._period
            clean = self.jitter_s < CLEAN * self._period and abs(nearest - round(nearest)) < 0.2
            if clean and np.isfinite(self._last):
                return self._gap(rows, max(1, round((float(rows[0]) - self._last) / self._period) - 1))
            if nearest > self._n_fill + 0.5:
                return self._gap(rows, round(nearest))
        if len(rows) < self._n_ahead and not final:
            return None
        seen = rows[: self._n_ahead]
        even = (np.abs(np.diff(seen, prepend=self._last) / self._period - 1.0) < DRIFT).all()
        if even and self._turn_to(float(seen[-1] - self._last) / len(seen)):
            return Piece(0)
        offs = seen - (self._anchor + (np.arange(len(seen)) + self._k) * self._period)
        if off > 0:
            low = float(np.nanmin(offs))
            if low > self._tolerance:
                return self._gap(rows, max(1, round(low / self._period)))
            return self._call_it_jitter(offs)
        if is_burst(seen, self._period):
            self._burst, self._n_burst = np.empty(0), 0
            return self._in_burst(rows)
        astray = offs < -self._tolerance
        if not astray.all():
            run = int(np.argmin(astray))
            if run <= 2:
                repeats = leading_repeats(self._last, rows[:run], self._period)
                return self._keep_line(run, "duplicate" if repeats == run else self._early(rows), run)
            return self._call_it_jitter(offs)
        repeats = leading_repeats(self._last, seen, self._period)
        if 0 < repeats < len(seen) and abs(offs[repeats] + repeats * self._period) <= self._tolerance:
            return Piece(repeats, "duplicate", count=repeats, dropped=True)
        self._anchored = False
        return self._from_here(rows, self._early(rows), 1)

    def _early(self, rows: NDArray[np.float64]) -> str:
        """Name of what lies before its place: it jumped back only if it lies before the row before, too."""
        return "early" if float(rows[0]) > self._last else "backwards"

    def _drifts(self, stamp: float) -> bool:
        """Whether rows left the line without a step, since their clock changed its pace: turn the line then.

        Only where stamps are clean: in jitter a gap shows no step either.
        """
        steady = self.jitter_s < CLEAN * self._period and abs((stamp - self._last) / self._period - 1.0) < DRIFT
        return steady and self._turn(self._block[: self._n_block])

    def _turn(self, off: NDArray[np.float64]) -> bool:
        """Begin the line at the newest row with the pace of the block's rows, `off` (n,) s from it; False if not even.

        No row of the line is lost by that, and it is no break.
        """
        lean: float | None = 0.0
        if len(off) >= 8:
            newest = (off[-max(8, len(off) // part) :] for part in (1, 2, 4, 8, 16))
            lean = next((slope for rows in newest if (slope := self._lean(rows)) is not None), None)
        if lean is None:
            return False
        return self._turn_to(self._period + lean)

    def _turn_to(self, period: float) -> bool:
        if not abs(period / self._period0 - 1.0) <= DRIFT:
            return False
        self._period, self._anchor, self._k = period, self._last, 1
        self._n_block, self._smooth = 0, False
        return True

    def _gap(self, rows: NDArray[np.float64], missing: int) -> Piece:
        flag = filler_flag(missing, self.sfreq_hz)
        if flag:
            self._k += missing
            self._follow(rows, rows[:1] - (self._anchor + self._k * self._period))
            return Piece(1, "gap", missing, missing)
        return self._from_here(rows, "gap", missing, missing)

    def _from_here(self, rows: NDArray[np.float64], kind: str, count: int, missing: int = 0) -> Piece:
        """Begin a new line at the first row."""
        self._anchor, self._k, self._anchored = float(rows[0]), 1, True
        self._last = float(rows[0])
        self._n_block = 0
        return Piece(1, kind, missing, count, first=BREAK)

    def _keep_line(self, n: int, kind: str, count: int) -> Piece:
        """`n` stray stamps; the line goes on as if they had been right."""
        self._k += n
        self._last = self._anchor + (self._k - 1) * self._period
        return Piece(n, kind, count=count, first=BREAK)

    def _call_it_jitter(self, offs: NDArray[np.float64]) -> Piece:
        self._learn_jitter(float(np.nanmax(np.abs(offs))))
        return Piece(0)

    def _in_burst(self, rows: NDArray[np.float64]) -> Piece:
        """Flag rows until their stamps run at a true pace again."""
        assert self._burst is not None
        reach = max(self._n_ahead, round(3 * self.jitter_s * self.sfreq_hz))
        begins = self._n_burst == 0
        stamps = np.concatenate((self._burst, rows))
        end = end_of_burst(stamps, reach, self._period)
        n = len(rows) if end is None else end - len(self._burst)
        if n == 0:
            self._burst = None
            return self._from_here(rows, "resume", self._n_burst)
        self._n_burst += n
        self._last = float(rows[n - 1])
        self._burst = stamps[: len(self._burst) + n][-reach:]
        return Piece(n, "burst" if begins else "", count=n if begins else 0, first=BREAK if begins else 0, every=BURST)


_NONE: NDArray[np.float64] = np.empty(0)


def on_lattice(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round stamps to 2**-20 s (1 µs).

    On that lattice adding a replay's start time is exact, so every replay makes the same decisions
    about gaps as the offline path, at any clock time.
    """
    return np.round(np.asarray(times_s, np.float64) * _LATTICE) / _LATTICE
