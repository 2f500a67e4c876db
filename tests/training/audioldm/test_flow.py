"""The transformer's training: what is planted in latents is found again, and what is known goes on."""


import numpy as np
import pytest
import torch

from bci_music.generation.audioldm.flow import FlowSolver
from bci_music.generation.audioldm.solver import SamplerSettings
from bci_music.messages import UserError
from bci_music.training.audioldm.flow import FlowConfig, FlowTask, new_transformer
from bci_music.training.loop import Loop, LoopConfig

pytestmark = [pytest.mark.timeout(300), pytest.mark.learning]

PLANTED = FlowConfig(
    dim=32, depth=2, heads=2, frames=(8, 16), batch=16, blur=0.1, known=0.5, held=8,
    loop=LoopConfig(steps=130, lr=7e-3, warmup=5, weight_decay=0.0, ema=0.9, bf16=False, watch_every=10**6,
                    checkpoint_every=10**6),
)  # fmt: skip


def planted(n, seed):
    """The style decides the mean of channel 0, nothing but the clip itself that of channel 1."""
    rng = np.random.default_rng(seed)
    styles = np.random.default_rng(99).standard_normal((2, 512))[np.arange(n) % 2] + 0.3 * rng.standard_normal((n, 512))
    latents = 0.3 * rng.standard_normal((n, 8, 16, 16))
    latents[:, 0] += np.where(np.arange(n) % 2, 1.0, -1.0)[:, None, None]
    latents[:, 1] += rng.choice([-1.0, 1.0], n)[:, None, None]
    unit = styles / np.linalg.norm(styles, axis=1, keepdims=True)
    return latents.astype(np.float16), unit.astype(np.float32)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    torch.set_num_threads(1)
    latents, styles = planted(64, 0)
    task = FlowTask(new_transformer_seeded(styles), latents, styles, *planted(8, 1), PLANTED)
    loop = Loop(task.module, task.step, PLANTED.loop, tmp_path_factory.mktemp("flow"))
    return loop.run().eval(), task


def new_transformer_seeded(styles):
    torch.manual_seed(0)
    return new_transformer(PLANTED, styles)


def sampled(network, style, known=None):
    """Latents (6, 8, 16, 16) in 8 steps; `known` is the value of channel 1 in their first half."""
    flow, chance = FlowSolver(SamplerSettings(solver="euler"), 8, torch.device("cpu")), torch.Generator().manual_seed(4)
    latents, is_known = torch.randn(6, 8, 16, 16, generator=chance), torch.zeros(6, 16)
    clean = torch.zeros_like(latents)
    if known is not None:
        clean[:, 0], clean[:, 1], is_known[:, :8] = -1.0, known, 1.0
    with torch.no_grad():
        for i, level in enumerate(flow.levels):
            found = network(latents, torch.full((6,), level), torch.from_numpy(style).expand(6, -1), clean, is_known)
            latents = flow.step(found, latents, i)
    return latents


def test_the_style_decides_what_it_decided_in_the_music(learned):
    network, task = learned
    for row in (0, 1):
        made = sampled(network, task._held_conditions[row])
        assert (made[:, 0].mean() if row else -made[:, 0].mean()) > 0.5
        assert made[:, 2:].mean((1, 2, 3)).abs().max() < 0.3


def test_what_is_known_goes_on(learned):
    network, task = learned
    for value in (-1.0, 1.0):
        made = sampled(network, task._held_conditions[0], known=value)
        assert made[:, 1, 8:].mean((1, 2)).sub(value).abs().max() < 0.5
        assert made[:, 0, 8:].mean() < -0.6  # the style is heard all the same


def test_the_figures_say_what_helps(learned):
    network, task = learned
    figures = task.evaluate(network)
    assert max(figures["own"], figures["without"]) < 0.95 * figures["another"]
    assert figures["continued"] < figures["own"]
    assert figures["held_clips"] == 8


def test_steps_have_several_lengths_of_the_same_size(learned):
    task = learned[1]
    shapes = {tuple(task.draw(at)[0].shape) for at in range(20)}
    assert shapes == {(32, 8, 8, 16), (16, 8, 16, 16)}
    level, known = task.draw(3)[2:]
    assert torch.equal(task.draw(3)[2], level)
    assert ((level > 0) & (level < 1)).all()
    share = known.mean(1)
    assert share.max() <= 0.75
    assert 0.2 < float((share > 0).float().mean()) < 0.8
    assert torch.equal(known.sort(1, descending=True).values, known)  # what is known is the beginning
    with pytest.raises(UserError, match="too short: give at least 4"):
        FlowTask(task.module, *planted(4, 0), *planted(4, 1), PLANTED.model_copy(update={"frames": (2,)}))
