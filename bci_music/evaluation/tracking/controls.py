"""Is what a decoder made related to the sound in time? Correlation against circular shifts and against other pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]
LEVEL = 0.05


@dataclass(frozen=True)
class Course:
    """One recording: what was made of it, and what was heard, row by row.

    Attributes
    ----------
    made, heard : (n, d)
        Equally spaced in time; `heard` may be of any length where it is another piece.
    min_shift : int
        Fewest rows by which a shift counts as another alignment.
    """

    made: Float
    heard: Float
    listener: str
    sound: str
    recording: str
    min_shift: int


@dataclass(frozen=True)
class Spread:
    """What a control's draws came to."""

    mean: float
    sd: float
    largest: float
    n: int

    @classmethod
    def of(cls, draws: Float) -> Spread:
        """Summarise draws (n,)."""
        return cls(float(draws.mean()), float(draws.std()), float(draws.max()), len(draws))


def shifted_r(made: Float, heard: Float) -> NDArray[np.float64]:
    """(n,) correlation of ``made[t]`` with ``heard[(t + s) % n]`` for every shift s, both (n, d), by FFT.

    Columns are taken about their means and correlated together, as one long series would be.
    """
    a, b = (np.asarray(x, np.float64) - np.mean(x, axis=0, dtype=np.float64) for x in (made, heard))
    size = np.sqrt((a * a).sum() * (b * b).sum())
    if size < 1e-12:
        return np.zeros(len(a))
    both = (np.conj(np.fft.rfft(a, axis=0)) * np.fft.rfft(b, axis=0)).sum(axis=1)
    return np.fft.irfft(both, len(a)) / size


def shift_draws(courses: Sequence[Course], n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n,) mean correlation over recordings when each is shifted by an amount of its own, drawn again every time."""
    total = np.zeros(n)
    for course in courses:
        r = shifted_r(course.made, course.heard)
        total += r[rng.integers(course.min_shift, len(r) - course.min_shift + 1, n)]
    return total / len(courses)


def other_piece_draws(
    courses: Sequence[Course], pieces: dict[str, str], n: int, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """(n,) mean correlation over recordings with another piece of the study, from any instant on; None if none has one.

    Parameters
    ----------
    pieces : mapping of sound to piece
        Sounds that are versions of one piece are not another.
    """
    sounds = {course.sound: course.heard for course in courses}
    total, found = np.zeros(n), 0
    for course in courses:
        others = [heard for sound, heard in sounds.items() if pieces[sound] != pieces[course.sound]]
        if others:
            rows = [shifted_r(course.made, _as_long(other, len(course.made))) for other in others]
            total += np.stack(rows)[rng.integers(len(rows), size=n), rng.integers(len(course.made), size=n)]
            found += 1
    return total / found if found else None


def p_value(value: float, draws: Float) -> float:
    """(1 + draws at least as good) / (1 + draws): the level holds whatever the draws' number."""
    return float((1 + (draws >= value - 1e-12).sum()) / (1 + len(draws)))


def _as_long(heard: Float, n: int) -> Float:
    """Cut to n rows, or repeat to as many."""
    return np.resize(heard, (n, heard.shape[1])) if len(heard) < n else heard[:n]
