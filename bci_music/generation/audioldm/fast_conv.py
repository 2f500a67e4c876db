"""Convolutions between many channels with a third to a quarter of the multiplications, for processors.

Both have the same shape: ``y = A @ ((G @ w) * (B @ x))`` gives `outputs` values of ``y[i] = sum_a w[a] x[i + a]`` from
`length` values of x, with as many products as G and B have rows. Where w[a] and x[i] are matrices (a convolution's
channels), a product is one of matrices, and A and B cost little beside them.

What libraries compute there is the plain sum, at the full speed of the machine's matrix products; these compute less.
The numbers differ by rounding only, some 1e-5 of their spread. Graphics cards have tensor cores and need none of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

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
        """How many times faster than the plain sum, estimated by `work`."""
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


ROWS = 512  # tiles at a time: their products stay in the cache
LINE = toom_cook(4, 3)
SQUARE = twice(LINE)
GAIN = 1.2  # by the estimate of `Bilinear.work`, below which the plain sum stays


class FastConv1d(nn.Module):
    """Stands in for a `Conv1d` of stride 1: (b, C, n) to (b, C', n'), whatever the layout of the input.

    Parameters
    ----------
    conv : Conv1d
        Its weights are taken over.
    way : Bilinear
        For as many taps.
    """

    def __init__(self, conv: nn.Conv1d, way: Bilinear):
        super().__init__()
        self._taps, self._outputs = conv.kernel_size[0], way.outputs
        self._padding, self._dilation = int(conv.padding[0]), conv.dilation[0]
        self.weight = _turned(conv.weight, way.weights)
        self.before, self.after = _fixed(way.before), _fixed(way.after)
        self.bias = None if conv.bias is None else _fixed(conv.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """Convolve; the result lies channels last, and so does what is made of it number by number."""
        rows = [self._one(row.t())[None] for row in x]
        return (rows[0] if len(rows) == 1 else torch.cat(rows)).transpose(1, 2)  # one is the rule: no copy

    def _one(self, x: Tensor) -> Tensor:
        """(n, C) to (n', C'). Every `dilation`-th sample is a signal of its own; all lie behind one another."""
        n, channels = x.shape
        d, m, length = self._dilation, self._outputs, self.before.shape[1]
        made = n + 2 * self._padding - d * (self._taps - 1)
        tiles = ceil(ceil(made / d) / m) + ceil((length - m) / m)  # of each signal; the last ones serve the others
        phases = x.new_zeros(d * tiles * m + length, channels)
        out = x.new_empty(made, self.weight.shape[2])
        for e in range(d):
            first = max(0, ceil((self._padding - e) / d))
            part = x[e + d * first - self._padding :: d]
            phases[e * tiles * m + first :][: len(part)] = part
        found = self._filter(phases, d * tiles).view(d, tiles * m, -1)
        for e in range(d):
            part = out[e::d]
            part.copy_(found[e, : len(part)])
        return out

    def _filter(self, x: Tensor, tiles: int) -> Tensor:
        """(tiles * m + length, C) to (tiles, m, C')."""
        m, channels = self._outputs, x.shape[1]
        y = x.new_empty(tiles, m, self.weight.shape[2])
        products = Products(self.before, self.weight, self.after, self.bias, min(ROWS, tiles))
        for a in range(0, tiles, ROWS):
            rows = min(ROWS, tiles - a)
            cut = x.as_strided((rows, self.before.shape[1], channels), (m * channels, channels, 1), a * m * channels)
            products(cut, y[a : a + rows])
        return y


class FastConv2d(nn.Module):
    """Stands in for a `Conv2d` of 3 x 3 taps, stride 1 and one zero around: (b, C, h, w) to (b, C', h, w)."""

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        self._outputs, self._length = LINE.outputs, LINE.length
        self.weight = _turned(conv.weight.flatten(2), SQUARE.weights)
        self.before, self.after = _fixed(SQUARE.before), _fixed(SQUARE.after)
        self.bias = None if conv.bias is None else _fixed(conv.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """Convolve; the result lies channels last."""
        b, channels, h, w = x.shape
        m, length = self._outputs, self._length
        down, across = ceil(h / m), ceil(w / m)
        padded = x.new_zeros(b, down * m + 2, across * m + 2, channels)
        padded[:, 1 : h + 1, 1 : w + 1] = x.permute(0, 2, 3, 1)
        y = x.new_empty(b, down, m, across, m, self.weight.shape[2])
        step, line = min(down, max(1, ROWS // across)), padded.stride(1)
        products = Products(self.before, self.weight, self.after, self.bias, step * across)
        found = x.new_empty(step * across, m * m, y.shape[-1])
        for k in range(b):
            for a in range(0, down, step):
                rows = min(step, down - a)
                cut = padded.as_strided(
                    (rows, across, length, length, channels), (m * line, m * channels, line, channels, 1),
                    k * padded.stride(0) + a * m * line,
                ).reshape(rows * across, length * length, channels)  # fmt: skip
                products(cut, found[: len(cut)])
                y[k, a : a + rows] = found[: len(cut)].view(rows, across, m, m, -1).permute(0, 2, 1, 3, 4)
        return y.view(b, down * m, across * m, -1)[:, :h, :w].permute(0, 3, 1, 2)


class Products:
    """(tiles, length, C) to (tiles, outputs, C'): sums of data, a matrix product for each of them, sums of products.

    Three calls for many tiles at once, each of which the threads share out among themselves once: beside other busy
    programs threads that wait for each other more often would hardly get on. Memory is taken once, for `tiles`.
    """

    def __init__(self, before: Tensor, weight: Tensor, after: Tensor, bias: Tensor | None, tiles: int):
        products, channels, made = weight.shape
        self._before, self._after = before.expand(tiles, *before.shape), after.expand(tiles, *after.shape)
        self._weight, self._bias = weight, bias
        self._summed = weight.new_empty(tiles, products, channels)
        self._found = weight.new_empty(tiles, products, made)

    def __call__(self, cut: Tensor, out: Tensor) -> None:
        """Fill `out`, for as many tiles as `cut` has."""
        n = len(cut)
        summed, found = self._summed[:n], self._found[:n]
        torch.bmm(self._before[:n], cut, out=summed)
        torch.bmm(summed.transpose(0, 1), self._weight, out=found.transpose(0, 1))
        torch.bmm(self._after[:n], found, out=out)
        if self._bias is not None:
            out += self._bias


def put_fast(network: nn.Module) -> int:
    """Replace what computes faster so inside a network of float32 on a processor, in place; returns how many."""
    found = 0
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if (fast := _fast(child)) is not None:
                setattr(module, name, fast)
                found += 1
    return found


def _fast(conv: nn.Module) -> nn.Module | None:
    plain: Any = conv
    if not isinstance(conv, (nn.Conv1d, nn.Conv2d)) or plain.groups != 1 or plain.padding_mode != "zeros":
        return None
    if set(plain.stride) != {1} or isinstance(plain.padding, str):
        return None
    few = min(plain.in_channels, plain.out_channels)
    if isinstance(conv, nn.Conv1d):
        way = cheapest(plain.kernel_size[0], few)
        return FastConv1d(conv, way) if way is not None and way.gain(few) > GAIN else None
    square = plain.kernel_size == (3, 3) and plain.padding == (1, 1) and plain.dilation == (1, 1)
    return FastConv2d(plain) if square and SQUARE.gain(few) > GAIN else None


def _turned(weight: Tensor, by: np.ndarray) -> nn.Parameter:
    """Weights (C', C, taps) as what data is multiplied with: (products, C, C')."""
    rows = weight.detach().permute(2, 1, 0).reshape(weight.shape[2], -1)
    return _fixed((torch.from_numpy(by).float() @ rows).view(len(by), weight.shape[1], weight.shape[0]))


def _fixed(values: Tensor | np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.as_tensor(values).float().contiguous(), requires_grad=False)


class LastConv1d(nn.Module):
    """A `Conv1d` or `ConvTranspose1d` with channels beside each other in memory: (b, C, n) to (b, C', n'), any layout.

    PyTorch knows that layout only for images. On a processor it makes a vocoder half as long again as fast, most where
    it has few channels: the numbers are the same up to rounding.

    Parameters
    ----------
    conv : Conv1d or ConvTranspose1d
        With zeros as padding; its weights are taken over.
    """

    def __init__(self, conv: nn.Conv1d | nn.ConvTranspose1d):
        super().__init__()
        if conv.padding_mode != "zeros" or isinstance(conv.padding, str):
            raise ValueError(f"padding {conv.padding!r} of mode {conv.padding_mode!r}: expected a number of zeros")
        weight = conv.weight.detach()[:, :, None].contiguous(memory_format=torch.channels_last)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if conv.bias is None else nn.Parameter(conv.bias.detach(), requires_grad=False)
        self._options: dict[str, Any] = {
            "stride": (1, *conv.stride), "padding": (0, *conv.padding), "dilation": (1, *conv.dilation),
            "groups": conv.groups,
        }  # fmt: skip
        self._conv: Callable[..., Tensor] = functional.conv2d
        if isinstance(conv, nn.ConvTranspose1d):
            self._conv = functional.conv_transpose2d
            self._options["output_padding"] = (0, *conv.output_padding)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve; the result lies channels last, and so does what is made of it number by number."""
        image = x[:, :, None].contiguous(memory_format=torch.channels_last)
        return self._conv(image, self.weight, self.bias, **self._options)[:, :, 0]


def put_channels_last(network: nn.Module) -> int:
    """Replace all one-dimensional convolutions inside a network, in place; returns how many there were."""
    found = 0
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, (nn.Conv1d, nn.ConvTranspose1d)):
                setattr(module, name, LastConv1d(child))
                found += 1
    return found
