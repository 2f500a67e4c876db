import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.metrics.metrics import auroc, best, k_way, top1_hits


def planted(n, k, signal, seed):
    """Prototypes, queries that carry `signal` of their prototype in noise, and the truth."""
    rng = np.random.default_rng(seed)
    prototypes = rng.standard_normal((k, 64))
    true = rng.integers(0, k, n)
    return prototypes, signal * prototypes[true] + rng.standard_normal((n, 64)), true


def test_planted_truth_is_found_and_shuffled_truth_is_not():
    prototypes, queries, true = planted(2000, 14, 0.5, seed=1)
    assert top1_hits(queries, prototypes, true).mean() > 0.9
    shuffled = np.random.default_rng(2).permutation(true)
    assert abs(top1_hits(queries, prototypes, shuffled).mean() - 1 / 14) < 4 * np.sqrt(1 / 14 * 13 / 14 / 2000)


def test_a_collapsed_decoder_finds_nothing():
    same = np.ones((5, 8))
    assert not top1_hits(same, np.ones((3, 8)), np.zeros(5, int)).any()
    assert best([[0.1, np.nan], [0.3, 0.3], [0.2, 0.7]]).tolist() == [-1, -1, 1]


def test_k_way_by_drawing_agrees_with_the_exact_expectation():
    rng = np.random.default_rng(3)
    targets = rng.standard_normal((80, 16))
    queries = 0.3 * targets + rng.standard_normal((80, 16))
    exact = k_way(queries, targets, 10)
    drawn = k_way(queries, targets, 10, seed=4, repeats=400)
    assert np.abs(exact - drawn).max() < 0.12
    assert abs(exact.mean() - drawn.mean()) < 0.01
    assert exact.mean() > 0.2


def test_k_way_is_at_chance_without_signal_and_among_all_equals_top1():
    rng = np.random.default_rng(5)
    targets, noise = rng.standard_normal((400, 16)), rng.standard_normal((400, 16))
    assert abs(k_way(noise, targets, 50).mean() - 1 / 50) < 0.015
    queries = 0.5 * targets + noise
    assert np.allclose(k_way(queries, targets, 400), top1_hits(queries, targets, np.arange(400)))


def test_k_way_refuses_more_choices_than_there_are():
    with pytest.raises(ValueError, match="at least 9"):
        k_way(np.eye(5), np.eye(5), 9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_auroc_equals_brute_force(pairs):
    score, label = np.array([p[0] for p in pairs], float), np.array([p[1] for p in pairs])
    wins = [(p > q) + 0.5 * (p == q) for p in score[label] for q in score[~label]]
    if not wins:
        assert np.isnan(auroc(score, label))
    else:
        assert auroc(score, label) == pytest.approx(np.mean(wins))
