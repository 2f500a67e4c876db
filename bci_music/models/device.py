"""Which device computes, in which number format, on how many threads."""

from __future__ import annotations

import ctypes
import os
import platform
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from bci_music.messages import UserError

if TYPE_CHECKING:
    import torch

MAX_THREADS = 4
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # glibc's malloc.h


@dataclass(frozen=True)
class Device:
    """A chosen device; `name` is for people."""

    torch: torch.device
    name: str
    bf16: bool


def choose_device(wanted: str | None = None, *, bf16: bool = False) -> Device:
    """Choose cuda, else mps, else cpu; or the one that is wanted.

    Parameters
    ----------
    wanted : str, optional
        "cuda", "cuda:1", "mps" or "cpu".
    bf16 : bool
        Whether the model keeps its metrics in bfloat16; used only where the hardware multiplies it natively.
    """
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    kind = (wanted or next(name for name, present in there.items() if present)).split(":")[0]
    if not there.get(kind, False):
        choice = ", ".join(name for name, present in there.items() if present)
        raise UserError(f"There is no device {wanted!r} here: choose one of {choice}.")
    device = torch.device(wanted or kind)
    if kind == "cpu":
        _limit_threads()
        keep_memory()
        fast = bf16 and native_bf16("cpu")
        threads = f"{(n := torch.get_num_threads())} thread" + "s" * (n != 1)
        return Device(device, f"{_processor()}, {threads}" + (", bf16" if fast else ""), fast)
    if kind == "cuda":
        return Device(device, torch.cuda.get_device_name(device), bf16 and native_bf16("cuda"))
    return Device(device, "Apple GPU (mps)", False)


@cache
def native_bf16(kind: str) -> bool:
    """Whether this machine multiplies bfloat16 in hardware; where it does not, bfloat16 is many times slower."""
    import torch

    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return kind == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def mixed(device: str, wanted: bool = True) -> AbstractContextManager:
    """Autocast to bfloat16 on a device such as ``"cuda:1"`` if it is wanted and native there, else float32."""
    import torch

    kind = device.split(":")[0]
    return torch.autocast(kind, torch.bfloat16, enabled=wanted and native_bf16(kind))


def sleep_while_waiting() -> None:
    """Have OpenMP threads that wait sleep; an OMP_WAIT_POLICY of the user wins. Call it before anything loads torch.

    For whatever makes sound: spinning threads hold up each other and other busy programs, on a stage up to twentyfold.
    Training and evaluation spin, as is torch's way: alone on the machine the encoder is some 8 % faster so.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def share_cores(networks: int) -> int:
    """Give each of `networks` that compute at the same time on a processor its share of the cores, for good.

    Two teams on the same cores wait for each other at every layer: on 2 cores a clip took up to 1.5 times as long.
    An OMP_NUM_THREADS of the user wins. Returns the threads of each.
    """
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(torch.get_num_threads(), max(1, (os.cpu_count() or 1) // networks)))
    return torch.get_num_threads()


def _limit_threads() -> None:
    """Keep torch's team small: sound, ingest and window want cores too. An OMP_NUM_THREADS of the user wins."""
    import torch

    if "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() > MAX_THREADS:
        torch.set_num_threads(MAX_THREADS)


@cache
def keep_memory() -> bool:
    """Have the allocator keep what is freed, for the next tensor; returns whether it can be told so (glibc).

    By default it hands every large tensor back to the kernel, which clears each page again: 10 % of a forward pass.
    """
    try:
        tell = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    return bool(tell(_M_MMAP_THRESHOLD, 2**30) and tell(_M_TRIM_THRESHOLD, 2**31 - 1) and tell(_M_TOP_PAD, 2**26))


def _processor() -> str:
    return f"cpu ({platform.machine() or 'unknown'})"
