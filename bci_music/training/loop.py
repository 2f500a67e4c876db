"""The training loop: schedule, moving average, checkpoints, log. What is learned is the caller's `step`."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Generic, Literal, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from bci_music.config import Config
from bci_music.messages import UserError
from bci_music.models import parallel
from bci_music.models.device import keep_memory, mixed
from bci_music.training.sampling import rng_of

M = TypeVar("M", bound=nn.Module)
Clock = Literal["seconds", "thread_s"]
SAVE_S = 120.0  # steps may take half a minute: no more than this is lost with a killed run


class LoopConfig(Config):
    """How long and how fast to learn."""

    steps: int = Field(2000, ge=1)
    lr: float = Field(1e-3, gt=0)
    warmup: int = Field(50, ge=0)
    final_share: float = Field(0.02, ge=0, le=1)  # of the learning rate, at the end of the cosine
    weight_decay: float = Field(0.05, ge=0)
    clip: float = Field(1.0, gt=0)
    ema: float = Field(0.995, ge=0, lt=1)
    beta2: float = Field(0.98, gt=0, lt=1)
    bf16: bool = True  # where the machine multiplies it natively
    compile: bool = False  # the encoder's blocks; for GPUs: on a CPU it gained 6 % after 40 s of compiling
    checkpoint_every: int = Field(100, ge=1)
    watch_every: int = Field(200, ge=1)


def thread_s() -> float:
    """Processor time of this process in seconds, per thread that torch computes with.

    Unlike the time of day it gives models equal shares of a machine that does other work, too. All other threads of
    the process count.
    """
    return time.process_time() / torch.get_num_threads()


class TimeLimit:
    """Becomes true when the time is over, and says how much of it is gone, for a learning rate that falls with it.

    Parameters
    ----------
    seconds : float
        May be infinite.
    spent : callable
        Seconds that earlier calls learned for; asked once, when the first step is due, so that steps lost with a
        killed run do not count.
    clock : callable
        What tells the time: `time.monotonic`, or `thread_s`.
    """

    def __init__(
        self, seconds: float, spent: Callable[[], float] = lambda: 0.0, clock: Callable[[], float] = time.monotonic
    ):
        self._seconds, self._spent, self._clock = seconds, spent, clock
        self._began = clock()
        self._before: float | None = None

    def share(self) -> float:
        """How much of the time is gone, 0 to 1."""
        if self._before is None:
            self._before = self._spent() if math.isfinite(self._seconds) else 0.0
        return min(1.0, (self._before + self._clock() - self._began) / self._seconds)

    def __call__(self) -> bool:
        """Whether the time is over."""
        return self.share() >= 1.0


class Loop(Generic[M]):
    """Run steps that can be stopped and resumed, in one process or in several that share each batch.

    Every process makes the same start and draws its rows by their number in the global batch; gradients are averaged
    over the processes, so that all keep the same weights. Only the first one writes.

    Parameters
    ----------
    module : nn.Module
        Everything that learns.
    step : callable
        ``(module, step_number) -> (loss, figures)``; draws its data from the step number, so that a resumed run
        continues with the draws it would have made.
    directory : Path
        Holds `checkpoint.pt` and `log.jsonl`.
    watch : callable, optional
        ``(averaged_module) -> figures``, called now and then.
    report : callable, optional
        Gets ``(step, figures)`` after every step, e.g. to move a progress bar.
    after : callable, optional
        ``(module, step)`` after the weights have moved, e.g. to let a teacher follow.
    tensorboard : bool
        Write the figures for TensorBoard, too.
    """

    def __init__(
        self, module: M, step: Callable[[M, int], tuple[Tensor, dict[str, float]]], config: LoopConfig,
        directory: Path, *, device: str = "cpu", watch: Callable[[M], dict[str, float]] | None = None,
        report: Callable[[int, dict[str, float]], None] | None = None,
        after: Callable[[M, int], None] = lambda module, step: None, tensorboard: bool = False,
    ):
        keep_memory()
        self.module: M = module.to(device)
        self.averaged: M = copy.deepcopy(self.module)
        self.averaged.eval().requires_grad_(False)
        self.config = config
        self.directory = directory
        self.at = 0
        self._step, self._watch, self._report, self._device, self._after = step, watch, report, device, after
        groups = _groups(self.module, config.weight_decay)
        self._optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, config.beta2), fused=True)
        self._seed = torch.initial_seed()  # what torch itself draws in a step (dropout) belongs to the step, too
        directory.mkdir(parents=True, exist_ok=True)
        self._writes = parallel.rank() == 0
        self._board = _board(directory) if tensorboard and self._writes else None

    @property
    def _checkpoint(self) -> Path:
        return self.directory / "checkpoint.pt"

    def resume(self) -> int:
        """Continue from the checkpoint if there is one; returns the step."""
        if self._checkpoint.is_file():
            try:
                saved = torch.load(self._checkpoint, weights_only=True, map_location=self._device)
                self.module.load_state_dict(saved["module"])
                self.averaged.load_state_dict(saved["averaged"])
                self._optimizer.load_state_dict(saved["optimizer"])
            except (RuntimeError, ValueError, KeyError, EOFError, OSError, UnpicklingError) as error:
                raise UserError(
                    f"{self._checkpoint} is damaged or of a run with other settings: give --restart to start again, or "
                    "choose another folder."
                ) from error
            self.at = int(saved["step"])
        return self.at

    @property
    def _log_file(self) -> Path:
        return self.directory / "log.jsonl"

    def run(self, until: Callable[[], bool] = lambda: False) -> M:
        """Step until the end, or until `until()`; returns the averaged module.

        With a `TimeLimit` the learning rate has fallen to its end when either the steps or the time are over.
        """
        c = self.config
        if self._writes:
            _forget_after(self._log_file, self.at)
        saved = time.monotonic()
        while self.at < c.steps:
            over, gone = self._agreed(until)
            if over:
                break
            began, worked = time.perf_counter(), thread_s()
            metrics = self._one(gone)
            self.at += 1
            seconds = time.perf_counter() - began
            metrics |= {"seconds": round(seconds, 3), "thread_s": round(thread_s() - worked, 3)}
            if "tokens" in metrics:
                metrics["tokens_per_s"] = round(metrics["tokens"] / seconds)
            if self._watch and (self.at % c.watch_every == 0 or self.at == c.steps):
                metrics |= self._watch(self.averaged)
            self._log(metrics)
            late = time.monotonic() - saved >= SAVE_S
            if late or self.at % c.checkpoint_every == 0 or self.at == c.steps:
                self.save()
                saved = time.monotonic()
        if self._board is not None:
            self._board.close()  # writes what it holds back; opens again by itself
        return self.averaged

    def save(self) -> None:
        """Write a checkpoint in one move, so that an interrupted write leaves the last one whole."""
        if not self._writes:
            return
        part = self._checkpoint.with_suffix(".part")
        state = {
            "module": self.module.state_dict(), "averaged": self.averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(), "step": self.at,
        }
        torch.save(state, part)
        part.replace(self._checkpoint)

    def _one(self, gone: float = 0.0) -> dict[str, float]:
        c = self.config
        rate = c.lr * learning_share(self.at, c, gone)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self.module.train()
        torch.manual_seed(int(rng_of(self._seed, self.at, parallel.rank()).integers(2**63)))
        with mixed(self._device, c.bf16):
            loss, metrics = self._step(self.module, self.at)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._share_gradients()
        nn.utils.clip_grad_norm_(self.module.parameters(), c.clip)
        self._optimizer.step()
        self._after(self.module, self.at)
        self._average()
        return {"loss": float(parallel.mean(loss)), "lr": rate} | metrics

    def _agreed(self, until: Callable[[], bool]) -> tuple[bool, float]:
        """Whether it is over, and which share of the time is gone.

        All processes end with the same step, when any of them says so, or they would wait for each other; and all
        learn at the same rate.
        """
        over, gone = until(), until.share() if isinstance(until, TimeLimit) else 0.0
        if parallel.world() == 1:
            return over, gone
        shared = parallel.mean(torch.tensor([float(over), gone], device=self._device))
        return bool(shared[0] > 0), float(shared[1])

    def _share_gradients(self) -> None:
        """Average the gradients over the processes, all in one message."""
        if parallel.world() == 1:
            return
        learned = [p for p in self.module.parameters() if p.grad is not None]  # the same in all processes
        flat = torch.cat([p.grad.flatten() for p in learned if p.grad is not None])
        for p, part in zip(learned, parallel.mean(flat).split([p.numel() for p in learned]), strict=True):
            p.grad = part.view_as(p)

    def _average(self) -> None:
        keep = min(self.config.ema, (1 + self.at) / (10 + self.at))
        with torch.no_grad():
            for mean, new in zip(self.averaged.parameters(), self.module.parameters(), strict=True):
                mean.lerp_(new, 1.0 - keep)
            for kept, newest in zip(self.averaged.buffers(), self.module.buffers(), strict=True):
                kept.copy_(newest)

    def _log(self, metrics: dict[str, float]) -> None:
        if self._writes:
            with self._log_file.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps({"step": self.at} | metrics) + "\n")
            if self._board is not None:
                for name, value in metrics.items():
                    self._board.add_scalar(name, value, self.at)
        if self._report:
            self._report(self.at, metrics)


def compile_blocks(module: nn.Module) -> None:
    """Compile every transformer block in place; weights and their names stay as they are."""
    from bci_music.models.encoder import Block

    for part in module.modules():
        if isinstance(part, Block):
            part.compile(dynamic=True)


def learning_share(step: int, config: LoopConfig, gone: float = 0.0) -> float:
    """Warm up linearly, then a cosine down to `final_share`; `gone`: share of the time, where that is the limit."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    done = max(gone, (step - config.warmup) / max(1, config.steps - config.warmup))
    return config.final_share + (1 - config.final_share) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _board(directory: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError(
            "TensorBoard is not installed: pip install 'bci-music[lab]', or say --no-tensorboard (log.jsonl is written "
            "in any case)."
        ) from None
    return SummaryWriter(str(directory / "tensorboard"))


def spent_s(run: Path, clock: Clock = "seconds") -> float:
    """Seconds that a run (its folder, or one log) has learned for so far: passed, or worked (see `thread_s`)."""
    logs = [run] if run.is_file() else logs_of(run)
    return sum(line.get(clock, line["seconds"]) for log in logs for line in log_lines(log))


def logs_of(directory: Path) -> list[Path]:
    """The logs of a run: that of a first stage in a folder inside it, then its own."""
    return sorted(directory.glob("**/log.jsonl"), key=lambda p: -len(p.parts))


def log_lines(log: Path) -> list[dict[str, Any]]:
    """Figures of every step."""
    return [json.loads(line) for line in log.read_text(encoding="utf-8").split("\n")[:-1]]  # the last may be torn


def _forget_after(log: Path, step: int) -> None:
    """Drop the lines of steps that will be done again."""
    if log.is_file():
        lines = log.read_text(encoding="utf-8").split("\n")[:-1]  # the last one may be torn
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        log.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def _groups(module: nn.Module, weight_decay: float) -> list[dict]:
    """No decay on vectors and scalars."""
    learning = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in learning if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in learning if p.ndim < 2], "weight_decay": 0.0},
    ]
