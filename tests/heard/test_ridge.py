"""The normal equations against their definition, and against MNE's own estimator."""

import numpy as np
import pytest

from bci_music.heard.ridge import (
    ALPHA_ALONE,
    LagSums,
    RidgePath,
    added,
    fit_ridge,
    held_out_r,
    reconstruct,
    shifted_cross,
)

LAGS = range(0, 6)
EARLY = range(-8, -2)


def data(n=400, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((n, 2))
    mix = np.array([[1.0, 0.2, 0.5], [-0.3, 1.0, 0.5]])
    return np.roll(y, 2, axis=0) @ mix + 0.5 * rng.standard_normal((n, 3)), y


def lagged(x, lags):
    """The lagged EEG itself, zero beyond the ends, with rows beyond the ends too."""
    wide = 20
    padded = np.pad(x, ((wide, wide), (0, 0)))
    return np.concatenate([np.roll(padded, -lag, axis=0) for lag in lags], axis=1)


@pytest.mark.parametrize("lags", [LAGS, EARLY, range(0, 9, 2)])
def test_sums_are_the_products_of_the_lagged_eeg(lags):
    x, y = data()
    sums, whole = LagSums.of(x, y, lags), lagged(x, lags)
    assert np.allclose(sums.gram(), whole.T @ whole)
    assert np.allclose(sums.moment(), whole.T @ np.pad(y, ((20, 20), (0, 0))))


def test_a_fold_is_a_sum_and_a_difference():
    parts = [LagSums.of(*data(seed=seed), LAGS) for seed in range(3)]
    rest = added(parts).plus(parts[1], -1.0)
    assert np.allclose(rest.gram(), parts[0].gram() + parts[2].gram())
    assert np.allclose(rest.moment(), parts[0].moment() + parts[2].moment())


@pytest.mark.parametrize("lags", [LAGS, EARLY])
def test_shifted_targets_are_those_of_the_definition(lags):
    x, y = data(n=101)
    shifts = np.array([0, 3, 50, 100])
    found = shifted_cross(x, y, lags, shifts)
    direct = [
        [np.roll(x, -lag, axis=0).T @ np.roll(y, -s, axis=0) for s in shifts] for lag in lags
    ]  # (lag, shift, channel, target)
    assert np.allclose(found, np.array(direct).transpose(0, 2, 1, 3).reshape(found.shape), atol=1e-4)


def test_weights_and_reconstruction_are_those_of_mne():
    pytest.importorskip("sklearn", reason="MNE's estimators need scikit-learn, which is not installed")
    from mne.decoding import TimeDelayingRidge

    x, y = data()
    sums, alpha = LagSums.of(x, y, LAGS), 3.7
    weights = RidgePath(sums.gram()).weights(sums.moment(), alpha).reshape(6, 3, 2)
    absolute = alpha * float(np.linalg.eigvalsh(sums.gram()).mean())
    # MNE's delays count the other way: the input is delayed, so EEG that comes later has a negative delay.
    peer = TimeDelayingRidge(-5, 0, 1.0, alpha=absolute, fit_intercept=False, edge_correction=False, n_jobs=1)
    peer.fit(x, y)
    assert np.allclose(peer.coef_[:, :, ::-1], weights.transpose(2, 1, 0), atol=1e-9)
    assert np.allclose(peer.predict(x), reconstruct(x, weights, LAGS), atol=1e-9)


def test_the_penalty_is_chosen_within_what_is_learned_from():
    weights, chosen = fit_ridge([LagSums.of(*data(seed=seed), LAGS) for seed in range(4)])
    assert weights.shape == (6, 3, 2)
    x, y = data(seed=9)
    made = reconstruct(x, weights, LAGS)
    assert all(np.corrcoef(made[:, k], y[:, k])[0, 1] > 0.6 for k in range(2))
    assert chosen.max() < 10  # so clear an answer needs little penalty


def test_a_correlation_needs_the_sums_only():
    weights, _ = fit_ridge([LagSums.of(*data(seed=seed), LAGS) for seed in range(3)])
    x, y = data(seed=9)
    made = reconstruct(x, weights, LAGS)
    direct = [np.corrcoef(made[:, k], y[:, k])[0, 1] for k in range(2)]
    assert np.allclose(held_out_r(weights, LagSums.of(x, y, LAGS)), direct, atol=0.02)  # means and ends apart


def test_with_one_part_the_penalty_is_given():
    assert (fit_ridge([LagSums.of(*data(), LAGS)])[1] == ALPHA_ALONE).all()
