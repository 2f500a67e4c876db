import numpy as np
import pytest

from bci_music.metrics.image import psnr, ssim


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
