"""Two dask workers share a table and a study's files; one is killed in the middle; all of it is as on one machine."""

import json
import signal
import subprocess
import sys
import time

import pytest

from bci_music.data.open_study import join, open_study
from bci_music.evaluation.plan import TablePlan, jobs
from bci_music.evaluation.table import run_table
from bci_music.messages import UserError
from bci_music.simulate.nmed import simulate_nmed
from bci_music.simulate.study_plan import preset as study_preset
from bci_music.training.lab.config import lab_preset
from bci_music.training.lab.prepare import prepare
from bci_music.training.pool import open_pool

pytestmark = [pytest.mark.learning, pytest.mark.timeout(300)]
PLAN = {
    "systems": {
        "long": {"title": "Long", "set": {"pretrain": None, "align": {"loop": {"steps": 120, "checkpoint_every": 5}}}},
        "ours": {"title": "Ours"},
        "cca": {"title": "CCA", "set": {"model": "cca", "pretrain": None}},
        "block": {"title": "Block tokens", "set": {"encoder": {"tokens": "block"}, "pretrain": None}},
    },
}  # fmt: skip


class Cluster:
    """A scheduler and workers, each a process; killed when left."""

    def __init__(self, folder):
        self._file = folder / "scheduler.json"
        self._folder, self.processes = folder, {}

    def start(self, *words):
        log = (self._folder / f"{len(self.processes)}.log").open("w")
        command = [sys.executable, "-m", f"distributed.cli.dask_{words[0]}", "--scheduler-file", str(self._file)]
        with log:
            return subprocess.Popen([*command, *words[1:]], stdout=log, stderr=log)

    def __enter__(self):
        self.processes["scheduler"] = self.start("scheduler", "--port", "0", "--host", "127.0.0.1", "--no-dashboard")
        deadline = time.monotonic() + 60
        while not (self._file.is_file() and self._file.read_text().strip()):
            assert self.processes["scheduler"].poll() is None, (self._folder / "0.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        self.address = json.loads(self._file.read_text())["address"]
        return self

    def worker(self, name, *words):
        made = self.start("worker", "--name", name, "--no-nanny", "--no-dashboard", "--local-directory",
                          str(self._folder), *(words or ("--nthreads", "1")))  # fmt: skip
        self.processes[name] = made
        return made

    def __exit__(self, *error):
        for process in self.processes.values():
            process.kill()
            process.wait(10)


@pytest.fixture
def cluster(tmp_path):
    pytest.importorskip("distributed", reason="distributed is not installed: pip install 'bci-music[cluster]'")
    with Cluster(tmp_path) as running:
        yield running


def compared(row):
    """All that has to be the same wherever a row was made."""
    values = row.model_dump(exclude={"minutes"})
    del values["model"]["windows_per_s"]
    for name in ("align_minutes", "pretrain_minutes"):
        del values["training"][name]
    return values


@pytest.mark.soak
def test_a_worker_killed_in_the_middle_costs_no_row_and_changes_none(cluster, data, preset, tmp_path):
    wanted = jobs(TablePlan.parse(PLAN), lab_preset(str(preset)))
    here, failed = run_table(wanted, data, tmp_path / "here")
    assert not failed
    workers = [cluster.worker(name) for name in ("first", "second")]
    killed, steps = [], []

    def show(event):
        if event[:2] == ("long", "align"):
            steps.append(event[2])
            if event[2] >= 60 and not killed:
                killed.append(busy(cluster.address, workers))

    there, failed = run_table(wanted, data, tmp_path / "there", scheduler=cluster.address, show=show)
    assert not failed
    assert len(killed) == 1
    assert [w.poll() for w in workers].count(None) == 1
    went_on = steps[steps.index(max(steps[: steps.index(60) + 1])) + 1 :]
    assert min(went_on) > 50  # it went on from its last checkpoint, not from the beginning
    assert [compared(row) for row in there] == [compared(row) for row in here]


def busy(address, workers):
    """Kill the worker that runs the row `long`."""
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        running = client.processing()
        at = next(name for name, tasks in running.items() if any("_experiment" in str(task) for task in tasks))
        pid = client.run(lambda: __import__("os").getpid(), workers=[at])[at]
    victim = next(w for w in workers if w.pid == pid)
    victim.send_signal(signal.SIGKILL)
    return victim.wait(10)


@pytest.mark.soak
def test_a_study_is_prepared_by_the_workers_as_it_is_here(cluster, tmp_path):
    simulate_nmed(tmp_path / "study", study_preset("tiny"))
    study = join([open_study(kind, tmp_path / "study" / kind) for kind in ("nmed-t", "nmed-h")])
    here = prepare(study, tmp_path / "here", quality=False)
    cluster.worker("first")
    cluster.worker("second")
    done = []
    there = prepare(
        study, tmp_path / "there", quality=False, scheduler=cluster.address, report=lambda *what: done.append(what)
    )
    assert there.data_hash == here.data_hash
    assert [s.recording for s in there.segments] == [s.recording for s in here.segments]
    assert len(done) == done[0][1]


def test_what_cannot_be_is_one_sentence(cluster, monkeypatch):
    monkeypatch.setattr("bci_music.training.pool.JOIN_S", 2.0)
    with pytest.raises(UserError, match=r"No worker has joined the dask scheduler at .* --nthreads 1"):
        open_pool(scheduler=cluster.address)
    cluster.worker("several", "--nthreads", "3")
    monkeypatch.setattr("bci_music.training.pool.JOIN_S", 30.0)
    with pytest.raises(UserError, match="runs 3 tasks in one process"):
        open_pool(scheduler=cluster.address)
    monkeypatch.setattr("bci_music.training.pool.JOIN_S", 2.0)
    with pytest.raises(UserError, match=r"No dask scheduler answers at tcp://127\.0\.0\.1:9 "):
        open_pool(scheduler="tcp://127.0.0.1:9")


def test_without_distributed_the_way_to_it_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match=r"dask\.distributed is not installed.*pip install 'bci-music\[cluster\]'"):
        open_pool(scheduler="tcp://127.0.0.1:8786")
