import numpy as np
import pytest
from scipy.stats import binomtest

from bci_music.messages import UserError
from bci_music.metrics.intervals import by_recording, by_song_and_listener, wilson


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (3, 10), (10, 10), (14, 38), (120, 300)])
def test_wilson_agrees_with_scipy(hits, n):
    known = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert wilson(hits, n) == pytest.approx((known.low, known.high), abs=1e-9)


def test_wilson_of_nothing_says_nothing():
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="cannot be"):
        wilson(5, 3)


def test_by_recording_is_wider_than_wilson_when_recordings_differ():
    rng = np.random.default_rng(0)
    rate = np.repeat([0.05, 0.1, 0.6, 0.7, 0.2, 0.5], 100)
    hits = rng.random(600) < rate
    recordings = np.repeat(list("abcdef"), 100)
    low, high = by_recording(hits, recordings, seed=1)
    assert low < hits.mean() < high
    assert high - low > 2 * np.diff(wilson(hits.sum(), 600))[0]


def test_by_recording_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(7)
    covered = 0
    for trial in range(150):
        rates = rng.beta(2, 5, 20)
        hits = rng.random((20, 30)) < rates[:, None]
        low, high = by_recording(hits.ravel(), np.repeat(np.arange(20), 30), seed=trial, n_boot=400)
        covered += low <= 2 / 7 <= high
    assert 0.85 < covered / 150 <= 1.0


def test_one_recording_gives_no_interval():
    with pytest.raises(UserError, match="at least 2 recordings"):
        by_recording([0, 1, 1], ["a", "a", "a"])


def test_songs_and_listeners_are_both_drawn():
    rng = np.random.default_rng(3)
    songs, listeners = np.repeat(np.arange(12), 8), np.tile(np.arange(8), 12)
    by_song = rng.standard_normal(12)[songs] + 0.1 * rng.standard_normal(96)
    low, high = by_song_and_listener(by_song, songs, listeners)
    assert low < by_song.mean() < high
    alone = np.diff(by_recording(by_song, songs))[0]
    assert high - low > 0.9 * alone  # windows are 96, but songs are 12
    both = by_song + rng.standard_normal(8)[listeners]
    wide = np.subtract(*by_song_and_listener(both, songs, listeners)[::-1])
    assert wide > max(np.diff(by_recording(both, songs))[0], np.diff(by_recording(both, listeners))[0])


def test_few_songs_give_a_wide_interval():
    rng = np.random.default_rng(4)
    songs, listeners = np.repeat(np.arange(24), 4), np.tile(np.arange(4), 24)
    values = rng.standard_normal(24)[songs]
    few = songs < 4
    widths = [np.subtract(*by_song_and_listener(values[s], songs[s] % k, listeners[s])[::-1])
              for s, k in ((slice(None), 24), (few, 4))]  # fmt: skip
    assert widths[1] > 1.4 * widths[0]


def test_with_one_song_listeners_are_drawn_and_with_one_of_both_nothing():
    values = np.arange(6.0)
    assert by_song_and_listener(values, ["a"] * 6, [0, 0, 1, 1, 2, 2]) is not None
    assert by_song_and_listener(values, ["a"] * 6, [0] * 6) is None


def test_intervals_of_a_curve_are_those_of_its_points():
    values = np.random.default_rng(5).standard_normal((20, 3))
    songs, listeners = np.repeat(np.arange(5), 4), np.tile(np.arange(4), 5)
    low, high = by_song_and_listener(values, songs, listeners, seed=2)
    one = by_song_and_listener(values[:, 1], songs, listeners, seed=2)
    assert (low[1], high[1]) == pytest.approx(one)
