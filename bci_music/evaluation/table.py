"""A table as data: rows, ablations and splits, each a name and what it changes; run in processes, restartable."""

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
from bci_music.evaluation.experiment import Kind, pretraining_home, pretraining_is_done, row_key, run_row, spent_s
from bci_music.evaluation.judging import Judging
from bci_music.evaluation.results import ResultRow
from bci_music.messages import UserError
from bci_music.training.lab.config import LabConfig, override
from bci_music.training.lab.prepared import Prepared
from bci_music.training.lab.run import experiment_data, new_network, run_pretrain, time_limit, warm
from bci_music.training.provenance import ENCODER

Told = tuple[str, str, int, int]  # row, stage, step, of how many
Show = Callable[[Told], None]
_SPAWN = multiprocessing.get_context("spawn")


class RowPlan(Config):
    """One row: its title, and what it changes in the preset."""

    title: str
    robustness: bool = False
    set: dict[str, Any] = {}


class TablePlan(Config):
    """All rows of a table, by name."""

    rows: dict[str, RowPlan] = {}
    ablations: dict[str, RowPlan] = {}
    splits: dict[str, RowPlan] = {}


@dataclass(frozen=True)
class Job:
    """One row, resolved."""

    name: str
    kind: Kind
    config: LabConfig
    judging: Judging


def jobs(
    plan: TablePlan, base: LabConfig, only: tuple[str, ...] = (), changes: dict[str, Any] | None = None,
    genres: str | None = None,
) -> list[Job]:
    """Resolve the rows of a plan, or some of them by name; `changes` apply to all rows on top.

    `genres` names an audio classifier that judges all rows instead of the one fitted on the study's own genres.
    """
    groups: tuple[tuple[Kind, dict[str, RowPlan]], ...] = (
        ("row", plan.rows), ("ablation", plan.ablations), ("split", plan.splits)
    )  # fmt: skip
    names = [name if kind != "split" else f"split-{name}" for kind, group in groups for name in group]
    for name in only:
        if name not in names:
            raise UserError(f"The table has no row {name!r}: choose from {', '.join(names)}.")
    made = []
    for kind, group in groups:
        for short, row in group.items():
            name = f"split-{short}" if kind == "split" else short
            if not only or name in only:
                config = override(base, {"title": row.title} | row.set, f"row {name!r} of the table")
                config = override(config, changes or {}, "the changes for all rows")
                made.append(Job(name, kind, config, Judging(robustness=row.robustness, genres=genres)))
    return made


def run_table(
    wanted: list[Job], data: Path, work: Path, *, workers: int = 1, threads: int = 1, show: Show = lambda told: None,
    done: Callable[[ResultRow], None] = lambda row: None,
) -> tuple[list[ResultRow], dict[str, str]]:
    """Run all rows; what is done is read. Returns the rows in order, and why others failed.

    Pretraining that several rows share runs first, once. A row that fails does not stop the others.
    """
    prepared = Prepared.open(data)
    first, twins = _alike(wanted, prepared)
    homes = {j.name: pretraining_home(j.config, prepared, work) for j in first if j.config.pretrain is not None}
    rows: dict[str, ResultRow] = {}
    failed: dict[str, str] = {}

    def finish(job: Job, row: ResultRow | None, error: BaseException | None = None, where: str = "") -> None:
        """Keep what came of a job, for those that are like it, too."""
        for twin in (job, *twins.get(job.name, [])):
            if row is None:
                failed[twin.name] = where + _why(error)
            else:
                rows[twin.name] = _renamed(row, twin)
                done(rows[twin.name])

    left = []
    for job in first:
        path = work / "rows" / f"{job.name}-{row_key(job.config, prepared, job.judging)}.json"
        if path.is_file():
            finish(job, ResultRow.read(path))
        else:
            left.append(job)
    if not left:
        return [rows[job.name] for job in wanted], failed
    with _SPAWN.Manager() as manager, _Workers(workers) as pool:
        told = manager.Queue()
        running: dict[Future, Job | Path] = {}
        pretrained: set[Path] = set()

        def start() -> bool:
            """Start the first row that can run, or the pretraining it waits for."""
            for job in left:
                home = homes.get(job.name)
                if home is None or home in pretrained:
                    left.remove(job)
                    running[pool.submit(_row, job, data, work, threads, told)] = job
                    return True
                if home not in running.values():
                    running[pool.submit(_pretrain, job, data, home, threads, told)] = home
                    return True
            return False

        while left or running:
            while len(running) < workers and start():
                pass
            ended, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
            _pass_on(told, show)
            for future in ended:
                what, error = running.pop(future), future.exception()
                if isinstance(what, Path):
                    pretrained.add(what)
                    for job in [j for j in left if error is not None and homes.get(j.name) == what]:
                        left.remove(job)
                        finish(job, None, error, "its pretraining failed: ")
                else:
                    finish(what, future.result() if error is None else None, error)
        _pass_on(told, show)
    return [rows[job.name] for job in wanted if job.name in rows], failed


class _Workers:
    """Processes that work on rows; where one of them dies (no memory, say) new ones take over."""

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
    """Say in one sentence what went wrong; a fault of ours is named by its kind, too."""
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def _alike(wanted: list[Job], prepared: Prepared) -> tuple[list[Job], dict[str, list[Job]]]:
    """Jobs that differ, and for some of them others that would compute the same."""
    by_key: dict[str, list[Job]] = {}
    for job in sorted(wanted, key=lambda j: not j.judging.robustness):
        by_key.setdefault(row_key(job.config, prepared), []).append(job)
    leaders = {jobs_of[0].name for jobs_of in by_key.values()}
    return [job for job in wanted if job.name in leaders], {of[0].name: of[1:] for of in by_key.values()}


def _renamed(row: ResultRow, job: Job) -> ResultRow:
    model = row.model.model_copy(update={"title": job.config.title})
    return row.model_copy(update={"name": job.name, "kind": job.kind, "model": model})


def _pretrain(job: Job, data: Path, home: Path, threads: int, told: Any) -> None:
    """Pretrain what several rows share."""
    _calm(threads)
    prepared, config = Prepared.open(data), job.config
    if pretraining_is_done(config, home):
        return
    (home / ENCODER).unlink(missing_ok=True)  # cut short by an earlier limit: it goes on from its checkpoint
    experiment = experiment_data(prepared, config)
    network = new_network(config, prepared)
    warm(network, experiment, config)
    name = f"{job.name}, pretraining"
    run_pretrain(
        network.encoder, experiment.segments, config, prepared, home, until=time_limit(config.minutes, spent_s(home)),
        report=lambda stage, step, of, figures: told.put((name, stage, step, of)),
    )  # fmt: skip


def _row(job: Job, data: Path, work: Path, threads: int, told: Any) -> ResultRow:
    _calm(threads)
    return run_row(
        job.name, job.kind, job.config, Prepared.open(data), work, judging=job.judging,
        report=lambda stage, step, of, figures: told.put((job.name, stage, step, of)),
        log=lambda text: told.put((job.name, text.split(": ", 1)[-1], 0, 0)),
    )  # fmt: skip


def _calm(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _pass_on(told: Any, show: Show) -> None:
    while True:
        try:
            show(told.get_nowait())
        except Empty:
            return
