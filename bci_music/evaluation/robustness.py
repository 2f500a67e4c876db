"""How far decoding holds with fewer electrodes: even subsets, electrodes lost, electrodes that carry noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bci_music.evaluation.decoded import DecodedWindows, Trained, predict, predict_before
from bci_music.evaluation.protocol import evaluate_decoded
from bci_music.messages import UserError
from bci_music.metrics.controls import wrong_song
from bci_music.metrics.identification import Candidates, distinct_music, largest_k, pick_rates
from bci_music.metrics.metric import Metric, interval
from bci_music.training.lab.run import ExperimentData

SIZES = (64, 32)


def subset_metrics(
    trained: Trained, data: ExperimentData, *, window_s: float, k: int, seed: int, sizes: Sequence[int] = SIZES
) -> tuple[Metric, ...]:
    """k-way identification of the same test windows when all electrodes but an even subset are absent."""
    positions = data.prepared.montage.positions_m
    metrics: list[Metric] = []
    for size in sizes:
        if size >= len(positions):
            continue
        there = even_subset(positions, size)
        before = predict_before(trained, data, there)
        decoded: DecodedWindows = predict(trained, data, data.split.test, there)
        first = evaluate_decoded(
            decoded, before=before, mean_embedding=None, split=data.split, seed=seed, window_s=window_s, k=k,
            sample_s=1.0 / data.windows.sfreq_hz,
        )[0]
        metrics.append(first.model_copy(update={
            "name": f"{first.name}@{size}", "label": f"{first.label}, {size} electrodes",
            "protocol": f"{size} of {len(positions)} electrodes, spread evenly over the head, the others absent; "
                        f"{first.protocol}",
        }))  # fmt: skip
    return tuple(metrics)


def even_subset(positions_m: NDArray[np.float64], size: int) -> NDArray[np.bool_]:
    """Choose electrodes that are far from each other: (n_channels,) bool.

    The vertex first, then always the one farthest from all that are chosen (Gonzalez 1985).
    """
    chosen = [int(positions_m[:, 2].argmax())]
    nearest = np.linalg.norm(positions_m - positions_m[chosen[0]], axis=1)
    while len(chosen) < size:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(positions_m - positions_m[chosen[-1]], axis=1))
    mask = np.zeros(len(positions_m), bool)
    mask[chosen] = True
    return mask


SHARES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
Kind = Literal["removed", "noise"]
Predict = Callable[[NDArray[np.float32], NDArray[np.bool_]], NDArray]


@dataclass(frozen=True)
class TestWindows:
    """EEG of windows that do not overlap, with what was heard in them.

    Attributes
    ----------
    x : (n, n_channels, n_times) float32 or float16
    used : (n, n_channels) bool
    target : (n, d)
        Embedding of the music, in the space of what `predict` returns.
    song, name, recording : (n,) str
    second : (n,) float
    """

    __test__ = False  # no test, whatever its name

    x: NDArray
    used: NDArray[np.bool_]
    target: NDArray
    song: NDArray[np.str_]
    name: NDArray[np.str_]
    recording: NDArray[np.str_]
    second: NDArray


def robustness(
    predict: Predict, windows: TestWindows, *, shares: Sequence[float] = SHARES,
    kinds: Sequence[Kind] = ("removed", "noise"), k: int = 50, window_s: float = 4.0, seed: int = 0, repeats: int = 2,
    batch: int = 32, report: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, list[dict[str, float]]]:
    """Identification against the share of electrodes that are removed, or replaced by noise of the same strength.

    What is lost at one share is lost at all larger ones; which electrodes those are is drawn again for every recording
    and every one of `repeats`, over which rates are averaged.

    Parameters
    ----------
    predict : callable
        ``predict(x (b, C, T) float32, used (b, C) bool)`` gives vectors (b, d).
    report : callable
        Called with batches done and their number.

    Returns
    -------
    dict of kind to list of dict
        Each with ``share``, ``value``, ``low``, ``high`` (95 % by recording; left out with one recording),
        ``control`` (music of another song; left out with one song), ``chance``, ``k``, ``n``.
    """
    candidates = distinct_music(windows.target, windows.song, windows.name, windows.second, window_s)
    found = largest_k(candidates, k)
    if not found:
        raise UserError("A robustness curve needs at least two pieces of music that do not overlap in the test set.")
    steps = [(kind, share) for kind in kinds for share in shares if share or kind == kinds[0]]
    per_step = -(-len(windows.song) // batch)
    total = sum(per_step * (repeats if share else 1) for _, share in steps)
    done = 0
    tables: dict[tuple[str, float], NDArray] = {}
    for kind, share in steps:
        drawn = []
        for repeat in range(repeats if share else 1):
            lost = _lost(windows, share, seed, repeat)
            vectors = []
            for first in range(0, len(windows.song), batch):
                rows = slice(first, first + batch)
                vectors.append(predict(*_harmed(windows, rows, lost[rows], kind, (seed, repeat, first))))
                done += 1
                report(done, total)
            drawn.append(pick_rates(np.concatenate(vectors), candidates, found))
        tables[kind, share] = np.mean(drawn, axis=0)
    curves = {}
    for kind in kinds:
        whole = kinds[0]  # with nothing lost, all kinds are one
        curves[str(kind)] = [
            _point(share, tables[kind if share else whole, share], candidates, windows.recording, found, seed)
            for share in shares
        ]
    return curves


def _lost(windows: TestWindows, share: float, seed: int, repeat: int) -> NDArray[np.bool_]:
    """(n, n_channels) electrodes lost: of those in use in a recording, the first ones of an order of its own."""
    lost: NDArray[np.bool_] = np.zeros(windows.used.shape, np.bool_)
    for number, name in enumerate(np.unique(windows.recording)):
        rows = np.flatnonzero(windows.recording == name)
        order = np.random.default_rng((seed, repeat, number)).permutation(windows.used.shape[1])
        order = order[np.isin(order, np.flatnonzero(windows.used[rows].sum(axis=0)))]
        gone = order[: min(round(share * len(order)), len(order) - 1)]
        lost[np.ix_(rows, gone)] = True
    return lost


def _harmed(
    windows: TestWindows, rows: slice, lost: NDArray[np.bool_], kind: str, key: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Windows without the lost electrodes, or with noise as strong as what they carried."""
    x, used = windows.x[rows].astype(np.float32), windows.used[rows]
    if kind == "removed":
        return np.where(lost[:, :, None], np.float32(0), x), used & ~lost
    noise = np.random.default_rng(key).standard_normal(x.shape, dtype=np.float32)
    return np.where(lost[:, :, None], noise * x.std(axis=2, keepdims=True), x), used


def _point(
    share: float, table: NDArray, candidates: Candidates, recording: NDArray[np.str_], k: int, seed: int
) -> dict[str, float]:
    values = table[np.arange(len(table)), candidates.of]
    known = ~np.isnan(values)
    point = {
        "share": float(share), "value": float(values[known].mean()), "chance": 1.0 / k, "k": float(k),
        "n": float(known.sum()),
    }  # fmt: skip
    if ends := interval(values[known], recording[known], seed):
        point |= {"low": ends[0], "high": ends[1]}
    wrong = wrong_song(table, candidates.of, candidates.name)
    if not np.isnan(wrong).all():
        point["control"] = float(np.nanmean(wrong))
    return point
