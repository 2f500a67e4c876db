"""Convolutions with fewer multiplications give the same numbers."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bci_music.generation.audioldm.fast_conv import (
    ROWS,
    FastConv1d,
    FastConv2d,
    cheapest,
    fourier,
    put_fast,
    toom_cook,
    twice,
)

pytestmark = pytest.mark.learning

TAPS = (1, 2, 3, 7, 11)
WAYS = {k: [fourier(k + k % 2 + 2, k), fourier(24, k)] for k in TAPS}
for k in TAPS[:3]:
    WAYS[k] += [toom_cook(n, k) for n in (2, 3, 4)]


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("taps", WAYS)
def test_every_way_is_the_filter(taps):
    rng = np.random.default_rng(taps)
    for way in WAYS[taps]:
        w, x = rng.standard_normal(taps), rng.standard_normal(way.length)
        found = way.after @ ((way.weights @ w) * (way.before @ x))
        np.testing.assert_allclose(found, np.correlate(x, w, "valid"), atol=1e-12)
        assert len(found) == way.outputs == way.length - taps + 1


def test_fewer_products_than_the_plain_sum():
    assert toom_cook(4, 3).products == 6 < 12  # Winograd's F(4, 3)
    assert fourier(32, 11).products == 47 < 22 * 11
    square = twice(toom_cook(4, 3))
    assert square.products == 36 < 16 * 9
    assert square.gain(512) > 2 > 1 > square.gain(32)  # few channels: the way through memory outweighs it
    assert cheapest(11, 512).gain(512) > cheapest(3, 512).gain(512) > 1 > cheapest(3, 64).gain(64)


def test_what_is_not_known_is_refused():
    with pytest.raises(ValueError, match="at most 8 products"):
        toom_cook(7, 3)
    with pytest.raises(ValueError, match="even"):
        fourier(9, 3)


@settings(deadline=None)
@given(
    taps=st.sampled_from(list(WAYS)), which=st.integers(0, 4), dilation=st.integers(1, 5), padding=st.integers(0, 30),
    n=st.integers(1, 400), bias=st.booleans(), rows=st.integers(1, 2),
)  # fmt: skip
def test_one_dimension(taps, which, dilation, padding, n, bias, rows):
    if n + 2 * padding <= dilation * (taps - 1):
        return
    way = WAYS[taps][which % len(WAYS[taps])]
    torch.manual_seed(taps)
    conv = nn.Conv1d(3, 4, taps, padding=padding, dilation=dilation, bias=bias).requires_grad_(False)
    x = noise(rows, 3, n)
    made = FastConv1d(conv, way)(x)
    torch.testing.assert_close(made, conv(x), atol=2e-5, rtol=0)
    assert made.stride(1) == 1 or made.shape[1] == 1  # channels last, as the layers around have them


@settings(deadline=None)
@given(h=st.integers(1, 40), w=st.integers(1, 40), b=st.integers(1, 3), bias=st.booleans())
def test_two_dimensions(h, w, b, bias):
    torch.manual_seed(h)
    conv = nn.Conv2d(3, 4, 3, padding=1, bias=bias).requires_grad_(False)
    x = noise(b, 3, h, w)
    torch.testing.assert_close(FastConv2d(conv)(x), conv(x), atol=2e-5, rtol=0)


def test_more_tiles_than_fit_at_once():
    conv = nn.Conv1d(2, 2, 3, padding=1).requires_grad_(False)
    x = noise(1, 2, 4 * ROWS * 2 + 77)
    torch.testing.assert_close(FastConv1d(conv, toom_cook(4, 3))(x), conv(x), atol=1e-5, rtol=0)
    image, conv = noise(2, 2, 4 * 9, 4 * ROWS // 4), nn.Conv2d(2, 2, 3, padding=1).requires_grad_(False)
    torch.testing.assert_close(FastConv2d(conv)(image), conv(image), atol=1e-5, rtol=0)


def test_rounding_stays_near_that_of_the_plain_sum():
    conv = nn.Conv1d(512, 512, 11, padding=25, dilation=5).requires_grad_(False)
    x = noise(1, 512, 200)
    exact = conv.double()(x.double())
    made = FastConv1d(conv.float(), cheapest(11, 512))(x)
    assert float((made - exact).abs().max() / exact.std()) < 1e-4  # sound of 16 bits: 3e-5


def test_only_what_gains_is_replaced_and_nothing_else():
    torch.manual_seed(0)
    wide = [nn.Conv1d(256, 256, 7, padding=3), nn.Conv1d(256, 256, 7, padding=6, dilation=2)]
    left = [nn.Conv1d(256, 256, 7, stride=2), nn.Conv1d(256, 256, 1), nn.Conv1d(256, 256, 7, groups=2),
            nn.ConvTranspose1d(256, 256, 4), nn.Conv1d(256, 8, 7, padding_mode="circular", padding=3)]  # fmt: skip
    network = nn.Sequential(*wide, *left).requires_grad_(False)
    fast = copy.deepcopy(network)
    assert put_fast(fast) == len(wide)
    assert put_fast(fast) == 0
    assert [type(layer) for layer in fast[2:]] == [type(layer) for layer in left]
    x = noise(1, 256, 90)
    torch.testing.assert_close(fast(x), network(x), atol=1e-4, rtol=0)
    square = nn.Sequential(nn.Conv2d(128, 128, 3, padding=1), nn.Conv2d(128, 128, 3), nn.Conv2d(128, 8, 3, padding=1))
    assert put_fast(square) == 1
    assert isinstance(square[0], FastConv2d)
    assert not any(p.requires_grad for p in square[0].parameters())
