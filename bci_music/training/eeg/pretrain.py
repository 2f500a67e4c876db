"""Pretraining without music: windows of EEG, views of them, a student and a teacher."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from bci_music.config import Config
from bci_music.messages import UserError
from bci_music.models.network import AnyEncoder, make_encoder
from bci_music.training.eeg.corpus import Segment
from bci_music.training.eeg.distiller import Distiller, collapse_metrics
from bci_music.training.eeg.masked import MaskedPredictor, hidden_steps
from bci_music.training.eeg.views import View, crop, kept_channels, to_tensor
from bci_music.training.loop import Loop, LoopConfig, compile_blocks
from bci_music.training.sampling import Prefetcher, noise_like, own_samples, rng_of


class ViewConfig(Config):
    """One kind of view: how many, which share of the window, stretched to how many samples, noise, channels kept."""

    count: int = Field(2, ge=1)
    scale: tuple[float, float] = (0.5, 1.0)
    n_times: int = Field(500, ge=2)
    noise: float = Field(0.01, ge=0)
    keep_share: float = Field(1.0, gt=0, le=1)


class PretrainConfig(Config):
    """Self-distillation (the defaults are the paper's), or `masked` prediction.

    Of masked prediction count `loop`, `batch`, `pool_share` (electrodes that are given), `window_s` and `hidden_share`
    of the time, in spans of `hidden_s`.
    """

    objective: Literal["distil", "masked"] = "distil"
    hidden_share: float = Field(0.4, gt=0, lt=1)
    hidden_s: float = Field(0.5, gt=0)
    loop: LoopConfig = LoopConfig(
        steps=40_000, lr=8e-5, warmup=6000, final_share=0.0, weight_decay=0.05, clip=1.0, ema=0.0, beta2=0.999
    )
    batch: int = Field(60, ge=2)
    pool_share: float = Field(1.0, gt=0, le=1)  # of the channels, drawn per window: all its views choose from these
    window_s: float = Field(8.0, gt=0)
    teacher_views: ViewConfig = ViewConfig(count=2, scale=(0.5, 1.0), n_times=1000, noise=0.01)
    student_views: ViewConfig = ViewConfig(count=8, scale=(0.1, 0.5), n_times=500, noise=0.03, keep_share=0.4)
    hidden: int = Field(2048, ge=1)
    bottleneck: int = Field(256, ge=1)
    prototypes: int = Field(512, ge=2)
    student_temp: float = Field(0.1, gt=0)
    teacher_temp: float = Field(0.04, gt=0)
    centre_momentum: float = Field(0.9, ge=0, lt=1)
    teacher_momentum: float = Field(0.996, ge=0, lt=1)
    # Two quirks of the released code: the schedule of the momentum begins again every epoch, and the teacher does not
    # start as a copy of the student.
    momentum_schedule: Literal["run", "epoch"] = "run"
    teacher_start: Literal["copy", "random"] = "copy"
    seed: int = 622


class EegWindows:
    """Windows of segments without any music: where they can begin, and drawing them by number."""

    def __init__(self, segments: list[Segment], n_times: int):
        self.segments = [segment for segment in segments if segment.eeg.shape[1] >= n_times]
        if not self.segments:
            raise UserError(f"No segment is as long as one window of {n_times} samples: choose a smaller `window_s`.")
        self.n_times = n_times
        starts = np.array([segment.eeg.shape[1] - n_times + 1 for segment in self.segments], float)
        self._ends = np.cumsum(starts)

    @property
    def independent(self) -> int:
        """Windows that fit in without overlap."""
        return sum(segment.eeg.shape[1] // self.n_times for segment in self.segments)

    def draw(self, seed: int, step: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """Windows (B, C, T) float32 and their usable channels (B, C) of this process's samples of a step."""
        x, used = [], []
        for sample in own_samples(batch):
            i, first = self._place(seed, step, sample)
            x.append(self.segments[i].eeg[:, first : first + self.n_times].astype(np.float32))
            used.append(self.segments[i].used)
        return np.stack(x), np.stack(used)

    def least_used(self, seed: int, step: int, batch: int) -> int:
        """Count the usable channels of the window of a step that has fewest, among the samples of all processes."""
        return min(int(self.segments[self._place(seed, step, sample)[0]].used.sum()) for sample in range(batch))

    def _place(self, seed: int, step: int, sample: int) -> tuple[int, int]:
        """Segment and first row of one sample's window."""
        at = rng_of(seed, step, sample).uniform(0, self._ends[-1])
        i = min(int(np.searchsorted(self._ends, at, side="right")), len(self.segments) - 1)
        return i, int(at - (self._ends[i - 1] if i else 0.0))


def make_views(windows: EegWindows, config: PretrainConfig, step: int) -> tuple[list[View], list[View]]:
    """Views of this step's windows: the teacher's and the student's."""
    x, used = windows.draw(config.seed, step, config.batch)
    samples = own_samples(config.batch)
    views: list[list[View]] = [[], []]
    number = 0
    least = windows.least_used(config.seed, step, config.batch)
    pool = kept_channels(used, _count(config.pool_share, x.shape[1]), least, config.seed + 999, step, samples)
    size = pool.shape[1]
    used = np.zeros_like(used)
    np.put_along_axis(used, pool, True, axis=1)
    for kind, side in ((config.teacher_views, views[0]), (config.student_views, views[1])):
        for _ in range(kind.count):
            n = _count(kind.keep_share, x.shape[1])
            keep = kept_channels(used, n, size, config.seed + 1000 + number, step, samples)
            part = np.take_along_axis(x, keep[:, :, None], axis=1)  # no noise is drawn for what is left out
            part = crop(part, kind.scale, kind.n_times, config.seed, step, samples, number)
            part = noise_like(part, config.seed + 2000 + number, step, samples, kind.noise)
            whole = np.zeros((*x.shape[:2], kind.n_times), np.float32)
            np.put_along_axis(whole, keep[:, :, None], part, axis=1)
            side.append(View(whole, keep))
            number += 1
    return views[0], views[1]


def _count(share: float, n_channels: int) -> int:
    """Channels that make up this share, rounded down as released."""
    return max(1, int(round(share * n_channels, 6)))


def teacher_momentum(step: int, config: PretrainConfig, epoch_steps: int) -> float:
    """Momentum of a step: a cosine from its start to 1, over the run or (as released) over each epoch."""
    length = config.loop.steps if config.momentum_schedule == "run" else max(1, min(epoch_steps, config.loop.steps))
    # as released the schedule is made for the whole run but indexed within the epoch, so that it hardly moves
    done = step / length if config.momentum_schedule == "run" else (step % length) / config.loop.steps
    return 1.0 - (1.0 - config.teacher_momentum) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))


Objective = Distiller | MaskedPredictor


def pretrain(
    encoder: AnyEncoder, segments: list[Segment], sfreq_hz: float, config: PretrainConfig, directory: Path, *,
    resume: bool = False, device: str = "cpu", report: Callable[[int, dict[str, float]], None] | None = None,
    until: Callable[[], bool] = lambda: False, tensorboard: bool = False,
) -> Objective:
    """Train without music; `pretrained` of what is returned is the encoder (of self-distillation the teacher)."""
    torch.manual_seed(config.seed)
    windows = EegWindows(segments, round(config.window_s * sfreq_hz))
    masked = config.objective == "masked"
    module = MaskedPredictor(encoder) if masked else _distiller(encoder, config)
    n_steps = windows.n_times // encoder.config.patch
    span = max(1, round(config.hidden_s * sfreq_hz / encoder.config.patch))
    epoch_steps = max(1, windows.independent // config.batch)

    def make(at: int) -> Any:
        return _masked_windows(windows, config, at, n_steps, span) if masked else make_views(windows, config, at)

    def step(module: Objective, at: int) -> tuple[Tensor, dict[str, float]]:
        made = prefetcher.get(at)
        if isinstance(module, MaskedPredictor):
            loss, metrics = module.loss(*(to_tensor(part, device) for part in made))
            tokens = module.encoder.tokens_of(made[2].shape[1], windows.n_times)
        else:
            loss, metrics, tokens = _distil(module, made, config, device)
        return loss, metrics | {"waited": round(prefetcher.waited_s, 4), "tokens": float(tokens * config.batch)}

    def after(module: Objective, at: int) -> None:
        if isinstance(module, Distiller):
            module.update_teacher(teacher_momentum(at, config, epoch_steps))

    loop = Loop(
        module, step, config.loop, directory, device=device, report=report, after=after, tensorboard=tensorboard
    )
    if config.loop.compile:
        compile_blocks(module)
    if resume:
        loop.resume()
    prefetcher = Prefetcher(make, loop.at, config.loop.steps)
    try:
        loop.run(until)
    finally:
        prefetcher.close()
    return loop.module


def _distiller(encoder: AnyEncoder, config: PretrainConfig) -> Distiller:
    teacher = None
    if config.teacher_start == "random":
        teacher = make_encoder(encoder.config)
        for own, known in zip(teacher.buffers(), encoder.buffers(), strict=True):  # where the electrodes are
            own.copy_(known)
    return Distiller(
        encoder, hidden=config.hidden, bottleneck=config.bottleneck, prototypes=config.prototypes,
        centre_momentum=config.centre_momentum, teacher=teacher,
    )


def _distil(
    module: Distiller, made: tuple[list[View], list[View]], config: PretrainConfig, device: str
) -> tuple[Tensor, dict[str, float], int]:
    """Loss, figures and tokens of a window, of the views of a step."""
    wide, narrow = ([(to_tensor(v.x, device), to_tensor(v.keep, device)) for v in side] for side in made)
    from_teacher, features = module.teacher_scores(wide)
    from_student = module.student_scores(narrow)
    loss, metrics = module.loss(from_teacher, from_student, config.teacher_temp, config.student_temp)
    module.recentre(from_teacher)
    tokens = sum(module.student.tokens_of(keep.shape[1], x.shape[2]) for x, keep in (*wide, *narrow))
    return loss, metrics | collapse_metrics(features), tokens


def _masked_windows(
    windows: EegWindows, config: PretrainConfig, step: int, n_steps: int, span: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Windows of a step, their usable electrodes, those that are given, and the steps that are hidden."""
    x, used = windows.draw(config.seed, step, config.batch)
    samples = own_samples(config.batch)
    least = windows.least_used(config.seed, step, config.batch)
    keep = kept_channels(used, _count(config.pool_share, x.shape[1]), least, config.seed + 999, step, samples)
    hidden = hidden_steps(n_steps, config.hidden_share, span, config.seed + 1000, step, samples)
    return np.where(used[:, :, None], x, np.float32(0)), used, keep, hidden
