"""How long the parts of a model take here, and in which form they compute fastest."""

from __future__ import annotations

from collections import defaultdict, deque
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class Walls:
    """Wall times by kind of work: running medians, per frame of spectrogram."""

    def __init__(self, keep: int = 9):
        self._per_frame: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=keep))

    def note(self, kind: str, seconds: float, frames: int) -> None:
        """Add one measurement."""
        self._per_frame[kind].append(seconds / frames)

    def expect(self, kind: str, frames: int) -> float:
        """Seconds this will take for so many frames; 0 when it was never measured."""
        times = self._per_frame.get(kind)
        return frames * median(list(times)) if times else 0.0


def settle(device: torch.device) -> None:
    """Wait until a GPU has done what it was given, so that a wall time means something."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)
