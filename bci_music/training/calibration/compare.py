"""Is a fitted adapter better than the pack's own? Both on the same held-out windows, each with its interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bci_music.metrics.controls import derangement, wrong_song
from bci_music.metrics.identification import Candidates, identification_scores
from bci_music.metrics.metric import CONTROLS, Control, Metric, interval, summarise

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Comparison:
    """One metric before and after; `gain` is the interval of the paired difference."""

    question: str
    before: Metric
    after: Metric
    gain: tuple[float, float] | None

    @property
    def verdict(self) -> str:
        """Better or worse only where the two intervals are apart."""
        if self.before.ci95 is None or self.after.ci95 is None:
            return "no difference shown: there is no interval"
        if self.after.ci95[0] > self.before.ci95[1]:
            return "better"
        if self.after.ci95[1] < self.before.ci95[0]:
            return "worse"
        return "no difference shown: the intervals overlap"

    def lines(self) -> list[str]:
        """Both metrics and what follows from them, for people."""
        between = "" if self.gain is None else f" [{self.gain[0]:+.3f}, {self.gain[1]:+.3f}]"
        return [
            _line("before", self.before), _line("after ", self.after),
            f"          after - before{between}: {self.verdict}",
        ]  # fmt: skip


def compare(
    before: Floats, after: Floats, candidates: Candidates, *, block: NDArray[np.str_], recording: NDArray[np.str_],
    question: str, where: str, k: int, seed: int = 0,
) -> tuple[Comparison, ...]:
    """Compare two decodings (n, 512) of the same windows by every score there is music enough for."""
    made = []
    for score in identification_scores(candidates, k, where, within_song=False):
        values, metrics = [], []
        for decoded, when in ((before, "before calibration"), (after, "after calibration")):
            table = score.table(decoded)
            values.append(np.nan_to_num(table[np.arange(len(table)), candidates.of]))
            metrics.append(summarise(
                values[-1], recording, unit=block, name=f"{score.label}, {question}, {when}", protocol=score.protocol,
                chance=score.chance, controls={"mismatched": _mismatched(table, candidates, seed)},
            ).rounded())  # fmt: skip
        gain = interval(values[1] - values[0], block)
        ends = None if gain is None else (round(gain[0], 4), round(gain[1], 4))
        made.append(Comparison(question, metrics[0], metrics[1], ends))
    return tuple(made)


def found_shares(decoded: Floats, candidates: Candidates, k: int) -> NDArray[np.float64]:
    """(n,) how surely each window is found, mean of all scores there is music enough for."""
    scores = list(identification_scores(candidates, k, "", within_song=False))
    rows = np.arange(len(decoded))
    found = [np.nan_to_num(score.table(decoded)[rows, candidates.of]) for score in scores]
    return np.asarray(np.mean(found, axis=0), np.float64) if found else np.zeros(len(decoded))


def _mismatched(table: Floats, candidates: Candidates, seed: int) -> Control:
    """Score with the music of another song; with only one song, of another of its excerpts."""
    if len(np.unique(candidates.name)) >= 2:
        wrong = wrong_song(table, candidates.of, candidates.name)
        return Control(value=float(np.nanmean(wrong)), protocol="all pairings with music of another song")
    other = candidates.of[derangement(len(candidates.of), seed)]
    value = float(np.nanmean(table[np.arange(len(table)), other]))
    return Control(value=value, protocol="windows paired with other music of the song")


def _line(when: str, metric: Metric) -> str:
    between = "" if metric.ci95 is None else f" [{metric.ci95[0]:.3f}, {metric.ci95[1]:.3f}]"
    controls = "".join(f", {CONTROLS.get(name, name)} {c.value:.3f}" for name, c in metric.controls.items())
    what, chance = metric.label.partition(",")[0], f", chance {metric.chance:.3f}"
    return f"  {when}  {what}: {metric.value:.3f}{between}{chance}{controls}, n = {metric.n} windows"
