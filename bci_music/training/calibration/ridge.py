"""A ridge around a given map: only what the map leaves over is fitted, so that little data changes little."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bci_music.models.adapter import RidgeAdapter, Sums
from bci_music.training.calibration.folds import Folds

Float = NDArray[np.float64]
KEEP = float("inf")  # the penalty under which nothing changes
ALPHAS = (300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3)  # of equals the one that changes least is taken


class CalibrationSums:
    """Normal equations of a calibration, added up batch by batch.

    Rows are kept apart only by the folds they are tested in and those they may be learned from, so that every choice
    of held-out folds is a sum of these parts.

    Parameters
    ----------
    own : RidgeAdapter
        The map that is fitted around.
    """

    def __init__(self, own: RidgeAdapter, folds: Folds):
        self.own, self.folds = own, folds
        self._parts: dict[tuple[bool, ...], Sums] = {}

    def add(self, rows: NDArray[np.int64], x: NDArray, targets: NDArray) -> None:
        """Add windows `rows` of the folds with inputs x (n, n_in) and targets (n, n_out)."""
        kinds = np.column_stack([self.folds.tested[rows], self.folds.free[rows]])
        for kind in np.unique(kinds, axis=0):
            some = (kinds == kind).all(axis=1)
            part = self._parts.setdefault(tuple(kind.tolist()), Sums(*self.own.weights.shape))
            part.add(x[some], targets[some])

    def learned(self, *held: int) -> Sums:
        """Sum of all rows that may be learned from while these folds are held out."""
        return self._sum(None, held)

    def tested(self, fold: int, *held: int) -> Sums:
        """Sum of the rows tested in a fold, as far as they may be looked at while others are held out."""
        return self._sum(fold, held)

    def solve(self, alpha: float | None, *held: int, alphas: Sequence[float] = ALPHAS) -> tuple[Float, float]:
        """Change of the weights (n_in, n_out) learned without some folds, and the penalty; None: chosen within."""
        if alpha is None:
            alpha = self._best_alpha(held, alphas)
        return changes(self.learned(*held), self.own, (alpha,))[0], alpha

    def _best_alpha(self, held: tuple[int, ...], alphas: Sequence[float]) -> float:
        """Penalty that surely gains agreement on the folds that are left, each in turn held out as well.

        What counts is the mean gain over the folds of all questions less twice its standard error, so that a penalty
        that helps with the songs calibrated on, but harms with others, does not win; nor does one that helps by luck.
        """
        gains = []
        for fold in sorted({fold for question in self.folds.questions for fold in question.folds} - set(held)):
            tested = self.tested(fold, *held)
            if tested.n > 1:
                own, *others = [
                    agreement(tested, self.own.weights + change)
                    for change in changes(self.learned(*held, fold), self.own, (KEEP, *alphas))
                ]
                gains.append(np.array(others) - own)
        if len(gains) < 2:
            return KEEP
        sure = np.mean(gains, axis=0) - 2.0 * np.std(gains, axis=0, ddof=1) / np.sqrt(len(gains))
        return float(alphas[int(np.argmax(sure))]) if sure.max() > 1e-9 else KEEP

    def _sum(self, fold: int | None, held: tuple[int, ...]) -> Sums:
        total, k = Sums(*self.own.weights.shape), self.folds.tested.shape[1]
        for key, part in self._parts.items():
            if (fold is None or key[fold]) and all(key[k + other] for other in held):
                total = total.plus(part)
        return total


def changes(sums: Sums, own: RidgeAdapter, alphas: Sequence[float]) -> list[Float]:
    """Ridge weights (n_in, n_out) of what a map leaves over, for several penalties, without intercept.

    A penalty is relative to the mean square of the inputs over their rows. Without an intercept an infinite penalty
    gives exactly zero, and little data moves nothing that all music has in common.
    """
    left = sums.xy - sums.xx @ own.weights - np.outer(sums.x, own.intercept)
    values, axes = np.linalg.eigh(sums.xx)
    turned = axes.T @ left
    scale = max(float(np.trace(sums.xx)) / len(sums.xx), np.finfo(float).tiny)
    return [
        np.zeros_like(left) if np.isinf(alpha) else axes @ (turned / (values + alpha * scale)[:, None])
        for alpha in alphas
    ]


def agreement(sums: Sums, weights: Float) -> float:
    """Correlation of what a map gives with the targets, over all rows and decoded about their means.

    The squared error will not do to choose a penalty by: it falls already when the output is made smaller, or is drawn
    to the mean of the calibration's music, and neither finds more music.
    """
    x, y = sums.x / sums.n, sums.y / sums.n
    both = sums.xy - sums.n * np.outer(x, y)
    spread = sums.xx - sums.n * np.outer(x, x)
    given = float((weights * (spread @ weights)).sum())
    heard = float(sums.yy - sums.n * (y @ y))
    return float((weights * both).sum()) / max(np.sqrt(max(given, 0.0) * max(heard, 0.0)), 1e-12)
