"""What one process must know of the others when several train together; with one process nothing happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, distributed

_APART: ContextVar[bool] = ContextVar("apart", default=False)


@contextmanager
def apart() -> Iterator[None]:
    """Within it this thread computes for itself, as if there were no other processes."""
    token = _APART.set(True)
    try:
        yield
    finally:
        _APART.reset(token)


def world() -> int:
    """Processes that train together."""
    if _APART.get():
        return 1
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """Which of them this one is."""
    return distributed.get_rank() if world() > 1 else 0


def gather(x: Tensor) -> Tensor:
    """Rows of all processes in order of rank, (world * n, ...), with gradient.

    Every process computes with all rows; its gradients come back summed over the processes. Averaging the
    parameters' gradients over the processes afterwards gives that of one process with the whole batch.
    """
    return _Gather.apply(x) if world() > 1 else x


def mean(x: Tensor) -> Tensor:
    """Average over the processes, without gradient."""
    if world() == 1:
        return x.detach()
    total = x.detach().clone()
    distributed.all_reduce(total)
    return total / world()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.n = len(x)
        parts = [torch.empty_like(x) for _ in range(world())]
        distributed.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].contiguous().clone()
        distributed.all_reduce(total)
        return total[rank() * ctx.n : (rank() + 1) * ctx.n]
