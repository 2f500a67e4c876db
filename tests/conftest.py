"""Shared fixtures: the data that lies outside the repository, and a guard against threads left alive."""

import os
import threading
import time
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real EEG, XDF and music; tests that need it skip where it is absent."""
    path = Path(os.environ.get("BCI_MUSIC_SHARED", REPO.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"real data are not here ({path.name}/ beside the repository, or BCI_MUSIC_SHARED)")
    return path


@pytest.fixture(autouse=True)
def no_thread_left():
    """Every thread of ours that a test starts must have ended with it."""
    yield
    deadline = time.monotonic() + 3.0
    while left := [t.name for t in threading.enumerate() if t.name.startswith("bci-music")]:
        if time.monotonic() > deadline:
            pytest.fail(f"threads left alive: {left}")
        time.sleep(0.01)
