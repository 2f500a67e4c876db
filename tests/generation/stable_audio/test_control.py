"""The hub form's loop over the blocks: diffusers' own to the bit, and what a ControlNet adds comes where it belongs."""

import pytest
import torch
from random_stable_audio import SIZES, loud, random_transformer

from bci_music.generation.stable_audio.control import StableAudioControl, denoise, through

EEG = 5


@pytest.fixture
def base():
    return random_transformer().requires_grad_(False)


def given_to(base, frames=7):
    from diffusers.models.embeddings import get_1d_rotary_pos_embed

    chance, c = torch.Generator().manual_seed(1), base.config
    noisy = torch.randn(2, c.in_channels, frames, generator=chance)
    words = torch.randn(2, 3, c.cross_attention_input_dim, generator=chance)
    length = torch.randn(2, 1, c.global_states_input_dim, generator=chance)
    angles = get_1d_rotary_pos_embed(c.attention_head_dim // 2, frames + 1, use_real=True, repeat_interleave_real=False)
    return noisy, torch.tensor([0.6]), words, length, angles


def own(base, noisy, level, words, length, angles):
    """Diffusers' forward."""
    return base(noisy, level, words, length, angles, return_dict=False)[0]


def asked(control, rows=2, frames=7, seed=2):
    eeg = torch.randn(rows, frames, EEG, generator=torch.Generator().manual_seed(seed))
    return control.condition(eeg, torch.ones(rows, frames))


@pytest.mark.parametrize("blocks", [2, 5, 24])
def test_the_loop_is_that_of_diffusers_and_half_of_the_blocks_are_copied(blocks):
    base = random_transformer(num_layers=blocks)
    control = StableAudioControl.over(base, EEG)
    assert control.config.copied == len(control.copies) == blocks // 2
    with torch.no_grad():
        given = given_to(base)
        plain = own(base, *given)
        assert plain.std() > 0.01
        assert torch.equal(denoise(base, *given), plain)
        assert torch.equal(denoise(base, *given, control, asked(control)), plain)
        led = denoise(base, *given, loud(control), asked(control))
        assert not torch.allclose(led, plain, atol=1e-3)
        assert torch.equal(denoise(base, *given, control, asked(control), scale=0.0), plain)


def test_what_is_added_comes_before_the_next_block(base):
    seen, made = [], []
    for block in base.transformer_blocks:
        block.register_forward_pre_hook(lambda block, args: seen.append(args[0]))
        block.register_forward_hook(lambda block, args, out: made.append(out))
    tokens, words = torch.zeros(1, 4, 16), torch.zeros(1, 2, 8)
    angles = (torch.ones(4, 4), torch.zeros(4, 4))
    added = [torch.full_like(tokens, value) for value in (10.0, 20.0)]
    through(base, tokens, words, angles, added)
    assert torch.equal(seen[0], tokens)
    assert torch.equal(seen[1], made[0] + 10.0)
    assert torch.equal(seen[2], made[1] + 20.0)
    assert torch.equal(seen[3], made[2])
    with pytest.raises(ValueError, match="4 residuals for the 3 places"):
        through(base, tokens, words, angles, [tokens] * 4)


def test_it_learns_from_the_first_step_on(base):
    control, given = StableAudioControl.over(base, EEG), given_to(base)

    def step():
        control.zero_grad()
        denoise(base, *given, control, asked(control)).square().mean().backward()
        return [float(linear.weight.grad.abs().max()) for linear in (*control.leave, control.enter)]

    *first, entry = step()
    assert min(first) > 0
    assert entry == 0.0  # nothing leaves yet, so what enters cannot matter
    with torch.no_grad():
        for linear in control.leave:
            linear.weight -= linear.weight.grad
    assert min(step()) > 0


def test_only_the_last_rows_are_led(base):
    control, given = loud(StableAudioControl.over(base, EEG)), given_to(base)
    with torch.no_grad():
        plain, led = denoise(base, *given), denoise(base, *given, control, asked(control, rows=1))
    assert torch.equal(led[0], plain[0])
    assert not torch.allclose(led[1], plain[1], atol=1e-3)


def test_a_sequence_is_asked_token_by_token_and_a_pooled_one_of_all(base):
    eeg, there = torch.zeros(1, 6, EEG), torch.ones(1, 6)
    there[:, 5] = 0.0
    other = eeg.clone()
    other[:, 2] = 1.0
    other[:, 5] = 9.0  # where there is no EEG
    for form, moved in (("sequence", [2]), ("pooled", [0, 1, 2, 3, 4])):
        control = StableAudioControl.over(base, EEG, form=form)
        change = (control.condition(other, there) - control.condition(eeg, there)).abs().amax((0, 2))
        assert (change > 1e-4).nonzero().flatten().tolist() == moved


def test_music_and_listener_are_heard_where_given(base):
    control = StableAudioControl.over(base, EEG, text_dim=16, style_dim=8)
    eeg, there = torch.zeros(1, 3, EEG), torch.ones(1, 3)
    plain = control.condition(eeg, there)
    assert torch.equal(control.condition(eeg, there, torch.zeros(1, 8), torch.zeros(1, 16)), plain)
    for more in ({"style": torch.ones(1, 8)}, {"listener": torch.ones(1, 16)}):
        assert not torch.allclose(control.condition(eeg, there, **more), plain)


def test_copies_begin_as_the_first_half_and_are_apart_from_it(base):
    control = StableAudioControl.over(base, EEG)
    assert SIZES["num_layers"] == 4
    assert len(control.copies) == 2
    for made, block in zip(control.copies, base.transformer_blocks, strict=False):
        assert made.state_dict().keys() == block.state_dict().keys()
        for name, weights in block.state_dict().items():
            assert torch.equal(made.state_dict()[name], weights)
            assert made.state_dict()[name].data_ptr() != weights.data_ptr()
