"""Convolutions in another layout give the same numbers."""

import copy

import pytest
import torch
from torch import nn

from bci_music.generation.audioldm.fast_conv import LastConv1d, put_channels_last


@pytest.mark.parametrize("conv", [
    nn.Conv1d(6, 8, 7, padding=9, dilation=3),
    nn.Conv1d(6, 8, 4, stride=2, bias=False),
    nn.Conv1d(6, 8, 3, groups=2),
    nn.ConvTranspose1d(6, 8, 16, stride=5, padding=5),
    nn.ConvTranspose1d(6, 8, 4, stride=2, padding=1, output_padding=1),
], ids=str)
def test_it_equals_the_convolution_it_stands_in_for(conv):
    x = torch.randn(2, 6, 50, generator=torch.Generator().manual_seed(0))
    made = LastConv1d(conv)(x)
    torch.testing.assert_close(made, conv(x).detach(), atol=1e-5, rtol=0)
    assert made.stride(1) == 1  # channels beside each other, also for the next layer
    torch.testing.assert_close(LastConv1d(conv)(x.transpose(0, 1).contiguous().transpose(0, 1)), made)


def test_all_of_a_network_is_replaced():
    network = nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.Sequential(nn.ReLU(), nn.ConvTranspose1d(4, 2, 4)))
    last = copy.deepcopy(network)
    assert put_channels_last(last) == 2
    assert put_channels_last(last) == 0
    x = torch.randn(1, 1, 9)
    torch.testing.assert_close(last(x), network(x).detach())
    assert not any(p.requires_grad for p in last.parameters())


def test_other_paddings_are_refused():
    with pytest.raises(ValueError, match="circular"):
        LastConv1d(nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular"))
