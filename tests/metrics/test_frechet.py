import numpy as np
import pytest
from scipy.linalg import sqrtm

from bci_music.metrics.frechet import common_axes, frechet_distance


def test_the_distance_equals_its_formula_and_grows_with_shift_and_spread():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((400, 6)) @ rng.standard_normal((6, 6))
    b = rng.standard_normal((300, 6)) @ rng.standard_normal((6, 6)) + 0.5
    x, y = np.cov(a.T), np.cov(b.T)
    formula = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(x + y - 2 * sqrtm(x @ y).real)
    assert frechet_distance(a, b) == pytest.approx(formula)
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(a, a + 2.0) == pytest.approx(24.0)
    one = rng.standard_normal((200, 1))
    assert frechet_distance(one, 3 * one) == pytest.approx(4 * one.var(ddof=1) + 4 * one.mean() ** 2)


def test_fewer_axes_change_nothing():
    rng = np.random.default_rng(1)
    low = rng.standard_normal((5, 64))
    a, b = rng.standard_normal((90, 5)) @ low, rng.standard_normal((80, 5)) @ low + low[0]
    small = common_axes(a, b)
    assert small[0].shape == (90, 5)
    assert frechet_distance(*small) == pytest.approx(frechet_distance(a, b), rel=1e-6)
    with pytest.raises(ValueError, match="at least 2"):
        frechet_distance(a[:1], b)
