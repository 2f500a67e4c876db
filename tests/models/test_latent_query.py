"""The latent-query encoder: electrodes are gathered exactly, time is not looked ahead of, any montage is read."""

import numpy as np
import pytest
import torch
import yaml

from bci_music.config import UserError
from bci_music.models.latent_query import LatentQueryEncoder
from bci_music.models.network import Network
from bci_music.models.pack import DecoderConfig
from bci_music.models.sizes import EncoderConfig, HeadConfig, LatentQueryConfig

SMALL = LatentQueryConfig(
    n_channels=12, n_times=100, patch=20, kernel=30, filters=16, queries=3, dim=32, depth=2, heads=4
)
KEPT = [0, 1, 2, 4, 5, 6, 8, 9, 10, 11]


def places(n, seed=0):
    at = np.random.default_rng(seed).standard_normal((n, 3))
    return 0.09 * at / np.linalg.norm(at, axis=1, keepdims=True)


def windows(n, channels=12, n_times=100, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((n, channels, n_times)).astype(np.float32))


def build(config=SMALL, seed=0):
    torch.manual_seed(seed)
    made = LatentQueryEncoder(config, places(config.n_channels)).eval()
    with torch.no_grad():
        made.what.normal_()  # as after training: what a query gathers depends on the signal
        made.pool.weight.normal_()
    return made.requires_grad_(False)


@pytest.fixture
def encoder():
    return build()


@pytest.mark.parametrize("held", [1e6, float("nan"), float("inf")])
def test_an_absent_electrode_does_not_reach_the_output_whatever_it_holds(encoder, held):
    x, used = windows(2), torch.ones(2, 12, dtype=torch.bool)
    used[0, [3, 7]] = False  # the other window has all of its electrodes
    other = x.clone()
    other[0, [3, 7]] = held
    a, b = encoder(x, used, return_attention=True), encoder(other, used, return_attention=True)
    for name in ("cls", "times", "tokens"):
        assert torch.equal(getattr(a, name), getattr(b, name))
    assert torch.equal(a.attention.isnan(), ~used)


def test_masking_equals_an_encoder_that_never_had_the_electrode(encoder):
    x, used = windows(3), torch.zeros(3, 12, dtype=torch.bool)
    used[:, KEPT] = True
    smaller = encoder.on(places(12)[KEPT])
    a, b = encoder(x, used), smaller(x[:, KEPT])
    torch.testing.assert_close(a.cls, b.cls, rtol=0, atol=1e-5)
    torch.testing.assert_close(a.times, b.times, rtol=0, atol=1e-5)


def test_dropped_channels_are_masked_channels(encoder):
    x, used = windows(3), torch.zeros(3, 12, dtype=torch.bool)
    used[:, KEPT] = True
    a = encoder(x, used, return_attention=True)
    b = encoder(x, keep=torch.tensor(KEPT).expand(3, -1), return_attention=True)
    torch.testing.assert_close(a.cls, b.cls, rtol=0, atol=1e-5)
    torch.testing.assert_close(a.attention, b.attention, rtol=0, atol=1e-6, equal_nan=True)


def test_the_order_of_the_electrodes_does_not_matter(encoder):
    x, order = windows(2), np.random.default_rng(2).permutation(12)
    torch.testing.assert_close(encoder(x).cls, encoder.on(places(12)[order])(x[:, order]).cls, rtol=0, atol=1e-5)


@pytest.mark.parametrize("channels", [8, 64, 256])
def test_any_montage_is_read(encoder, channels):
    encoded = encoder.on(places(channels, 3))(windows(2, channels), return_attention=True)
    assert encoded.cls.shape == (2, 32)
    assert encoded.attention.shape == (2, channels)
    torch.testing.assert_close(encoded.attention.sum(1), torch.ones(2))


def test_every_electrode_and_every_step_counts(encoder):
    x = windows(1)
    base = encoder(x).cls
    for channel in range(12):
        for at in (0, 50, 99):
            changed = x.clone()
            changed[0, channel, at] += 1.0
            assert not torch.equal(encoder(changed).cls, base)


def test_attention_is_a_share_and_follows_the_signal(encoder):
    one = encoder(windows(1, seed=1), return_attention=True).attention
    two = encoder(windows(1, seed=2), return_attention=True).attention
    torch.testing.assert_close(one.sum(1), torch.ones(1))
    assert (one > 0).all()
    assert not torch.allclose(one, two, atol=1e-3)
    _, maps, _ = encoder.gather(windows(1))
    assert maps.shape == (1, 5, 3, 4, 12)  # steps, queries, heads, electrodes
    torch.testing.assert_close(maps.sum(4), torch.ones(1, 5, 3, 4))


def test_a_share_is_attention_times_the_size_of_what_it_lets_through(encoder):
    _, weights, values = encoder.gather(windows(1))
    c, sizes = encoder.config, torch.zeros(12)
    onward = encoder.mix.weight * encoder.gathered_norm.weight
    for query in range(c.queries):
        for head in range(c.heads):
            first = query * c.filters + head * c.filters // c.heads
            passed = values[0, :, :, head] @ onward[:, first : first + c.filters // c.heads].T  # (electrodes, steps, D)
            sizes += weights[0, :, query, head].mean(0) * passed.square().sum(2).mean(1).sqrt()
    torch.testing.assert_close(encoder.contributions(weights, values)[0], sizes / sizes.sum())


def test_a_causal_sequence_knows_nothing_later_than_its_step():
    causal = build(SMALL.model_copy(update={"causal": True}))
    x = windows(1)
    later = x.clone()
    later[:, :, 60:] = windows(1, seed=9)[:, :, 60:]
    before, after = causal(x).times, causal(later).times
    torch.testing.assert_close(before[:, :3], after[:, :3], rtol=0, atol=1e-6)
    assert not torch.allclose(before[:, 3], after[:, 3], atol=1e-3)
    assert not torch.allclose(build()(x).times[:, 0], build()(later).times[:, 0], atol=1e-4)


def test_a_causal_sequence_goes_on_as_it_began_when_the_window_grows():
    causal = build(SMALL.model_copy(update={"causal": True, "n_times": 200}))
    x = windows(1, n_times=200)
    torch.testing.assert_close(causal(x[:, :, :100]).times, causal(x).times[:, :5], rtol=0, atol=1e-5)


def test_a_step_shift_of_the_signal_shifts_the_sequence_before_time_is_mixed(encoder):
    x = windows(1, n_times=100)
    shifted = torch.cat([windows(1, n_times=20, seed=5), x[:, :, :80]], dim=2)
    a, b = encoder.gather(x)[0], encoder.gather(shifted)[0]
    torch.testing.assert_close(a[:, 1:4], b[:, 2:5], rtol=0, atol=1e-5)  # the first step begins with silence


@pytest.mark.parametrize("kind", ["pooled", "temporal", "linear"])
def test_a_network_of_it_is_saved_and_loaded_whole(kind, tmp_path):
    config = DecoderConfig(encoder=SMALL, head=HeadConfig(kind=kind, hidden=16, embed_dim=8))
    torch.manual_seed(0)
    network = Network(config, places(12)).eval()
    network.save(tmp_path / "encoder.safetensors")
    again = Network.load(tmp_path / "encoder.safetensors", config).eval()
    x, used = windows(2), torch.ones(2, 12, dtype=torch.bool)
    with torch.no_grad():
        torch.testing.assert_close(network.infer(x, used)[0], again.infer(x, used)[0], rtol=0, atol=5e-3)


def test_gains_are_set_as_the_positions_allow():
    torch.manual_seed(0)
    encoder = LatentQueryEncoder(SMALL, places(12))
    gains = torch.randn(12, SMALL.filters)
    encoder.set_gains(gains)
    torch.testing.assert_close(encoder.gains(), gains, rtol=0, atol=1e-3)  # 12 electrodes, 48 functions


def test_a_configuration_says_its_kind_and_old_ones_need_not():
    written = yaml.safe_load(yaml.safe_dump(DecoderConfig(encoder=SMALL).model_dump(mode="json")))
    assert DecoderConfig.model_validate(written).encoder == SMALL
    assert DecoderConfig.model_validate({"encoder": {"dim": 64}}).encoder == EncoderConfig(dim=64)


@pytest.mark.parametrize(
    ("encoder", "sentence"),
    [
        ({"kind": "latent-queries", "querys": 3}, "'encoder.querys' in the preset: did you mean 'queries'?"),
        ({"kind": "latent-queries", "kernel": 10}, "kernel 10 is shorter than patch 20"),
        ({"kind": "latent-queries", "heads": 3}, "have to be multiples of heads (3)"),
        ({"kind": "channel-tokens", "queries": 3}, "Unknown key 'encoder.queries' in the preset"),
        ({"kind": "conv"}, "latent-queries"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_is_one_sentence(encoder, sentence):
    with pytest.raises(UserError) as error:
        DecoderConfig.parse({"encoder": encoder}, "the preset")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
