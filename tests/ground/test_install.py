"""The shell side: which Python is taken, which Debian packages are asked for, what make would run."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
TOOLS = REPO / "tools"
pytestmark = [pytest.mark.skipif(os.name == "nt", reason="make and the tools are for Unix shells"), pytest.mark.install]


@pytest.fixture
def bin_dir(tmp_path):
    """A PATH with nothing but basic tools and what the test puts there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "dirname", "cat", "grep"):
        (folder / name).symlink_to(shutil.which(name))
    return folder


def put(folder, name, body):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def run(script, folder, *arguments, **env):
    env = {"PATH": str(folder), **env}
    command = ["sh", str(TOOLS / script), *arguments]
    return subprocess.run(command, cwd=REPO, env=env, capture_output=True, text=True, timeout=30)


def test_the_plain_python_is_preferred(bin_dir):
    put(bin_dir, "python3", "exit 0")
    put(bin_dir, "python3.12", "exit 0")
    assert run("find-python.sh", bin_dir).stdout.strip() == "python3"


def test_a_python_out_of_range_or_broken_is_passed_over(bin_dir):
    put(bin_dir, "python3", "exit 1")
    put(bin_dir, "python3.13", "exit 127")
    put(bin_dir, "python3.12", "exit 0")
    assert run("find-python.sh", bin_dir).stdout.strip() == "python3.12"


def test_no_python_is_a_sentence(bin_dir):
    done = run("find-python.sh", bin_dir)
    assert done.returncode == 1
    assert "needs Python 3.11, 3.12 or 3.13" in done.stderr


def test_python_without_venv_is_a_sentence(bin_dir, tmp_path):
    put(bin_dir, "python3", 'case "$*" in "-m venv"*) exit 1;; --version) echo Python 3.12.1;; esac')
    put(bin_dir, "rm", "exit 0")
    done = run("install.sh", bin_dir, str(tmp_path / "venv"), "test")
    assert done.returncode == 1
    assert "python3-venv" in done.stderr


@pytest.fixture
def debian(bin_dir, tmp_path):
    """A Debian on which only libportaudio2 is installed, and an apt-get that notes how it is called."""
    put(bin_dir, "dpkg-query", 'for last; do :; done; [ "$last" = libportaudio2 ] && printf "install ok installed"')
    log = tmp_path / "apt.log"
    put(bin_dir, "apt-get", f'echo "$DEBIAN_FRONTEND $*" >> {log}; case "$*" in *unknown*) exit 1;; esac')
    return log


def test_without_root_the_missing_packages_are_named(bin_dir, debian):
    put(bin_dir, "id", "echo 1000")
    done = run("system-packages.sh", bin_dir, "--quiet")
    assert done.returncode == 0
    assert "sudo apt-get update && sudo apt-get install" in done.stdout
    assert "libxcb-cursor0" in done.stdout
    assert "libportaudio2" not in done.stdout
    assert not debian.exists()


def test_the_demo_asks_for_nothing_that_only_tests_need(bin_dir, debian):
    put(bin_dir, "id", "echo 1000")
    printed = run("system-packages.sh", bin_dir, "--demo").stdout
    assert "libxcb-cursor0" in printed
    assert "xvfb" not in printed
    assert "pulseaudio" not in printed  # beside another sound server it would be in the way
    assert "system-packages.sh --demo" in planned("demo", DISPLAY=":9")


def test_as_root_they_are_installed_without_questions(bin_dir, debian):
    put(bin_dir, "id", "echo 0")
    done = run("system-packages.sh", bin_dir)
    assert done.returncode == 0, done.stderr
    update, install = debian.read_text().splitlines()
    assert update.startswith("noninteractive update")
    assert install.startswith("noninteractive install -y")
    assert "libxcb-cursor0" in install
    assert "libportaudio2" not in install


def test_a_failing_apt_does_not_stop_the_program(bin_dir, debian):
    put(bin_dir, "id", "echo 0")
    put(bin_dir, "apt-get", "exit 100")
    done = run("system-packages.sh", bin_dir)
    assert done.returncode == 0
    assert "libxcb-cursor0 could not be installed" in done.stderr


def test_nothing_missing_and_no_debian_are_quiet(bin_dir):
    assert run("system-packages.sh", bin_dir, "--quiet").stdout == ""
    assert "no Debian" in run("system-packages.sh", bin_dir).stdout
    put(bin_dir, "apt-get", "exit 1")
    put(bin_dir, "dpkg-query", 'printf "install ok installed"')
    assert run("system-packages.sh", bin_dir, "--quiet").stdout == ""


def planned(*arguments, **env):
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    env = {"PATH": os.environ["PATH"], **env}
    command = ["make", "--dry-run", "--no-print-directory", *arguments]
    done = subprocess.run(command, cwd=REPO, env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(os.uname().sysname == "Darwin", reason="a Mac always has a display")
def test_the_demo_is_headless_only_without_a_display():
    assert "bci-music demo --headless --seconds 130 --out out/demo\n" in planned("demo")
    assert "bci-music demo \n" in planned("demo", DISPLAY=":0")
    assert "bci-music demo \n" in planned("demo", WAYLAND_DISPLAY="wayland-0")
    assert "bci-music demo --seconds 5\n" in planned("demo", "DEMO_ARGS=--seconds 5")


def test_another_torch_is_another_installation():
    assert "tools/install.sh" in planned("test", "TORCH_SPEC=torch==2.9.0", f"VENV={REPO / 'out' / 'none'}")


def test_make_help_names_the_targets():
    done = subprocess.run(["make", "help"], cwd=REPO, capture_output=True, text=True, timeout=30)
    named = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("  make ")}
    assert named >= {"help", "demo", "test", "check", "system", "bench", "soak", "clean"}
