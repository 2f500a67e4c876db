"""Shared fixtures: the data that lies outside the repository, and a guard against threads left alive.

Tests stay on this machine: LSL is told to look no further, and to see only the streams of this test run.
"""

import atexit
import os
import shutil
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]

LSL_CONFIG = """\
[ports]
IPv6 = disable
[multicast]
ResolveScope = machine
[lab]
SessionID = bci-music-tests-{run}
[log]
level = -2
"""


OURS = "bci-music-tests-"
# Where a test that takes long begins early, two processes end at about the same time.
FIRST = ("realtime", "learning", "install")


def _keep_lsl_at_home() -> None:
    """Write the LSL configuration of this process; liblsl reads it once, when loaded, here and in child processes."""
    if OURS not in os.environ.get("LSLAPICFG", OURS):
        return  # somebody's own
    folder = tempfile.mkdtemp(prefix=OURS)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder, "lsl_api.cfg")
    path.write_text(LSL_CONFIG.format(run=uuid.uuid4().hex))
    os.environ["LSLAPICFG"] = str(path)


_keep_lsl_at_home()
if "PYTEST_XDIST_WORKER" in os.environ:  # one of several processes that share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")
if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Let a file's tests share their fixtures in one process, and what runs in real time have one process to itself.

    What measures time on a machine that does other things besides may fail for their sake: it is run once more, and the
    summary shows it.
    """
    for item in items:
        if item.get_closest_marker("realtime") and not item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.flaky(reruns=1))
    if not hasattr(config, "workerinput"):
        return
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            live = item.get_closest_marker("realtime")
            item.add_marker(pytest.mark.xdist_group("realtime" if live else item.nodeid.split("::")[0]))
    items.sort(key=lambda item: next((n for n, name in enumerate(FIRST) if item.get_closest_marker(name)), len(FIRST)))


def pytest_collection_finish(session):
    """Refuse to run where nothing is grouped, as with pytest 9.2 and pytest-xdist 3.8: streams would disturb others."""
    grouped = all("@" in item.nodeid for item in session.items)
    if hasattr(session.config, "workerinput") and session.config.getoption("loadgroup", False) and not grouped:
        raise pytest.UsageError("pytest-xdist does not group the tests: install the versions of constraints.txt.")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real EEG, XDF and music; tests that need it skip where it is absent."""
    path = Path(os.environ.get("BCI_MUSIC_SHARED") or REPO.parent / "shared" / "data")
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


@pytest.fixture(autouse=True)
def threads_of_torch_stay():
    """An engine whose generator is a network leaves torch with fewer threads, for its whole process."""
    before = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None
    yield
    if before is not None and sys.modules["torch"].get_num_threads() != before:
        sys.modules["torch"].set_num_threads(before)


@pytest.fixture(scope="session")
def server_module():
    """The module of private PulseAudio servers."""
    import sound_server

    return sound_server


@pytest.fixture
def sound_server(server_module):
    """Start a private PulseAudio server whose null sink is the default device."""
    try:
        import sounddevice
    except OSError as error:
        pytest.skip(f"PortAudio is not here ({error})")
    if missing := server_module.SoundServer.missing():
        pytest.skip(f"not installed: {missing}")
    with server_module.sound_server() as server:
        yield server
