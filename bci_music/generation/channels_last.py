"""One-dimensional convolutions computed as two-dimensional ones with the channels beside each other in memory.

PyTorch knows that layout only for images. On a processor it makes a vocoder half as long again as fast, most where
it has few channels: the numbers are the same up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class LastConv1d(nn.Module):
    """Stands in for a `Conv1d` or `ConvTranspose1d`: (b, C, n) to (b, C', n'), whatever the layout of the input.

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
