"""A built wheel carries all that a run needs: packs, configs, the sample recording and the window."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.install

REPO = Path(__file__).resolve().parents[2]
TAKEN = [
    "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "bci_music", "gui", "configs", "recordings",
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build from a copy: setuptools leaves its traces in the source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in TAKEN:
        if (REPO / name).is_dir():
            shutil.copytree(REPO / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(REPO / name, source / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "-w", str(folder), str(source)], capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(wheel, tmp_path_factory) -> Path:
    """Install the wheel, without its dependencies, into a folder far from the checkout."""
    target = tmp_path_factory.mktemp("elsewhere")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def run(target, *arguments, timeout=60):
    env = {**os.environ, "PYTHONPATH": str(target)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=target, env=env, capture_output=True, text=True, timeout=timeout
    )


def test_wheel_holds_every_module_and_data_file(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(p.relative_to(REPO)) for top in ("bci_music", "gui") for p in (REPO / top).rglob("*.py")}
    data = {str(p.relative_to(REPO)) for p in (REPO / "bci_music" / "packs").rglob("*") if p.is_file()}
    data = {name for name in data if "__pycache__" not in name}
    carried = [*REPO.glob("configs/*.yaml"), *REPO.glob("recordings/sample.*")]
    carried = {f"bci_music/{p.relative_to(REPO)}" for p in carried}
    assert modules | data | carried <= names
    assert not {n for n in names if n.startswith(("tests", "configs", "recordings", "tools"))}


@pytest.mark.parametrize(("code", "place"), [
    ("from bci_music.config import shipped; print(shipped('configs'))", "configs"),
    ("from bci_music.engine.sample import find_sample; print(find_sample())", "recordings/sample.xdf"),
    ("from bci_music.models.pack import Pack; print(Pack.open('demo').directory)", "packs/demo"),
])
def test_what_ships_is_found_in_the_wheel(elsewhere, code, place):
    done = run(elsewhere, "-c", code)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == (elsewhere / "bci_music" / place).resolve()


def test_the_command_runs_from_the_wheel(elsewhere):
    done = run(elsewhere, "-m", "bci_music.cli.main", "--version")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("bci-music ")


@pytest.mark.soak
def test_the_demo_runs_from_the_wheel(elsewhere, tmp_path):
    demo = ["-m", "bci_music.cli.main", "demo", "--headless", "--seconds", "30", "--out", str(tmp_path)]
    done = run(elsewhere, *demo, timeout=170)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["windows_decoded"] > 0
    assert (tmp_path / "music.wav").stat().st_size > 0
