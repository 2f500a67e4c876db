"""The figures of a row: means over windows, intervals over songs and listeners, controls; differences of two rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci_music.evaluation.echoes.rows import Reconstructions
from bci_music.evaluation.echoes.scores import KINDS, PARTNERS, Scores
from bci_music.metrics.intervals import by_song_and_listener
from bci_music.metrics.metric import Control, Metric
from bci_music.metrics.similarity import ENOUGH, common_axes, frechet_distance

Floats = NDArray[np.float64]
Interval = tuple[float, float]
LATER, EARLIER = "way-b-sequence", "way-b-pooled"  # the first less the second is the test of timing
TIMING = ("flux-r", "envelope-r", "pattern-r", "onset-f-50", "onset-f-100", "onset-f-200")
_BOOTSTRAPS = 100  # of a Fréchet distance


class SoundMetric(Metric):
    """A metric of sounds; its interval draws songs and listeners. `n_recordings` counts pairs of both."""

    n_songs: int
    n_listeners: int

    def apart(self, name: str = "mismatched") -> bool:
        """Whether the whole interval lies beyond the control's."""
        control = self.controls.get(name)
        if control is None or control.ci95 is None or self.ci95 is None:
            return False
        if self.better == "lower":
            return self.ci95[1] < control.ci95[0]
        return self.ci95[0] > control.ci95[1]


@dataclass(frozen=True, eq=False)
class LagCurve:
    """Mean correlation at every lag (k,), made later than heard where above zero, with 95 % intervals (2, k)."""

    lags_s: Floats
    r: Floats
    ci95: Floats | None
    mismatched: Floats
    mismatched_ci95: Floats | None

    @property
    def best_s(self) -> float:
        """Lag of the largest correlation."""
        return float(self.lags_s[self.r.argmax()])

    def as_json(self) -> dict[str, Any]:
        """Plain data, four decimals."""
        return {
            name: None if values is None else np.round(values, 4).tolist() for name, values in vars(self).items()
        } | {"best_s": round(self.best_s, 3)}  # fmt: skip


@dataclass(frozen=True, eq=False)
class RowFigures:
    """Everything the table says of one row under one split."""

    row: str
    title: str
    split: str
    made_by: str
    simulated: bool
    lag_s: float
    costs: dict[str, float]
    metrics: dict[str, SoundMetric]
    curves: dict[str, LagCurve]
    missing: dict[str, str]


@dataclass(frozen=True, eq=False)
class Difference:
    """One row less another on the windows that both have."""

    later: str
    earlier: str
    title: str
    split: str
    metric: SoundMetric

    def sentence(self) -> str:
        """Say plainly whether it is above zero."""
        from bci_music.evaluation.report import wording

        m = self.metric
        if m.ci95 is None:
            end = "without an interval nothing follows"
        elif m.ci95[0] > 0:
            end = "it is above zero"
        elif m.ci95[1] < 0:
            end = "it is below zero"
        else:
            end = "it is not shown to differ from zero"
        return (
            f"{self.title}, {m.label}, {self.split} split: {wording.number(m.value)} (95 % {wording.interval(m.ci95)}; "
            f"{m.n:,} windows, {m.n_songs} songs, {m.n_listeners} listeners): {end}."
        )


def figures(row: Reconstructions, scores: Scores, seed: int = 0) -> RowFigures:
    """Take the windows of a row together."""
    metrics: dict[str, SoundMetric] = {}
    missing: dict[str, str] = {}
    for name, kind in KINDS.items():
        if name not in scores.own or np.isnan(scores.own[name]).all():
            missing[name] = _why_not(name, row, scores.candidates)
            continue
        controls = {"mismatched": _control(scores, name, seed), "before_song": _control(scores, name, seed, True)}
        metrics[name] = _metric(
            scores.own[name], *scores.units(), seed, name=name, label=kind.label, better=kind.better,
            chance=_chance(name, scores.candidates), protocol=kind.protocol,
            controls={key: value for key, value in controls.items() if value is not None},
            missing={} if scores.before else {"before_song": "no sound was made of EEG from before the music"},
        )  # fmt: skip
    distance = _frechet(row, seed)
    if isinstance(distance, str):
        missing["fad"] = distance
    else:
        metrics["fad"] = distance
    curves = {
        name: LagCurve(
            scores.lags_s, *_curve(own, scores, seed), *_curve(scores.mismatched_curves[name], scores, seed)
        )
        for name, own in scores.curves.items() if not np.isnan(own).all()
    }  # fmt: skip
    return RowFigures(
        row.row, row.title, row.split, row.made_by, row.simulated, row.lag_s, dict(row.costs or {}), metrics,
        curves, missing,
    )  # fmt: skip


def difference(later: Scores, earlier: Scores, name: str, seed: int = 0) -> Difference | None:
    """One metric of two rows, window by window: the first less the second. None where no windows are common to both.

    Its mismatched control is the same difference with pieces of other songs.
    """
    where = {window: i for i, window in enumerate(earlier.windows)}
    pairs = [(i, where[w]) for i, w in enumerate(later.windows) if w in where]
    if not pairs or name not in later.own or name not in earlier.own:
        return None
    a, b = np.array(pairs).T
    song, listener = later.song[a], later.listener[a]
    own = later.own[name][a] - earlier.own[name][b]
    if np.isnan(own).all():
        return None
    wrong = later.mismatched[name][a] - earlier.mismatched[name][b]
    kind = KINDS[name]
    metric = _metric(
        own, song, listener, seed, name=name, label=kind.label, better=kind.better,
        protocol=f"difference: {kind.protocol}",
        controls={"mismatched": _as_control(wrong, song, listener, seed, _WRONG)},
    )  # fmt: skip
    title = f"{later.title} less {earlier.title}"
    return Difference(later.row, earlier.row, title, later.split, metric)


_WRONG = f"mean over {PARTNERS} pieces of other songs"


def _metric(values: Floats, song: NDArray, listener: NDArray, seed: int, **details: Any) -> SoundMetric:
    known = ~np.isnan(values)
    values, song, listener = values[known], song[known], listener[known]
    pairs = {*zip(song.tolist(), listener.tolist(), strict=True)}
    return SoundMetric(
        value=float(values.mean()), ci95=_interval(values, song, listener, seed), n=len(values),
        n_recordings=len(pairs), n_songs=len(set(song.tolist())), n_listeners=len(set(listener.tolist())), **details,
    )  # fmt: skip


def _interval(values: Floats, song: NDArray, listener: NDArray, seed: int) -> Interval | None:
    ends = by_song_and_listener(values, song, listener, seed)
    return None if ends is None else (float(ends[0]), float(ends[1]))


def _control(scores: Scores, name: str, seed: int, before: bool = False) -> Control | None:
    values = (scores.before if before else scores.mismatched).get(name)
    if values is None or np.isnan(values).all():
        return None
    protocol = "made of EEG from before the music" if before else _WRONG
    return _as_control(values, *scores.units(before), seed, protocol)


def _as_control(values: Floats, song: NDArray, listener: NDArray, seed: int, protocol: str) -> Control:
    known = ~np.isnan(values)
    values = values[known]
    return Control(
        value=float(values.mean()), ci95=_interval(values, song[known], listener[known], seed), protocol=protocol
    )


def _curve(values: Floats, scores: Scores, seed: int) -> tuple[Floats, Floats | None]:
    """Mean over windows (k,) and its interval (2, k)."""
    known = ~np.isnan(values).any(axis=1)
    song, listener = scores.units()
    ends = by_song_and_listener(values[known], song[known], listener[known], seed, n_boot=500)
    return values[known].mean(axis=0), None if ends is None else np.stack(ends)


def _chance(name: str, k: int) -> float | None:
    """Of identification among `k`; for all others the controls say it."""
    return {"spectrum-rank": (k - 1) / 2, "spectrum-top1": 1 / k, "spectrum-top3": min(3 / k, 1.0)}.get(name)


def _why_not(name: str, row: Reconstructions, candidates: int) -> str:
    if name == "clap":
        return "the row has no vectors of its sounds"
    if row.made is None:
        return "the row is a curve of onsets and no sound"
    if candidates < 2:
        return "there are too few pieces of other songs to tell the own one from"
    return "what was heard has none in any window"


def _frechet(row: Reconstructions, seed: int) -> SoundMetric | str:
    """Fréchet distance of all vectors made from those heard, or why there is none."""
    if row.made_vector is None or row.heard_vector is None:
        return "the row has no vectors of its sounds"
    n = len(row.song)
    if n < ENOUGH:
        return f"a Fréchet distance needs at least {ENOUGH:,} windows, there are {n:,}"
    made, pieces = common_axes(row.made_vector, row.heard_vector)
    heard = pieces[row.piece]
    rng = np.random.default_rng(seed)
    draws: list[float] = []
    units = [np.unique(names, return_inverse=True)[1] for names in (row.song, row.listener)]
    while len(draws) < _BOOTSTRAPS:  # songs and listeners both, as everywhere
        times = np.ones(n, np.int64)
        for group in units:
            times *= np.bincount(rng.integers(0, group.max() + 1, group.max() + 1), minlength=group.max() + 1)[group]
        drawn = np.repeat(np.arange(n), times)
        if len(drawn) >= 2:
            draws.append(frechet_distance(made[drawn], heard[drawn]))
    low, high = np.quantile(draws, [0.025, 0.975])
    pairs = {*zip(row.song.tolist(), row.listener.tolist(), strict=True)}
    return SoundMetric(
        name="fad", label="Fréchet distance", value=frechet_distance(made, heard), ci95=(float(low), float(high)), n=n,
        n_recordings=len(pairs), n_songs=len(set(row.song.tolist())), n_listeners=len(set(row.listener.tolist())),
        better="lower", missing=dict.fromkeys(("mismatched", "p"), "a distance of two sets knows no pairing"),
        protocol="squared Fréchet distance in the embedder's space of the sounds made from what was heard",
    )  # fmt: skip
