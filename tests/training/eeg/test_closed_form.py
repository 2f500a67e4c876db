"""The closed-form front end finds the head pattern and delay that were planted."""

import numpy as np
import torch

from bci_music.models.encoder import ChannelEncoder
from bci_music.training.eeg.closed_form import ClosedFormConfig, init_closed_form
from bci_music.training.eeg.virtual import MeanTokens, anchored_tokens, virtual_tokens

CONFIG = ClosedFormConfig(windows=300, patterns=4, lag_samples=4, alpha=0.05)


def readable(encoder, corpus, seed):
    """Share of the bands' variance that a linear map of the mean tokens explains, on windows of their own."""
    x, y = [], []
    for at in range(8):
        batch = corpus.draw(np.random.default_rng((seed, at)), 40)
        with torch.no_grad():
            keep = torch.arange(16).expand(40, 16)
            tokens = encoder.tokens(torch.from_numpy(batch.x), keep).mean(1) - encoder.position.mean(0)
        x.append(tokens.flatten(0, 1).numpy())
        y.append(batch.bands.reshape(-1, batch.bands.shape[2]))
    half = len(x) // 2
    design = [np.column_stack([np.concatenate(p), np.ones(sum(map(len, p)))]) for p in (x[:half], x[half:])]
    truth = [np.concatenate(p) for p in (y[:half], y[half:])]
    weights = np.linalg.lstsq(design[0], truth[0], rcond=None)[0]
    left = truth[1] - design[1] @ weights
    return 1.0 - left.var() / truth[1].var()


def test_the_front_end_reads_the_bands_better_than_a_random_one(world, small):
    learn, held_out = world
    torch.manual_seed(0)
    encoder = ChannelEncoder(small.encoder)
    before = readable(encoder, held_out, 1)
    share = init_closed_form(encoder, learn, CONFIG)
    after = readable(encoder, held_out, 1)
    assert 0.2 < share < 1.0
    assert after > before + 0.1
    assert after > 0.5 * share


def test_mean_tokens_are_the_mean_of_the_channels_tokens(world, small):
    learn, _ = world
    encoder = ChannelEncoder(small.encoder)
    means = MeanTokens(encoder, learn)
    batch, mean = means.draw_both(np.random.default_rng(0), 6, 0.0)
    keep = torch.arange(16).expand(6, 16)
    with torch.no_grad():
        tokens = encoder.tokens(torch.from_numpy(batch.x), keep)
        expected = (tokens - encoder.position[keep]).mean(1)
    np.testing.assert_allclose(mean, expected.numpy(), atol=5e-3)


def test_anchored_and_virtual_views_keep_the_mean_of_all_channels(world, small):
    learn, _ = world
    encoder = ChannelEncoder(small.encoder)
    means = MeanTokens(encoder, learn)
    batch, mean = means.draw_both(np.random.default_rng(0), 6, 0.0)
    mean = torch.from_numpy(mean)
    keep = torch.tensor([[0, 3, 5, 9]]).expand(6, 4)
    wanted = mean + encoder.position.mean(0)
    with torch.no_grad():
        anchored = anchored_tokens(encoder, torch.from_numpy(batch.x), keep, mean)
        virtual = virtual_tokens(encoder, mean, means.spread, 5, np.random.default_rng(1))
    torch.testing.assert_close(anchored.mean(1), wanted, rtol=0, atol=1e-4)
    torch.testing.assert_close(virtual.mean(1), wanted, rtol=0, atol=1e-4)
    assert anchored.shape == (6, 4, 5, 32)
    assert float((anchored - anchored.mean(1, keepdim=True)).abs().mean()) > 0.01
