"""Sessions made without a run, and the outlet that they record."""

import json
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pylsl
import pytest

from bci_music.data.consent import write_sidecar
from bci_music.messages import AUDIO_RATE_HZ
from bci_music.sessions.folder import RECORDING, SessionFolder

SUPPORT = Path(__file__).parents[1] / "support"
SAMPLE = Path(__file__).parents[2] / "recordings" / "sample.xdf"


@pytest.fixture
def outlet():
    """Start an outlet of 8 channels at 250 Hz, row n in the first of them; returns its name."""
    name = f"session {uuid.uuid4().hex[:8]}"
    words = ["--name", name, "--source-id", name, "--channels", "8", "--rate", "250", "--seconds", "900"]
    process = subprocess.Popen(
        [sys.executable, str(SUPPORT / "outlet_process.py"), *words], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline()
    assert pylsl.resolve_byprop("name", name, 1, 10.0)
    yield name
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def closed(tmp_path):
    """A closed session of the sample's first bytes and three seconds of music."""
    from bci_music.streaming.xdf_growth import XdfGrowth

    session = SessionFolder(tmp_path / "session", {"pack": "demo", "seed": 7})
    folder = session.folder
    (folder / RECORDING).write_bytes(SAMPLE.read_bytes())
    samples = XdfGrowth(folder / RECORDING).look()
    write_sidecar(folder / RECORDING, "FORM 7", list(samples), pack={"name": "demo", "manifest_sha256": "0" * 64})
    listeners = []
    session.listen(listeners.append, lambda _frames: 12.5)
    for _ in range(150):
        listeners[0](np.full((960, 2), 0.25, np.float32))
    session.close(samples, [])
    listeners[0](np.zeros((960, 2), np.float32))  # a player that is still fading
    counts = json.loads((folder / "samples.json").read_text())
    assert counts["music"] == {"frames": 150 * 960, "sfreq_hz": AUDIO_RATE_HZ, "began_lsl_s": 12.5}
    return folder
