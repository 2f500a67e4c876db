"""Great circles: styles are unit vectors, so the way from one to another leads along the sphere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
NEARLY_OPPOSITE = np.pi - 1e-3  # beyond this no great circle is meant


def unit(vector: NDArray[np.floating]) -> Vector:
    """Vector of length one in the direction of `vector`; zeros stay zeros."""
    wide = np.asarray(vector, np.float64)
    return (wide / max(float(np.linalg.norm(wide)), 1e-12)).astype(np.float32)


def angle(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Angle between two vectors, 0 to pi; exact also where they are nearly parallel."""
    first, second = (np.asarray(unit(v), np.float64) for v in (a, b))
    return float(2 * np.arctan2(np.linalg.norm(first - second), np.linalg.norm(first + second)))


def slerp(a: NDArray[np.floating], b: NDArray[np.floating], share: float) -> Vector:
    """Unit vector at `share` (0..1) of the way from `a` to `b` along their great circle.

    The ends are exact. Opposite vectors have no great circle of their own: the nearer one is returned.
    """
    start, stop = unit(a), unit(b)
    between = angle(start, stop)
    if share <= 0 or share >= 1 or between > NEARLY_OPPOSITE:
        return start if share < 0.5 else stop
    if between < 1e-6:
        return start
    weights = np.sin([(1 - share) * between, share * between])
    return unit(weights[0] * start.astype(np.float64) + weights[1] * stop.astype(np.float64))


def toward(a: NDArray[np.floating], b: NDArray[np.floating], most_rad: float) -> Vector:
    """Go from `a` towards `b` by at most `most_rad` on their great circle."""
    between = angle(a, b)
    return unit(b) if between <= most_rad else slerp(a, b, most_rad / between)
