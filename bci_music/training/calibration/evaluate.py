"""Is a calibrated adapter better than the pack's own? Both on the same held-out windows, each with its interval."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bci_music.metrics.controls import derangement
from bci_music.metrics.intervals import by_recording
from bci_music.metrics.permutation import wrong_song
from bci_music.metrics.rates import Musics, largest_k, name_rates, pick_rates
from bci_music.models.pack import Metric

Floats = NDArray[np.floating]
Table = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Comparison:
    """One figure before and after; `gain` is the interval of the paired difference."""

    question: str
    before: Metric
    after: Metric
    gain: tuple[float, float]

    @property
    def verdict(self) -> str:
        """Better or worse only where the two intervals are apart."""
        if self.after.ci95[0] > self.before.ci95[1]:
            return "better"
        if self.after.ci95[1] < self.before.ci95[0]:
            return "worse"
        return "no difference shown: the intervals overlap"

    def lines(self) -> list[str]:
        """Both figures and what follows from them, for people."""
        low, high = self.gain
        return [
            _line("before", self.before), _line("after ", self.after),
            f"          after - before [{low:+.3f}, {high:+.3f}]: {self.verdict}",
        ]  # fmt: skip


def compare(
    before: Floats, after: Floats, pieces: Musics, *, block: NDArray[np.str_], recording: NDArray[np.str_],
    question: str, where: str, k: int, seed: int = 0,
) -> tuple[Comparison, ...]:
    """Judge two decodings (n, 512) of the same windows by every measure there is music enough for."""
    return tuple(
        _compare(before, after, pieces, name, what, table, chance, block, recording, question, where, seed)
        for name, what, table, chance in _measures(pieces, k)
    )


def _measures(pieces: Musics, k: int) -> Iterator[tuple[str, str, Table, float]]:
    length = f"{pieces.window_s:g} s"
    if found := largest_k(pieces, k):
        what = f"which of {found} distinct pieces of {length} was heard, exact expectation over their draw"
        yield f"{found}-way identification", what, lambda q: pick_rates(q, pieces, found), 1.0 / found
    names = len(np.unique(pieces.name))
    if names >= 2:
        what = f"which of {names} pieces of {length}, one of each song, was heard"
        yield f"{names}-way song identification", what, lambda q: name_rates(q, pieces), 1.0 / names


def _compare(
    before: Floats, after: Floats, pieces: Musics, name: str, what: str, table: Table, chance: float,
    block: NDArray[np.str_], recording: NDArray[np.str_], question: str, where: str, seed: int,
) -> Comparison:
    values, metrics = [], []
    for decoded, when in ((before, "before calibration"), (after, "after calibration")):
        scores = table(decoded)
        hits = np.nan_to_num(scores[np.arange(len(scores)), pieces.of])
        control, words = _control(scores, pieces, seed)
        values.append(hits)
        metrics.append(Metric(
            name=f"{name}, {question}, {when}", protocol=f"{what}; {where}", value=round(float(hits.mean()), 4),
            chance=round(chance, 4), n=len(hits), n_recordings=len(np.unique(recording)), ci95=_interval(hits, block),
            control=words, control_value=round(control, 4),
        ))  # fmt: skip
    return Comparison(question, metrics[0], metrics[1], _interval(values[1] - values[0], block))


def _control(scores: Floats, pieces: Musics, seed: int) -> tuple[float, str]:
    """Score with the music of another song; with only one song, of another of its pieces."""
    if len(np.unique(pieces.name)) >= 2:
        wrong = wrong_song(scores, pieces.of, pieces.name)
        return float(np.nanmean(wrong)), "all pairings with music of another song"
    other = pieces.of[derangement(len(pieces.of), seed)]
    return float(np.nanmean(scores[np.arange(len(scores)), other])), "deranged pairing of windows and music"


def _interval(values: Floats, block: NDArray[np.str_]) -> tuple[float, float]:
    low, high = by_recording(values, block)
    return round(low, 4), round(high, 4)


def _line(when: str, metric: Metric) -> str:
    low, high = metric.ci95
    return (
        f"  {when}  {metric.name.partition(',')[0]}: {metric.value:.3f} [{low:.3f}, {high:.3f}], chance "
        f"{metric.chance:.3f}, {metric.control} {metric.control_value:.3f}, n = {metric.n} windows"
    )
