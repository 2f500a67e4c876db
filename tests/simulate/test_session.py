"""Programmes and sessions of simulated listeners: heard markers, held-out seconds, the sample."""

import numpy as np
import pytest

from bci_music.compose.composer import HELD_OUT_SECONDS, SONG_SECONDS, SONGS
from bci_music.messages import UserError
from bci_music.simulate import session as sessions
from bci_music.simulate.listener import SimulatedListener
from bci_music.simulate.session import SAMPLE_PROGRAM, make_session, program_audio

PROGRAM = [("lantern", 10.0, 3.0), ("orbit-9", 84.0, 2.5), ("lantern", 50.0, 3.0)]


@pytest.fixture
def toy_songs(monkeypatch):
    """Songs that cost nothing: a tone per song, so that tests need not compose."""
    def tone(song_id: str) -> np.ndarray:
        number = next(i for i, s in enumerate(SONGS) if s.id == song_id)
        t = np.arange(int(SONG_SECONDS * 16_000)) / 16_000
        return (0.1 * np.sin(2 * np.pi * (200 + 150 * number) * t) * (1 + (t % 0.5 < 0.1))).astype(np.float32)

    monkeypatch.setattr(sessions, "mono_16k", tone)


@pytest.mark.usefixtures("toy_songs")
def test_session_tells_what_was_heard():
    session = make_session(SimulatedListener(2), PROGRAM, 5)
    assert session.simulated
    assert session.samples_uv.shape == (round(8.5 * 125), 125)
    heard = [(h.song, h.start_s, h.stop_s, h.song_start_s) for h in session.heard()]
    assert heard == [("lantern", 0.0, 3.0, 10.0), ("orbit-9", 3.0, 5.5, 84.0), ("lantern", 5.5, 8.5, 50.0)]
    assert session.labels[-1] == "Cz"
    assert session.positions_m.shape == (125, 3)


@pytest.mark.usefixtures("toy_songs")
def test_joins_are_neither_silent_nor_loud():
    audio = program_audio(PROGRAM)
    assert audio.size == 8.5 * 16_000
    for join in (3.0, 5.5):
        around = audio[int((join - 0.02) * 16_000):int((join + 0.06) * 16_000)]
        assert np.abs(around).reshape(-1, 160).max(1).min() > 0.02
        assert np.abs(around).max() < 0.3


@pytest.mark.usefixtures("toy_songs")
def test_session_at_another_rate():
    n = len(make_session(SimulatedListener(2), PROGRAM, 5, sfreq_hz=250.0).samples_uv)
    assert n == pytest.approx(8.5 * 250, abs=2)


def test_programme_beyond_a_song_is_refused():
    with pytest.raises(UserError, match="lantern"):
        program_audio([("lantern", 118.0, 4.0)])


def test_sample_programme_is_held_out():
    assert {song for song, _, _ in SAMPLE_PROGRAM} == {s.id for s in SONGS}
    assert 115 < sum(seconds for _, _, seconds in SAMPLE_PROGRAM) <= 125
    for _, start, seconds in SAMPLE_PROGRAM:
        assert HELD_OUT_SECONDS[0] <= start
        assert start + seconds < HELD_OUT_SECONDS[1] - 1.5  # not in the closing fade either
