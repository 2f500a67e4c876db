"""What a machine can do at most: its best matrix product, measured beside what is compared with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

from bci_music.models.device import native_bf16
from bci_music.models.sizes import EncoderConfig

Shape = tuple[int, int, int]  # (m, k, n) of a product (m, k) @ (k, n)
SQUARE = {"cpu": (1024, 2048), "cuda": (4096, 8192)}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def product_shapes(config: EncoderConfig, batch: int) -> list[Shape]:
    """The products of a transformer block's layers for a batch of whole windows."""
    rows = batch * (1 + config.n_slots * (config.n_channels if config.tokens == "channel" else 1))
    dim, wide = config.dim, config.widen * config.dim
    return [(rows, dim, 3 * dim), (rows, dim, dim), (rows, dim, wide), (rows, wide, dim)]


class Turn(NamedTuple):
    """Work per second of one turn: by the clock, by processor time, and of its fastest single run."""

    by_clock: float
    by_processor: float
    fastest: float


class MatrixPeak:
    """Rates of matrix products in FLOP/s (a product of (m, k) and (k, n) counts ``2 m k n``), turn by turn.

    What is compared with the peak works for a whole turn too, and its median turn counts: so does the product's. The
    fastest single product of all (`burst`) is higher by the luck of a few milliseconds. bfloat16 is left out where
    the machine does not multiply it itself.

    Parameters
    ----------
    shapes : iterable of (m, k, n)
    device : torch.device
    for_s : float
        How long each product is repeated at its turn.
    square : tuple of int, optional
        Sizes of square products measured besides; those of `SQUARE` by default.

    Attributes
    ----------
    turns : dict
        Format -> shape -> `Turn` of each call of `measure`.
    """

    def __init__(
        self, shapes: Iterable[Shape], device: torch.device, for_s: float = 0.1, square: tuple[int, ...] | None = None
    ):
        sizes = SQUARE.get(device.type, (2048,)) if square is None else square
        self._shapes = list(dict.fromkeys([*((n, n, n) for n in sizes), *shapes]))
        self._device, self._for_s = device, for_s
        self.dtypes = {name: t for name, t in DTYPES.items() if t is torch.float32 or native_bf16(device.type)}
        self.turns: dict[str, dict[Shape, list[Turn]]] = {name: {s: [] for s in self._shapes} for name in self.dtypes}

    def measure(self) -> None:
        """Let every product take its turn once more."""
        for name, dtype in self.dtypes.items():
            for shape in self._shapes:
                m, k, n = shape
                a = torch.randn(m, k, device=self._device, dtype=dtype)
                b = torch.randn(k, n, device=self._device, dtype=dtype)
                out = torch.empty(m, n, device=self._device, dtype=dtype)
                turn = take_turn(_product(a, b, out), 2.0 * m * k * n, self._device, self._for_s)
                self.turns[name][shape].append(turn)

    def sustained(self, dtype: str, *, processor: bool = False) -> float:
        """FLOP/s of the best product's median turn in ``"float32"`` or ``"bfloat16"``.

        By the clock, or per second of processor time (of all threads), which hardly depends on what else the
        processor does meanwhile.
        """
        rates = [[t.by_processor if processor else t.by_clock for t in turns] for turns in self.turns[dtype].values()]
        return max(median(rate) for rate in rates)

    def burst(self, dtype: str) -> float:
        """FLOP/s of the fastest single product there was."""
        return max(turn.fastest for turns in self.turns[dtype].values() for turn in turns)


def synchronise(device: torch.device) -> None:
    """Wait until what was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def take_turn(step: Callable[[], object], work: float, device: torch.device, for_s: float) -> Turn:
    """Repeat `step`, which does `work`, for `for_s` seconds (three times at least), after one run that warms up."""
    step()
    times: list[tuple[float, float]] = []
    end = time.perf_counter() + for_s
    while len(times) < 3 or time.perf_counter() < end:
        times.append(timed_s(step, device))
    clock, processor = zip(*times, strict=True)
    done = work * len(times)
    return Turn(done / sum(clock), done / sum(processor), work / min(clock))


def timed_s(step: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds of one run of `step`: by the clock, and of processor time in all threads together."""
    synchronise(device)
    start, processor = time.perf_counter(), time.process_time()
    step()
    synchronise(device)
    return time.perf_counter() - start, max(time.process_time() - processor, 1e-9)


def _product(a: Tensor, b: Tensor, out: Tensor) -> Callable[[], object]:
    return lambda: torch.mm(a, b, out=out)
