"""Another sampling rate inside a network: a fixed linear map that gradients pass through."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch
from torch import Tensor, nn


class Resample(nn.Module):
    """Windows (..., n_times) at one rate to (..., n_out) at another.

    scipy's polyphase filter, applied once to unit impulses and kept as a matrix. Beyond the edges the line between the
    first and last sample goes on, so that a window's ends make no steps.
    """

    def __init__(self, n_times: int, sfreq_hz: float, to_hz: float):
        super().__init__()
        from scipy.signal import resample_poly

        ratio = Fraction(to_hz / sfreq_hz).limit_denominator(1000)
        up, down = ratio.numerator, ratio.denominator
        impulses = np.eye(n_times)
        matrix = impulses if up == down else resample_poly(impulses, up, down, axis=0, padtype="line").T
        self.n_out = matrix.shape[1]
        self.matrix: Tensor
        self.register_buffer("matrix", torch.from_numpy(np.ascontiguousarray(matrix, np.float32)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Resample in float32."""
        with torch.autocast(x.device.type, enabled=False):
            return x.float() @ self.matrix
