"""The closed-form front end finds the head pattern and delay that were planted."""

import numpy as np
import torch
from planted_world import SMALL, corpus_of, network_of

from bci_music.models.encoder import ChannelEncoder
from bci_music.training.eeg.closed_form import ClosedFormConfig, init_closed_form

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
    return explained(x, y)


def explained(x, y):
    """Share of the variance of y that a linear map of x explains, fitted on the first half of the parts."""
    half = len(x) // 2
    design = [np.column_stack([np.concatenate(p), np.ones(sum(map(len, p)))]) for p in (x[:half], x[half:])]
    truth = [np.concatenate(p) for p in (y[:half], y[half:])]
    weights = np.linalg.lstsq(design[0], truth[0], rcond=None)[0]
    left = truth[1] - design[1] @ weights
    return 1.0 - left.var() / truth[1].var()


def reads_better_than_at_random(encoder, learn, held_out, measure):
    """What the closed form promises of any encoder; `measure` gives the share of variance it reads."""
    before = measure(encoder, held_out, 1)
    share = init_closed_form(encoder, learn, CONFIG)
    after = measure(encoder, held_out, 1)
    assert 0.2 < share < 1.0
    assert after > before + 0.1
    assert after > 0.5 * share


def test_the_front_end_reads_the_bands_better_than_a_random_one(world, small):
    learn, held_out = world
    torch.manual_seed(0)
    encoder = ChannelEncoder(small.encoder)
    reads_better_than_at_random(encoder, learn, held_out, readable)


def gathered(encoder, corpus, seed):
    """Share of the bands' variance that a linear map of what the first query gathers explains, windows of their own."""
    x, y = [], []
    for at in range(8):
        batch = corpus.draw(np.random.default_rng((seed, at)), 40)
        with torch.no_grad():
            values = encoder.gather(torch.from_numpy(batch.x))[0][:, :, : encoder.config.filters]
        x.append(values.flatten(0, 1).numpy())
        y.append(batch.bands.reshape(-1, batch.bands.shape[2]))
    return explained(x, y)


def test_the_queries_begin_with_what_the_closed_form_reads(world):
    learn, held_out = (corpus_of(part.segments, part.music, 10) for part in world)
    torch.manual_seed(0)
    encoder = network_of(SMALL["latent-queries"]).encoder
    reads_better_than_at_random(encoder, learn, held_out, gathered)
