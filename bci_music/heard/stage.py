"""The sound that is heard beside the EEG of a run: block by block, bet by bet.

Blocks of `BLOCK_S` follow each other on LSL time, with pauses of up to a second that are drawn. One is taken once EEG
from after its end has come and markers had a second to arrive. It is passed over where EEG is missing in it, where the
sound is not known or is silence, and where its EEG came before: a recording that is played again says nothing new.
Beside the bets on EEG as it came stand bets on sham: EEG from three blocks earlier, turned round by an amount drawn
again, since a loop may be heard again by then.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bci_music.files import shown
from bci_music.heard.alignment import BLOCK_S, ROWS, AlignmentBets
from bci_music.heard.features import RATE_HZ, eeg_rows, good_electrodes, referenced, sound_rows
from bci_music.heard.sounds import RATE_HZ as AUDIO_HZ
from bci_music.messages import BREAK, NOT_DATA, UserError
from bci_music.metrics.sequential import ALARM_RATE
from bci_music.status import Chance
from bci_music.streaming.ring import Cursor, RingSlice

if TYPE_CHECKING:
    from bci_music.heard.sounds import HeardSound
    from bci_music.messages import StreamInfo
    from bci_music.streaming.acquire import Acquirer
    from bci_music.streaming.ring import RingBuffer

LEAD_S = 3.0  # EEG before a block: its filter settles
LATE_S = 1.0  # a marker, or the sound, may come this much later than the EEG it belongs to
PAUSE_S = 1.0  # between two blocks at most, drawn each time: else a beat could meet the edges of all of them alike
SHAM_BLOCKS = 3
SLOWEST_HZ = 32.0  # of EEG: the band that is used ends at 8 Hz
PROBE = (32, 8)  # rows and channels by which EEG is known again, one such piece in
PROBE_S = 1.0
MOST_PROBES = 8 * 3600  # 30 MB, eight hours
SHAM_ALARMS = (4, 200)  # sham runs that said yes, of how many: tests/heard/test_sound_measured.py
MOVED = "Cannot know after a jump: whoever chooses the place chooses what is counted."


class HeardStage:
    """Bets on the sound that is heard; its answers may be read from any thread.

    Parameters
    ----------
    acquirer : Acquirer
        Its ring appears once the source is open.
    sound : HeardSound
    delay_s : float
        The listener hears the sound so much later than `sound` says: way to the ear, of wireless headphones too.
    begins : callable, optional
        LSL time at which the EEG began; by default that of its first row.
    """

    def __init__(
        self, acquirer: Acquirer, sound: HeardSound, delay_s: float = 0.0,
        begins: Callable[[], float] | None = None,
    ):
        self._acquirer, self.sound, self._delay_s, self._begins = acquirer, sound, delay_s, begins
        self._ring: RingBuffer | None = None
        self._cursor: Cursor | None = None
        self._pieces: deque[RingSlice] = deque()
        self._start_s = float("nan")  # of the next block
        self._past: deque[NDArray[np.float64]] = deque(maxlen=SHAM_BLOCKS + 1)
        self._probes: dict[float, NDArray[np.float32]] = {}  # pieces of EEG by the sum of their first row
        self._bets = {False: AlignmentBets(0), True: AlignmentBets(1)}
        self._shown_s: dict[bool, float | None] = {False: None, True: None}
        self._rng = np.random.default_rng(53)
        self._why = ""
        self._answers = {sham: Chance(sham=sham) for sham in self._bets}
        self._begun = False
        self.moved = False  # by the operator, to a place of their choice
        self.failed = ""

    def step(self, now: float) -> None:
        """Take what is new, and every block that is complete."""
        try:
            self.sound.step(now)
        except Exception as error:  # of any driver: the music goes on, and the answer says why there is none
            self.failed = f"the sound that is heard was lost ({shown(str(error))})"
        ring, info = self._acquirer.ring, self._acquirer.info
        if ring is None or info is None:
            return
        if ring is not self._ring:
            self._ring, self._cursor = ring, Cursor(ring, at=ring.tail)
            self._restart()
        assert self._cursor is not None
        while len(piece := self._cursor.pull(max(1, int(5 * info.sfreq_hz)))):
            self._take(piece)
            while self._pieces and self._pieces[-1].times[-1] >= self._start_s + BLOCK_S + LATE_S + abs(self._delay_s):
                self._block(info)

    def behind_s(self) -> float:
        """Seconds of EEG that lie in the ring unread; a file is held back while this is large."""
        info = self._acquirer.info
        return 0.0 if self._cursor is None or info is None else self._cursor.behind / info.sfreq_hz

    def answer(self, sham: bool = False) -> Chance:
        """Return how the bets stand."""
        found = self._answers[sham]
        why = MOVED if self.moved else "" if found.n else self._cannot()
        return replace(found, method="" if why else "sound", why=why, heard=self.sound.name)

    def close(self) -> None:
        """Let go of the sound."""
        self.sound.close()

    def _cannot(self) -> str:
        """Why nothing is counted, "" while the first blocks are learned from."""
        reason = self.failed or self._why or self.sound.why
        return f"Cannot know: {reason.rstrip('.')}." if reason else ""

    def _restart(self) -> None:
        self._pieces.clear()
        self._past.clear()
        self._start_s = float("nan")

    def _take(self, piece: RingSlice) -> None:
        if piece.lost:
            self._restart()
        begin = 0
        for row in np.flatnonzero(piece.flags & BREAK).tolist():
            if row > begin:
                self._append(piece, begin, row)
            self._restart()
            begin = row
        self._append(piece, begin, len(piece))

    def _append(self, piece: RingSlice, a: int, b: int) -> None:
        part = RingSlice(piece.samples[a:b], piece.times[a:b], piece.flags[a:b], piece.first_index + a)
        if not len(part):
            return
        if not self._begun:
            self._begun = True
            self.sound.begin(float(part.times[0]) if self._begins is None else self._begins())
        if math.isnan(self._start_s):
            self._start_s = float(part.times[0]) + LEAD_S
        self._pieces.append(part)

    def _block(self, info: StreamInfo) -> None:
        """Compare one block, and go on to the next."""
        start_s, stop_s = self._start_s, self._start_s + BLOCK_S
        samples, times, flags = (
            np.concatenate([getattr(piece, name) for piece in self._pieces]) for name in ("samples", "times", "flags")
        )
        inside = (times >= start_s - LEAD_S) & (times < stop_s + 0.1)
        self._start_s = stop_s + float(self._rng.uniform(0.0, PAUSE_S))
        while len(self._pieces) > 1 and self._pieces[0].times[-1] < stop_s - LEAD_S:
            self._pieces.popleft()
        if info.sfreq_hz < SLOWEST_HZ:
            self._why = f"EEG of {info.sfreq_hz:g} Hz is too slow, {SLOWEST_HZ:g} Hz and more are needed"
            return
        sound = self._sound(start_s)
        if sound is None or (flags[inside] & NOT_DATA).any():
            self._past.clear()
            return
        if self._seen(samples[(times >= start_s) & (times < stop_s)]):
            self._past.clear()
            return
        eeg = _eeg(samples[inside], times[inside], info.sfreq_hz, start_s)
        if eeg is None:
            return
        self._past.append(eeg)
        self._bets[False].add(eeg, sound)
        if len(self._past) > SHAM_BLOCKS:
            self._bets[True].add(np.roll(self._past[0], self._rng.integers(ROWS), axis=0), sound)
        for sham, bets in self._bets.items():
            if bets.bets.shown and self._shown_s[sham] is None:
                self._shown_s[sham] = stop_s
            self._answers[sham] = Chance(
                "sound", n=bets.bets.n, evidence=bets.bets.wealth, highest=bets.bets.highest, shown=bets.bets.shown,
                shown_s=self._shown_s[sham], alarm_rate=ALARM_RATE, measured=SHAM_ALARMS, sham=sham, hits=bets.hits,
                by_chance=bets.by_chance,
            )  # fmt: skip

    def _sound(self, start_s: float) -> NDArray[np.float64] | None:
        """Rows (ROWS, 2) of what the listener heard in a block, None where that is not known or is silence."""
        at_s = start_s - self._delay_s
        try:
            audio = self.sound.between(at_s - 0.5, at_s + BLOCK_S + 0.1)
        except UserError as error:
            self.failed = str(error)
            return None
        if audio is None or not audio.any():
            return None
        first = RATE_HZ // 2
        return sound_rows(audio, AUDIO_HZ)[first : first + ROWS]

    def _seen(self, samples: NDArray[np.float32]) -> bool:
        """Whether this EEG came before; else it is remembered by a few of its rows."""
        n, width = PROBE
        rows = samples[:, :width]
        if len(rows) < n:
            return True
        sums = rows.sum(axis=1, dtype=np.float64)
        for at in np.flatnonzero(np.isin(sums, list(self._probes))).tolist():
            if np.array_equal(rows[at : at + n], self._probes[float(sums[at])]):
                return True
        for at in range(0, len(rows) - n, max(n, round(PROBE_S / BLOCK_S * len(rows)))):
            if np.ptp(rows[at : at + n], axis=0).any() and len(self._probes) < MOST_PROBES:
                self._probes[float(sums[at])] = rows[at : at + n].copy()
        return False


def _eeg(
    samples: NDArray[np.float32], times: NDArray[np.float64], sfreq_hz: float, start_s: float
) -> NDArray[np.float64] | None:
    """Rows (ROWS, n_channels) of a block from 3 s of EEG before it on; None where some of it is missing."""
    clean = referenced(samples, good_electrodes(samples))
    middle = len(times) // 2
    begin_s = float(times[middle]) - middle / sfreq_hz - start_s
    rows, first = eeg_rows(clean.T, sfreq_hz, begin_s)
    if first > 0 or first + len(rows) < ROWS:
        return None
    return np.asarray(rows[-first : ROWS - first], np.float64)
