"""Running a table: its experiments in processes of this machine or on the workers of a scheduler, restartable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path

from bci_music.evaluation.experiment import (
    experiment_key,
    find_result,
    pretraining_home,
    pretraining_is_done,
    run_experiment,
)
from bci_music.evaluation.plan import Job
from bci_music.evaluation.results import Result
from bci_music.messages import UserError
from bci_music.training.lab.prepared import Prepared
from bci_music.training.lab.run import experiment_data, init_encoder, new_network, run_pretrain, thread_limit
from bci_music.training.pool import Pool, Send, open_pool
from bci_music.training.provenance import ENCODER

Progress = tuple[str, str, int, int]  # experiment, stage, step, of how many
Show = Callable[[Progress], None]


def run_table(
    wanted: list[Job], data: Path, work: Path, *, also: Mapping[str, Path] | None = None, workers: int = 1,
    threads: int = 1, scheduler: str | None = None, show: Show = lambda progress: None,
    done: Callable[[Result], None] = lambda result: None,
) -> tuple[list[Result], dict[str, str]]:
    """Run all experiments; what is done is read. Returns the results in order, and why others failed.

    Pretraining that several share runs first, once. An experiment that fails, or whose study is not given, does not
    stop the others.

    Parameters
    ----------
    also : mapping of name to Path, optional
        Further prepared studies, for the experiments that name one (`Job.study`).
    workers, threads : int
        Processes, and threads of each.
    scheduler : str, optional
        Address of a dask scheduler, whose workers are used instead of processes of this machine.
    """
    studies = {name: path.resolve() for name, path in ({"": data} | dict(also or {})).items()}
    absent = {
        job.name: f"it needs the study {job.study!r}, which was not given: --also {job.study}=FOLDER."
        for job in wanted if job.study not in studies
    }  # fmt: skip
    table = _Table([job for job in wanted if job.name not in absent], studies, work.resolve(), threads, done)
    if table.left:
        with open_pool(workers, scheduler) as pool:
            table.run(pool, show)
    return [table.results[job.name] for job in wanted if job.name in table.results], absent | table.failed


class _Table:
    """What is left to do of a table, what runs, and what came of the rest."""

    def __init__(
        self, wanted: list[Job], studies: dict[str, Path], work: Path, threads: int, done: Callable[[Result], None]
    ):
        self._studies, self._work, self._threads, self._done = studies, work, threads, done
        prepared = {name: Prepared.open(studies[name]) for name in {job.study for job in wanted}}
        first, self._twins = _alike(wanted, prepared)
        self._homes = {
            j.name: pretraining_home(j.config, prepared[j.study], work) for j in first if j.config.pretrain is not None
        }
        self.results: dict[str, Result] = {}
        self.failed: dict[str, str] = {}
        self.left: list[Job] = []
        for job in first:
            if path := find_result(work, job.name, experiment_key(job.config, prepared[job.study], job.settings)):
                self._finish(job, Result.read(path))
            else:
                self.left.append(job)
        self._running: dict[Future, Job | Path] = {}
        self._pretrained: set[Path] = set()

    def run(self, pool: Pool, show: Show) -> None:
        """Do all that is left, as much at once as the pool can."""
        while self.left or self._running:
            while len(self._running) < pool.size and self._start(pool):
                pass
            ended, _ = wait(self._running, timeout=0.5, return_when=FIRST_COMPLETED)
            for progress in pool.messages():
                show(progress)
            for future in ended:
                what, error = self._running.pop(future), future.exception()
                if isinstance(what, Path):
                    self._pretrained.add(what)
                    for job in [j for j in self.left if error is not None and self._homes.get(j.name) == what]:
                        self.left.remove(job)
                        self._finish(job, None, error, "its pretraining failed: ")
                else:
                    self._finish(what, future.result() if error is None else None, error)

    def _start(self, pool: Pool) -> bool:
        """Start the first experiment that can run, or the pretraining it waits for."""
        for job in self.left:
            home, data = self._homes.get(job.name), self._studies[job.study]
            if home is None or home in self._pretrained:
                self.left.remove(job)
                self._running[pool.submit(_experiment, job, data, self._work, self._threads, pool.send)] = job
                return True
            if home not in self._running.values():
                self._running[pool.submit(_pretrain, job, data, home, self._threads, pool.send)] = home
                return True
        return False

    def _finish(self, job: Job, result: Result | None, error: BaseException | None = None, where: str = "") -> None:
        """Keep what came of a job, for those that are like it, too."""
        for twin in (job, *self._twins.get(job.name, [])):
            if result is None:
                self.failed[twin.name] = where + _why(error)
            else:
                self.results[twin.name] = _renamed(result, twin)
                self._done(self.results[twin.name])


def _why(error: BaseException | None) -> str:
    """One sentence about what went wrong; an error of the program is named by its kind, too."""
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def _alike(wanted: list[Job], prepared: Mapping[str, Prepared]) -> tuple[list[Job], dict[str, list[Job]]]:
    """Jobs that differ, and for some of them others that would compute the same."""
    by_key: dict[str, list[Job]] = {}
    for job in sorted(wanted, key=lambda j: not j.settings.robustness):
        by_key.setdefault(experiment_key(job.config, prepared[job.study]), []).append(job)
    leaders = {jobs_of[0].name for jobs_of in by_key.values()}
    return [job for job in wanted if job.name in leaders], {of[0].name: of[1:] for of in by_key.values()}


def _renamed(result: Result, job: Job) -> Result:
    model = result.model.model_copy(update={"title": job.config.title})
    return result.model_copy(update={"name": job.name, "kind": job.kind, "row": job.row, "model": model})


def _pretrain(job: Job, data: Path, home: Path, threads: int, send: Send) -> None:
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
        network.encoder, experiment.segments, config, prepared, home, until=thread_limit(config.minutes, home),
        report=lambda stage, step, of, metrics: send((name, stage, step, of)),
    )  # fmt: skip


def _experiment(job: Job, data: Path, work: Path, threads: int, send: Send) -> Result:
    _limit_threads(threads)
    return run_experiment(
        job.name, job.kind, job.config, Prepared.open(data), work, settings=job.settings,
        report=lambda stage, step, of, metrics: send((job.name, stage, step, of)),
        log=lambda text: send((job.name, text.split(": ", 1)[-1], 0, 0)),
    )  # fmt: skip


def _limit_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
