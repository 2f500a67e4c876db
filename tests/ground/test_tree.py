"""What the tree may weigh, and what must not stand in it."""

import re
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
MB = 1_000_000


@pytest.fixture(scope="module")
def tree() -> list[Path]:
    """Files of the repository: tracked, and new ones that are not ignored."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=REPO, capture_output=True, text=True, check=True, timeout=30,
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout, so the files of the repository are not known")
    return [path for name in done.stdout.split("\0") if name and (path := REPO / name).is_file()]


def weight(tree, under=""):
    return sum(path.stat().st_size for path in tree if path.is_relative_to(REPO / under))


@pytest.mark.parametrize(("under", "budget_mb"), [
    ("bci_music/packs/demo", 40), ("bci_music/packs/demo/library", 2), ("recordings", 8), ("docs", 9), ("", 64),
])
def test_size_budget(tree, under, budget_mb):
    assert weight(tree, under) <= budget_mb * MB


def test_sample_recording_has_its_own_budget(tree):
    assert all(path.stat().st_size <= 8 * MB for path in tree if path.suffix == ".xdf")


def test_no_package_is_for_leftovers(tree):
    names = {"utils", "common", "misc", "helpers", "util", "helper"}
    assert [str(p.relative_to(REPO)) for p in tree if p.suffix == ".py" and names & {p.stem, p.parent.name}] == []


@pytest.mark.parametrize("mark", ["TO" + "DO", "FIX" + "ME", "X" + "XX", "NotImplemented" + "Error", "HA" + "CK"])
def test_nothing_is_left_for_later(tree, mark):
    text = {".py", ".md", ".toml", ".yaml", ".sh", ""}
    assert [
        f"{p.relative_to(REPO)}:{i}" for p in tree if p.suffix in text
        for i, line in enumerate(p.read_text(errors="replace").splitlines(), 1) if re.search(rf"\b{mark}\b", line)
    ] == []


def test_no_test_is_skipped_without_a_reason(tree):
    tests = [p for p in tree if p.suffix == ".py" and p.is_relative_to(REPO / "tests")]
    bare = ["mark.sk" + "ip\n", "mark.sk" + "ip()", "sk" + "ip()", "mark.x" + "fail\n", "mark.x" + "fail()"]
    assert [str(p.relative_to(REPO)) for p in tests if any(b in p.read_text() for b in bare)] == []


def test_the_top_level_is_complete(tree):
    present = {path.relative_to(REPO).parts[0] for path in tree}
    assert present >= {
        "pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "constraints.txt",
        ".ci", "bci_music", "gui", "configs", "recordings", "tests", "docs",
    }
