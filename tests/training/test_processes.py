"""Several processes learn what one learns; a run that is killed goes on as if nothing had happened."""

import importlib.util
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bci_music.messages import UserError
from bci_music.training.launch import join_processes, leave_processes

pytestmark = pytest.mark.learning

SCRIPT = Path(__file__).with_name("one_of_several.py")
PARTS = ("pretrain", "temporal", "pooled", "queries")
ALONE = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("one_of_several", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_here(script, directory, *parts):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    script.run(directory, *parts)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def alone(script, tmp_path_factory):
    """What one process learns without interruption."""
    directory = tmp_path_factory.mktemp("alone")
    run_here(script, directory, *PARTS)
    return directory


def log(directory, part):
    return [json.loads(line) for line in (directory / part / "log.jsonl").read_text().splitlines()]


def launch(*arguments, options=()):
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2", "--num_machines", "1",
        "--mixed_precision", "no", "--dynamo_backend", "no", *options, str(SCRIPT), *map(str, arguments),
    ]  # fmt: skip
    return subprocess.run(command, env=ALONE, capture_output=True, text=True, timeout=150)


def test_two_processes_learn_what_one_learns(alone, script, tmp_path):
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = launch(tmp_path, *PARTS, options=("--multi_gpu", "--main_process_port", str(port)))  # gloo: no GPU is used
    assert done.returncode == 0, done.stderr[-3000:]
    assert sorted(done.stdout.split("\n")[:-1]) == ["process 0 of 2", "process 1 of 2"]
    for part in PARTS:
        ours, theirs = log(alone, part), log(tmp_path, part)
        assert [line["step"] for line in theirs] == list(range(1, script.STEPS + 1))
        curves = {"pretrain": ("loss", "distil", "entropy", "usage", "rank")}.get(part, ("loss", "nce", "bands"))
        for key in curves:
            assert [line[key] for line in theirs] == pytest.approx([line[key] for line in ours], abs=2e-4, rel=1e-4)
        assert len({round(line["loss"], 6) for line in theirs}) > script.STEPS // 2
        learned = load_file(tmp_path / f"{part}.safetensors")
        for name, weight in load_file(alone / f"{part}.safetensors").items():
            torch.testing.assert_close(learned[name], weight, rtol=2e-3, atol=2e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_one_process_where_two_were_asked_for_is_an_error(tmp_path, monkeypatch):
    """What accelerate does with `--cpu --num_processes 2`, and without a word."""
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.setenv("MASTER_PORT", "29500")
    with pytest.raises(UserError, match="several processes but started one: say `accelerate launch --multi_gpu"):
        join_processes("cpu")
    monkeypatch.delenv("MASTER_PORT")
    assert join_processes("cpu") == "cpu"
    leave_processes()


def kill_at(step, directory, part):
    """Kill the run, which nothing can prepare for, once its log tells of this step."""
    path = directory / part / "log.jsonl"
    process = subprocess.Popen([sys.executable, str(SCRIPT), str(directory), "pretrain", "temporal"], env=ALONE)
    deadline = time.monotonic() + 100
    while not path.is_file() or path.read_text().count("\n") < step:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL on Windows")
def test_a_killed_run_ends_in_the_same_weights_bit_for_bit(alone, script, tmp_path):
    """Killed once in the pretraining and once in the alignment that follows, then let run to its end."""
    for part in ("pretrain", "temporal"):
        kill_at(random.randrange(1, script.STEPS), tmp_path, part)
    run_here(script, tmp_path, "pretrain", "temporal")
    for part in ("pretrain", "temporal"):
        assert [line["step"] for line in log(tmp_path, part)] == list(range(1, script.STEPS + 1))
        resumed = load_file(tmp_path / f"{part}.safetensors")
        for name, weight in load_file(alone / f"{part}.safetensors").items():
            assert torch.equal(resumed[name], weight), f"{part}: {name}"
