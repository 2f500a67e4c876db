"""From a channel's features over the last seconds to a level and its reasons in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config
from bci_music.eeg.channel_features import MIN_OTHERS, NAMES

GOOD, DOUBTFUL, BAD = range(3)
_LOG_SPREAD_FLOOR = 0.25  # of log amplitude across channels: a neighbourly crowd is not judged by hairs


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
class Judgement:
    """What the newest look says, before hysteresis.

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
    "railed": lambda m: f"at its limit {100 * m['railed']:.0f} % of the time: mend the contact or lower the gain",
    "stuck": lambda m: f"drops out {100 * m['stuck']:.0f} % of the time: check cable and plug",
    "mains": lambda m: f"mains {m['mains_db']:.0f} dB above median: press the electrode",
    "mains_everywhere": lambda m: f"mains of {m['mains_uv']:.0f} µV: check ground and reference",
    "strong": lambda m: f"amplitude {m['spread_uv']:.0f} µV, {m['times_median']:.1f} × median: settle electrode, relax",
    "sway": lambda m: f"drifts or jumps by {m['sway_uv']:.0f} µV: settle the electrode, hold the head still",
    "weak": lambda m: f"range of only {m['span_uv']:.2g} µV: check the contact, or the stream's unit",
}


def judge(history: NDArray[np.float64], limits: Limits, exempt: NDArray[np.bool_]) -> Judgement:
    """Judge channels by their features.

    Parameters
    ----------
    history : (n_hops, n_features, n_channels)
        Newest hop last; NaN where nothing was measured yet.
    limits : Limits
    exempt : (n_channels,) bool
        The recording reference: flat by nature, never judged.
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
    return Judgement(level, metrics["nan"] > 0, metrics, causes)


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
