"""What a machine can do at most: its fastest matrix product, measured beside what is compared with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

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


class MatrixPeak:
    """Best of all products measured so far, in FLOP/s (a product of (m, k) and (k, n) counts ``2 m k n``).

    `flops` is by the clock; `processor_flops` is per second of processor time (of all threads), which hardly depends
    on what else the processor does meanwhile. bfloat16 is left out where the machine does not multiply it itself.

    Parameters
    ----------
    shapes : iterable of (m, k, n)
    device : torch.device
    for_s : float
        How long each product is repeated at a time; the fastest single one counts.
    square : tuple of int, optional
        Sizes of square products measured besides; those of `SQUARE` by default.
    """

    def __init__(
        self, shapes: Iterable[Shape], device: torch.device, for_s: float = 0.1, square: tuple[int, ...] | None = None
    ):
        sizes = SQUARE.get(device.type, (2048,)) if square is None else square
        self._shapes = list(dict.fromkeys([*((n, n, n) for n in sizes), *shapes]))
        self._device, self._for_s = device, for_s
        self.dtypes = {name: t for name, t in DTYPES.items() if t is torch.float32 or native_bf16(device.type)}
        self.flops: dict[str, dict[Shape, float]] = {name: dict.fromkeys(self._shapes, 0.0) for name in self.dtypes}
        self.processor_flops = {name: dict(table) for name, table in self.flops.items()}

    def measure(self) -> None:
        """Try every product once more."""
        for name, dtype in self.dtypes.items():
            for shape in self._shapes:
                m, k, n = shape
                a = torch.randn(m, k, device=self._device, dtype=dtype)
                b = torch.randn(k, n, device=self._device, dtype=dtype)
                out = torch.empty(m, n, device=self._device, dtype=dtype)
                fastest = fastest_s(_product(a, b, out), self._device, self._for_s)
                for table, seconds in zip((self.flops, self.processor_flops), fastest, strict=True):
                    table[name][shape] = max(table[name][shape], 2.0 * m * k * n / seconds)

    def best(self, dtype: str, *, processor: bool = False) -> float:
        """FLOP/s of the fastest product in ``"float32"`` or ``"bfloat16"``, by the clock or by processor time."""
        return max((self.processor_flops if processor else self.flops)[dtype].values())


def synchronise(device: torch.device) -> None:
    """Wait until what was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def fastest_s(step: Callable[[], object], device: torch.device, for_s: float) -> tuple[float, float]:
    """Runs of `step` within `for_s` seconds (three at least): the shortest by the clock, the mean processor time.

    Processor time of several threads is booked in coarse ticks on some machines: single runs would tell too little.
    """
    times: list[tuple[float, float]] = []
    end = time.perf_counter() + for_s
    while len(times) < 3 or time.perf_counter() < end:
        times.append(timed_s(step, device))
    clock, processor = zip(*times, strict=True)
    return min(clock), sum(processor) / len(processor)


def timed_s(step: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds of one run of `step`: by the clock, and of processor time in all threads together."""
    synchronise(device)
    start, processor = time.perf_counter(), time.process_time()
    step()
    synchronise(device)
    return time.perf_counter() - start, max(time.process_time() - processor, 1e-9)


def _product(a: Tensor, b: Tensor, out: Tensor) -> Callable[[], object]:
    return lambda: torch.mm(a, b, out=out)
