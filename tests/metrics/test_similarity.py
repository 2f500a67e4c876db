import numpy as np
import pytest
from scipy.linalg import sqrtm

from bci_music.metrics.similarity import common_axes, frechet_distance, psnr, ssim


def by_hand(x, y, span):
    """SSIM place by place."""
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    values = []
    for i in range(x.shape[0] - 6):
        for j in range(x.shape[1] - 6):
            a, b = x[i : i + 7, j : j + 7].ravel(), y[i : i + 7, j : j + 7].ravel()
            cov = np.cov(a, b)
            top = (2 * a.mean() * b.mean() + c1) * (2 * cov[0, 1] + c2)
            values.append(top / ((a.mean() ** 2 + b.mean() ** 2 + c1) * (cov[0, 0] + cov[1, 1] + c2)))
    return np.mean(values)


def test_ssim_equals_its_formula_place_by_place():
    rng = np.random.default_rng(0)
    x, y = rng.random((12, 17)), rng.random((3, 12, 17))
    y[1] = x + 0.1 * y[1]
    found = ssim(x, y)
    assert np.allclose(found, [by_hand(x, made, np.ptp(x)) for made in y])
    assert found[1] > 0.9 > found[0]
    assert ssim(x, x[None])[0] == pytest.approx(1.0)


def test_psnr_is_the_range_over_the_error():
    x = np.zeros((8, 8))
    x[0, 0] = 2.0
    assert psnr(x, np.stack([x + 0.2, x]))[0] == pytest.approx(20.0)
    assert psnr(x, x[None])[0] == pytest.approx(100.0)  # equal pictures have no noise: the stated ceiling


def test_a_flat_truth_has_no_range_and_other_shapes_are_refused():
    flat = np.ones((9, 9))
    assert np.isnan(ssim(flat, flat[None])).all()
    assert np.isnan(psnr(flat, flat[None])).all()
    with pytest.raises(ValueError, match="at least 7"):
        ssim(np.ones((5, 9)), np.ones((1, 5, 9)))


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
