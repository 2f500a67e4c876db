"""Where electrodes are, as smooth functions over the head: what lets an encoder read a headset it never saw."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

N_BUMPS = 48
SHARPNESS = 8.0  # a bump falls to half within some 24 degrees


def head_basis(positions_m: NDArray[np.float64] | Tensor) -> Tensor:
    """Value of each of `N_BUMPS` bumps, spread evenly over the sphere, at each electrode: (n_channels, N_BUMPS).

    Each electrode's values are scaled to unit norm, so that no place on the head is louder than another.
    """
    at = torch.as_tensor(positions_m, dtype=torch.float32)
    at = at / at.norm(dim=1, keepdim=True).clamp_min(1e-9)
    bumps = torch.exp(SHARPNESS * (at @ _even_directions(N_BUMPS).T - 1.0))
    return bumps / bumps.norm(dim=1, keepdim=True)


def smooth_patterns(positions_m: NDArray[np.float64], dim: int) -> Tensor:
    """Random smooth patterns over the head of unit variance: (n_channels, dim)."""
    unit = torch.as_tensor(positions_m, dtype=torch.float32)
    unit = unit / unit.norm(dim=1, keepdim=True)
    kernel = torch.exp(6.0 * (unit @ unit.T - 1.0))  # neighbours within some 45 degrees alike
    values, vectors = torch.linalg.eigh(kernel)
    patterns = vectors * values.clamp_min(0).sqrt() @ torch.randn(len(unit), dim)
    return patterns / patterns.std(0, keepdim=True)


def _even_directions(n: int) -> Tensor:
    """Unit vectors (n, 3) on a Fibonacci spiral."""
    step = torch.arange(n, dtype=torch.float64) + 0.5
    height = 1.0 - 2.0 * step / n
    turn = np.pi * (1.0 + 5.0**0.5) * step
    flat = torch.sqrt(1.0 - height**2)
    return torch.stack([flat * torch.cos(turn), flat * torch.sin(turn), height], dim=1).float()
