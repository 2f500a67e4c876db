"""The sample recording: the sample session through real LSL outlets into LabRecorder."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

import numpy as np

from bci_music.data.formats import open_session
from bci_music.data.session import Session
from bci_music.messages import UserError
from bci_music.simulate.session import sample_session
from bci_music.streaming.recorder import LabRecorder
from bci_music.streaming.session_outlet import SessionOutlet

NAME = "bci-music sample"
CONSENT = "simulated listener: no person was recorded"
MAX_BYTES = 8_000_000


def record_sample(path: Path, session: Session | None = None) -> str:
    """Stream `session` (by default the sample session) in real time and record it into `path`.

    Returns what was recorded, in words; raises `UserError` when a sample or a marker is missing.
    """
    session = session or sample_session()
    if path.exists():
        raise UserError(f"{path} is there already: move it away, or write elsewhere with --out.")
    outlet = SessionOutlet(session, name=NAME, source_id=f"bci-music-sample-{uuid.uuid4().hex[:6]}")
    recorder = LabRecorder(path, [NAME, f"{NAME} music"], consent=CONSENT)
    try:
        recorder.start()
        outlet.wait_for_consumer(timeout_s=10.0)
        outlet.run(threading.Event())
        recorder.stop()
    finally:
        outlet.close()
    return check_sample(path, session)


def check_sample(path: Path, session: Session) -> str:
    """Compare a recording with the session that was streamed, sample for sample."""
    recorded = open_session(path)
    if recorded.samples_uv.shape != session.samples_uv.shape or not recorded.simulated:
        raise UserError(
            f"{path} holds {len(recorded.samples_uv)} samples, {len(session.samples_uv)} were streamed: record again."
        )
    if not np.array_equal(recorded.samples_uv, session.samples_uv):
        raise UserError(f"{path} does not hold the samples that were streamed: record again.")
    heard, streamed = recorded.heard(), session.heard()
    if [(h.song, h.song_start_s) for h in heard] != [(h.song, h.song_start_s) for h in streamed]:
        raise UserError(f"{path} holds {len(heard)} songs, {len(streamed)} were marked: record again.")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{path} has {path.stat().st_size} bytes, at most {MAX_BYTES} are allowed.")
    return (
        f"{path}: {len(heard)} songs, {recorded.duration_s:.1f} s, {recorded.n_channels} channels at "
        f"{recorded.sfreq_hz:g} Hz, {path.stat().st_size / 1e6:.2f} MB, no sample missing"
    )
