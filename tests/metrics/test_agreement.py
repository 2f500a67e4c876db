"""Agreement of two label tracks against shifted pairings."""

import numpy as np
import pytest

from bci_music.metrics.agreement import agreement


def track(song_steps=85, songs=14):
    return np.repeat(np.arange(songs), song_steps)


def test_a_lagging_follower_is_above_every_shift():
    heard = track()
    played = np.concatenate([np.full(50, -1), heard[:-50]])
    result = agreement(heard, played, 0.1)
    assert 0.3 < result.share < 0.5
    assert result.p < 0.01
    assert result.shifted_share < 0.12


def test_chance_when_the_played_songs_have_nothing_to_do_with_the_heard_ones():
    rng = np.random.default_rng(0)
    p = [agreement(track(), np.repeat(rng.integers(0, 14, 119), 10), 0.1).p for _ in range(40)]
    assert np.mean(np.array(p) < 0.05) < 0.2


def test_nothing_known_is_none_and_lengths_must_match():
    assert agreement(np.full(10, -1), np.arange(10), 0.1) is None
    with pytest.raises(ValueError, match="same length"):
        agreement(np.arange(3), np.arange(4), 0.1)
