"""How numbers, intervals and controls are written, the same in the page, its pictures and the table for the docs."""

from __future__ import annotations

import math

from bci_music.metrics.metric import Metric

CONTROLS = {
    "mismatched": "mismatched pairs",
    "before_song": "EEG before the song",
    "mean_embedding": "mean embedding",
}
MORE_CONTROLS = {"random_clips": "random clips"}


def control(name: str) -> str:
    """Write the name of a control."""
    return (CONTROLS | MORE_CONTROLS).get(name, name.replace("_", " "))


def number(value: float) -> str:
    """Write a metric: ``.214`` below one, as the published tables do, else ``24.4``."""
    if not math.isfinite(value):
        return "undefined"
    if abs(value) >= 100:
        return minus(f"{value:,.0f}")
    if abs(value) >= 10:
        return minus(f"{value:.1f}")
    if round(abs(value), 3) >= 1:
        return minus(f"{value:.2f}")
    written = minus(f"{value:.3f}")
    return written.replace("0.", ".", 1)


def minus(text: str) -> str:
    """Write the hyphen of a negative number as a minus sign."""
    return text.replace("-", "−")


def interval(ci95: tuple[float, float] | None) -> str:
    """Write an interval as ``.17 to .25``, or say that there is none."""
    return "no interval" if ci95 is None else f"{number(ci95[0])} to {number(ci95[1])}"


def p_value(p: float) -> str:
    """Write a permutation p with two digits that matter."""
    return "p < .001" if p < 0.001 else f"p = {f'{p:.3f}' if p < 0.1 else f'{p:.2f}'}".replace("0.", ".", 1)


def count(n: float) -> str:
    """Write a number of things: ``820``, ``12.4 k``, ``25.2 M``."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if n >= size:
            return f"{n / (1e3 if unit == ' k' else size):.1f}".removesuffix(".0") + unit
    return f"{n:,.0f}"


def share(part: float, whole: float) -> str:
    """Write a part of a whole in per cent, with a digit behind the point where it is small."""
    percent = 100 * part / whole
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.2g} %"


def span(numbers: list[int]) -> str:
    """Write one number, or the smallest to the largest."""
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def listed(names: list[str]) -> str:
    """Join names as a sentence does: ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def windows(metric: Metric) -> str:
    """Say on how many independent windows and recordings a metric rests."""
    return f"{metric.n:,} windows of {metric.n_recordings} recordings"
