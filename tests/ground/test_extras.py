"""Optional extras: tested where they are installed, skipped with the command that installs them elsewhere."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

import pytest


def installed(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=170)


def test_realtime_imports_and_announces_its_end():
    """mne-realtime still imports beside our versions, and its authors' notice points to mne-lsl."""
    if installed("mne-realtime") is None:
        pytest.skip("mne-realtime is not installed: make realtime")
    done = run("from mne_realtime import LSLClient; print(LSLClient.__name__)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("LSLClient")
    assert "mne-lsl" in done.stderr.lower()


def test_laion_imports_and_builds_its_model():
    """laion-clap wants numpy < 2, which the pinned versions of bci-music exclude: an environment of its own."""
    if installed("laion-clap") is None:
        pytest.skip("laion-clap is not installed (needs numpy < 2, an environment of its own): make laion")
    done = run("import laion_clap, numpy; print(numpy.__version__, laion_clap.CLAP_Module.__name__)")
    if "operator torchvision::nms does not exist" in done.stderr:
        pytest.skip("torchvision is of another build than torch: name both in TORCH_SPEC (see CONTRIBUTING.md)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1].startswith("1.")
    assert done.stdout.strip().endswith("CLAP_Module")
