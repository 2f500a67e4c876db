"""Calibration: minutes of one listener fit a new adapter around a pack's own, or the encoder learns on.

Both are tried on held-out parts, and what surely helps more is taken, or nothing. A new adapter costs a second; it
reaches listeners whom the encoder reads already. That the encoder learns on takes a minute or two, and reaches
listeners whose answers lie elsewhere on the head or come at other latencies than those it was trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config
from bci_music.messages import EMBEDDING_DIM, UserError
from bci_music.metrics.identification import Candidates, distinct_music
from bci_music.metrics.metric import interval
from bci_music.metrics.splits import WindowTable
from bci_music.models.adapter import RidgeAdapter
from bci_music.models.decoder import Decoder
from bci_music.training.calibration.compare import Comparison, compare, found_shares
from bci_music.training.calibration.encoder import LearnConfig
from bci_music.training.calibration.folds import Folds, Question, make_folds
from bci_music.training.calibration.listener_data import ListenerData
from bci_music.training.calibration.ridge import KEEP, CalibrationSums
from bci_music.training.eeg.corpus import Segment
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
    encoder: Literal["auto", "kept"] = Field("auto", description="auto: it learns on where that surely helps more")
    learn: LearnConfig = LearnConfig()
    seed: int = 0


Learn = Callable[[Sequence[list[Segment]]], Sequence[Decoder]]


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
        Held-out windows as what was calibrated decodes them (n, 512), their attention (n, C), songs (n,).
    decoder : Decoder, optional
        With the encoder that learned on; None where the pack's own is kept.
    """

    adapter: RidgeAdapter
    alpha: float
    minutes: float
    comparisons: tuple[Comparison, ...]
    raw: NDArray[np.float32]
    attention: NDArray[np.float32]
    song: NDArray[np.str_]
    decoder: Decoder | None = None


@dataclass(frozen=True)
class _Task:
    """Windows to calibrate on: (n,) rows of `windows`, as `table`, with their targets (n, 512) and folds.

    `tested` holds for each question which rows it is evaluated on: as many as there can be without overlap.
    """

    windows: LabWindows
    rows: NDArray[np.int64]
    table: WindowTable
    targets: NDArray[np.float32]
    folds: Folds
    tested: tuple[NDArray[np.bool_], ...]


def calibrate(
    decoder: Decoder, data: ListenerData, music: dict[str, NDArray[np.float32]], config: CalibrateConfig, *,
    learn: Learn | None = None, report: Callable[[int, int], None] = lambda done, of: None,
) -> Calibrated:
    """Calibrate on all windows, and evaluate on held-out ones.

    What is evaluated is the procedure: for every held-out part, adapter and penalty, or the encoder, are learned from
    the others alone.

    Parameters
    ----------
    learn : callable, optional
        Makes decoders whose encoder learned on from segments (`EncoderLearner`); None: the encoder stays.

    Raises
    ------
    UserError
        If there is too little to fit and evaluate on.
    """
    task, window_s = _task(decoder, data, music, config), decoder.manifest.signal.window.seconds
    sums = CalibrationSums(decoder.adapter, task.folds)
    shared, attention = _encode(decoder, task, sums, report)
    before = [decoder.adapter(shared[tested]) for tested in task.tested]
    after = [
        _held_out(sums, question, tested, shared, config.alpha)
        for question, tested in zip(task.folds.questions, task.tested, strict=True)
    ]
    change, alpha = sums.solve(config.alpha)
    adapter = RidgeAdapter((decoder.adapter.weights + change).astype(np.float32), decoder.adapter.intercept, alpha)
    learned = None
    if learn is not None:
        found = _learned(task, learn)
        if _sure_gain(task, after, found, window_s, config.k) > 0:
            after, adapter, alpha = found, decoder.adapter, KEEP
            learned = learn([_segments(task, np.ones(len(task.rows), bool))])[0]
            attention = _attention(learned, task, attention)
    last = task.tested[-1]
    return Calibrated(
        adapter, alpha, _minutes(task.table, window_s), _comparisons(task, data, before, after, window_s, config),
        after[-1], attention[last], task.table.song[last], learned,
    )  # fmt: skip


def _task(
    decoder: Decoder, data: ListenerData, music: dict[str, NDArray[np.float32]], config: CalibrateConfig
) -> _Task:
    windows, rows = _usable(decoder, data, music, config)
    table = _rows_of(windows.table, rows)
    _enough(data, table, config, decoder.manifest.signal.window.seconds)
    folds = make_folds(table, block_s=config.block_s, guard_s=config.guard_s, n=config.folds)
    tested = tuple(_apart(table, folds.of(question)) for question in folds.questions)
    return _Task(windows, rows, table, _targets(table, music), folds, tested)


def _comparisons(
    task: _Task, data: ListenerData, before: Sequence[NDArray], after: Sequence[NDArray], window_s: float,
    config: CalibrateConfig,
) -> tuple[Comparison, ...]:
    made: list[Comparison] = []
    for number, (question, tested) in enumerate(zip(task.folds.questions, task.tested, strict=True)):
        where = (
            f"{_kind(data)} of {data.listener}, {question.name}: {question.kept_apart}; windows of {window_s:g} s that "
            f"do not overlap; interval by block of {config.block_s:g} s"
        )
        made += compare(
            before[number], after[number], _candidates(task, tested, window_s), block=task.folds.block[tested],
            recording=task.table.recording[tested],
            question=question.name, where=where, k=config.k, seed=config.seed,
        )  # fmt: skip
    return tuple(made)


def _learned(task: _Task, learn: Learn) -> list[NDArray[np.float32]]:
    """What decoders make of the tested windows of each question (n, 512) whose encoder learned without their part.

    To learn takes long, so one encoder serves a part of every question: it learns from neither.
    """
    parts = list(zip_longest(*(question.folds for question in task.folds.questions)))
    held = [[fold for fold in part if fold is not None] for part in parts]
    free = [np.asarray(task.folds.free[:, some].all(axis=1)) for some in held]
    decoders = learn([_segments(task, rows) for rows in free])
    found = [np.empty((len(task.rows), EMBEDDING_DIM), np.float32) for _ in task.tested]
    for some, decoder in zip(held, decoders, strict=True):
        for question, tested, decoded in zip(task.folds.questions, task.tested, found, strict=True):
            ours = np.flatnonzero(tested & task.folds.tested[:, [f for f in some if f in question.folds]].any(axis=1))
            for batch in np.array_split(ours, -(-len(ours) // BATCH)) if len(ours) else ():
                vectors, _ = decoder.encode_many(*task.windows.gather(task.rows[batch]))
                decoded[batch] = decoder.adapter(vectors)
    return [decoded[tested] for decoded, tested in zip(found, task.tested, strict=True)]


def _sure_gain(task: _Task, first: Sequence[NDArray], second: Sequence[NDArray], window_s: float, k: int) -> float:
    """By how much more the second decoding surely finds than the first.

    The lower end of the 95 % interval, by block of song time, of the gain in what is found, over the tested windows of
    all questions; 0 where there is no interval. What is found, and not the cosine with the music, which a decoder that
    learned on little may lose while it finds more.
    """
    gains = []
    for tested, *decoded in zip(task.tested, first, second, strict=True):
        one, other = (found_shares(rows, _candidates(task, tested, window_s), k) for rows in decoded)
        gains.append(other - one)
    found = interval(np.concatenate(gains), np.concatenate([task.folds.block[tested] for tested in task.tested]))
    return 0.0 if found is None else float(found[0])


def _candidates(task: _Task, tested: NDArray[np.bool_], window_s: float) -> Candidates:
    there = _rows_of(task.table, tested)
    return distinct_music(task.targets[tested], there.song, there.name, there.song_start_s, window_s)


def _segments(task: _Task, allowed: NDArray[np.bool_]) -> list[Segment]:
    """Stretches that allowed windows cover together."""
    windows, rate = task.windows, task.windows.sfreq_hz
    rows, made = task.rows[allowed], []
    for number in np.unique(windows.segment[rows]):
        segment = windows.segments[number]
        firsts = np.sort(windows.first[rows[windows.segment[rows] == number]])
        for run in np.split(firsts, np.flatnonzero(np.diff(firsts) > windows.n_times) + 1):
            begin, later = int(run[0]), int(run[0]) / rate
            made.append(replace(
                segment, eeg=segment.eeg[:, begin : int(run[-1]) + windows.n_times],
                song_start_s=segment.song_start_s + later, start_s=segment.start_s + later,
            ))  # fmt: skip
    return made


def _attention(decoder: Decoder, task: _Task, before: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, C) what a decoder weighs in the windows of the last question, on which confidence is evaluated."""
    found, there = before.copy(), np.flatnonzero(task.tested[-1])
    for batch in np.array_split(there, -(-len(there) // BATCH)):
        found[batch] = decoder.encode_many(*task.windows.gather(task.rows[batch]))[1]
    return found


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
    decoder: Decoder, task: _Task, sums: CalibrationSums, report: Callable[[int, int], None]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Add every window to the normal equations; shared vectors and attention of those that are evaluated are kept.

    The arrays have a row for every window, NaN where it is not evaluated.
    """
    n, evaluated = len(task.rows), np.any(task.tested, axis=0)
    shared = np.full((n, len(sums.own.weights)), np.nan, np.float32)
    attention = np.full((n, task.windows.segments[0].eeg.shape[0]), np.nan, np.float32)
    for first in range(0, n, BATCH):
        some = np.arange(first, min(first + BATCH, n))
        vectors, weighed = decoder.encode_many(*task.windows.gather(task.rows[some]))
        sums.add(some, vectors, task.targets[some])
        kept = evaluated[some]
        shared[some[kept]], attention[some[kept]] = vectors[kept], weighed[kept]
        report(len(some) + first, n)
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
