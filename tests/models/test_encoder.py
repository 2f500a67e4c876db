"""The encoder: removed tokens were never there; attention is a share."""

import numpy as np
import pytest
import torch

from bci_music.models.encoder import ChannelEncoder
from bci_music.models.sizes import EncoderConfig

SMALL = EncoderConfig(n_channels=12, n_times=100, patch=25, dim=32, depth=2, heads=4)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    positions = np.random.default_rng(0).standard_normal((12, 3))
    made = ChannelEncoder(SMALL, positions).eval()
    with torch.no_grad():
        made.position.normal_()  # as after training: places matter
    return made


def windows(n, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((n, 12, 100)).astype(np.float32))


def test_a_masked_channel_does_not_reach_the_output_whatever_it_holds(encoder):
    x = windows(2)
    used = torch.ones(2, 12, dtype=torch.bool)
    used[:, [3, 7]] = False
    other = x.clone()
    other[:, [3, 7]] = 1e6
    with torch.no_grad():
        a, b = encoder(x, used), encoder(other, used)
    assert torch.equal(a.cls, b.cls)
    assert torch.equal(a.times, b.times)


def test_masking_equals_a_smaller_encoder_that_never_had_the_channel(encoder):
    kept = [0, 1, 2, 4, 5, 6, 8, 9, 10, 11]
    smaller = ChannelEncoder(SMALL.model_copy(update={"n_channels": len(kept)})).eval()
    state = encoder.state_dict()
    state["gain"], state["position"] = state["gain"][kept], state["position"][kept]
    smaller.load_state_dict(state)
    x = windows(3)
    used = torch.zeros(3, 12, dtype=torch.bool)
    used[:, kept] = True
    with torch.no_grad():
        a, b = encoder(x, used), smaller(x[:, kept])
    torch.testing.assert_close(a.cls, b.cls, rtol=0, atol=1e-5)
    torch.testing.assert_close(a.times, b.times, rtol=0, atol=1e-5)


def test_every_channel_counts_when_it_is_used(encoder):
    x = windows(1)
    with torch.no_grad():
        base = encoder(x).cls
        for channel in range(12):
            changed = x.clone()
            changed[:, channel] += 1.0
            assert not torch.allclose(encoder(changed).cls, base, atol=1e-4), channel


def test_keep_by_index_equals_the_same_mask(encoder):
    x = windows(2)
    keep = torch.tensor([[0, 2, 5], [1, 4, 11]])
    used = torch.zeros(2, 12, dtype=torch.bool).scatter(1, keep, True)
    with torch.no_grad():
        a, b = encoder(x, keep=keep), encoder(x, used)
    torch.testing.assert_close(a.cls, b.cls, rtol=0, atol=1e-5)


def test_rows_with_different_numbers_of_channels_come_back_in_order(encoder):
    x = windows(4)
    used = torch.ones(4, 12, dtype=torch.bool)
    used[1, :5] = False
    used[3, 2:6] = False
    used[2, 0] = False
    with torch.no_grad():
        together = encoder(x, used, return_attention=True)
        for row in range(4):
            alone = encoder(x[row : row + 1], used[row : row + 1], return_attention=True)
            torch.testing.assert_close(together.cls[row], alone.cls[0], rtol=0, atol=1e-5)
            torch.testing.assert_close(together.attention[row], alone.attention[0], rtol=0, atol=1e-5, equal_nan=True)


def test_attention_sums_to_one_over_used_channels_and_is_nan_elsewhere(encoder):
    used = torch.ones(3, 12, dtype=torch.bool)
    used[:, [0, 5]] = False
    used[1, 8] = False
    with torch.no_grad():
        attention = encoder(windows(3), used, return_attention=True).attention
    assert torch.isnan(attention[~used]).all()
    assert (attention[used] > 0).all()
    torch.testing.assert_close(attention.nansum(1), torch.ones(3))


def test_attention_is_that_of_the_cls_query_in_the_last_layer(encoder):
    """Recomputed the plain way: full softmax of the last layer, row of the CLS token."""
    x = windows(1)
    caught = {}
    last = encoder.blocks[-1]
    last.qkv.register_forward_hook(lambda module, args, out: caught.update(qkv=out))
    with torch.no_grad():
        attention = encoder(x, return_attention=True).attention[0]
        quiet = encoder(x).cls
    q, k, _ = caught["qkv"].unflatten(2, (3, 4, -1)).permute(2, 0, 3, 1, 4)
    full = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(-1)[0, :, 0, 1:]
    share = full.reshape(4, 12, 4).sum(2).mean(0)
    torch.testing.assert_close(attention, share / share.sum(), rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        assert torch.equal(quiet, encoder(x, return_attention=True).cls)


def test_a_shorter_window_uses_the_first_slots(encoder):
    with torch.no_grad():
        assert encoder(windows(1)[:, :, :50]).times.shape == (1, 2, 32)


def test_the_shipped_size_is_within_its_budget():
    encoder = ChannelEncoder(EncoderConfig())
    assert sum(p.numel() for p in encoder.parameters()) < 1.5e6
