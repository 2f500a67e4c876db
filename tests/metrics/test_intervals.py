import numpy as np
import pytest
from scipy.stats import binomtest

from bci_music.messages import UserError
from bci_music.metrics.intervals import by_recording, wilson


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
