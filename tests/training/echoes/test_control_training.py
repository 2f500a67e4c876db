"""Training of the ControlNet: a planted answer is learned, and it moves with the EEG."""

import numpy as np
import pytest
import torch
from random_transformer import random_transformer

from bci_music.generation.audioldm.latent_control import Controlled
from bci_music.messages import UserError
from bci_music.training.echoes.control import ControlConfig, ControlTask, new_control, train_control
from bci_music.training.echoes.pairs import EegMusicPairs, cut_latents, joined
from bci_music.training.loop import LoopConfig

TOKENS = 6


@pytest.fixture(scope="module")
def base():
    return random_transformer(dim=16, depth=4, heads=2, channels=2, columns=2)


def planted(n, seed):
    """EEG with a pulse in one step, and music that is loud in the token of that moment."""
    rng = np.random.default_rng(seed)
    at = rng.integers(TOKENS, size=n)
    eeg = 0.1 * rng.standard_normal((n, TOKENS, 3))
    eeg[np.arange(n), at, 1] += 2.0
    latents = 0.2 * rng.standard_normal((n, 2, 2 * TOKENS, 2))
    for row, place in enumerate(at):
        latents[row, :, 2 * place : 2 * place + 2] += 2.0
    style = np.full((n, 512), 512**-0.5, np.float32)
    names = np.full(n, "a")
    pairs = EegMusicPairs(
        latents.astype(np.float16), eeg.astype(np.float16), style, style, np.zeros(n, np.int64), names, names,
        np.zeros(n),
    )  # fmt: skip
    return pairs, at


def config(**more):
    loop = LoopConfig(steps=120, lr=1e-2, warmup=5, ema=0.9, bf16=False, watch_every=1000, checkpoint_every=60)
    return ControlConfig(loop=loop, known=0.0, held=24, **more)


@pytest.fixture(scope="module")
def learned(base, tmp_path_factory):
    pairs = planted(64, 1)[0], planted(24, 2)[0]
    return train_control(base, *pairs, config(), tmp_path_factory.mktemp("control"))


def loudest(base, control, pairs):
    """The token that is loudest in what is found clean in pure noise."""
    n = len(pairs)
    noise = torch.randn(n, 2, 2 * TOKENS, 2, generator=torch.Generator().manual_seed(5))
    eeg = torch.from_numpy(pairs.eeg.astype(np.float32))
    with torch.no_grad():
        found = Controlled(base, control)(
            noise, torch.ones(n), torch.from_numpy(pairs.style), None, None, eeg, torch.ones(n, TOKENS)
        )
    return found.mean((1, 3)).unflatten(1, (TOKENS, 2)).mean(2).argmax(1).numpy()


def test_a_planted_onset_moves_with_the_eeg(base, learned):
    pairs, at = planted(60, 3)
    assert (loudest(base, learned, pairs) == at).mean() > 0.8
    moved = EegMusicPairs(**{**vars(pairs), "eeg": np.roll(pairs.eeg, 1, axis=1)})
    assert (loudest(base, learned, moved) == (at + 1) % TOKENS).mean() > 0.8


def test_its_figures_tell_own_eeg_from_other_and_the_base_stays(base, learned):
    before = {name: value.clone() for name, value in base.state_dict().items()}
    figures = ControlTask(learned, base, planted(64, 1)[0], planted(24, 2)[0], config()).evaluate(learned)
    assert figures["own"] < 0.8 * min(figures["another"], figures["reversed"], figures["without"])
    assert figures["held_clips"] == 24
    assert all(torch.equal(value, before[name]) for name, value in base.state_dict().items())


def test_a_training_goes_on_where_it_stopped(base, tmp_path):
    pairs = planted(64, 1)[0], planted(24, 2)[0]
    short = config().model_copy(update={"loop": config().loop.model_copy(update={"steps": 8, "checkpoint_every": 2})})
    whole = train_control(base, *pairs, short, tmp_path / "whole")
    calls = iter([False] * 4 + [True])
    train_control(base, *pairs, short, tmp_path / "parts", until=lambda: next(calls))
    parts = train_control(base, *pairs, short, tmp_path / "parts")
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(one, other)


def test_rows_lack_what_they_are_to_lack_as_often_as_asked(base):
    pairs = planted(8, 1)[0]
    task = ControlTask(new_control(base, pairs, config()), base, pairs, pairs, config())
    drawn = [task._draw(np.random.default_rng(seed), pairs, 0) for seed in range(4000)]
    style = np.array([not np.array_equal(row[0], base.style_mean.numpy()) for row in drawn])
    eeg, listener = np.array([row[1] for row in drawn]) > 0, np.array([row[2] for row in drawn]) >= 0
    assert abs((~style & eeg).mean() - 0.2) < 0.02
    assert abs((style & ~eeg).mean() - 0.1) < 0.02
    assert abs((~style & ~eeg).mean() - 0.05) < 0.02
    assert abs(listener.mean() - 0.5) < 0.03


def test_too_many_listeners_are_named(base):
    pairs = planted(8, 1)[0]
    many = EegMusicPairs(**{**vars(pairs), "listener": np.arange(8) + 60})
    with pytest.raises(UserError, match="68 listeners, more than the 64"):
        new_control(base, many, config())


def test_pairs_are_kept_cut_and_joined(tmp_path):
    pairs = planted(5, 1)[0]
    pairs.save(tmp_path / "pairs.npz")
    both = joined([EegMusicPairs.load(tmp_path / "pairs.npz"), pairs.of(np.array([1]))])
    assert len(both) == 6
    np.testing.assert_array_equal(both.eeg[[1, 5]], pairs.eeg[[1, 1]])
    (tmp_path / "pairs.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match="make them again"):
        EegMusicPairs.load(tmp_path / "pairs.npz")
    song = np.arange(50, dtype=np.float32)[None, :, None] * np.ones((8, 1, 16), np.float32)
    cut = cut_latents(song, np.array([0.4, 1.0]), 0.4, lag_s=0.16)
    assert cut.shape == (2, 8, 10, 16)
    assert cut[:, 0, 0, 0].tolist() == [6, 21]
    with pytest.raises(UserError, match=r"has 2.0 s, but the EEG heard 1.8 to 2.2 s"):
        cut_latents(song, np.array([1.8]), 0.4)
