"""How code lies in files: none too long, none that is half an idea, no circle between them, none that nobody uses."""

import ast
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.install

REPO = Path(__file__).resolve().parents[2]
LONGEST, MOST, SHORT = 400, 20, 60
# Files under 60 lines that one file of their own package imports, and what makes each an idea of its own.
SMALL_IDEAS = {
    "bci_music.cli.monitor": "a verb with its options",
}
REGISTRIES = ("bci_music.outputs.", "gui.views.")  # whose files are opened by name
# Imported by nobody, and why.
ENTRY_POINTS = {
    "bci_music.cli.main": "the command bci-music",
    "bci_music.streaming.recorder_guard": "a process that streaming.recorder starts",
    "bci_music.models.laion_package": "what the extra `laion` is compared with",
}


@pytest.fixture(scope="module")
def files() -> dict[str, Path]:
    """Modules of the program by name, without the empty `__init__.py`."""
    found = (path for top in ("bci_music", "gui") for path in (REPO / top).rglob("*.py") if path.stem != "__init__")
    return {".".join(path.relative_to(REPO).with_suffix("").parts): path for path in found}


@pytest.fixture(scope="module")
def imports(files) -> dict[str, set[str]]:
    """What each module imports of the program, wherever in the file it does so."""
    found = {}
    for module, path in files.items():
        names = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        found[module] = names & (files.keys() - {module})
    return found


def reachable(imports, start):
    seen, ahead = set(), [start]
    while ahead:
        new = imports[ahead.pop()] - seen
        seen |= new
        ahead += new
    return seen


def test_no_files_import_each_other_in_a_circle(imports):
    behind = {module: reachable(imports, module) for module in imports}
    circles = {module: sorted(imports[module] & {m for m in behind if module in behind[m]})
               for module in imports if module in behind[module]}  # fmt: skip
    assert circles == {}


def test_no_file_is_too_long(files):
    tests = {str(path.relative_to(REPO)): path for path in (REPO / "tests").rglob("*.py")}
    lengths = {name: len(path.read_text().splitlines()) for name, path in (files | tests).items()}
    assert {name: n for name, n in lengths.items() if n > LONGEST} == {}


def test_no_package_holds_too_many_files(files):
    counts = Counter(name.rpartition(".")[0] for name in files)
    assert {package: n for package, n in counts.items() if n > MOST} == {}


def test_no_file_is_half_an_idea(files, imports):
    importers = {module: [other for other in imports if module in imports[other]] for module in files}
    halves = {
        module for module, path in files.items()
        if len(path.read_text().splitlines()) < SHORT and len(importers[module]) == 1
        and importers[module][0].rpartition(".")[0] == module.rpartition(".")[0]
    }  # fmt: skip
    assert halves == SMALL_IDEAS.keys()


def test_every_file_is_used(imports):
    used = set().union(*imports.values())
    unused = {module for module in imports.keys() - used if not module.startswith(REGISTRIES)}
    assert unused == ENTRY_POINTS.keys()
