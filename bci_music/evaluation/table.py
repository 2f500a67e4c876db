"""A table as data: rows, ablations and splits, each a name and what it changes; run in processes, restartable."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any

from bci_music.config import Config
from bci_music.evaluation.judging import Judging
from bci_music.evaluation.results import ResultRow
from bci_music.evaluation.rows import Kind, pretraining_home, row_key, run_row
from bci_music.messages import UserError
from bci_music.training.lab_config import LabConfig, override
from bci_music.training.lab_run import ENCODER, material, new_network, run_pretrain, time_limit, warm
from bci_music.training.prepared import Prepared

Told = tuple[str, str, int, int]  # row, stage, step, of how many
Show = Callable[[Told], None]


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
    plan: TablePlan, base: LabConfig, only: tuple[str, ...] = (), changes: dict[str, Any] | None = None
) -> list[Job]:
    """Resolve the rows of a plan, or some of them by name; `changes` apply to all rows on top."""
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
                made.append(Job(name, kind, config, Judging(robustness=row.robustness)))
    return made


def run_table(
    wanted: list[Job], data: Path, work: Path, *, workers: int = 1, threads: int = 1, show: Show = lambda told: None,
    done: Callable[[ResultRow], None] = lambda row: None,
) -> tuple[list[ResultRow], dict[str, str]]:
    """Run all rows; what is done is read. Returns the rows in order, and why others failed.

    Pretraining that several rows share runs first, once. A row that fails does not stop the others.
    """
    context = multiprocessing.get_context("spawn")
    prepared = Prepared.open(data)
    first, twins = _alike(wanted, prepared)
    homes = {j.name: pretraining_home(j.config, prepared, work) for j in first if j.config.pretrain is not None}
    rows: dict[str, ResultRow] = {}
    failed: dict[str, str] = {}
    with context.Manager() as manager, ProcessPoolExecutor(workers, context) as pool:
        told = manager.Queue()
        left = list(first)
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
                    if error is not None:
                        for job in [j for j in left if homes.get(j.name) == what]:
                            left.remove(job)
                            failed[job.name] = f"its pretraining failed: {' '.join(str(error).split())}"
                    continue
                for twin in (what, *twins.get(what.name, [])):
                    if error is None:
                        rows[twin.name] = _renamed(future.result(), twin)
                        done(rows[twin.name])
                    else:
                        failed[twin.name] = " ".join(str(error).split())
        _pass_on(told, show)
    return [rows[job.name] for job in wanted if job.name in rows], failed


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
    if (home / ENCODER).is_file():
        return
    prepared, config = Prepared.open(data), job.config
    given = material(prepared, config)
    network = new_network(config, prepared)
    warm(network, given, config)
    name = f"{job.name}, pretraining"
    run_pretrain(
        network.encoder, given.takes, config, prepared, home, until=time_limit(config.minutes),
        report=lambda stage, step, of, figures: told.put((name, stage, step, of)),
    )  # fmt: skip


def _row(job: Job, data: Path, work: Path, threads: int, told: Any) -> ResultRow:
    _calm(threads)
    return run_row(
        job.name, job.kind, job.config, Prepared.open(data), work, judging=job.judging,
        report=lambda stage, step, of, figures: told.put((job.name, stage, step, of)),
        say=lambda text: told.put((job.name, text.split(": ", 1)[-1], 0, 0)),
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
