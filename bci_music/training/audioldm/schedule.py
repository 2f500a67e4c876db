"""Running stages: steps from the time there is, exact resume, figures on held-out clips of what was written."""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bci_music.generation.audioldm.loading import TRANSFORMER, UNET, VOCODER
from bci_music.messages import UserError
from bci_music.training.audioldm.batches import Figures
from bci_music.training.audioldm.stages import SHARES, Job, MusicModelsConfig, Workspace, current_stage, make_job
from bci_music.training.loop import Loop, LoopConfig

PLAN, RESULT = "plan.json", "figures.json"
_TIMED, _WARM = 4, 1  # steps made to learn how long one takes; the first of them does not count
Report = Callable[[str, int, int, Figures], None]  # stage, step, of how many, figures


@dataclass(frozen=True)
class Outcome:
    """What came of a stage: its folder, steps done and planned, and figures (none before it ended)."""

    directory: Path
    done: int
    steps: int
    metrics: Figures


def run_stage(
    stage: str, workspace: Workspace, *, minutes: float | None = None, config: MusicModelsConfig | None = None,
    start: Path | None = None, again: bool = False, report: Report = lambda stage, step, of, metrics: None,
    until: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Run one stage, or go on with it where it was interrupted.

    Parameters
    ----------
    minutes : float, optional
        Time for learning: decides the number of steps when the stage begins (default: the configuration's).
    start : Path, optional
        Folder with parts to begin from, e.g. a pack's generator: weights only, the optimiser is fresh.
    again : bool
        The stage ended before: learn for another round from the part it wrote.
    until : callable
        Interrupts the stage when true; what was learned so far is written all the same.
    """
    config, stage = config or MusicModelsConfig(), current_stage(stage)
    workspace.parts.mkdir(parents=True, exist_ok=True)
    directory = _round(workspace.out, stage, again)
    if again and start is None:
        start = workspace.parts
    if (directory / RESULT).is_file():
        steps = json.loads((directory / PLAN).read_text(encoding="utf-8"))["steps"]
        return Outcome(directory, steps, steps, json.loads((directory / RESULT).read_text(encoding="utf-8")))
    job = make_job(stage, workspace, config, _kept_start(directory, start))
    steps = _planned(directory, job, minutes, workspace.device)
    loop = _loop(job, steps, directory, workspace.device, lambda at, f: report(stage, at, steps, f))
    loop.resume()
    learned = loop.run(until)
    if loop.at < steps:
        loop.save()
    exported = job.export(copy.deepcopy(learned).eval())
    metrics = {**job.evaluate(exported.eval()), "steps": loop.at}
    if loop.at == steps:
        (directory / RESULT).write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    return Outcome(directory, loop.at, steps, metrics)


def run_schedule(
    workspace: Workspace, minutes: float, *, config: MusicModelsConfig | None = None, more: tuple[str, ...] = (),
    report: Report = lambda stage, step, of, metrics: None, tell: Callable[[str, Outcome], None],
) -> None:
    """Run all stages, each with its share of the minutes, those in `more` with a tenth each beyond them."""
    shares, more = dict(SHARES), tuple(current_stage(name) for name in more)
    if "vocoder-adversarial" in more:  # after the vocoder has seen rebuilt spectrograms
        names = list(shares)
        names.insert(names.index("vocoder-fit") + 1, "vocoder-adversarial")
        shares = {name: shares.get(name, 0.1) for name in names}
    shares |= {name: 0.1 for name in ("distil", TRANSFORMER) if name in more}
    for stage, share in shares.items():
        tell(stage, run_stage(stage, workspace, minutes=share * minutes, config=config, report=report))


def describe(stage: str, outcome: Outcome) -> str:
    """Figures of a stage in words and numbers."""
    listed = ", ".join(f"{k} {v:.4g}" for k, v in outcome.metrics.items() if k not in ("held_clips", "steps"))
    n = int(outcome.metrics["held_clips"])
    return f"{stage}: {outcome.done} of {outcome.steps} steps; on {n} held-out clips {listed}"


def _loop(job: Job, steps: int, directory: Path, device: str, report: Callable[[int, Figures], None]) -> Loop[Any]:
    given = {"steps": steps, "warmup": min(job.loop.warmup, max(1, steps // 10))}
    if device != "cpu":
        given["bf16"] = True  # on a CPU without such multipliers it is slower than float32
    config = job.loop.model_copy(update=given)
    torch.manual_seed(job.seed)
    task = job.task
    return Loop(task.module, task.step, config, directory, device=device, watch=task.evaluate, report=report)


def _planned(directory: Path, job: Job, minutes: float | None, device: str) -> int:
    """Steps of the stage: decided once, so that a resumed run has the same schedule."""
    plan = directory / PLAN
    if plan.is_file():
        return int(json.loads(plan.read_text(encoding="utf-8"))["steps"])
    directory.mkdir(parents=True, exist_ok=True)
    plan_values: dict[str, float] = {"steps": job.loop.steps}
    if minutes is not None:
        seconds = _step_seconds(job, device)
        plan_values = {"steps": max(10, int(60 * minutes / seconds)), "seconds_per_step": round(seconds, 4)}
    plan.write_text(json.dumps(plan_values) + "\n", encoding="utf-8")
    return int(plan_values["steps"])


def _step_seconds(job: Job, device: str) -> float:
    """Median time of a step, measured on a copy that is thrown away."""
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        config = LoopConfig(**{**job.loop.model_dump(), "steps": _TIMED, "watch_every": 10**9})
        loop = Loop(copy.deepcopy(job.task.module), job.task.step, config, Path(folder), device=device)
        last = time.perf_counter()
        for _ in range(_TIMED):
            loop._one()
            times.append(time.perf_counter() - last)
            last = time.perf_counter()
    return sorted(times[_WARM:])[(_TIMED - _WARM) // 2]


def _round(out: Path, stage: str, again: bool) -> Path:
    """Folder of the stage's newest round, or of the next one."""
    rounds = [out / stage]
    while (following := out / f"{stage}-{len(rounds) + 1}").is_dir():
        rounds.append(following)
    if again and (rounds[-1] / RESULT).is_file():
        return following
    if again and not (rounds[-1] / PLAN).is_file():
        raise UserError(f"{stage} was not trained in {out} yet: leave --again away.")
    return rounds[-1]


def _kept_start(directory: Path, start: Path | None) -> Path | None:
    """Copy the parts a round begins from: they will be overwritten by what it learns, and a resumed run needs them."""
    kept = directory / "start"
    if start is not None and not kept.is_dir():
        fresh = directory / "start.part"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        for part in (UNET, "vae", VOCODER, TRANSFORMER):
            if (start / part).is_dir():
                shutil.copytree(start / part, fresh / part)
        fresh.rename(kept)
    return kept if kept.is_dir() else None
