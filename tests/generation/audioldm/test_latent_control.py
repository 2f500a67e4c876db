"""The ControlNet: silent at first, gradients at once, what it says moves with the EEG, and time only in a sequence."""

import numpy as np
import pytest
import torch
from random_transformer import random_transformer

from bci_music.generation.audioldm.echoes import EegCourse
from bci_music.generation.audioldm.latent_control import Controlled, LatentControl
from bci_music.generation.audioldm.latent_transformer import LatentTransformer

SIZES = {"dim": 16, "depth": 4, "heads": 2, "channels": 4, "columns": 4, "style_dim": 8}
KINDS = ({}, {"form": "pooled"}, {"kind": "adapters", "adapter_dim": 8})


@pytest.fixture
def base():
    return random_transformer(**SIZES)


@pytest.fixture
def given():
    chance = torch.Generator().manual_seed(1)
    noisy, known = (torch.randn(3, 4, 12, 4, generator=chance) for _ in range(2))
    is_known = torch.zeros(3, 12)
    is_known[:, :4] = 1.0
    return noisy, torch.tensor([0.2, 0.6, 1.0]), torch.randn(3, 8, generator=chance), known, is_known


@pytest.fixture
def eeg():
    return torch.randn(3, 6, 5, generator=torch.Generator().manual_seed(2)), torch.ones(3, 6)


@pytest.mark.parametrize("more", KINDS)
def test_untrained_it_changes_not_a_bit_and_learns_from_the_first_step_on(base, given, eeg, more):
    control = LatentControl.over(base, 5, **more)
    network = Controlled(base, control)
    plain = base(*given)
    assert torch.equal(network(*given, *eeg), plain)
    assert not any(p.requires_grad for p in base.parameters())

    def step():
        control.zero_grad()
        network(*given, *eeg).square().mean().backward()
        return [float(linear.weight.grad.abs().max()) for linear in (*control.leave, control.enter)]

    *first, entry = step()
    assert min(first) > 0
    assert entry == 0.0  # nothing leaves yet, so what enters cannot matter
    with torch.no_grad():
        for linear in control.leave:
            linear.weight -= 0.1 * linear.weight.grad
    assert min(step()) > 0
    assert not torch.equal(network(*given, *eeg), plain)
    assert torch.equal(network(*given, *eeg, scale=0.0), plain)


def test_copies_are_those_of_the_first_half(base):
    control = LatentControl.over(base, 5)
    assert len(control.copies) == 2
    for made, block in zip(control.copies, base.blocks, strict=False):
        assert torch.equal(made.qkv.weight, block.qkv.weight)
        assert made.qkv.weight.data_ptr() != block.qkv.weight.data_ptr()
    with pytest.raises(ValueError, match="4 copies of 4 blocks"):
        LatentControl.over(base, 5, copied=4)
    with pytest.raises(ValueError, match="does not fit a base"):
        Controlled(LatentTransformer(**SIZES | {"dim": 8}), control)


def loud(control, seed=3):
    """The same ControlNet, as if it had learned something."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for linear in (*control.leave, control.enter):
            torch.nn.init.normal_(linear.weight, std=0.3)
    return control.eval()


def test_absent_eeg_is_not_looked_at_and_a_pooled_one_knows_no_time(base, given, eeg):
    values, there = eeg
    swapped = values.flip(1)
    for more in KINDS:
        network = Controlled(base, loud(LatentControl.over(base, 5, **more)))
        found = network(*given, values, there)
        timeless = torch.allclose(network(*given, swapped, there), found, atol=1e-5)
        assert timeless == (more.get("form") == "pooled")
        half = there.clone()
        half[:, 3:] = 0.0
        other = values.clone()
        other[:, 3:] = 9.0
        assert torch.equal(network(*given, values, half), network(*given, other, half))


def test_the_listener_is_heard_where_known(base, given, eeg):
    network = Controlled(base, loud(LatentControl.over(base, 5)))
    unknown = network(*given, *eeg)
    assert torch.equal(network(*given, *eeg, torch.tensor([-1, -1, -1])), unknown)
    known = network(*given, *eeg, torch.tensor([-1, 3, 4]))
    assert torch.equal(known[0], unknown[0])
    assert not torch.allclose(known[1:], unknown[1:])


def test_it_is_written_and_read_again(base, given, eeg, tmp_path):
    control = loud(LatentControl.over(base, 5, form="pooled"))
    control.save_pretrained(tmp_path)
    again = LatentControl.from_pretrained(tmp_path).eval()
    assert again.config.form == "pooled"
    assert torch.equal(Controlled(base, again)(*given, *eeg), Controlled(base, control)(*given, *eeg))


def test_a_course_of_eeg_lies_where_it_belongs_in_time():
    steps = np.arange(5, dtype=np.float32)[:, None]  # 1 s: centres at .1, .3, .5, .7, .9 s
    values, there = EegCourse(steps, 1.0).tokens(8, 0.2, 1.2)  # from .2 to 1.2 s of 1.6
    assert there.tolist() == [0, 1, 1, 1, 1, 1, 0, 0]
    np.testing.assert_allclose(values[:, 0], [0, 0, 1, 2, 3, 4, 0, 0], atol=1e-5)
    finer, _ = EegCourse(steps, 1.0).tokens(10, 0.1, 1.0)
    np.testing.assert_allclose(finer[:, 0], [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4], atol=1e-5)
    single, there = EegCourse(np.ones((1, 1), np.float32), 1.0).tokens(3, 0.5, 1.0)
    assert (single[:, 0].tolist(), there.tolist()) == ([1, 1, 0], [1, 1, 0])
