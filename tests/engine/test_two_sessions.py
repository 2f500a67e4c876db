"""Two simulated sessions, their EEG swapped: what plays goes with the EEG, not with the session it lies in."""

from dataclasses import replace

import numpy as np
import pytest
from offline_engine import run_session

from bci_music.compose.composer import HELD_OUT_SECONDS
from bci_music.simulate.listener import SimulatedListener
from bci_music.simulate.session import make_session

pytestmark = [pytest.mark.learning, pytest.mark.soak]  # test_the_eeg_chooses shows the same in one session

SONGS = ("lantern", "salt-road", "paper-birds", "morning-loop", "hollow-drum", "glass-samba")
SONG_S = 8.5
STEP_S = 0.1
SWAPPED_S = 20.0  # the first songs of both sessions


def session(songs, listener, seed):
    program = [(song, HELD_OUT_SECONDS[0] + 2.0, SONG_S) for song in songs]
    return make_session(SimulatedListener(listener), program, seed)


def played(engine):
    """Song number heard every 0.1 s of the session, -1 for none."""
    order = {song.id: n for n, song in enumerate(engine.history.songs)}
    track = np.full(round(len(SONGS) * SONG_S / STEP_S), -1)
    for span, start_s, stop_s in engine.sound.spans():
        if span.kind != "waiting":
            first, last = (max(0, round((t - engine.first_sample_s) / STEP_S)) for t in (start_s, stop_s))
            track[first:last] = order[span.song]
    return track


def heard(engine, songs):
    order = {song.id: n for n, song in enumerate(engine.history.songs)}
    return np.repeat([order[song] for song in songs], round(SONG_S / STEP_S))


@pytest.mark.timeout(300)
def test_swapped_sessions_change_what_is_played(config):
    a_songs, b_songs = SONGS, (*SONGS[3:], *SONGS[:3])  # no song at the same place in both
    a, b = session(a_songs, 1, 990_002), session(b_songs, 2, 990_003)
    run_a = run_session(a, config)
    n = round(SWAPPED_S * a.sfreq_hz)  # session A's markers, B's EEG
    swapped = run_session(replace(a, samples_uv=b.samples_uv[:n], times_s=a.times_s[:n]), config)
    run_b = run_session(b, config)
    play_a, play_swapped, play_b = played(run_a), played(swapped), played(run_b)
    first = slice(0, round((SWAPPED_S - 1.0) / STEP_S))
    assert np.array_equal(play_swapped[first], play_b[first])  # the EEG decides, whatever session it is said to be
    assert (play_swapped[first] >= 0).sum() > 40
    both = (play_a >= 0) & (play_b >= 0)
    assert both.sum() > 300
    assert (play_a[both] != play_b[both]).mean() > 0.5
    for track, own, other in ((play_a, a_songs, b_songs), (play_b, b_songs, a_songs)):
        follows = (track == heard(run_a, own)).mean()
        assert follows > 0.2
        assert follows > 3 * (track == heard(run_a, other)).mean()
