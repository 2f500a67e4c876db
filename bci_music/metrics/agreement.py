"""Does what plays follow what is heard? Shares of time, compared with shifted pairings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Agreement:
    """Share of time in which two label tracks agree, beside all circular shifts of one against the other."""

    share: float
    seconds: float
    shifted_share: float
    p: float
    n_shifts: int


def agreement(
    heard: NDArray[np.int64], played: NDArray[np.int64], step_s: float, min_shift_s: float = 10.0
) -> Agreement | None:
    """Compare two label tracks sampled every `step_s` seconds.

    Parameters
    ----------
    heard, played : (n,) int
        Song numbers; -1 where nothing known is heard or played. Only steps where both are known count.
    step_s : float
        Sampling step of the tracks in seconds.
    min_shift_s : float
        Smallest circular shift used as control.

    Returns
    -------
    Agreement or None
        None when the tracks never overlap. `p` is (1 + shifts at least as good) / (1 + shifts).
    """
    if heard.shape != played.shape:
        raise ValueError(f"both tracks need the same length, got {heard.shape} and {played.shape}")
    known = (heard >= 0) & (played >= 0)
    if not known.any():
        return None
    heard, played = heard[known], played[known]
    n, least = len(heard), round(min_shift_s / step_s)
    share = float((heard == played).mean())
    shifted = np.array([(np.roll(heard, s) == played).mean() for s in range(least, n - least + 1)])
    if not len(shifted):
        return Agreement(share, n * step_s, float("nan"), 1.0, 0)
    p = (1 + int((shifted >= share - 1e-12).sum())) / (1 + len(shifted))
    return Agreement(share, n * step_s, float(shifted.mean()), p, len(shifted))
