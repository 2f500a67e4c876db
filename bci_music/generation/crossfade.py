"""Crossfades that keep the loudness while one sound becomes another: of equal power, or gentler for like sounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ramp = NDArray[np.float32]


def equal_power(length: int, start: int = 0, stop: int | None = None, likeness: float = 0.0) -> tuple[Ramp, Ramp]:
    """Gains of the leaving and the entering sound for samples `start` to `stop` of a fade of `length` samples.

    Returns
    -------
    leaving, entering : (stop - start,) float32
        The power of the mix is 1 everywhere for sounds whose correlation is `likeness` (0..1): the squares of the
        gains add up to 1 for unrelated sounds, the gains themselves for one and the same.
    """
    stop = length if stop is None else stop
    angle = (np.arange(start, stop, dtype=np.float64) + 0.5) * (np.pi / 2 / max(length, 1))
    down, up = np.cos(angle), np.sin(angle)
    scale = 1 / np.sqrt(1 + 2 * likeness * down * up)
    return (scale * down).astype(np.float32), (scale * up).astype(np.float32)


def mix(
    leaving: NDArray[np.float32], entering: NDArray[np.float32], length: int, start: int = 0, likeness: float = 0.0
) -> NDArray[np.float32]:
    """Mix two (n, 2) stretches that are samples `start` to `start + n` of a fade of `length` samples."""
    down, up = equal_power(length, start, start + len(leaving), likeness)
    return leaving * down[:, None] + entering * up[:, None]


def fade_in(samples: NDArray[np.float32], length: int, start: int = 0) -> NDArray[np.float32]:
    """Bring (n, 2) samples in from silence; they are samples `start` onwards of a fade of `length` samples."""
    faded = samples.copy()
    stop = min(length, start + len(samples))
    if start < stop:
        faded[: stop - start] *= equal_power(length, start, stop)[1][:, None]
    return faded
