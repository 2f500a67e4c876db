"""Which electrodes can be trusted: every channel is assessed twice a second, with reasons in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config
from bci_music.eeg.channel_features import MIN_OTHERS, NAMES, FeatureMeter
from bci_music.eeg.state import Stateful
from bci_music.messages import BREAK, NOT_DATA, ChannelState, ChannelVerdict, Quality

GOOD, DOUBTFUL, BAD = range(3)
_LOG_SPREAD_FLOOR = 0.25  # of log amplitude across channels: a neighbourly crowd is not assessed by hairs


class Limits(Config):
    """Where doubt begins and where trust ends: pairs are (doubtful, bad)."""

    flat_uv: float = Field(0.1, gt=0)  # smaller range than this over a second: a flat line
    weak_uv: float = Field(3.0, ge=0)  # smaller range than this over half a second: too weak to be EEG
    strong_uv: tuple[float, float] = (100.0, 150.0)
    strong_z: tuple[float, float] = (3.5, 5.0)  # robust z of log amplitude across channels ...
    strong_times: tuple[float, float] = (3.0, 5.0)  # ... and so many times the median
    sway_uv: tuple[float, float] = (400.0, 600.0)  # range of half-second means, without the extremes
    mains_db: tuple[float, float] = (9.0, 12.0)  # line amplitude above the channels' median ...
    mains_uv: tuple[float, float] = (3.0, 5.0)  # ... and at least so many µV RMS
    mains_ratio_db: float = 9.0  # ... and so much above its neighbouring frequencies
    mains_everywhere_uv: float = Field(50.0, gt=0)  # doubtful whatever the other channels have
    stuck: tuple[float, float] = (0.04, 0.10)  # share of time in which the value does not change
    railed: tuple[float, float] = (0.08, 0.15)  # share of time at the largest or smallest value
    full_scale_uv: float | None = Field(None, gt=0)  # the amplifier's range, if it is known


@dataclass(frozen=True)
class Assessment:
    """What the newest features show, before hysteresis.

    Attributes
    ----------
    level : (n_channels,) int64
        GOOD, DOUBTFUL or BAD.
    at_once : (n_channels,) bool
        Bad without waiting (samples that are no numbers).
    metrics : dict of (n_channels,) float64
    causes : tuple of (level (n_channels,) int64, kind)
        What speaks against each channel, gravest kinds first.
    """

    level: NDArray[np.int64]
    at_once: NDArray[np.bool_]
    metrics: dict[str, NDArray[np.float64]]
    causes: tuple[tuple[NDArray[np.int64], str], ...]

    def reasons(self, channel: int) -> tuple[str, ...]:
        """What is wrong with a channel, in words."""
        m = {name: float(values[channel]) for name, values in self.metrics.items()}
        return tuple(_WORDS[kind](m) for level, kind in self.causes if level[channel] > GOOD)


_WORDS = {
    "nan": lambda m: f"no numbers in {100 * m['nan']:.0f} % of the samples: check amplifier and cable",
    "flat": lambda m: "flat line: electrode or cable is disconnected",
    "railed": lambda m: f"at its limit {100 * m['railed']:.0f} % of the time: fix the contact or lower the gain",
    "stuck": lambda m: f"drops out {100 * m['stuck']:.0f} % of the time: check cable and plug",
    "mains": lambda m: f"mains {m['mains_db']:.0f} dB above median: press the electrode",
    "mains_everywhere": lambda m: f"mains of {m['mains_uv']:.0f} µV: check ground and reference",
    "strong": lambda m: f"amplitude {m['spread_uv']:.0f} µV, {m['times_median']:.1f} × median: settle electrode, relax",
    "sway": lambda m: f"drifts or jumps by {m['sway_uv']:.0f} µV: settle the electrode, hold the head still",
    "weak": lambda m: f"range of only {m['span_uv']:.2g} µV: check the contact, or the stream's unit",
}


def assess(history: NDArray[np.float64], limits: Limits, exempt: NDArray[np.bool_]) -> Assessment:
    """Assess channels by their features.

    Parameters
    ----------
    history : (n_hops, n_features, n_channels)
        Newest hop last; NaN where nothing was measured yet.
    limits : Limits
    exempt : (n_channels,) bool
        The recording reference: flat by nature, never assessed.
    """
    f = {name: history[:, i] for i, name in enumerate(NAMES)}
    known = np.isfinite(f["spread_uv"]).all(axis=1)
    recent = {name: values[known] for name, values in f.items()}
    flat = (recent["span_uv"][-2:] < limits.flat_uv).all(axis=0)
    live = ~flat & ~exempt & (recent["nan"][-1] == 0)
    typical = ("span_uv", "spread_uv", "line_uv", "line_ratio_db")
    metrics = dict(zip(typical, np.median([recent[name] for name in typical], axis=1), strict=True))
    levels = recent["level_uv"] - recent["level_uv"][0]
    if live.sum() >= MIN_OTHERS:
        levels = levels - np.median(levels[:, live], axis=1, keepdims=True)
    levels = np.sort(levels, axis=0)
    metrics["sway_uv"] = np.ptp(levels[1:-1] if len(levels) > 2 else levels, axis=0)  # one blink moves one of them
    metrics["nan"] = recent["nan"][-1]
    metrics["stuck"] = recent["stuck"].mean(axis=0)
    metrics["railed"] = _railed(recent, limits)
    metrics["mains_uv"] = metrics.pop("line_uv")
    metrics["times_median"], z = _against_others(metrics["spread_uv"], live)
    mains_times, _ = _against_others(metrics["mains_uv"], live)
    metrics["mains_db"] = 20 * np.log10(np.maximum(mains_times, 1e-6))

    railed = _step(metrics["railed"], limits.railed)
    flat_level = np.where(flat & (railed == GOOD), BAD, GOOD)
    stuck = np.where((flat_level == GOOD) & (railed == GOOD), _step(metrics["stuck"], limits.stuck), GOOD)
    spread = metrics["spread_uv"]
    by_others = np.minimum(_step(z, limits.strong_z), _step(metrics["times_median"], limits.strong_times))
    found = (
        (np.where(metrics["nan"] > 0, BAD, GOOD), "nan"),
        (flat_level, "flat"),
        (railed, "railed"),
        (stuck, "stuck"),
        (_mains(metrics, limits), "mains"),
        (np.where(metrics["mains_uv"] >= limits.mains_everywhere_uv, DOUBTFUL, GOOD), "mains_everywhere"),
        (np.maximum(_step(spread, limits.strong_uv), by_others), "strong"),
        (_step(metrics["sway_uv"], limits.sway_uv), "sway"),
        (np.where((metrics["span_uv"] < limits.weak_uv) & ~flat, BAD, GOOD), "weak"),
    )
    causes = tuple((np.where(exempt, GOOD, level), kind) for level, kind in found)
    level = np.max([level for level, _ in causes], axis=0)
    return Assessment(level, metrics["nan"] > 0, metrics, causes)


def _railed(recent: dict[str, NDArray[np.float64]], limits: Limits) -> NDArray[np.float64]:
    """Share of time at the rails: repeated extremes of a signal that moves, or values near full scale."""
    moves = recent["span_uv"] > 20 * limits.flat_uv
    at_ends = recent["edge"].sum(axis=0) > 0.7 * recent["stuck"].sum(axis=0)  # else it is held anywhere: a drop-out
    share = np.where(moves & at_ends, recent["edge"], 0.0)
    if limits.full_scale_uv is not None:
        share = np.where(recent["peak_uv"] >= 0.9 * limits.full_scale_uv, np.maximum(share, recent["stuck"]), share)
    return share.mean(axis=0)


def _mains(metrics: dict[str, NDArray[np.float64]], limits: Limits) -> NDArray[np.int64]:
    above = np.minimum(_step(metrics["mains_db"], limits.mains_db), _step(metrics["mains_uv"], limits.mains_uv))
    return np.where(metrics["line_ratio_db"] >= limits.mains_ratio_db, above, GOOD)


def _against_others(values: NDArray[np.float64], live: NDArray[np.bool_]) -> tuple[NDArray, NDArray]:
    """Each value as a multiple of the live channels' median, and its robust z in the logarithm."""
    if live.sum() < MIN_OTHERS or not np.isfinite(values).all():
        return np.ones(len(values)), np.zeros(len(values))
    logs = np.log(np.maximum(values, 1e-6))
    median = np.median(logs[live])
    spread = max(1.4826 * float(np.median(np.abs(logs[live] - median))), _LOG_SPREAD_FLOOR)
    return np.exp(logs - median), (logs - median) / spread


def _step(values: NDArray[np.float64], limits: tuple[float, float]) -> NDArray[np.int64]:
    """GOOD, DOUBTFUL or BAD; what is not a number (not measurable) speaks against nobody."""
    return (values >= limits[0]).astype(np.int64) + (values >= limits[1])


_BAD, _UNKNOWN = 2, 3
_REFERENCE = "recording reference: zero by nature"
_STATES = (ChannelState.GOOD, ChannelState.DOUBTFUL, ChannelState.BAD, ChannelState.UNKNOWN)


class QualityConfig(Config):
    """How channels are assessed; amplitudes in µV of the raw signal against its recording reference."""

    enabled: bool = True
    hop_s: float = Field(0.5, ge=0.05, le=60)  # one verdict per hop
    look_back_hops: int = Field(5, ge=2, le=1000)  # how much a verdict looks at
    bad_after_hops: int = Field(2, ge=1)  # a verdict must hold so long before a channel becomes bad ...
    doubtful_after_hops: int = Field(4, ge=1)  # ... or doubtful ...
    better_after_hops: int = Field(10, ge=1)  # ... and so long before it gets better
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
    """

    _state_fields = (
        "latest", "_buffer", "_row_flags", "_filled", "_history", "_seen", "_state", "_streak", "_only_zero",
        "_assessed", "_reasons",
    )

    def __init__(
        self, config: QualityConfig, names: Sequence[str], sfreq_hz: float,
        present: NDArray[np.int64] | None = None, reference: int = -1, left_out: int = -1,
    ):
        self.config = config
        self._names = tuple(names)
        self._present = np.arange(len(self._names)) if present is None else np.asarray(present)
        n = len(self._present)
        self.hop_rows = max(8, round(config.hop_s * sfreq_hz))
        self._sfreq_hz = sfreq_hz
        self._meter = FeatureMeter(self.hop_rows, sfreq_hz)
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
        self._reasons: list[tuple[str, ...]] = [()] * n
        self.latest: Quality | None = None

    @property
    def usable(self) -> NDArray[np.bool_]:
        """(n_present,) True where the channel is not bad."""
        return self._state != _BAD

    def restart(self) -> None:
        """Begin a segment: no hop spans a break."""
        self._filled = 0

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
        if unreal.mean() < 0.5:  # otherwise there is nothing to assess: the verdicts stay
            self._only_zero &= ~self._buffer.any(axis=0)
            self._history = np.roll(self._history, -1, axis=0)
            self._history[-1] = self._meter.measure(self._buffer).as_array()
            self._seen += 1
            self._assessed = assess(self._history, self.config.limits, self._is_reference & self._only_zero)
            self._update(self._assessed)
        self.latest = Quality(self._channels(), index, time_s)
        return self.latest

    def _update(self, assessed: Assessment) -> None:
        """Turn the newest assessment into states, with hysteresis."""
        known, level = self._state != _UNKNOWN, assessed.level
        worse = known & (level > self._state)
        moves = np.stack([worse & (level == _BAD), worse, known & (level < self._state)])
        self._streak = np.where(moves, self._streak + 1, 0)
        config = self.config
        after = np.array([config.bad_after_hops, config.doubtful_after_hops, config.better_after_hops])
        change = (self._streak >= after[:, None]).any(axis=0)
        if self._seen >= self.config.look_back_hops:
            change |= ~known
        self._state = np.where(assessed.at_once, _BAD, np.where(change, level, self._state))
        self._streak[:, change] = 0
        for i in np.flatnonzero(level > GOOD).tolist():
            self._reasons[i] = assessed.reasons(i)

    def _channels(self) -> tuple[ChannelVerdict, ...]:
        """Verdicts in the order of the names; a recovering channel keeps the last reasons it gave."""
        channels = list(self._elsewhere)
        keys: tuple[str, ...] = ()
        table = np.zeros((len(self._present), 0))
        if self._assessed is not None:
            keys = tuple(self._assessed.metrics)
            table = np.stack([self._assessed.metrics[key] for key in keys], axis=1)
        exempt = self._is_reference & self._only_zero & (self._seen > 0)
        rows = zip(self._present.tolist(), self._state.tolist(), table.tolist(), strict=True)
        for i, (channel, state, values) in enumerate(rows):
            reasons = () if state in (GOOD, _UNKNOWN) else self._reasons[i]
            if exempt[i]:
                reasons = (_REFERENCE,)
            channels[channel] = ChannelVerdict(
                self._names[channel], _STATES[state], reasons, dict(zip(keys, values, strict=True))
            )
        return tuple(channels)
