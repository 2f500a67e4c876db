"""Masked prediction learns what neighbours in space and time tell, and sees nothing of what it has to predict."""

import numpy as np
import pytest
import torch
from planted_world import QUERIES, SMALL, TOKENS

from bci_music.messages import UserError
from bci_music.models.network import make_encoder
from bci_music.training.eeg.corpus import Segment
from bci_music.training.eeg.masked import POINTS, MaskedPredictor, hidden_steps, silenced, step_means
from bci_music.training.eeg.pretrain import EegWindows, PretrainConfig, _masked_windows, pretrain
from bci_music.training.loop import LoopConfig

CHANNELS, RATE = 16, 50.0
PLACES = np.random.default_rng(0).standard_normal((CHANNELS, 3))


def rhythm(spread=0.3, seconds=20.0, shared=True):
    """One slow rhythm all over the head; or, not `shared`, noise that no electrode shares with another."""
    segments = []
    for number in range(6):
        rng = np.random.default_rng(number)
        t = np.arange(round(seconds * RATE)) / RATE
        course = np.sin(2 * np.pi * rng.uniform(1.0, 2.0) * t)
        eeg = spread * rng.standard_normal((CHANNELS, len(t)))
        eeg = eeg + course if shared else eeg / spread
        segments.append(Segment(eeg.astype(np.float16), np.arange(CHANNELS) != 3, "", 0.0, str(number), str(number)))
    return segments


def settings(steps=60):
    loop = LoopConfig(steps=steps, lr=4e-3, warmup=5, ema=0.0, bf16=False, checkpoint_every=10, beta2=0.95)
    return PretrainConfig(objective="masked", loop=loop, batch=16, pool_share=0.5, window_s=2.0, hidden_s=0.4)


def learn(directory, segments, steps=60, **more):
    torch.manual_seed(0)
    seen = []
    module = pretrain(
        make_encoder(QUERIES, PLACES), segments, RATE, settings(steps), directory,
        report=lambda at, metrics: seen.append(metrics["masked"]), **more,
    )  # fmt: skip
    return module, seen


@pytest.mark.learning
def test_it_learns_a_rhythm_and_from_noise_it_learns_nothing(tmp_path):
    _, rhythmic = learn(tmp_path / "rhythm", rhythm())
    _, noisy = learn(tmp_path / "noise", rhythm(shared=False))
    assert np.mean(rhythmic[-10:]) < 0.5
    assert np.mean(noisy[-10:]) > 0.95


@pytest.mark.learning
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(tmp_path):
    whole, _ = learn(tmp_path / "whole", rhythm(), 20)
    steps = []
    learn(tmp_path / "parts", rhythm(), 20, until=lambda: len(steps) >= 13 or bool(steps.append(0)))
    again, _ = learn(tmp_path / "parts", rhythm(), 20, resume=True)
    for a, b in zip(whole.pretrained.parameters(), again.pretrained.parameters(), strict=True):
        assert torch.equal(a, b)


def test_nothing_of_what_is_hidden_reaches_the_prediction():
    torch.manual_seed(0)
    module = MaskedPredictor(make_encoder(QUERIES, PLACES)).eval()
    x, used, keep, hidden = (
        torch.from_numpy(part) for part in _masked_windows(EegWindows(rhythm(), 100), settings(), 0, 10, 2)
    )
    given = torch.zeros_like(used).scatter(1, keep, True)[:, :, None] & ~hidden.repeat_interleave(10, 1)[:, None]
    other = torch.where(given, x, torch.randn_like(x))
    with torch.no_grad():
        torch.testing.assert_close(module(x, keep, hidden), module(other, keep, hidden), rtol=0, atol=0)
        assert not torch.equal(module(x, keep, hidden), module(x + 1.0, keep, hidden))


def test_an_electrode_that_is_absent_is_neither_given_nor_asked_for():
    windows = EegWindows(rhythm(), 100)
    x, used, keep, hidden = _masked_windows(windows, settings(), 0, 10, 2)
    assert not (keep == 3).any()
    module = MaskedPredictor(make_encoder(QUERIES, PLACES))
    parts = [torch.from_numpy(part) for part in (x, used, keep, hidden)]
    loss, _ = module.loss(*parts)
    parts[0][:, 3] = 100.0
    torch.testing.assert_close(module.loss(*parts)[0], loss)


def test_hidden_steps_come_in_spans_and_belong_to_their_sample():
    hidden = hidden_steps(25, 0.4, 3, 0, 7, range(200))
    assert 0.25 < hidden.mean() < 0.4  # spans overlap at times
    edges = np.diff(np.pad(hidden, ((0, 0), (1, 1))).astype(int), axis=1)
    lengths = np.argwhere(edges < 0)[:, 1] - np.argwhere(edges > 0)[:, 1]
    assert lengths.min() >= 3
    np.testing.assert_array_equal(hidden_steps(25, 0.4, 3, 0, 7, range(50, 60)), hidden[50:60])


def test_means_and_silence_fit_the_steps():
    x = torch.arange(20.0)[None, None]
    torch.testing.assert_close(step_means(x, 2)[0, 0, 0], torch.tensor([0.5, 2.5, 4.5, 6.5]))
    assert step_means(x, 2).shape == (1, 1, 2, POINTS)
    hidden = torch.tensor([[True, False, True]])
    assert silenced(torch.ones(1, 1, 11), hidden)[0, 0].tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1]


def test_an_encoder_without_positions_is_refused():
    assert TOKENS.positions == "table"
    with pytest.raises(UserError, match="kind latent-queries"):
        MaskedPredictor(make_encoder(SMALL["channel-tokens"].encoder))
