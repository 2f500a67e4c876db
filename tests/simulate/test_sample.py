"""The sample recording: through real LSL into XDF without a sample missing."""

from pathlib import Path

import numpy as np
import pytest

from bci_music.compose.composer import SONGS
from bci_music.data.formats import open_session
from bci_music.data.session import Event, Session, song_marker
from bci_music.eeg.montage import NMED_CHANNELS
from bci_music.messages import UserError
from bci_music.simulate import sample
from bci_music.simulate.session import SAMPLE_PROGRAM

SAMPLE = Path(__file__).resolve().parents[2] / "recordings" / "sample.xdf"


def toy_session(seconds: float = 3.0) -> Session:
    n = int(seconds * 125)
    samples = np.random.default_rng(1).normal(0, 20, (n, 16)).astype(np.float32)
    events = (Event(0.0, song_marker("lantern", "Lantern", 90.0)), Event(seconds, song_marker(None)))
    return Session("toy", NMED_CHANNELS[:16], 125.0, samples, np.arange(n) / 125, events, simulated=True)


@pytest.mark.learning
def test_recording_holds_every_sample(tmp_path, monkeypatch):
    monkeypatch.setattr(sample, "NAME", f"sample test {tmp_path.name}")
    summary = sample.record_sample(tmp_path / "toy.xdf", toy_session())
    assert "no sample missing" in summary
    with pytest.raises(UserError, match="already"):
        sample.record_sample(tmp_path / "toy.xdf", toy_session())
    with pytest.raises(UserError, match="were streamed"):
        sample.check_sample(tmp_path / "toy.xdf", toy_session(2.5))


def test_shipped_sample_is_what_it_says():
    session = open_session(SAMPLE)
    assert SAMPLE.stat().st_size <= sample.MAX_BYTES
    assert session.simulated
    assert session.labels == NMED_CHANNELS
    assert session.sfreq_hz == 125.0
    heard = session.heard()
    assert [(h.song, h.song_start_s) for h in heard] == [(song, start) for song, start, _ in SAMPLE_PROGRAM]
    assert {h.song for h in heard} == {s.id for s in SONGS}
    assert 115 < session.duration_s < 125
    assert np.isfinite(session.samples_uv).all()
    assert np.diff(session.times_s) == pytest.approx(1 / 125, abs=1e-4)  # no gap


@pytest.mark.soak
def test_shipped_sample_can_be_made_again():
    from bci_music.simulate.session import sample_session

    made, shipped = sample_session(), open_session(SAMPLE)
    apart = np.abs(made.samples_uv - shipped.samples_uv)
    assert np.median(apart) < 0.05  # µV; other machines round otherwise
