"""From measures to doubt: the limits of every measure, and what a technician is told where one is passed.

Where a limit is PREP's (Bigdely-Shamlo et al. 2015, Front. Neuroinform. 9:16) or an amplifier program's it says so;
the others were set on recordings of 19 to 257 electrodes. PREP assesses a whole recording at once; here a verdict looks
at a few seconds, so that an electrode that is pressed comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config
from bci_music.eeg.channel_features import MIN_OTHERS, NAMES
from bci_music.messages import ChannelState, Finding

GOOD, DOUBTFUL, BAD = range(3)
_STATES = (ChannelState.GOOD, ChannelState.DOUBTFUL, ChannelState.BAD)
_LOG_SPREAD_FLOOR = 0.25  # of log amplitude across channels: a neighbourly crowd is not assessed by hairs
_MANY = 16  # electrodes from which one that agrees with none is bad, also where their places are not known
_AGREEING = 0.6  # what the correlations must typically be for one electrode's to say anything; on a real cap 0.8
_NEVER = float("inf")


class Limits(Config):
    """Where doubt begins and where trust ends: pairs are (doubtful, bad)."""

    flat_uv: float = Field(0.1, gt=0)  # smaller range than this over a second: a flat line
    weak_uv: float = Field(3.0, ge=0)  # smaller range than this over half a second: too weak to be EEG
    strong_uv: tuple[float, float] = (100.0, 150.0)
    strong_z: tuple[float, float] = (3.5, 5.0)  # robust z of log amplitude across channels (PREP: 5) ...
    strong_times: tuple[float, float] = (3.0, 5.0)  # ... and so many times the median
    sway_uv: tuple[float, float] = (400.0, 600.0)  # range of half-second means, without the extremes
    mains_db: tuple[float, float] = (9.0, 12.0)  # line amplitude above the channels' median ...
    mains_uv: tuple[float, float] = (3.0, 5.0)  # ... and at least so many µV RMS
    mains_ratio_db: float = 9.0  # ... and so much above its neighbouring frequencies
    mains_everywhere_uv: float = Field(50.0, gt=0)  # doubtful whatever the other channels have
    stuck: tuple[float, float] = (0.04, 0.10)  # share of time in which the value does not change
    railed: tuple[float, float] = (0.08, 0.15)  # share of time at the largest or smallest value
    full_scale_uv: float | None = Field(None, gt=0)  # the amplifier's range, if it is known
    high_z: float = Field(4.0, gt=0)  # robust z of log amplitude above 52 Hz (PREP: 5, of the share): doubtful ...
    high_times: float = Field(1.5, ge=1)  # ... where its share of the signal is so many times the median, too
    alike: float = Field(0.4, ge=0, le=1)  # 98th percentile of the correlations with the others (PREP)
    predicted: float = Field(0.65, ge=0, le=1)  # correlation with RANSAC's prediction (PREP: 0.75, 5 s): doubtful ...
    unpredicted: float = Field(0.4, ge=-1, le=1)  # ... and below this bad, where the correlations are too
    bridged: float = Field(0.04, ge=0, le=1)  # spread of the difference to another electrode, of the signal's


class Kind(NamedTuple):
    """One thing that can speak against an electrode.

    `value` is its measure in `unit`, `limits` where it becomes doubtful and bad, `words` what is wrong and what to do.
    """

    measure: str
    unit: str
    value: Callable[[Mapping[str, float]], float]
    limits: Callable[[Limits], tuple[float, float]]
    words: Callable[[Mapping[str, float]], tuple[str, str]]


def _strong_words(m: Mapping[str, float]) -> tuple[str, str]:
    if m["strong_share"] > 0.5 and m["times_median"] < 2:
        return f"amplitude {m['spread_uv']:.0f} µV, as on most electrodes", "check ground and reference"
    return f"amplitude {m['spread_uv']:.0f} µV, {m['times_median']:.1f} × median", "settle electrode, relax"


KINDS = {  # the gravest first
    "nan": Kind("samples that are no numbers", "%", lambda m: 100 * m["nan"], lambda at: (0.0, 0.0), lambda m: (
        f"no numbers in {100 * m['nan']:.0f} % of the samples", "check amplifier and cable")),
    "flat": Kind("range", "µV", lambda m: m["span_uv"], lambda at: (at.flat_uv, at.flat_uv), lambda m: (
        "flat line", "electrode or cable is disconnected")),
    "railed": Kind("time at the limit", "%", lambda m: 100 * m["railed"],
                   lambda at: (100 * at.railed[0], 100 * at.railed[1]), lambda m: (
        f"at its limit {100 * m['railed']:.0f} % of the time", "fix the contact or lower the gain")),
    "stuck": Kind("repeated values", "%", lambda m: 100 * m["stuck"],
                  lambda at: (100 * at.stuck[0], 100 * at.stuck[1]), lambda m: (
        f"drops out {100 * m['stuck']:.0f} % of the time", "check cable and plug")),
    "mains": Kind("mains above the median", "dB", lambda m: m["mains_db"], lambda at: at.mains_db, lambda m: (
        f"mains {m['mains_db']:.0f} dB above median", "press the electrode")),
    "mains_everywhere": Kind("mains", "µV", lambda m: m["mains_uv"],
                             lambda at: (at.mains_everywhere_uv, _NEVER), lambda m: (
        f"mains of {m['mains_uv']:.0f} µV", "check ground and reference")),
    "strong": Kind("amplitude", "µV", lambda m: m["spread_uv"], lambda at: at.strong_uv, _strong_words),
    "stronger": Kind("amplitude of the median", "×", lambda m: m["times_median"], lambda at: at.strong_times,
                     _strong_words),
    "sway": Kind("drift", "µV", lambda m: m["sway_uv"], lambda at: at.sway_uv, lambda m: (
        f"drifts or jumps by {m['sway_uv']:.0f} µV", "settle the electrode, hold the head still")),
    "weak": Kind("range", "µV", lambda m: m["span_uv"], lambda at: (at.weak_uv, at.weak_uv), lambda m: (
        f"range of only {m['span_uv']:.2g} µV", "check the contact, or the stream's unit")),
    "unlike": Kind("correlation with the others", "", lambda m: m["correlation"], lambda at: (at.alike, at.alike),
                   lambda m: (f"agrees with no other electrode (correlation {m['correlation']:.2f})",
                              "check gel and contact")),
    "unpredicted": Kind("correlation with its prediction", "", lambda m: m["predicted"],
                        lambda at: (at.predicted, at.unpredicted), lambda m: (
        f"not what its neighbours predict (correlation {m['predicted']:.2f})", "check its place and contact")),
    "high": Kind("noise above 52 Hz", "z", lambda m: m["high_z"], lambda at: (at.high_z, _NEVER), lambda m: (
        f"noise above 52 Hz, {m['high_times']:.1f} × median", "relax the jaw, press the electrode")),
    "bridged": Kind("difference to its double", "%", lambda m: 100 * m["difference"],
                    lambda at: (100 * at.bridged, -_NEVER), lambda m: (
        "the same signal as {partner}", "gel joins them: dry the skin between them")),
}  # fmt: skip


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
    limits : Limits
    """

    level: NDArray[np.int64]
    at_once: NDArray[np.bool_]
    metrics: dict[str, NDArray[np.float64]]
    causes: tuple[tuple[NDArray[np.int64], str], ...]
    limits: Limits

    def findings(self, channel: int, names: Sequence[str]) -> tuple[Finding, ...]:
        """What is wrong with a channel; `names` are those of all channels."""
        m = {name: float(values[channel]) for name, values in self.metrics.items()}
        found = []
        for level, name in self.causes:
            at = int(level[channel])
            if at == GOOD:
                continue
            kind = KINDS[name]
            reason, remedy = kind.words(m)
            if name == "bridged":
                reason = reason.format(partner=names[int(m["partner"])])
            limit = kind.limits(self.limits)[at - 1]
            if not np.isfinite(limit):  # bad for more than this measure alone
                limit = kind.limits(self.limits)[0]
            found.append(Finding(kind.measure, _STATES[at], kind.value(m), limit, kind.unit, reason, remedy))
        return tuple(found)


class Measures(Mapping[str, float]):
    """One channel's measures by name: a view of the table (n_measures, n_channels) that all channels share."""

    __slots__ = ("_channel", "_rows", "_table")

    def __init__(self, rows: dict[str, int], table: NDArray[np.float64], channel: int):
        self._rows, self._table, self._channel = rows, table, channel

    def __getitem__(self, name: str) -> float:
        return float(self._table[self._rows[name], self._channel])

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return repr(dict(self))


def assess(
    history: NDArray[np.float64], limits: Limits, exempt: NDArray[np.bool_],
    crowd: Mapping[str, NDArray[np.float64]] | None = None,
) -> Assessment:
    """Assess channels by their features.

    Parameters
    ----------
    history : (n_hops, n_features, n_channels)
        Newest hop last; NaN where nothing was measured yet.
    limits : Limits
    exempt : (n_channels,) bool
        The recording reference: flat by nature, never assessed.
    crowd : mapping, optional
        `CrowdMeter.measures`.
    """
    f = {name: history[:, i] for i, name in enumerate(NAMES)}
    known = np.isfinite(f["spread_uv"]).all(axis=1)
    recent = {name: values[known] for name, values in f.items()}
    flat = (recent["span_uv"][-2:] < limits.flat_uv).all(axis=0)
    live = ~flat & ~exempt & (recent["nan"][-1] == 0)
    metrics = _metrics(recent, live, limits)
    railed = _step(metrics["railed"], limits.railed)
    flat_level = np.where(flat & (railed == GOOD), BAD, GOOD)
    stuck = np.where((flat_level == GOOD) & (railed == GOOD), _step(metrics["stuck"], limits.stuck), GOOD)
    steady = np.sort(recent["spread_uv"], axis=0)[(len(recent["spread_uv"]) - 1) // 4]  # a tense muscle lets go again
    times, z = _against_others(steady, live)
    metrics["times_median"] = times
    by_others = np.minimum(_step(z, limits.strong_z), _step(times, limits.strong_times))
    strong = _step(metrics["spread_uv"], limits.strong_uv)
    metrics["strong_share"] = np.full(len(live), (strong[live] > GOOD).mean() if live.any() else 0.0)
    found = [
        (np.where(metrics["nan"] > 0, BAD, GOOD), "nan"),
        (flat_level, "flat"),
        (railed, "railed"),
        (stuck, "stuck"),
        (_mains(metrics, limits), "mains"),
        (np.where(metrics["mains_uv"] >= limits.mains_everywhere_uv, DOUBTFUL, GOOD), "mains_everywhere"),
        (np.where(strong >= by_others, strong, GOOD), "strong"),
        (np.where(by_others > strong, by_others, GOOD), "stronger"),
        (_step(metrics["sway_uv"], limits.sway_uv), "sway"),
        (np.where((metrics["span_uv"] < limits.weak_uv) & ~flat, BAD, GOOD), "weak"),
    ]
    if crowd is not None:
        found += _compared(crowd, metrics, limits, live)
    causes = tuple((np.where(exempt, GOOD, level), kind) for level, kind in found)
    level = np.max([level for level, _ in causes], axis=0)
    return Assessment(level, metrics["nan"] > 0, metrics, causes, limits)


def _metrics(
    recent: dict[str, NDArray[np.float64]], live: NDArray[np.bool_], limits: Limits
) -> dict[str, NDArray[np.float64]]:
    """What each channel shows by itself, and its mains beside the others'."""
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
    mains_times, _ = _against_others(metrics["mains_uv"], live)
    metrics["mains_db"] = 20 * np.log10(np.maximum(mains_times, 1e-6))
    return metrics


def _compared(
    crowd: Mapping[str, NDArray[np.float64]], metrics: dict[str, NDArray[np.float64]], limits: Limits,
    live: NDArray[np.bool_],
) -> list[tuple[NDArray[np.int64], str]]:
    """What the comparison with the others shows; adds its measures to `metrics`.

    PREP calls an electrode bad for each of these alone. What the decoder may use is a graver matter: here they raise
    doubt, and an electrode is bad where neither correlation nor prediction finds anything of the others in it.
    """
    n = len(live)
    metrics |= {name: crowd[name] for name in ("correlation", "predicted", "difference", "partner")}
    metrics["high_times"], metrics["high_z"] = _against_others(crowd["high_uv"], live)
    share_times, _ = _against_others(crowd["high_share"], live)
    alike, predicted = crowd["correlation"], crowd["predicted"]
    unlike, unpredicted = live & (alike < limits.alike), live & (predicted < limits.predicted)
    if not _typical(alike, live) >= _AGREEING:  # nobody agrees with anybody: few electrodes, far apart
        unlike, unpredicted = np.zeros(n, bool), np.zeros(n, bool)
    elif not _typical(predicted, live) >= limits.predicted:
        unpredicted = np.zeros(n, bool)
    high = live & (metrics["high_z"] >= limits.high_z) & (share_times >= limits.high_times)
    nothing = unlike & ((unpredicted & (predicted < limits.unpredicted)) | (np.isnan(predicted) & (n >= _MANY)) | high)
    doubt = np.where(nothing, BAD, DOUBTFUL)
    return [
        (np.where(unlike, doubt, GOOD), "unlike"),
        (np.where(unpredicted, doubt, GOOD), "unpredicted"),
        (np.where(high, DOUBTFUL, GOOD), "high"),
        (np.where(live & (crowd["difference"] < limits.bridged), DOUBTFUL, GOOD), "bridged"),
    ]


def _typical(values: NDArray[np.float64], live: NDArray[np.bool_]) -> float:
    """Median over the live channels, NaN where one was not measured."""
    return float(np.median(values[live])) if live.any() else float("nan")


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
