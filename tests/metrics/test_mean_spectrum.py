"""Identification by mean spectrum: the own piece first, a wrong one at chance, nothing without a shape."""

import numpy as np
import pytest

from bci_music.metrics.mean_spectrum import Pieces, candidate_count, correlations, gaps, identify


@pytest.fixture(scope="module")
def pieces():
    """Twelve songs of three pieces, and their spectra."""
    song = np.repeat([f"s{i}" for i in range(12)], 3)
    return Pieces(song, np.tile([0.0, 5.0, 10.0], 12), 5.0)


def spectra(seed, n=36):
    return np.random.default_rng(seed).standard_normal((n, 64))


def test_the_own_spectrum_is_found_first(pieces):
    heard = spectra(0)
    own, rng = np.arange(36), np.random.default_rng(1)
    table = correlations(2 * heard + 5 + 0.1 * spectra(1), heard)
    assert candidate_count(own, pieces) == 30
    found = identify(table, own, pieces, rng)
    assert found.rank.max() == 0.0
    assert found.top1.min() == found.top3.min() == 1.0
    same, other = gaps(table, own, pieces).T
    assert same.mean() == pytest.approx(1.0, abs=0.1)
    assert other.mean() == pytest.approx(1.0, abs=0.1)


def test_a_wrong_piece_is_at_chance_also_where_the_right_one_is_known_perfectly(pieces):
    heard, rng = spectra(2), np.random.default_rng(3)
    right = rng.integers(0, 36, 300)
    wrong = (right + rng.integers(3, 34, 300)) % 36  # of another song
    found = identify(correlations(heard, heard)[right], wrong, pieces, rng, draws=1, without=pieces.song[right])
    assert found.rank.mean() == pytest.approx(14.5, abs=1.5)
    assert found.top3.mean() == pytest.approx(0.1, abs=0.06)


def test_what_has_no_shape_is_exactly_at_chance(pieces):
    table = correlations(np.full((36, 64), -11.5), spectra(5))
    found = identify(table, np.arange(36), pieces, np.random.default_rng(0), draws=1)
    assert set(found.rank) == {14.5}
    assert found.top1 == pytest.approx(1 / 30)
    assert found.top3 == pytest.approx(0.1)


def test_others_of_the_song_do_not_overlap_with_the_own_piece():
    pieces = Pieces(np.array(["a", "a", "a", "b"]), np.array([0.0, 2.0, 5.0, 0.0]), 5.0)
    assert pieces.same_song(0).tolist() == [2]
    assert pieces.other_songs(0).tolist() == [3]
    assert pieces.other_songs(0, "b").tolist() == []
    assert candidate_count(np.array([0]), pieces) == 3
    assert candidate_count(np.array([3]), pieces) == 4


def test_where_there_is_no_other_piece_the_gap_is_not_known():
    pieces = Pieces(np.array(["a", "b"]), np.zeros(2), 5.0)
    same, other = gaps(correlations(spectra(6, 2), spectra(6, 2)), np.arange(2), pieces).T
    assert np.isnan(same).all()
    assert not np.isnan(other).any()
