"""Timing of sound: what is planted is found at its lag, what is not is not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from bci_music.metrics.sound_timing import (
    envelope,
    lag_correlation,
    lag_steps,
    onset_f,
    onset_flux,
    onsets,
    slowed,
)


def picture(at, frames=300):
    """A floor with attacks at these frames that fade within a tenth of a second."""
    mel = np.full((frames, 8), -5.0)
    for frame in at:
        mel[frame : frame + 10] = np.linspace(0, -5, 10)[:, None]
    return mel


def test_flux_rises_at_attacks_and_nowhere_else():
    flux = onset_flux(picture([50, 120, 200]))
    assert np.flatnonzero(flux).tolist() == [50, 120, 200]
    assert onsets(flux).tolist() == [50, 120, 200]
    assert envelope(picture([50]))[50] == pytest.approx(np.sqrt(8.0) ** 0.6)


def test_what_is_60_db_below_the_loudest_is_no_onset():
    mel = np.full((100, 8), -11.5)
    mel[50] = 0.0
    mel[80] = -9.0
    assert np.flatnonzero(onset_flux(mel)).tolist() == [50]


def test_onsets_are_apart_and_a_flat_curve_has_none():
    curve = np.zeros(200)
    curve[[50, 53, 54, 90]] = [1.0, 2.0, 2.0, 1.5]
    assert onsets(curve).tolist() == [53, 90]
    assert len(onsets(np.full(200, 3.0))) == 0


def test_a_later_curve_is_found_at_its_lag():
    rng = np.random.default_rng(0)
    heard = rng.standard_normal((3, 100))
    lags = lag_steps(4.0)
    assert lags[0] == -25
    assert lags[-1] == 25
    r = lag_correlation(np.roll(heard, 5, axis=1), heard, lags)
    assert lags[r.argmax(axis=1)].tolist() == [5, 5, 5]
    assert r.max(axis=1) == pytest.approx(1.0)


def test_correlation_is_pearsons_in_the_overlap_and_of_bands_pooled():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 1, 50))
    assert lag_correlation(a, b, [3])[0, 0] == pytest.approx(np.corrcoef(a[0, 3:], b[0, :-3])[0, 1])
    assert lag_correlation(a, b, [-3])[0, 0] == pytest.approx(np.corrcoef(a[0, :-3], b[0, 3:])[0, 1])
    x, y = rng.standard_normal((2, 1, 50, 4))
    flat_x, flat_y = ((v[0] - v[0].mean(axis=0)).ravel() for v in (x, y))
    expected = flat_x @ flat_y / np.linalg.norm(flat_x) / np.linalg.norm(flat_y)
    assert lag_correlation(np.add(x, [0.0, 9.0, 3.0, 1.0]), y, [0])[0, 0] == pytest.approx(expected)


def test_what_does_not_move_follows_nothing_and_what_was_not_heard_is_not_known():
    moving, still = np.random.default_rng(2).standard_normal((1, 60)), np.full((1, 60), 2.7)
    assert lag_correlation(still, moving, [0])[0, 0] == 0.0
    assert np.isnan(lag_correlation(moving, still, [0])[0, 0])


def test_short_sound_has_fewer_lags_and_shorter_has_none():
    assert lag_steps(1.5)[-1] == 12
    with pytest.raises(ValueError, match="1 s of sound"):
        lag_steps(0.9)


def test_onsets_are_paired_one_to_one():
    assert onset_f([10, 11, 12], [11], 5) == pytest.approx(2 / 4)
    assert onset_f([10, 50], [14, 46], 4) == 1.0
    assert onset_f([10, 50], [15, 45], 4) == 0.0
    assert onset_f([1, 6], [4, 9], 5) == 1.0  # the first pair leaves a partner for the second
    assert onset_f([], [3], 5) == 0.0
    assert np.isnan(onset_f([3], [], 5))


FRAMES = st.lists(st.integers(0, 60), min_size=1, max_size=9, unique=True).map(sorted)


@settings(max_examples=60, deadline=None)
@given(made=FRAMES, heard=FRAMES, tolerance=st.integers(0, 12))
def test_no_pairing_finds_more_partners(made, heard, tolerance):
    near = csr_array(np.abs(np.subtract.outer(made, heard)) <= tolerance)
    hits = (maximum_bipartite_matching(near) >= 0).sum()
    assert onset_f(made, heard, tolerance) == pytest.approx(2 * hits / (len(made) + len(heard)))
    assert onset_f(heard, made, tolerance) == onset_f(made, heard, tolerance)


def test_slowed_averages_four_frames_and_cuts_what_is_left():
    assert slowed(np.arange(10.0)).tolist() == [1.5, 5.5]
