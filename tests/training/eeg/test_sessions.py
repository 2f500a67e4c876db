"""Segments and windows of a session: the live path's signal chain, joined without breaks, at the right song second."""

import numpy as np
import pytest

from bci_music.eeg.chain import SignalConfig
from bci_music.eeg.montage import Montage
from bci_music.simulate.listener import SimulatedListener
from bci_music.simulate.session import make_session
from bci_music.training.eeg.sessions import heard_windows, segments_of, session_windows, window_start_s

PROGRAM = [("night-bus", 20.0, 13.0), ("rain-temple", 3.0, 11.0)]


@pytest.fixture(scope="module")
def session():
    import bci_music.simulate.session as module

    tone = np.random.default_rng(0).standard_normal(120 * 16_000).astype(np.float32) * 0.1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "mono_16k", lambda song: tone)  # composing takes seconds and does not matter here
        return make_session(SimulatedListener(1), PROGRAM, seed=5)


@pytest.fixture(scope="module")
def montage():
    return Montage.load("nmed")


def test_segments_lie_within_their_song_and_know_their_second(session, montage):
    segments = segments_of(session, SignalConfig(), montage, "1", "r")
    assert [t.song for t in segments] == ["night-bus", "rain-temple"]
    for segment, (_, song_start_s, seconds) in zip(segments, PROGRAM, strict=True):
        length = segment.eeg.shape[1] / 125.0
        assert segment.song_start_s >= song_start_s - 0.01
        assert segment.song_start_s + length <= song_start_s + seconds + 0.01
        assert segment.eeg.shape[0] == 125
        assert segment.used.sum() > 100


def test_a_segment_holds_what_live_windows_hold(session, montage):
    """Joined windows differ from overlapping ones only in the second at which the running scale was read."""
    segments = segments_of(session, SignalConfig(), montage, "1", "r")
    segment = segments[1]
    live = [w for w in session_windows(session, SignalConfig(), montage) if w.decodable]
    compared = 0
    for window in live:
        first = round((window_start_s(window, 125.0) - 13.0 + 3.0 - segment.song_start_s) * 125.0)
        if 0 <= first <= segment.eeg.shape[1] - 500:
            a, b = window.samples[segment.used], segment.eeg[segment.used, first : first + 500].astype(np.float32)
            assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.99
            compared += 1
    assert compared >= 3


def test_test_windows_do_not_overlap_and_lie_in_one_song(session, montage):
    heard = heard_windows(session, SignalConfig(), montage, "r")
    starts = np.array([window_start_s(w, 125.0) for w in heard.windows])
    assert len(starts) >= 3
    assert (np.diff(starts) >= 4.0 - 1e-6).all()
    for song, second in zip(heard.songs, heard.second, strict=True):
        place = next(p for p in PROGRAM if p[0] == song)
        assert place[1] - 0.03 <= second <= place[1] + place[2] - 4.0 + 0.03
