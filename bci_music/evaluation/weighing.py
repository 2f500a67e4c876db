"""Maps of the electrodes: how much each weighs in what a model decodes, and whether what weighs most is needed.

============  ======================================================================================================
attention     the share of attention alone, whatever it is that is attended to
contribution  attention times the size of what it lets through (`LatentQueryEncoder.contributions`)
gradient      gradient times input of the similarity to the music heard (Shrikumar et al. 2016, arXiv 1605.01713)
deletion      how much of that similarity is lost without the electrode: exact, for an absent one leaves no trace
============  ======================================================================================================

The last two need to know what was heard, so they belong to an evaluation; positive values speak for the music heard. A
map is a property of the model. Two tests say whether it can be believed: with a planted source, whether it finds the
electrodes that carry it (`found_planted`), and whether those it weighs most are missed more than others (`removal`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bci_music.evaluation.results import Removal
from bci_music.evaluation.robustness import TestWindows
from bci_music.messages import UserError
from bci_music.metrics.identification import auroc, distinct_music, largest_k, pick_rates
from bci_music.metrics.metric import Metric, summarise
from bci_music.models.encoder import ChannelEncoder
from bci_music.models.heads import normalised
from bci_music.models.latent_query import LatentQueryEncoder
from bci_music.models.network import EegModel, Network

MapKind = Literal["attention", "contribution", "gradient", "deletion"]
Array = NDArray[np.float32]
Report = Callable[[int, int], None]  # batches done, of how many


def electrode_map(
    kind: MapKind, model: EegModel, windows: TestWindows, *, batch: int = 32,
    report: Report = lambda done, of: None,
) -> Array:
    """Weigh the electrodes in every window.

    Parameters
    ----------
    windows : TestWindows
        Their `target` (n, d) lies in the space that EEG and music share.

    Returns
    -------
    (n, n_channels) float32
        NaN where an electrode is absent. Shares of one of the first two kinds, parts of a cosine of the others.

    Raises
    ------
    UserError
        If the model has no such map (`maps_of`).
    """
    if kind not in maps_of(model):
        raise UserError(f"This model has no map of its electrodes by {kind}: ask for {' or '.join(maps_of(model))}.")
    of = _OF[kind]
    model.eval()
    n = len(windows.song)
    parts = []
    for first in range(0, n, batch):
        rows = slice(first, first + batch)
        x, used = windows.x[rows].astype(np.float32), windows.used[rows]
        inputs = (torch.from_numpy(np.where(used[:, :, None], x, np.float32(0))), torch.from_numpy(used))
        weighed = of(model, *inputs, torch.from_numpy(windows.target[rows].astype(np.float32)))
        parts.append(np.where(used, weighed.float().numpy(), np.float32("nan")))
        report(len(parts), -(-n // batch))
    return np.concatenate(parts)


def maps_of(model: EegModel) -> tuple[MapKind, ...]:
    """Which maps a model has, the one that it gives beside every window first."""
    encoder = model.encoder if isinstance(model, Network) else None
    if isinstance(encoder, LatentQueryEncoder):
        return ("contribution", "attention", "gradient", "deletion")
    if isinstance(encoder, ChannelEncoder) and encoder.config.tokens == "channel":
        return ("attention", "gradient", "deletion")
    return ("gradient", "deletion")


@torch.inference_mode()
def _attention(model: EegModel, x: Tensor, used: Tensor, music: Tensor) -> Tensor:
    assert isinstance(model, Network)
    if isinstance(model.encoder, LatentQueryEncoder):
        return model.encoder.gather(x, used)[1].float().mean((1, 2, 3))
    return model.infer(x, used)[1]


@torch.inference_mode()
def _contribution(model: EegModel, x: Tensor, used: Tensor, music: Tensor) -> Tensor:
    assert isinstance(model, Network)
    return model.infer(x, used)[1]


def _gradient(model: EegModel, x: Tensor, used: Tensor, music: Tensor) -> Tensor:
    x.requires_grad_()
    (slope,) = torch.autograd.grad(_similarity(model, x, used, music).sum(), x)
    return (slope * x).sum(2).detach()


@torch.inference_mode()
def _deletion(model: EegModel, x: Tensor, used: Tensor, music: Tensor) -> Tensor:
    whole = _similarity(model, x, used, music)
    lost = torch.zeros(used.shape)
    for channel in np.flatnonzero(used.any(0)):
        rest = used.clone()
        rest[:, channel] = False
        lost[:, channel] = whole - _similarity(model, x, rest, music)
    return lost


_OF: dict[MapKind, Callable[[EegModel, Tensor, Tensor, Tensor], Tensor]] = {
    "attention": _attention, "contribution": _contribution, "gradient": _gradient, "deletion": _deletion,
}


def _similarity(model: EegModel, x: Tensor, used: Tensor, music: Tensor) -> Tensor:
    """Cosine (B,) of what is decoded and what was heard."""
    return (normalised(model.embed(x, used)) * music).sum(1)


def mean_map(weighed: NDArray[np.floating], recording: NDArray[np.str_]) -> NDArray[np.float64]:
    """Mean (n_channels,) over recordings, each the mean of its windows; NaN where an electrode is always absent."""
    return _mean(np.stack([_mean(weighed[recording == name]) for name in np.unique(recording)]))


def _mean(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean over the rows of what is not NaN."""
    there = ~np.isnan(rows)
    counts = there.sum(0)
    total = np.where(there, rows, 0.0).sum(0, dtype=np.float64)
    return np.divide(total, counts, out=np.full(counts.shape, np.nan), where=counts > 0)


def found_planted(
    weighed: NDArray[np.floating], planted: NDArray[np.bool_], recording: NDArray[np.str_], *, name: str, seed: int = 0
) -> Metric:
    """How well a map tells the electrodes that carry a planted response, `planted` (n_channels,), from the others.

    AUROC of the mean map of each recording over the electrodes that are there; the mean over recordings.
    """
    recordings = np.unique(recording)
    maps = [_mean(weighed[recording == r]) for r in recordings]
    values = np.array([auroc(m[~np.isnan(m)], planted[~np.isnan(m)]) for m in maps])
    return summarise(
        values, recordings, seed=seed, name=f"auroc-{name}", label=f"AUROC of the map: {name}", chance=0.5,
        protocol=f"AUROC of {int(planted.sum())} electrodes that carry the planted response among {len(planted)}, by "
                 "the mean map of a recording; mean and interval over recordings",
    )  # fmt: skip


Predict = Callable[[Array, NDArray[np.bool_]], NDArray]
_REMOVED = {
    "whole": "all electrodes", "most": "without the {n} electrodes that the map weighs most",
    "random": "without {n} electrodes drawn at random, mean over {draws} draws",
    "least": "without the {n} electrodes that the map weighs least",
    "cost": "without {n} electrodes at random, less without the {n} that the map weighs most, window by window",
}  # fmt: skip


def removal(
    predict: Predict, windows: TestWindows, weighed: NDArray[np.floating], *, name: str, n_removed: int,
    draws: int = 5, k: int = 50, window_s: float = 4.0, seed: int = 0, batch: int = 32,
    report: Report = lambda done, of: None,
) -> Removal:
    """Identification without the electrodes that a map weighs most, without those it weighs least, and at random.

    The map of a recording is the mean over the recordings of the other half (every second one of the sorted names), so
    that no electrode is chosen on the windows it is tested on. Random ones are drawn for every recording.

    Parameters
    ----------
    predict : callable
        ``predict(x (b, C, T) float32, used (b, C) bool)`` gives vectors (b, d).
    weighed : (n, n_channels)
        How much each electrode weighs in each window; NaN where it is absent.
    name : str
        What the map is called.

    Raises
    ------
    UserError
        With fewer than two recordings or pieces of music.
    """
    candidates = distinct_music(windows.target, windows.song, windows.name, windows.second, window_s)
    found = largest_k(candidates, k)
    if not found or len(np.unique(windows.recording)) < 2:
        raise UserError("A map of electrodes is tested on at least two recordings and two pieces of music.")
    if int(windows.used.sum(1).min()) <= n_removed:
        raise UserError(
            f"There are windows of {int(windows.used.sum(1).min())} electrodes, so {n_removed} cannot be removed: "
            "remove fewer."
        )
    steps = list(_removed(windows, weighed, n_removed, draws, seed))
    per_step = -(-len(windows.song) // batch)
    rates: dict[str, list[NDArray]] = {kind: [] for kind in _REMOVED}
    for done, (kind, lost) in enumerate(steps):
        vectors = []
        for first in range(0, len(windows.song), batch):
            rows = slice(first, first + batch)
            left = windows.used[rows] & ~lost[rows]
            vectors.append(predict(np.where(left[:, :, None], windows.x[rows], 0).astype(np.float32), left))
            report(done * per_step + len(vectors), len(steps) * per_step)
        table = pick_rates(np.concatenate(vectors), candidates, found)
        rates[kind].append(table[np.arange(len(table)), candidates.of])
    values = {kind: np.mean(drawn, axis=0) for kind, drawn in rates.items() if drawn}
    values["cost"] = values["random"] - values["most"]
    metrics = {
        kind: summarise(
            values[kind], windows.recording, seed=seed, name=f"{found}-way", label=f"{found}-way identification",
            chance=None if kind == "cost" else 1.0 / found, protocol=how.format(n=n_removed, draws=draws),
        ) for kind, how in _REMOVED.items()
    }  # fmt: skip
    return Removal(map=name, removed=n_removed, draws=draws, **metrics)


def _removed(
    windows: TestWindows, weighed: NDArray[np.floating], n_removed: int, draws: int, seed: int
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """What is removed (n, n_channels), step by step."""
    orders: dict[str, NDArray[np.int64]] = {}  # electrodes in use of each recording, the most weighed first
    recordings = np.unique(windows.recording)
    for number, name in enumerate(recordings):
        others = np.isin(windows.recording, recordings[(number + 1) % 2 :: 2])
        falling = np.argsort(-np.nan_to_num(mean_map(weighed[others], windows.recording[others]), nan=-np.inf))
        used = np.flatnonzero(windows.used[windows.recording == name].any(0))
        orders[name] = falling[np.isin(falling, used)]
    yield "whole", _lost(windows, {name: order[:0] for name, order in orders.items()})
    yield "most", _lost(windows, {name: order[:n_removed] for name, order in orders.items()})
    yield "least", _lost(windows, {name: order[-n_removed:] for name, order in orders.items()})
    for draw in range(draws):
        rng = np.random.default_rng((seed, draw))
        yield "random", _lost(windows, {name: rng.permutation(order)[:n_removed] for name, order in orders.items()})


def _lost(windows: TestWindows, electrodes: dict[str, NDArray[np.int64]]) -> NDArray[np.bool_]:
    lost: NDArray[np.bool_] = np.zeros(windows.used.shape, np.bool_)
    for name, chosen in electrodes.items():
        lost[np.ix_(windows.recording == name, chosen)] = True
    return lost
