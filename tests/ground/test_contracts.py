"""The direction of imports, and what a cheap import must not bring along."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.install

REPO = Path(__file__).resolve().parents[2]
TORCH_FREE = [
    "messages", "clock", "config", "status", "workers", "eeg", "timing", "metrics", "streaming", "sound",
]  # fmt: skip


def modules_of(names):
    for name in names:
        path = REPO / "bci_music" / name
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        yield from (".".join(f.relative_to(REPO).with_suffix("").parts) for f in files if f.name != "__init__.py")


def test_import_contracts_hold():
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([linter, "--no-cache"], cwd=REPO, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_packages_re_export_nothing():
    """A re-export hides an import from the linter."""
    full = [str(f.relative_to(REPO)) for top in ("bci_music", "gui") for f in (REPO / top).rglob("__init__.py")
            if f.read_text().strip()]
    assert full == []


def test_tests_are_no_packages():
    """Pytest's importlib mode names them by their path, so that packages may have files of one name."""
    assert list((REPO / "tests").rglob("__init__.py")) == []


def test_torch_free_packages_load_without_torch():
    """Imported for real, all in one process: what the contracts say of the source must hold at run time."""
    code = "import sys, importlib\nfor name in sys.argv[1:]: importlib.import_module(name)\n" \
           "print([m for m in ('torch', 'transformers', 'diffusers', 'PySide6') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code, *modules_of(TORCH_FREE)], cwd=REPO, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"


# Classes of heavy libraries' kinds: nobody but each other imports these files at the head of another one.
LATE = {
    "bci_music.generation.audioldm.spectral_vocoder", "bci_music.generation.audioldm.latent_transformer",
    "bci_music.generation.audioldm.latent_control", "bci_music.generation.stable_audio.control",
    "bci_music.generation.stable_audio.solver",
}  # fmt: skip


@pytest.mark.parametrize("top", ["bci_music", "gui"])
def test_nothing_heavy_is_imported_on_the_way_in(top):
    """Heavy libraries are imported where they are used: inside functions, or in modules that are loaded late."""
    heavy = {"transformers", "diffusers", "matplotlib"}
    found = []
    for file in (REPO / top).rglob("*.py"):
        own = ".".join(file.relative_to(REPO).with_suffix("").parts)
        for node in ast.parse(file.read_text()).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            bad = [n for n in names if own not in LATE and (n in LATE or n.split(".")[0] in heavy)]
            found += [f"{file.relative_to(REPO)}: {n}" for n in bad]
    assert found == []
