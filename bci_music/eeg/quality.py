"""Which electrodes can be trusted: every channel is assessed twice a second, with reasons in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config
from bci_music.eeg.assessment import GOOD, Assessment, Limits, Measures, assess
from bci_music.eeg.channel_features import NAMES, FeatureMeter
from bci_music.eeg.crowd import CrowdMeter
from bci_music.eeg.state import Stateful
from bci_music.messages import BREAK, FILLED, NOT_DATA, ChannelState, ChannelVerdict, Finding, Quality

_BAD, _UNKNOWN = 2, 3
_SPAN = NAMES.index("span_uv")
_REFERENCE = "recording reference: zero by nature"
_STATES = (ChannelState.GOOD, ChannelState.DOUBTFUL, ChannelState.BAD, ChannelState.UNKNOWN)


class QualityConfig(Config):
    """How channels are assessed; amplitudes in µV of the raw signal against its recording reference."""

    enabled: bool = True
    hop_s: float = Field(0.5, ge=0.05, le=60)  # one verdict per hop
    look_back_hops: int = Field(5, ge=2, le=1000)  # how much a verdict looks at
    bad_after_hops: int = Field(2, ge=1)  # a verdict must hold so long before a channel becomes bad ...
    doubtful_after_hops: int = Field(5, ge=1)  # ... or doubtful ...
    better_after_hops: int = Field(10, ge=1)  # ... and so long before a bad one gets better ...
    good_after_hops: int = Field(20, ge=1)  # ... or a doubtful one good: it does not come and go at a limit
    limits: Limits = Limits()


class QualityMonitor(Stateful):
    """Assess the channels of one stream, at any rate; any cutting of the input gives the same verdicts.

    Parameters
    ----------
    config : QualityConfig
    names : sequence of str
        Name of each channel, in the order of the verdicts.
    sfreq_hz : float
    present : (n_present,) int, optional
        Which of the names the samples' columns are; the others are absent. Default: all.
    reference : int
        Index into `names` of the amplifier's reference: as long as it has only been zero it is not called flat.
    left_out : int
        Index into `names` of a reference that is not in the stream, but known to be zero there.
    positions_m : (n_names, 3), optional
        Places of the electrodes; without them none is predicted from the others.
    """

    _state_fields = (
        "latest", "_buffer", "_row_flags", "_filled", "_history", "_seen", "_state", "_streak", "_only_zero",
        "_assessed", "_findings", "_missing", "_crowd",
    )

    def __init__(
        self, config: QualityConfig, names: Sequence[str], sfreq_hz: float,
        present: NDArray[np.int64] | None = None, reference: int = -1, left_out: int = -1,
        positions_m: NDArray[np.float64] | None = None,
    ):
        self.config = config
        self._names = tuple(names)
        self._present = np.arange(len(self._names)) if present is None else np.asarray(present)
        n = len(self._present)
        self._here = [self._names[i] for i in self._present.tolist()]
        self.hop_rows = max(8, round(config.hop_s * sfreq_hz))
        self._sfreq_hz = sfreq_hz
        self._meter = FeatureMeter(self.hop_rows, sfreq_hz)
        places = positions_m[self._present] if positions_m is not None else None
        self._crowd = CrowdMeter(n, self.hop_rows, sfreq_hz, places)
        self._is_reference = self._present == reference
        self._buffer = np.zeros((self.hop_rows, n), np.float32)
        self._row_flags = np.zeros(self.hop_rows, np.uint8)
        self._filled = 0
        self._history = np.full((config.look_back_hops, len(NAMES), n), np.nan)  # newest last
        self._seen = 0  # hops in the history
        self._state = np.full(n, _UNKNOWN)
        self._streak = np.zeros((3, n), np.int64)  # hops in a row in which the assessment was bad, worse, better
        self._only_zero = np.ones(n, bool)
        self._assessed: Assessment | None = None
        self._elsewhere = [ChannelVerdict(name, ChannelState.ABSENT, ("not in the stream",)) for name in self._names]
        if left_out >= 0:
            self._elsewhere[left_out] = ChannelVerdict(self._names[left_out], ChannelState.GOOD, (_REFERENCE,))
        self._findings: list[tuple[Finding, ...]] = [()] * n
        self._missing = np.zeros(config.look_back_hops)  # share of each hop's rows that never came, newest last
        self.latest: Quality | None = None

    @property
    def usable(self) -> NDArray[np.bool_]:
        """(n_present,) True where the channel is not bad."""
        return self._state != _BAD

    def restart(self) -> None:
        """Begin a segment: no hop spans a break."""
        self._filled = 0
        self._crowd.restart()

    def process(
        self, samples_uv: NDArray[np.float32], times_s: NDArray[np.float64], flags: NDArray[np.uint8], first_index: int
    ) -> list[Quality]:
        """Take rows (n, n_present) and return a `Quality` for every hop that they complete."""
        found, row = [], 0
        breaks = np.flatnonzero(flags & BREAK)
        while row < len(samples_uv):
            ahead = breaks[np.searchsorted(breaks, row) :]
            if len(ahead) and ahead[0] == row:
                self.restart()
                ahead = ahead[1:]
            n = min(self.hop_rows - self._filled, (int(ahead[0]) if len(ahead) else len(samples_uv)) - row)
            self._buffer[self._filled : self._filled + n] = samples_uv[row : row + n]
            self._row_flags[self._filled : self._filled + n] = flags[row : row + n]
            self._filled += n
            row += n
            if self._filled == self.hop_rows:
                self._filled = 0
                found.append(self._verdict(int(first_index) + row - 1, float(times_s[row - 1])))
        return found

    def _verdict(self, index: int, time_s: float) -> Quality:
        unreal = (self._row_flags & NOT_DATA) != 0
        self._missing = np.roll(self._missing, -1)
        self._missing[-1] = ((self._row_flags & (NOT_DATA | FILLED)) != 0).mean()
        if unreal.mean() < 0.5:  # otherwise there is nothing to assess: the verdicts stay
            self._only_zero &= ~self._buffer.any(axis=0)
            self._history = np.roll(self._history, -1, axis=0)
            self._history[-1] = self._meter.measure(self._buffer).as_array()
            self._seen += 1
            exempt = self._is_reference & self._only_zero
            if unreal.any():
                self._crowd.restart()
            else:
                trusted = (self._state != _BAD) & ~exempt
                self._crowd.add(self._buffer, trusted & (self._history[-1, _SPAN] >= self.config.limits.weak_uv))
            self._assessed = assess(self._history, self.config.limits, exempt, self._crowd.measures())
            self._update(self._assessed)
        self.latest = Quality(self._channels(), index, time_s, float(self._missing.mean()))
        return self.latest

    def _update(self, assessed: Assessment) -> None:
        """Turn the newest assessment into states, with hysteresis."""
        known, level = self._state != _UNKNOWN, assessed.level
        worse = known & (level > self._state)
        moves = np.stack([worse & (level == _BAD), worse, known & (level < self._state)])
        self._streak = np.where(moves, self._streak + 1, 0)
        config = self.config
        better = np.where(self._state == _BAD, config.better_after_hops, config.good_after_hops)
        worse_after = (config.bad_after_hops, config.doubtful_after_hops)
        after = np.stack([*(np.full(len(level), hops) for hops in worse_after), better])
        change = (self._streak >= after).any(axis=0)
        if self._seen >= self.config.look_back_hops:
            change |= ~known
        self._state = np.where(assessed.at_once, _BAD, np.where(change, level, self._state))
        self._streak[:, change] = 0
        for i in np.flatnonzero(level > GOOD).tolist():
            self._findings[i] = assessed.findings(i, self._here)

    def _channels(self) -> tuple[ChannelVerdict, ...]:
        """Verdicts in the order of the names; a recovering channel keeps the last reasons it gave."""
        channels = list(self._elsewhere)
        metrics = self._assessed.metrics if self._assessed is not None else {}
        rows_of = {key: row for row, key in enumerate(metrics)}
        table = np.stack(list(metrics.values())) if metrics else np.zeros((0, len(self._present)))
        exempt = self._is_reference & self._only_zero & (self._seen > 0)
        for i, (channel, state) in enumerate(zip(self._present.tolist(), self._state.tolist(), strict=True)):
            findings = () if state in (GOOD, _UNKNOWN) else self._findings[i]
            reasons = (_REFERENCE,) if exempt[i] else tuple(finding.sentence for finding in findings)
            channels[channel] = ChannelVerdict(
                self._names[channel], _STATES[state], reasons, Measures(rows_of, table, i), findings
            )
        return tuple(channels)
