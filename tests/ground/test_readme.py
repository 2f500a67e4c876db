"""What the README promises is there, and its example runs as printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bci_music.cli.main import app

pytestmark = pytest.mark.install

REPO = Path(__file__).resolve().parents[2]
README = (REPO / "README.md").read_text()


def fenced(language):
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
    return [text for of, text in blocks if of == language]


@pytest.mark.install
def test_the_library_example_runs_as_printed():
    (example,) = fenced("python")
    assert len([line for line in example.splitlines() if line and not line.startswith(("import", "from"))]) <= 10
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r".+ confidence [01]\.\d\d", done.stdout.strip())


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/guide.md"])
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\(([^)#]+)\)", (REPO / document).read_text())
    folder = (REPO / document).parent
    assert [link for link in links if not link.startswith("http") and not (folder / link).exists()] == []


def test_readme_and_architecture_list_every_package():
    packages = {path.parent.name for path in (REPO / "bci_music").glob("*/__init__.py")} - {"packs"}
    page = (REPO / "docs" / "architecture.md").read_text()
    for text in (README.split("\n## What lies where\n")[1], page.split("\n## The packages\n")[1]):
        block = text.split("```")[1]
        assert packages - set(re.findall(r"^ *(\w+)/", block, flags=re.MULTILINE)) == set()


def test_the_tree_is_the_one_that_is_there():
    (tree,) = [block for block in fenced("") if block.startswith("bci_music/")]
    missing, top = [], Path()
    for line in tree.splitlines():
        names = re.split(r"\s{2,}", line.strip())[0].split()
        if not line.startswith(" "):
            top = REPO if names[0] != "bci_music/" else REPO / "bci_music"
            names = [] if names[0] == "bci_music/" else names
        missing += [name for name in names if not (top / name).exists()]
    assert missing == []


def test_the_guide_needs_three_actions_at_most_and_options_that_there_are():
    guide = (REPO / "docs" / "guide.md").read_text()
    for answer in guide.split("\n## ")[1:]:
        assert 1 <= len(re.findall(r"^\d\. ", answer, flags=re.MULTILINE)) <= 3, answer
    for verb, words in re.findall(r"`bci-music ([a-z]+)([^`]*)`", guide):
        shown = CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "200"}).output
        assert [option for option in re.findall(r"--[a-z-]+", words) if option not in shown] == [], verb


def test_every_command_shown_is_understood():
    verbs = set(re.findall(r"(?:^|/|`)bci-music ([a-z]+)", README, flags=re.MULTILINE))
    assert verbs >= {"live", "replay", "monitor", "doctor", "data", "stream"}
    for verb in sorted(verbs):
        assert CliRunner().invoke(app, [verb, "--help"]).exit_code == 0, verb
