"""Convolutions between many channels with a third to a quarter of the multiplications, for processors.

What libraries compute there is the plain sum, at the full speed of the machine's matrix products; these compute less.
The numbers differ by rounding only, some 1e-5 of their spread. Graphics cards have tensor cores and need none of it.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bci_music.generation.bilinear import Bilinear, cheapest, toom_cook, twice

ROWS = 512  # tiles at a time: their products stay in the cache
LINE = toom_cook(4, 3)
SQUARE = twice(LINE)
GAIN = 1.2  # by the reckoning of `Bilinear.work`, below which the plain sum stays


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
