"""The ridge adapter: recovers what was planted, however the rows come."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.models.adapter import RidgeAdapter


def planted(n=400, n_in=12, n_out=7, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, n_in)) + 3.0
    weights, intercept = rng.standard_normal((n_in, n_out)), rng.standard_normal(n_out)
    y = x @ weights + intercept + noise * rng.standard_normal((n, n_out))
    return x, y, weights, intercept


def test_recovers_a_planted_map():
    x, y, weights, intercept = planted()
    adapter = RidgeAdapter.fit([(x, y, np.zeros(len(x), int))], alpha=1e-10)
    np.testing.assert_allclose(adapter.weights, weights, atol=1e-4)
    np.testing.assert_allclose(adapter.intercept, intercept, atol=1e-3)
    np.testing.assert_allclose(adapter(x), y, atol=1e-3)


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, 399), max_size=6), alpha=st.sampled_from([1e-3, 0.1, 10.0]))
def test_streaming_equals_batch(cuts, alpha):
    x, y, _, _ = planted(noise=1.0)
    group = np.arange(len(x)) % 3
    whole = RidgeAdapter.fit([(x, y, group)], alpha=alpha)
    edges = [0, *sorted(set(cuts)), len(x)]
    parts = [(x[a:b], y[a:b], group[a:b]) for a, b in pairwise(edges)]
    streamed = RidgeAdapter.fit(iter(parts), alpha=alpha)
    np.testing.assert_allclose(streamed.weights, whole.weights, rtol=0, atol=1e-6)


def test_equals_the_textbook_ridge():
    x, y, _, _ = planted(noise=1.0)
    alpha = 0.3
    xc, yc = x - x.mean(0), y - y.mean(0)
    penalty = alpha * np.trace(xc.T @ xc) / x.shape[1]
    expected = np.linalg.solve(xc.T @ xc + penalty * np.eye(x.shape[1]), xc.T @ yc)
    adapter = RidgeAdapter.fit([(x, y, np.zeros(len(x), int))], alpha=alpha)
    np.testing.assert_allclose(adapter.weights, expected, atol=1e-6)


def test_inner_cross_validation_chooses_what_predicts_held_out_groups_best():
    x, y, _, _ = planted(n=60, n_in=40, noise=6.0)
    group = np.arange(60) // 15
    alphas = (1e-6, 1e-2, 1.0, 100.0)

    def error(alpha):
        total = 0.0
        for g in range(4):
            train = group != g
            fitted = RidgeAdapter.fit([(x[train], y[train], group[train])], alpha=alpha)
            total += np.square(fitted(x[~train]) - y[~train]).sum()
        return total

    chosen = RidgeAdapter.fit([(x, y, group)], alphas=alphas).alpha
    assert chosen == min(alphas, key=error)
    assert chosen > 1e-6


def test_choosing_alpha_from_one_group_is_refused():
    x, y, _, _ = planted(n=20)
    with pytest.raises(ValueError, match="two groups"):
        RidgeAdapter.fit([(x, y, np.zeros(20, int))])


def test_round_trip(tmp_path):
    x, y, _, _ = planted()
    adapter = RidgeAdapter.fit([(x, y, np.zeros(len(x), int))], alpha=0.1)
    adapter.save(tmp_path / "a.safetensors")
    back = RidgeAdapter.load(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(back(x), adapter(x))
    assert back.alpha == pytest.approx(0.1)
