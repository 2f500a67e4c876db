"""Every malformed pack, configuration, checkpoint and recording is one sentence and exit code 2, soon and in bounds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from malformed import PLACE_NAME
from malformed_kinds import cases
from valid_things import write_valid

pytestmark = pytest.mark.install
LONGEST_S, MOST_MIB, LONGEST_SENTENCE = 5.0, 2048, 900
FORKED = Path(__file__).parents[1] / "support" / "forked.py"
QUICK = 8  # every so many of the cases; the soak takes all


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    return write_valid(tmp_path_factory.mktemp("valid"))


@pytest.fixture
def ask():
    """Run a command of the program in a fork of a process that has loaded the libraries."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, FORKED], stdin=pipe, stdout=pipe, text=True) as process:
        process.stdout.readline()

        def run(words):
            process.stdin.write(json.dumps(words) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield run
        process.stdin.close()


def test_what_is_valid_is_taken(valid, ask):
    for words in (["pack", "check", valid.pack], ["models", "check", valid.audioldm], ["models", "check", valid.clap],
                  ["data", "info", valid.xdf], ["data", "info", valid.edf]):  # fmt: skip
        done = ask([str(word) for word in words])
        assert done["code"] == 0, done["stderr"]


@pytest.mark.parametrize("part", [
    pytest.param("some", marks=pytest.mark.timeout(300)),
    pytest.param("all", marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
])  # fmt: skip
def test_what_is_malformed_is_one_sentence(part, valid, ask, tmp_path):
    every = list(cases(valid))
    assert len(every) > 400
    wrong = []
    for number, case in enumerate(every[:: QUICK if part == "some" else 1]):
        place = tmp_path / str(number) / PLACE_NAME
        place.mkdir(parents=True)
        if fault := fault_of(ask(case.make(place))):
            wrong.append(f"{case.name}: {fault}")
    assert not wrong, "\n".join(wrong)


def fault_of(done):
    """What is wrong with an answer, "" when it is one sentence, exit code 2, in bounds."""
    lines = done["stderr"].strip().splitlines()
    if done["code"] != 2 or len(lines) > 5 or not all(line.startswith("bci-music: ") for line in lines):
        return f"code {done['code']}, {done['stderr'][-600:]}"
    if not lines or "no-such-recording" in lines[-1] or max(map(len, lines)) > LONGEST_SENTENCE:
        return f"said {lines}"
    if done["cpu"] > LONGEST_S or done["mib"] > MOST_MIB:
        return f"{done['cpu']:.1f} s of the processor, {done['mib']:.0f} MiB"
    return ""
