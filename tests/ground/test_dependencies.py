"""What is imported is declared, and what is declared is pinned in constraints.txt."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.install

REPO = Path(__file__).resolve().parents[2]
OURS = {"bci_music", "gui", *(path.stem for path in (REPO / "tests" / "support").glob("*.py"))}
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
# Environments of their own, or pinned in the extra itself.
UNPINNED_EXTRAS = {"laion", "realtime", "foundation"}


def requirements(*extras):
    lines = list(PROJECT["dependencies"])
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


def imported(folders):
    """Top-level names of all imports, wherever they stand in the file."""
    names: dict[str, Path] = {}
    for file in (f for folder in folders for f in (REPO / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names.update({alias.name.split(".")[0]: file for alias in node.names})
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names[node.module.split(".")[0]] = file
    return {n: f for n, f in names.items() if n not in sys.stdlib_module_names and n not in OURS}


@pytest.mark.parametrize(("folders", "extras"), [
    (["bci_music", "gui"], ["realtime", "laion", "lab", "foundation", "cluster", "export"]),
    (["tests"], ["realtime", "laion", "test", "foundation"]),
])
def test_every_import_is_declared(folders, extras):
    declared = {canonicalize_name(r.name) for r in requirements(*extras)}
    of_module = packages_distributions()
    undeclared = {
        name: str(file.relative_to(REPO)) for name, file in imported(folders).items()
        if not {canonicalize_name(d) for d in of_module.get(name, [name])} & declared
    }
    assert undeclared == {}


def test_every_requirement_is_pinned_to_a_version_it_allows():
    lines = (REPO / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    version_of = {canonicalize_name(p.name): next(iter(p.specifier)).version for p in pins}
    assert all(str(p.specifier).startswith("==") and "+" not in str(p.specifier) for p in pins)
    for needed in requirements(*(set(PROJECT["optional-dependencies"]) - UNPINNED_EXTRAS)):
        assert needed.specifier.contains(version_of[canonicalize_name(needed.name)]), needed


def test_default_torch_is_the_pinned_one():
    pin = next(x for x in (REPO / "constraints.txt").read_text().splitlines() if x.startswith("torch=="))
    assert f"TORCH_SPEC ?= {pin}\n" in (REPO / "Makefile").read_text()
    assert f"${{TORCH_SPEC:-{pin}}}" in (REPO / "tools" / "install.sh").read_text()
