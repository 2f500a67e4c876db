"""The latent transformer: its shapes, the residuals of a ControlNet, and what it is told it knows."""

import pytest
import torch
from random_transformer import random_transformer

from bci_music.generation.audioldm.latent_transformer import LatentTransformer, waves, wiener

SIZES = {"dim": 16, "depth": 4, "heads": 2, "channels": 4, "columns": 4, "style_dim": 8}


@pytest.fixture
def network():
    return random_transformer(**SIZES)


@pytest.fixture
def given():
    chance = torch.Generator().manual_seed(1)
    noisy = torch.randn(3, 4, 12, 4, generator=chance)
    return noisy, torch.tensor([0.2, 0.6, 1.0]), torch.randn(3, 8, generator=chance)


def test_it_says_what_is_clean_in_the_shape_of_the_latents(network, given):
    for frames in (2, 8, 12):
        noisy, level, style = given[0][:, :, :frames], *given[1:]
        assert network(noisy, level, style).shape == noisy.shape
    with pytest.raises(ValueError, match="a multiple of 2 frames"):
        network(given[0][:, :, :5], *given[1:])
    with pytest.raises(ValueError, match="expected 4 channels"):
        network(given[0][:, :2], *given[1:])
    with pytest.raises(ValueError, match="heads of pairs"):
        LatentTransformer(dim=18, heads=4)


def test_the_size_of_the_pack_keeps_its_budget():
    assert 2_600_000 < sum(p.numel() for p in LatentTransformer().parameters()) < 2_800_000


def test_untrained_it_is_a_wiener_filter(given):
    noisy, level, style = given
    found = LatentTransformer(**SIZES)(noisy, level, style)
    torch.testing.assert_close(found, wiener(level)[:, None, None, None] * noisy)
    assert wiener(torch.tensor([0.0, 0.5, 1.0])).tolist() == [1.0, 1.0, 0.0]


def test_one_token_is_one_moment_and_finds_its_way_back(network, given):
    noisy = given[0]
    tokens = network._tokens(noisy)
    assert tokens.shape == (3, 6, 2 * 4 * 4)
    torch.testing.assert_close(tokens[:, 2].reshape(3, 2, 4, 4), noisy[:, :, 4:6].transpose(1, 2))
    torch.testing.assert_close(network._latents(tokens), noisy)


def test_residuals_of_zero_change_not_a_bit_and_others_what_follows(network, given):
    plain = network(*given)
    tokens, steer, angles = network.begin(given[0], *given[1:], torch.zeros_like(given[0]), torch.zeros(3, 12))
    nothing = [torch.zeros_like(tokens)] * 2
    assert torch.equal(network(*given, residuals=nothing), plain)
    assert not torch.equal(network(*given, residuals=[nothing[0], nothing[0] + 1.0]), plain)
    # the second of them comes before the third block
    before = network.blocks[1](network.blocks[0](tokens, steer, angles), steer, angles) + 1.0
    expected = network.blocks[3](network.blocks[2](before, steer, angles), steer, angles)
    torch.testing.assert_close(network.through(tokens, steer, angles, [nothing[0], nothing[0] + 1.0]), expected)
    with pytest.raises(ValueError, match="4 residuals for the 3 places"):
        network(*given, residuals=nothing * 2)


def test_known_frames_count_and_what_is_noisy_there_does_not(network, given):
    noisy, level, style = given
    known, is_known = torch.randn(noisy.shape, generator=torch.Generator().manual_seed(2)), torch.zeros(3, 12)
    is_known[:, :5] = 1.0
    found = network(noisy, level, style, known, is_known)
    other = noisy.clone()
    other[:, :, :5] = 9.0
    elsewhere = known.clone()
    elsewhere[:, :, 5:] = 9.0
    assert torch.equal(network(other, level, style, elsewhere, is_known), found)
    assert (network(noisy, level, style, known + 1.0, is_known) - found)[:, :, 5:].abs().max() > 1e-4
    assert torch.equal(network(noisy, level, style, known, torch.zeros(3, 12)), network(noisy, level, style))


def test_style_and_level_are_heard(network, given):
    noisy, level, style = given
    found = network(noisy, level, style)
    assert (network(noisy, level, style + 1.0) - found).abs().max() > 1e-3
    assert (network(noisy, level * 0.9, style) - found).abs().max() > 1e-3
    assert waves(level).shape == (3, 128)


def test_when_a_moment_comes_is_told_by_rotation(network, given):
    """Turned around in time the same latents are something else, but all moments are seen from each."""
    noisy, level, style = given
    found = network(noisy, level, style)
    around = network(noisy.unflatten(2, (6, 2)).flip(2).flatten(2, 3), level, style).unflatten(2, (6, 2)).flip(2)
    assert (around.flatten(2, 3) - found).abs().max() > 1e-5
    late = noisy.clone()
    late[:, :, 10:] += 1.0
    assert (network(late, level, style) - found)[:, :, :2].abs().max() > 1e-6
