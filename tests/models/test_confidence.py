"""Confidence: high where the truth is likelier, honest about how likely, silent without calibration."""

import numpy as np
import pytest

from bci_music.metrics.identification import auroc
from bci_music.models.confidence import FEATURES, Confidence, features, fit_logistic
from bci_music.models.pack import ConfidenceFit


def decoded(n, seed):
    """Windows of mixed quality: the clearer, the nearer to their own prototype."""
    rng = np.random.default_rng(seed)
    anchors = np.linalg.qr(np.random.default_rng(0).standard_normal((64, 10)))[0].T.astype(np.float32)
    song = rng.integers(0, 10, n)
    clarity = rng.uniform(0.0, 2.5, n)
    raw = clarity[:, None] * anchors[song] + 0.6 * rng.standard_normal((n, 64)) * 0.4
    attention = rng.dirichlet(np.ones(20), n)
    attention[:, 3] = np.nan
    right = (raw @ anchors.T).argmax(1) == song
    return raw.astype(np.float32), attention, anchors, right


def test_confidence_separates_right_from_wrong_on_windows_it_was_not_fitted_on():
    raw, attention, anchors, right = decoded(600, 1)
    fitted = fit_logistic(features(raw, attention, anchors), right)
    raw, attention, anchors, right = decoded(2000, 2)
    confidence = Confidence(fitted, anchors)(raw, attention)
    assert auroc(confidence, right) > 0.8
    for low in (0.2, 0.5, 0.8):
        inside = (confidence >= low) & (confidence < low + 0.2)
        assert right[inside].mean() == pytest.approx(confidence[inside].mean(), abs=0.12)


def test_an_uncalibrated_pack_claims_nothing():
    raw, attention, anchors, _ = decoded(5, 1)
    assert (Confidence(ConfidenceFit(), anchors)(raw, attention) == 0).all()
    fitted = fit_logistic(np.random.default_rng(0).standard_normal((50, 5)), np.arange(50) % 2 == 0)
    assert (Confidence(fitted, None)(raw, attention) == 0).all()


def test_features_are_what_they_are_called():
    anchors = np.eye(4, dtype=np.float32)
    attention = np.array([[0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, np.nan]])
    values = features(np.array([[2.0, 0.0, 0.0, 0.0], [3.0, 4.0, 0.0, 0.0]]), attention, anchors)
    assert values.shape == (2, len(FEATURES))
    np.testing.assert_allclose(values[:, 0], np.log([2.0, 5.0]))
    np.testing.assert_allclose(values[:, 1], [1.0, 0.8])
    np.testing.assert_allclose(values[:, 2], [1.0, 0.2])
    np.testing.assert_allclose(values[:, 4], [np.log(4), 0.0], atol=1e-9)
