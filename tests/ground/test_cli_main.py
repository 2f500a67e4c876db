"""The command: cheap help, one sentence for mistakes, exit codes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from bci_music.cli.main import app

pytestmark = pytest.mark.install

BCI_MUSIC = Path(sys.executable).parent / "bci-music"
VERBS = ["demo", "live", "replay", "monitor", "doctor", "data", "stream", "simulate", "pack", "bench",
         "generate", "models"]


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


def run_verb(body):
    """Run the real entry point with one more verb, `probe`, whose body is given."""
    code = f"""
import sys
from bci_music.cli import main as cli
from bci_music.messages import UserError
def probe():
    {body}
cli.app.command("probe")(probe)
sys.argv = ["bci-music", "probe"]
cli.main()
"""
    return run(sys.executable, "-c", code)


def test_help_lists_every_verb_with_a_sentence():
    done = run(BCI_MUSIC, "--help", env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"})
    assert done.returncode == 0
    rows = {line.split()[1]: line.split()[2:-1] for line in done.stdout.splitlines() if line.startswith("│ ")}
    assert {verb: len(rows.get(verb, [])) >= 3 for verb in VERBS} == dict.fromkeys(VERBS, True)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb):
    done = CliRunner().invoke(app, [verb, "--help"])
    assert done.exit_code == 0, done.output
    assert f"{verb} [OPTIONS]" in done.output


def test_defaults_given_in_words_are_shown():
    """Unescaped brackets are markup: the terminal swallows what stands in them."""
    shown = CliRunner().invoke(app, ["demo", "--help"], env={"COLUMNS": "200"}).output
    assert "[default: demo]" in shown
    swallowed, groups = [], [typer.main.get_command(app)]
    for group in groups:
        for command in group.commands.values():
            (groups if hasattr(command, "commands") else []).append(command)
            options = [(command.name, getattr(option, "help", None) or "") for option in command.params]
            swallowed += [sentence for sentence in options if re.search(r"(?<!\\)\[default", sentence[1])]
    assert len(groups) > 4
    assert swallowed == []


def test_help_loads_nothing_heavy():
    code = """
import sys
from bci_music.cli import main as cli
sys.argv = ["bci-music", "--help"]
try:
    cli.main()
except SystemExit:
    pass
print([m for m in ("numpy", "pydantic", "yaml", "torch", "mne", "pylsl", "PySide6", "scipy") if m in sys.modules])
"""
    done = run(sys.executable, "-c", code)
    assert done.stdout.strip().splitlines()[-1] == "[]", done.stderr


def test_version():
    done = run(BCI_MUSIC, "--version")
    assert done.returncode == 0
    assert done.stdout.split()[0] == "bci-music"


def test_a_mistake_is_one_sentence_and_exit_code_2():
    done = run_verb("raise UserError('No stream is called X:\\n  name one of those that are there.')")
    assert done.returncode == 2
    assert done.stderr == "bci-music: No stream is called X: name one of those that are there.\n"
    assert done.stdout == ""


@pytest.mark.parametrize("arguments", [("--no-such-option",), ("no-such-verb",), ("doctor", "--no-such-option")])
def test_wrong_usage_is_exit_code_2_without_traceback(arguments):
    done = run(BCI_MUSIC, *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_interruption_is_exit_code_130_without_traceback():
    done = run_verb("raise KeyboardInterrupt")
    assert done.returncode == 130
    assert done.stderr == ""


def test_a_fault_of_ours_keeps_its_traceback():
    done = run_verb("raise ZeroDivisionError('ours')")
    assert done.returncode == 1
    assert "ZeroDivisionError: ours" in done.stderr


SOUND = {
    "demo": ["demo", "--headless"],
    "bench sound": ["bench", "sound"],
    "bench splices": ["bench", "splices"],
    "generate": ["generate", "--text", "a drum"],
    "pack oracle": ["pack", "oracle"],
    "evaluate": ["evaluate", "--data", "none", "--run", "none", "--generator", "demo"],
}


@pytest.mark.install
@pytest.mark.parametrize("verb", SOUND)
def test_what_makes_sound_lets_waiting_threads_sleep_before_torch_is_there(verb):
    code = f"""
import sys
from bci_music.models import device
def asked():
    print("late" if "torch" in sys.modules else "in time", flush=True)
    raise SystemExit(5)
device.sleep_while_waiting = asked
sys.argv = ["bci-music", *{SOUND[verb]!r}]
from bci_music.cli import main
main.main()
"""
    done = run(sys.executable, "-c", code)
    assert (done.returncode, done.stdout.strip()) == (5, "in time"), done.stderr


@pytest.mark.parametrize(("given", "read"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_that_wait_sleep_unless_the_user_wants_otherwise(given, read):
    code = "import os; from bci_music.models.device import sleep_while_waiting as sleep; sleep(); "
    code += "print(os.environ['OMP_WAIT_POLICY'])"
    assert waits(code, given) == read


@pytest.mark.install
def test_training_and_evaluation_let_threads_spin():
    code = """
import os, sys
import bci_music.cli.main as cli
import bci_music.bench.encoder as lab
lab.bench_lab = lambda *a, **k: exit(os.environ.get("OMP_WAIT_POLICY", "torch's own"))
lab.choose_device("cpu")
sys.argv = ["bci-music", "bench", "lab"]
try:
    cli.main()
except SystemExit as left:
    print(left.code)
"""
    assert waits(code, None) == "torch's own"


def waits(code: str, given: str | None) -> str:
    """What `code` prints about how threads wait, when the user gave this policy or none."""
    others = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = run(sys.executable, "-c", code, env=others | ({"OMP_WAIT_POLICY": given} if given else {}))
    return done.stdout.strip() or done.stderr
