"""A table as data: systems, ablations and splits, each a name and what it changes; run in processes, restartable."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any

from bci_music.config import Config
from bci_music.evaluation.evaluate import EvaluateConfig
from bci_music.evaluation.experiment import (
    Kind,
    experiment_key,
    find_result,
    pretraining_home,
    pretraining_is_done,
    run_experiment,
    spent_s,
)
from bci_music.evaluation.results import Result
from bci_music.messages import UserError
from bci_music.training.lab.config import LabConfig, override
from bci_music.training.lab.prepared import Prepared
from bci_music.training.lab.run import experiment_data, init_encoder, new_network, run_pretrain, time_limit
from bci_music.training.provenance import ENCODER

Progress = tuple[str, str, int, int]  # experiment, stage, step, of how many
Show = Callable[[Progress], None]
_SPAWN = multiprocessing.get_context("spawn")


class ExperimentPlan(Config):
    """One experiment: its title, and what it changes in the preset."""

    title: str
    robustness: bool = False
    set: dict[str, Any] = {}


class TablePlan(Config):
    """All experiments of a table, by name."""

    RENAMED = {"rows": "systems"}

    systems: dict[str, ExperimentPlan] = {}
    ablations: dict[str, ExperimentPlan] = {}
    splits: dict[str, ExperimentPlan] = {}


@dataclass(frozen=True)
class Job:
    """One experiment, resolved."""

    name: str
    kind: Kind
    config: LabConfig
    settings: EvaluateConfig


def jobs(
    plan: TablePlan, base: LabConfig, only: tuple[str, ...] = (), changes: dict[str, Any] | None = None,
    genres: str | None = None,
) -> list[Job]:
    """Resolve the experiments of a plan, or some of them by name; `changes` apply to all of them on top.

    `genres` names an audio classifier for all of them instead of the one fitted on the study's own genres.
    """
    groups: tuple[tuple[Kind, dict[str, ExperimentPlan]], ...] = (
        ("system", plan.systems), ("ablation", plan.ablations), ("split", plan.splits)
    )  # fmt: skip
    names = [name if kind != "split" else f"split-{name}" for kind, group in groups for name in group]
    for name in only:
        if name not in names:
            raise UserError(f"The table has no row {name!r}: choose from {', '.join(names)}.")
    made = []
    for kind, group in groups:
        for short, plan_of in group.items():
            name = f"split-{short}" if kind == "split" else short
            if not only or name in only:
                config = override(base, {"title": plan_of.title} | plan_of.set, f"{name!r} of the table")
                config = override(config, changes or {}, "the changes for all of them")
                made.append(Job(name, kind, config, EvaluateConfig(robustness=plan_of.robustness, genres=genres)))
    return made


def run_table(
    wanted: list[Job], data: Path, work: Path, *, workers: int = 1, threads: int = 1,
    show: Show = lambda progress: None,
    done: Callable[[Result], None] = lambda result: None,
) -> tuple[list[Result], dict[str, str]]:
    """Run all experiments; what is done is read. Returns the results in order, and why others failed.

    Pretraining that several share runs first, once. An experiment that fails does not stop the others.
    """
    prepared = Prepared.open(data)
    first, twins = _alike(wanted, prepared)
    homes = {j.name: pretraining_home(j.config, prepared, work) for j in first if j.config.pretrain is not None}
    results: dict[str, Result] = {}
    failed: dict[str, str] = {}

    def finish(job: Job, result: Result | None, error: BaseException | None = None, where: str = "") -> None:
        """Keep what came of a job, for those that are like it, too."""
        for twin in (job, *twins.get(job.name, [])):
            if result is None:
                failed[twin.name] = where + _why(error)
            else:
                results[twin.name] = _renamed(result, twin)
                done(results[twin.name])

    left = []
    for job in first:
        if path := find_result(work, job.name, experiment_key(job.config, prepared, job.settings)):
            finish(job, Result.read(path))
        else:
            left.append(job)
    if not left:
        return [results[job.name] for job in wanted], failed
    with _SPAWN.Manager() as manager, _Workers(workers) as pool:
        queue = manager.Queue()
        running: dict[Future, Job | Path] = {}
        pretrained: set[Path] = set()

        def start() -> bool:
            """Start the first experiment that can run, or the pretraining it waits for."""
            for job in left:
                home = homes.get(job.name)
                if home is None or home in pretrained:
                    left.remove(job)
                    running[pool.submit(_experiment, job, data, work, threads, queue)] = job
                    return True
                if home not in running.values():
                    running[pool.submit(_pretrain, job, data, home, threads, queue)] = home
                    return True
            return False

        while left or running:
            while len(running) < workers and start():
                pass
            ended, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
            _pass_on(queue, show)
            for future in ended:
                what, error = running.pop(future), future.exception()
                if isinstance(what, Path):
                    pretrained.add(what)
                    for job in [j for j in left if error is not None and homes.get(j.name) == what]:
                        left.remove(job)
                        finish(job, None, error, "its pretraining failed: ")
                else:
                    finish(what, future.result() if error is None else None, error)
        _pass_on(queue, show)
    return [results[job.name] for job in wanted if job.name in results], failed


class _Workers:
    """Processes that run experiments; where one of them dies (no memory, log) new ones take over."""

    def __init__(self, count: int):
        self._count = count
        self._pool = ProcessPoolExecutor(count, _SPAWN)

    def submit(self, task: Callable, *arguments: Any) -> Future:
        """Have a task done."""
        try:
            return self._pool.submit(task, *arguments)
        except BrokenProcessPool:
            self._pool.shutdown()
            self._pool = ProcessPoolExecutor(self._count, _SPAWN)
            return self._pool.submit(task, *arguments)

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()


def _why(error: BaseException | None) -> str:
    """One sentence about what went wrong; an error of the program is named by its kind, too."""
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def _alike(wanted: list[Job], prepared: Prepared) -> tuple[list[Job], dict[str, list[Job]]]:
    """Jobs that differ, and for some of them others that would compute the same."""
    by_key: dict[str, list[Job]] = {}
    for job in sorted(wanted, key=lambda j: not j.settings.robustness):
        by_key.setdefault(experiment_key(job.config, prepared), []).append(job)
    leaders = {jobs_of[0].name for jobs_of in by_key.values()}
    return [job for job in wanted if job.name in leaders], {of[0].name: of[1:] for of in by_key.values()}


def _renamed(result: Result, job: Job) -> Result:
    model = result.model.model_copy(update={"title": job.config.title})
    return result.model_copy(update={"name": job.name, "kind": job.kind, "model": model})


def _pretrain(job: Job, data: Path, home: Path, threads: int, queue: Any) -> None:
    """Pretrain what several experiments share."""
    _limit_threads(threads)
    prepared, config = Prepared.open(data), job.config
    if pretraining_is_done(config, home):
        return
    (home / ENCODER).unlink(missing_ok=True)  # cut short by an earlier limit: it goes on from its checkpoint
    experiment = experiment_data(prepared, config)
    network = new_network(config, prepared)
    init_encoder(network, experiment, config)
    name = f"{job.name}, pretraining"
    run_pretrain(
        network.encoder, experiment.segments, config, prepared, home, until=time_limit(config.minutes, spent_s(home)),
        report=lambda stage, step, of, metrics: queue.put((name, stage, step, of)),
    )  # fmt: skip


def _experiment(job: Job, data: Path, work: Path, threads: int, queue: Any) -> Result:
    _limit_threads(threads)
    return run_experiment(
        job.name, job.kind, job.config, Prepared.open(data), work, settings=job.settings,
        report=lambda stage, step, of, metrics: queue.put((job.name, stage, step, of)),
        log=lambda text: queue.put((job.name, text.split(": ", 1)[-1], 0, 0)),
    )  # fmt: skip


def _limit_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _pass_on(queue: Any, show: Show) -> None:
    while True:
        try:
            show(queue.get_nowait())
        except Empty:
            return
