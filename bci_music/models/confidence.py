"""Confidence: a fitted probability that a window is identified rightly, from a few features of its decoding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bci_music.files import shown
from bci_music.messages import UserError
from bci_music.metrics.identification import auroc
from bci_music.models.pack import ConfidenceFit

FEATURES = ("norm", "best", "margin", "spread", "agreement")


class Confidence:
    """Turn raw adapter outputs into probabilities.

    Parameters
    ----------
    fitted : ConfidenceFit
        Logistic weights; without weights the confidence is 0, for a pack without them claims nothing.
    anchors : (k, d) array or None
        Unit prototypes of the library's songs that the features compare with.
    """

    def __init__(self, fitted: ConfidenceFit, anchors: NDArray[np.float32] | None):
        if fitted.weights and fitted.features != FEATURES:
            raise UserError(
                f"The confidence in the pack is of other features ({shown(', '.join(fitted.features))}) than this "
                f"program measures ({', '.join(FEATURES)}): rebuild the pack."
            )
        self._fitted = fitted
        self._anchors = anchors

    def __call__(self, raw: NDArray[np.float32], attention: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities (n,) for adapter outputs (n, d) and channel attention (n, C)."""
        f = self._fitted
        if not f.weights or self._anchors is None:
            return np.zeros(len(raw))
        values = features(raw, attention, self._anchors)
        z = (values - np.array(f.mean)) / np.array(f.scale)
        return 1.0 / (1.0 + np.exp(-(z @ np.array(f.weights) + f.bias)))


def features(
    raw: NDArray[np.float32], attention: NDArray[np.float32], anchors: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Features (n, 5) in the order of `FEATURES`.

    Length of the raw output, similarity to the best anchor, its lead over the second, spread of the similarities, and
    how evenly attention lies over the channels.
    """
    raw = np.asarray(raw, np.float64)
    norm = np.linalg.norm(raw, axis=1)
    similarity = raw / np.maximum(norm, 1e-12)[:, None] @ np.asarray(anchors, np.float64).T
    ranked = np.sort(similarity, axis=1)
    second = ranked[:, -2] if anchors.shape[0] > 1 else ranked[:, -1]
    share = np.nan_to_num(np.asarray(attention, np.float64))
    evenness = -(share * np.log(np.maximum(share, 1e-12))).sum(1)
    size = np.log(np.maximum(norm, 1e-12))
    return np.stack([size, ranked[:, -1], ranked[:, -1] - second, similarity.std(1), evenness], axis=1)


def fit_confidence(
    raw: NDArray[np.float32], attention: NDArray[np.float32], right: NDArray[np.bool_], recording: NDArray[np.int64],
    anchors: NDArray[np.float32],
) -> ConfidenceFit:
    """Fit on the windows of the even recordings; AUROC on those of the odd ones, None where it is not defined.

    Parameters
    ----------
    raw : (n, d) array
        Adapter outputs.
    attention : (n, C) array
    right : (n,) bool array
        Whether the nearest anchor is the song heard.
    recording : (n,) int array
    anchors : (k, d) array
    """
    even = recording % 2 == 0
    fitted = fit_logistic(features(raw[even], attention[even], anchors), right[even])
    score = Confidence(fitted, anchors)(raw[~even], attention[~even])
    found = float(auroc(score, right[~even]))
    protocol = (
        "probability that the nearest of the library's songs is the one heard; fitted on half of the held-out "
        "recordings, AUROC on the other half"
    )
    return fitted.model_copy(update={"auroc": found if np.isfinite(found) else None, "protocol": protocol})


def fit_logistic(
    values: NDArray[np.float64], right: NDArray[np.bool_], *, penalty: float = 1.0, steps: int = 50
) -> ConfidenceFit:
    """Fit the logistic by Newton's method with a ridge penalty on the weights.

    Parameters
    ----------
    values : (n, 5) array
        From `features`.
    right : (n,) bool array
        Whether the window was identified rightly.
    """
    mean, scale = values.mean(0), np.maximum(values.std(0), 1e-9)
    x = np.column_stack([(values - mean) / scale, np.ones(len(values))])
    damp = np.diag([penalty] * values.shape[1] + [1e-6])
    w = np.zeros(x.shape[1])
    for _ in range(steps):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ w, -30, 30)))
        slope = x.T @ (right - p) - damp @ w
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + damp, slope)
        w += step
        if np.abs(step).max() < 1e-9:
            break
    return ConfidenceFit(
        features=FEATURES, mean=tuple(map(float, mean)), scale=tuple(map(float, scale)),
        weights=tuple(map(float, w[:-1])), bias=float(w[-1]), n=len(values),
    )
