"""Calibration: minutes of one listener fit a new adapter around a pack's own; the encoder stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config
from bci_music.messages import UserError
from bci_music.metrics.identification import distinct_music
from bci_music.metrics.splits import WindowTable
from bci_music.models.adapter import RidgeAdapter
from bci_music.models.decoder import Decoder
from bci_music.training.calibration.compare import Comparison, compare
from bci_music.training.calibration.folds import Question, make_folds
from bci_music.training.calibration.listener_data import ListenerData
from bci_music.training.calibration.ridge import CalibrationSums
from bci_music.training.eeg.targets import GRID_S
from bci_music.training.lab.windows import LabWindows, Version, lab_windows

BATCH = 16
LEAST_BLOCKS = 4


class CalibrateConfig(Config):
    """How an adapter is fitted and evaluated. `alpha` None: chosen by cross-validation within what is learned from."""

    alpha: float | None = Field(None, gt=0)
    hop_s: float = Field(1.0, gt=0)
    block_s: float = Field(20.0, gt=0)
    guard_s: float = Field(4.0, ge=0)
    folds: int = Field(4, ge=3)
    least_minutes: float = Field(1.5, gt=0)
    k: int = Field(50, ge=2)
    seed: int = 0


@dataclass(frozen=True)
class Calibrated:
    """A fitted adapter and the evidence for it.

    Attributes
    ----------
    alpha : float
        Penalty around the pack's own adapter; infinite where that is kept unchanged.
    comparisons : tuple of Comparison
        Before and after, on what was held out.
    raw, attention, song : arrays
        Held-out windows as a calibrated adapter decodes them (n, 512), their attention (n, C), songs (n,).
    """

    adapter: RidgeAdapter
    alpha: float
    minutes: float
    comparisons: tuple[Comparison, ...]
    raw: NDArray[np.float32]
    attention: NDArray[np.float32]
    song: NDArray[np.str_]


def calibrate(
    decoder: Decoder, data: ListenerData, music: dict[str, NDArray[np.float32]], config: CalibrateConfig, *,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Calibrated:
    """Fit a ridge around the pack's adapter on all windows, and evaluate it on held-out ones.

    What is evaluated is the procedure: for every held-out part, adapter and penalty are fitted on the others alone.

    Raises
    ------
    UserError
        If there is too little to fit and evaluate on.
    """
    signal = decoder.manifest.signal
    windows, rows = _usable(decoder, data, music, config)
    table = _rows_of(windows.table, rows)
    _enough(data, table, config, signal.window.seconds)
    folds = make_folds(table, block_s=config.block_s, guard_s=config.guard_s, n=config.folds)
    sums = CalibrationSums(decoder.adapter, folds)
    chosen = [_apart(table, folds.of(question)) for question in folds.questions]
    targets = _targets(table, music)
    shared, attention = _encode(decoder, windows, rows, targets, sums, np.any(chosen, axis=0), report)
    comparisons: list[Comparison] = []
    after = np.empty((0, 0), np.float32)
    for question, evaluated in zip(folds.questions, chosen, strict=True):
        after = _held_out(sums, question, evaluated, shared, config.alpha)
        there = _rows_of(table, evaluated)
        pieces = distinct_music(targets[evaluated], there.song, there.name, there.song_start_s, signal.window.seconds)
        where = (
            f"{_kind(data)} of {data.listener}, {question.name}: {question.kept_apart}; windows of "
            f"{signal.window.seconds:g} s that do not overlap; interval by block of {config.block_s:g} s"
        )
        comparisons += compare(
            decoder.adapter(shared[evaluated]), after, pieces, block=folds.block[evaluated], recording=there.recording,
            question=question.name, where=where, k=config.k, seed=config.seed,
        )  # fmt: skip
    change, alpha = sums.solve(config.alpha)
    weights = (decoder.adapter.weights + change).astype(np.float32)
    return Calibrated(
        RidgeAdapter(weights, decoder.adapter.intercept, alpha), alpha, _minutes(table, signal.window.seconds),
        tuple(comparisons), after, attention[chosen[-1]], table.song[chosen[-1]],
    )  # fmt: skip


def _usable(
    decoder: Decoder, data: ListenerData, music: dict[str, NDArray[np.float32]], config: CalibrateConfig
) -> tuple[LabWindows, NDArray[np.int64]]:
    """Windows of the segments, and the rows of those with electrodes enough and a known sound."""
    signal = decoder.manifest.signal
    rate, window_s = signal.preprocess.sfreq_hz, signal.window.seconds
    segments = [segment for segment in data.segments if segment.eeg.shape[1] >= window_s * rate]
    if not segments:
        raise UserError(
            f"The recordings of {data.listener} hold no {window_s:g} s of usable EEG with music: at least "
            f"{config.least_minutes:g} minutes are needed; look at one with `bci-music data info`."
        )
    names = {key: stimulus.name for key, stimulus in data.stimuli.items()}
    versions = {
        key: Version.of(stimulus, (len(music[key]) - 1) * GRID_S + window_s)
        for key, stimulus in data.stimuli.items() if key in music
    }
    windows = lab_windows(segments, names, window_s=window_s, sfreq_hz=rate, hop_s=config.hop_s, versions=versions)
    least = decoder.manifest.decoder.min_channels
    good = np.array([segment.used.sum() >= least for segment in segments])[windows.segment]
    ends = np.array([len(music[song]) for song in windows.table.song])
    good &= ~np.isnan(windows.table.origin_s)  # folds are blocks of song time
    return windows, np.flatnonzero(good & (np.round(windows.table.song_start_s / GRID_S) < ends))


def _enough(data: ListenerData, table: WindowTable, config: CalibrateConfig, window_s: float) -> None:
    minutes = _minutes(table, window_s)
    first = np.floor(table.origin_s / config.block_s + 1e-6)
    inside = table.origin_s + window_s <= (first + 1) * config.block_s + 1e-6
    blocks = len(set(zip(table.name[inside].tolist(), first[inside].tolist(), strict=True)))
    if minutes < config.least_minutes or blocks < LEAST_BLOCKS:
        raise UserError(
            f"The recordings of {data.listener} hold {minutes:.1f} minutes of usable EEG with music, from {blocks} "
            f"different excerpts of {config.block_s:g} s: calibration needs at least {config.least_minutes:g} minutes "
            f"from {LEAST_BLOCKS}, better 5 to 10 from many songs."
        )


def _minutes(table: WindowTable, window_s: float) -> float:
    """EEG that the windows cover together."""
    seconds = 0.0
    for name in np.unique(table.recording):
        starts = np.sort(table.start_s[table.recording == name])
        seconds += float(np.minimum(np.diff(starts), window_s).sum()) + window_s
    return seconds / 60.0


def _apart(table: WindowTable, wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,) as many of the wanted windows as there can be without overlap in a recording."""
    chosen = np.zeros(len(wanted), bool)
    last: tuple[str, float] = ("", -np.inf)
    for row in np.lexsort((table.start_s, table.recording)):
        name, start = str(table.recording[row]), float(table.start_s[row])
        if wanted[row] and (name != last[0] or start >= last[1] - 1e-6):
            chosen[row], last = True, (name, float(table.stop_s[row]))
    return chosen


def _encode(
    decoder: Decoder, windows: LabWindows, rows: NDArray[np.int64], targets: NDArray[np.float32], sums: CalibrationSums,
    evaluated: NDArray[np.bool_], report: Callable[[int, int], None],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Add every window to the normal equations; shared vectors and attention of those that are evaluated are kept.

    The arrays have a row for every window, NaN where it is not evaluated.
    """
    shared = np.full((len(rows), len(sums.own.weights)), np.nan, np.float32)
    attention = np.full((len(rows), windows.segments[0].eeg.shape[0]), np.nan, np.float32)
    for first in range(0, len(rows), BATCH):
        some = np.arange(first, min(first + BATCH, len(rows)))
        vectors, weighed = decoder.encode_many(*windows.gather(rows[some]))
        sums.add(some, vectors, targets[some])
        kept = evaluated[some]
        shared[some[kept]], attention[some[kept]] = vectors[kept], weighed[kept]
        report(len(some) + first, len(rows))
    return shared, attention


def _held_out(
    sums: CalibrationSums, question: Question, evaluated: NDArray[np.bool_], shared: NDArray[np.float32],
    alpha: float | None,
) -> NDArray[np.float32]:
    """(n, 512) what adapters make of the evaluated windows that were fitted without their part."""
    after = sums.own(shared[evaluated])
    for fold in question.folds:
        ours = sums.folds.tested[evaluated, fold]
        if ours.any():
            change, _ = sums.solve(alpha, fold)
            after[ours] += (shared[evaluated][ours] @ change).astype(np.float32)
    return after


def _targets(table: WindowTable, music: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    places = zip(table.song.tolist(), table.song_start_s.tolist(), strict=True)
    return np.stack([music[song][round(at / GRID_S)] for song, at in places])


def _rows_of(table: WindowTable, rows: NDArray[Any]) -> WindowTable:
    return replace(table, **{name: values[rows] for name, values in vars(table).items()})


def _kind(data: ListenerData) -> str:
    return "simulated EEG" if data.simulated else "EEG"
