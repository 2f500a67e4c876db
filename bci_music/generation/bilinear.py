"""Short filters with fewer multiplications than taps times outputs: Toom-Cook's (Winograd's) way and Fourier's.

Both have the same shape: ``y = A @ ((G @ w) * (B @ x))`` gives `outputs` values of ``y[i] = sum_a w[a] x[i + a]`` from
`length` values of x, with as many products as G and B have rows. Where w[a] and x[i] are matrices (a convolution's
channels), a product is one of matrices, and A and B cost little beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

POINTS = (0, 1, -1, 2, Fraction(-1, 2), -2, Fraction(1, 2))  # small ones, each with what balances its rounding
MOST_TOOM = 6  # products of Toom-Cook's: with more, float32 loses digits that Fourier's keeps
LONGEST = 32
PASSING = 200  # measured on two cores of an AMD EPYC: 64 to 512 channels, 3 to 11 taps
MORE_WEIGHTS = 5  # how many times as much memory the weights may take


@dataclass(frozen=True, eq=False)
class Bilinear:
    """One such way, as float64 matrices.

    Attributes
    ----------
    after : (outputs, products)
        A.
    weights : (products, taps)
        G.
    before : (products, length)
        B.
    """

    after: NDArray[np.floating[Any]]
    weights: NDArray[np.floating[Any]]
    before: NDArray[np.floating[Any]]

    @property
    def outputs(self) -> int:
        """How many values of y one application gives."""
        return len(self.after)

    @property
    def products(self) -> int:
        """How many multiplications of weights with data it takes."""
        return len(self.weights)

    @property
    def length(self) -> int:
        """How many values of x it takes: ``outputs + taps - 1``."""
        return self.before.shape[1]

    def work(self, channels: int) -> float:
        """Multiplications for each value of y, of each channel, between so many channels: products and both sums.

        On the way through memory between them every product costs about as much as `PASSING` further ones.
        """
        return self.products * (channels + self.length + self.outputs + PASSING) / self.outputs

    def gain(self, channels: int) -> float:
        """How many times faster than the plain sum, reckoned by `work`."""
        return self.weights.shape[1] * channels / self.work(channels)


def toom_cook(outputs: int, taps: int) -> Bilinear:
    """Evaluate two polynomials at small points and at infinity, multiply, interpolate; transposed, that is a filter.

    Products: ``outputs + taps - 1``, the fewest possible (Winograd, Arithmetic Complexity of Computations, 1980).
    """
    n = outputs + taps - 1
    points = [Fraction(p) for p in POINTS[: n - 1]]
    if len(points) < n - 1:
        raise ValueError(f"{outputs} outputs of {taps} taps: at most {len(POINTS) + 1} products are known here")

    def powers(most: int) -> list[list[Fraction]]:
        return [[p**i for i in range(most)] for p in points] + [[Fraction(int(i == most - 1)) for i in range(most)]]

    before = np.array(_inverse(powers(n)), dtype=np.float64).T
    after, weights = (np.array(powers(most), dtype=np.float64) for most in (outputs, taps))
    scale = np.abs(before).max(1, keepdims=True)  # data keeps its size, so that float32 rounds it least
    return Bilinear(after.T, weights * scale, before / scale)


def fourier(length: int, taps: int) -> Bilinear:
    """Multiply spectra of `length` (even) values: two real products, and three for each complex one (Gauss's way).

    More products than Toom-Cook's, but it rounds hardly more than the plain sum, however long it is.
    """
    if length % 2 or length <= taps:
        raise ValueError(f"length {length} for {taps} taps: expected an even one above")
    outputs, half = length - taps + 1, length // 2
    data = np.fft.rfft(np.eye(length), axis=0)
    kernel = np.fft.rfft(np.eye(length)[:, :taps], axis=0).conj()  # of the filter turned round
    turn = 2 * np.pi * np.arange(half + 1)[:, None] * np.arange(outputs) / length
    real, imaginary = 2 * np.cos(turn) / length, -2 * np.sin(turn) / length  # what a bin adds to each output
    after, weights, before = [], [], []
    for k in (0, half):
        after.append(real[k] / 2)
        weights.append(kernel[k].real)
        before.append(data[k].real)
    for k in range(1, half):
        (a, b), (c, d) = (data[k].real, data[k].imag), (kernel[k].real, kernel[k].imag)
        before += [a + b, a, b]
        weights += [c, d - c, c + d]
        after += [real[k] + imaginary[k], imaginary[k], -real[k]]  # (a+b)c - b(c+d) and (a+b)c + a(d-c)
    return Bilinear(np.array(after).T, np.array(weights), np.array(before))


def twice(way: Bilinear) -> Bilinear:
    """The same way in both directions of a square, whose rows lie behind one another."""
    return Bilinear(
        np.kron(way.after, way.after), np.kron(way.weights, way.weights), np.kron(way.before, way.before)
    )  # fmt: skip


@lru_cache
def cheapest(taps: int, channels: int) -> Bilinear | None:
    """The way with the least work between so many channels; None where none is known, as for a single tap."""
    known = [toom_cook(n, taps) for n in range(2, MOST_TOOM - taps + 2)]
    known += [fourier(n, taps) for n in range(2 * (taps // 2 + 1), LONGEST + 1, 2)]
    few = [way for way in known if way.products <= MORE_WEIGHTS * taps]
    return min(few, key=lambda way: way.work(channels), default=None)


def _inverse(rows: list[list[Fraction]]) -> list[list[Fraction]]:
    """Inverse of a square matrix, exactly."""
    n = len(rows)
    work = [row + [Fraction(int(i == k)) for k in range(n)] for i, row in enumerate(rows)]
    for c in range(n):
        pivot = next(i for i in range(c, n) if work[i][c] != 0)
        work[c], work[pivot] = work[pivot], work[c]
        work[c] = [v / work[c][c] for v in work[c]]
        for i in range(n):
            if i != c:
                work[i] = [v - work[i][c] * w for v, w in zip(work[i], work[c], strict=True)]
    return [row[n:] for row in work]
