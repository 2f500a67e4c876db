import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.metrics.controls import derangement, shift_test
from bci_music.metrics.identification import best


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 60), st.integers(0, 1000))
def test_a_derangement_moves_everything(n, seed):
    order = derangement(n, seed)
    assert sorted(order) == list(range(n))
    assert (order != np.arange(n)).all()
    assert (order == derangement(n, seed)).all()


def test_one_thing_has_no_derangement():
    with pytest.raises(ValueError, match="at least 2"):
        derangement(1, 0)


def brute(scores, true, min_shift, every):
    """The definition, shift by shift."""
    n, found = len(true), best(scores)
    evaluated = [i for i in range(0, n, every) if not np.isnan(scores[i]).all()]

    def at(shift):
        pairs = [(found[i], true[(i + shift) % n]) for i in evaluated if true[(i + shift) % n] >= 0]
        return sum(a == b for a, b in pairs), len(pairs)

    hits, count = at(0)
    others = [at(s) for s in range(min_shift, n - min_shift + 1)]
    others = [(h, c) for h, c in others if c]
    as_good = sum(h * count >= hits * c for h, c in others)
    return hits, count, (1 + as_good) / (1 + len(others)), np.mean([h / c for h, c in others])


@settings(max_examples=25, deadline=None)
@given(st.integers(30, 90), st.integers(2, 6), st.integers(1, 10), st.integers(1, 8), st.integers(0, 99))
def test_shift_test_equals_its_definition(n, k, min_shift, every, seed):
    rng = np.random.default_rng(seed)
    scores, true = rng.standard_normal((n, k)), rng.integers(-1, k, n)
    scores[rng.random(n) < 0.1] = np.nan
    true[:3] = 0
    scores[0] = rng.standard_normal(k)
    test = shift_test(scores, true, min_shift=min_shift, every=every)
    hits, count, p, shuffled = brute(scores, true, min_shift, every)
    assert (test.hits, test.n) == (hits, count)
    assert test.p == pytest.approx(p)
    assert test.shuffled_top1 == pytest.approx(shuffled)


def program(n_songs, hops_per_song):
    return np.repeat(np.arange(n_songs), hops_per_song)


def test_planted_truth_is_significant():
    true = program(14, 17)
    scores = np.random.default_rng(1).standard_normal((len(true), 14))
    scores[np.arange(len(true)), true] += 1.5
    for wrap in (True, False):
        test = shift_test(scores, true, min_shift=20, every=8, wrap=wrap)
        assert test.p < 0.01
        assert test.top1 > 3 * test.shuffled_top1
    assert shift_test(scores, true, min_shift=20, every=8).shuffled_top1 == pytest.approx(1 / 14, abs=0.04)


def test_p_is_about_uniform_when_nothing_is_there():
    """Scores drift slowly, as those of overlapping windows do: a per-window test would be far too sure."""
    rng = np.random.default_rng(2)
    true = program(14, 17)
    p = []
    for _ in range(300):
        slow = np.cumsum(rng.standard_normal((len(true), 14)), axis=0)
        p.append(shift_test(slow, true, min_shift=20, every=8).p)
    p = np.array(p)
    assert (p <= 0.05).mean() < 0.09
    assert (p <= 0.01).mean() < 0.035
    assert 0.4 < p.mean() < 0.75  # ties push p up, never down


def test_nothing_heard_is_no_evidence():
    test = shift_test(np.random.default_rng(0).standard_normal((50, 3)), np.full(50, -1), min_shift=5, every=4)
    assert (test.n, test.hits, test.p, test.n_shifts) == (0, 0, 1.0, 0)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="one truth per row"):
        shift_test(np.zeros((5, 2)), np.zeros(4, int), min_shift=1, every=1)
    with pytest.raises(ValueError, match="only 2 have scores"):
        shift_test(np.zeros((5, 2)), np.full(5, 3), min_shift=1, every=1)
