"""The rate of a recording: what its stamps show decides where its header states none, or another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bci_music.messages import UserError
from bci_music.timing.rate import agrees, rate_note, spread, steady_rate, usual_rate

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAST_ROWS = 32  # fewer say nothing of a rate
_NEAR = 0.1  # stamps that show no single rate but lie this near are the stated rate with losses
_PART_S, _AGREE, _SETTLED = 2.0, 0.03, 0.6  # length of the parts looked at, how far they may differ, and how many may
_LATEST_S = 1e15  # NaN and what no clock shows are left out


def recorded_rate(
    times_s: NDArray[np.float64], stated_hz: float, where: str
) -> tuple[float, NDArray[np.float64], str]:
    """Return the rate to go by, the stamps, and a note where the rate is not the one stated.

    Stamps that were only counted at a wrong rate are spaced by the right one. The stated rate stays where steps
    keep it and samples are missing at irregular places: those are gaps.

    Parameters
    ----------
    times_s : (n,) float64
        Stamps as recorded.
    stated_hz : float
        What the header says; 0 where it says nothing.
    where : str
        Whose stamps they are, e.g. ``"stream 'amp'"``.

    Raises
    ------
    UserError
        When the stamps stand still, or settle at no rate and are far from the one stated.
    """
    times = times_s[np.abs(times_s) < _LATEST_S]
    if len(times_s) > 1 and (not len(times) or times.max() == times.min()):
        raise UserError(
            f"All {len(times_s)} stamps of {where} are the same: its sender or its recorder kept no clock, so nothing "
            "in it has a time; record it again with stamps that run."
        )
    if len(times) < _LEAST_ROWS:
        if stated_hz > 0:
            return stated_hz, times_s, ""
        raise UserError(
            f"{where} states a rate of 0 Hz, and {len(times)} samples are too few to measure one: state the rate "
            "in the sending program and record it again."
        )
    measured = _rate_of_parts(times, stated_hz) or steady_rate(times, stated_hz)
    if stated_hz > 0 and (agrees(measured or 0.0, stated_hz) or _has_losses(times, stated_hz)):
        return stated_hz, times_s, ""
    if measured is None or measured > 1e5:
        low, high = _range_hz(times)
        if stated_hz > 0 and min(abs(low / stated_hz - 1), abs(high / stated_hz - 1)) <= _NEAR:
            return stated_hz, times_s, ""
        stated = f"where {stated_hz:g} Hz is stated" if stated_hz > 0 else "and no rate is stated"
        raise UserError(
            f"The stamps of {where} run at {low:.4g} to {high:.4g} Hz {stated}: EEG needs a steady rate; set the rate "
            "in the sending program and record it again."
        )
    rate = usual_rate(measured)
    return rate, spread(times_s, stated_hz, rate), rate_note(where, stated_hz, measured, rate)


def _parts(times: NDArray[np.float64], about_hz: float) -> list[NDArray[np.float64]]:
    n = int(max(_LEAST_ROWS, min(round(_PART_S * about_hz), len(times) // 4)))
    return [times[k : k + n] for k in range(0, len(times) - n + 1, n)]


def _rate_of_parts(times: NDArray[np.float64], stated_hz: float) -> float | None:
    """Rate in most parts of a recording, so that gaps do not count."""
    about_hz = stated_hz or (len(times) - 1) / float(times.max() - times.min())
    parts = _parts(times, about_hz)
    rates = np.array([rate for part in parts if (rate := steady_rate(part, stated_hz)) is not None])
    if not len(rates):
        return None
    near = np.abs(rates / np.median(rates) - 1) < _AGREE
    return float(rates[near].mean()) if near.sum() >= max(2, _SETTLED * len(parts)) else None


def _has_losses(times: NDArray[np.float64], stated_hz: float) -> bool:
    """Whether steps are whole multiples of the stated period and the longer ones lie at irregular places.

    A sender that states a wrong rate leaves them, too, but after every chunk.
    """
    steps = np.diff(times) * stated_hz
    whole = np.rint(steps)
    if np.mean(np.abs(steps - whole) < 0.2) < 0.9 or (whole < 1).any() or abs(float(np.median(steps)) - 1) > 0.02:
        return False
    runs = np.diff(np.flatnonzero(whole > 1))
    return len(runs) < 3 or float(runs.std()) > 0.3 * float(runs.mean())


def _range_hz(times: NDArray[np.float64]) -> tuple[float, float]:
    """Rates between which most parts lie."""
    spans = [(len(part) - 1) / span for part in _parts(times, 1.0) if (span := float(part.max() - part.min())) > 0]
    low, high = np.percentile(spans or [np.inf], [10, 90])
    return float(low), float(high)
