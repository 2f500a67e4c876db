"""Kinds of encoder and head: the released size, block tokens, other headsets, tokens that are never computed."""

import statistics
import time

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bci_music.models.encoder import ChannelEncoder, head_basis
from bci_music.models.heads import make_head
from bci_music.models.network import Network
from bci_music.models.pack import DecoderConfig
from bci_music.models.sizes import EncoderConfig, HeadConfig
from bci_music.training.eeg.distiller import PrototypeHead

RELEASED = EncoderConfig(n_channels=125, n_times=1000, patch=50, dim=512, depth=8, heads=16, gains=False, start="paper")
SMALL = EncoderConfig(n_channels=12, n_times=100, patch=25, dim=32, depth=2, heads=4, gains=False, start="paper")
HEAD = HeadConfig(hidden=24, embed_dim=16)


def parameters(module):
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def places(n, seed=0):
    at = np.random.default_rng(seed).standard_normal((n, 3))
    return 0.09 * at / np.linalg.norm(at, axis=1, keepdims=True)


def build(seed=0, **more):
    torch.manual_seed(seed)
    encoder = ChannelEncoder(SMALL.model_copy(update=more), places(12)).eval()
    with torch.no_grad():
        for name in ("position", "position_map", "slot", "gain_map", "cls"):
            if hasattr(encoder, name):
                getattr(encoder, name).normal_()  # as after training: positions matter
    return encoder


def windows(n, seed=1, channels=12):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((n, channels, 100)).astype(np.float32))


def masked(n, *absent):
    used = torch.ones(n, 12, dtype=torch.bool)
    for row, channels in enumerate(absent):
        used[row, list(channels)] = False
    return used


def near(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5, equal_nan=True)


def test_the_released_size_is_the_published_one():
    encoder = ChannelEncoder(RELEASED)
    assert parameters(encoder.blocks) == pytest.approx(25.2e6, rel=0.01)
    assert encoder.position.numel() == 125 * 20 * 512 == 1_280_000
    assert encoder.tokens_of(125, 1000) == 2500
    assert parameters(PrototypeHead(512, 2048, 256, 512)) == pytest.approx(5.9e6, rel=0.01)
    assert not encoder.gain.requires_grad
    with torch.no_grad():  # 8 s at 125 Hz, and what the student keeps of half of it
        assert encoder.tokens(torch.zeros(1, 125, 1000), torch.arange(125)[None]).shape == (1, 125, 20, 512)
        assert encoder.tokens(torch.zeros(1, 125, 500), torch.arange(50)[None]).flatten(1, 2).shape == (1, 500, 512)


@pytest.mark.parametrize("kind", ["pooled", "temporal", "linear"])
@pytest.mark.parametrize("more", [
    {"tokens": "block"}, {"tokens": "block", "positions": "coordinates"}, {"positions": "coordinates"},
    {"positions": "coordinates", "gains": True, "start": "slots"}, {"gains": True, "start": "slots"},
])  # fmt: skip
def test_absent_channels_have_no_influence_in_any_kind(kind, more):
    encoder, used = build(**more), masked(2, [3, 7], [3, 7])
    head = make_head(32, HEAD.model_copy(update={"kind": kind})).eval()
    x = windows(2)
    other, there = x.clone(), x.clone()
    other[:, [3, 7]] = 1e3
    there[:, [2, 5]] += 1.0
    with torch.no_grad():
        given = head(encoder(x, used))
        assert given.shape == (2, 16)
        near(given, head(encoder(other, used)))
        assert not torch.allclose(given, head(encoder(there, used)), atol=1e-3)
        attention = encoder(x, used, return_attention=True).attention
    assert bool(torch.isnan(attention).all()) == (more.get("tokens") == "block")


def test_block_tokens_are_one_per_slot():
    encoder = build(tokens="block")
    with torch.no_grad():
        encoded = encoder(windows(2))
    assert encoded.tokens.shape == (2, 1, 4, 32)
    assert encoder.tokens_of(12, 100) == 4


@pytest.mark.parametrize("gains", [False, True])
def test_another_headset_is_read_through_its_coordinates(gains):
    """Electrodes are known by where they are: any order, any number, and no learned table."""
    encoder, x = build(positions="coordinates", gains=gains), windows(3)
    some = [8, 1, 10, 4, 5]
    used = torch.zeros(3, 12, dtype=torch.bool)
    used[:, some] = True
    with torch.no_grad():
        subset = encoder.on(places(12)[some])
        near(subset(x[:, some]).cls, encoder(x, used).cls)
        attention = encoder(x, used, return_attention=True).attention
        near(subset(x[:, some], return_attention=True).attention, attention[:, some])
        other = encoder.on(places(64, seed=5))
        assert other(windows(3, channels=64)).tokens.shape == (3, 64, 4, 32)
    assert {id(p) for p in subset.parameters()} == {id(p) for p in encoder.parameters()}


def test_electrodes_close_together_are_alike_to_it():
    basis = head_basis(np.array([[0, 0, 0.09], [0.005, 0, 0.09], [0.09, 0, 0]]))
    similarity = basis @ basis.T
    assert similarity[0, 1] > 0.95 > 0.3 > similarity[0, 2]


def test_a_learned_table_reads_no_other_headset():
    with pytest.raises(ValueError, match="table of its electrodes"):
        build().on(places(12))


@pytest.mark.parametrize("kind", ["pooled", "temporal", "linear"])
def test_a_window_is_decoded_alike_alone_and_among_others_with_more_channels(kind):
    torch.manual_seed(0)
    network = Network(DecoderConfig(encoder=SMALL, head=HEAD.model_copy(update={"kind": kind}))).eval()
    x, used = windows(4), masked(4, [], range(5), [0], range(2, 8))
    with torch.no_grad():
        together, attention = network.infer(x, used)
        for row in range(4):
            alone = network.infer(x[row : row + 1], used[row : row + 1])
            near(together[row], alone[0][0])
            near(attention[row], alone[1][0])


def test_the_temporal_head_is_the_published_one():
    """A convolution of 3 along CLS and all tokens, channel-major, mean, two layers, LayerNorm."""
    torch.manual_seed(0)
    encoder, head = build(), make_head(32, HEAD.model_copy(update={"kind": "temporal"})).eval()
    encoded = encoder(windows(2))
    sequence = torch.cat([encoded.cls[:, None], encoded.tokens.flatten(1, 2)], dim=1)
    plain = head.layers(head.along(sequence.transpose(1, 2)).mean(2))
    torch.testing.assert_close(head(encoded), plain, rtol=0, atol=1e-4)
    weights = head.along.weight
    grads = [torch.autograd.grad(y.square().sum(), weights)[0] for y in (head(encoded), plain)]
    torch.testing.assert_close(*grads, rtol=1e-3, atol=1e-4)


def test_masked_channels_cost_nothing():
    """Processor time of decoding with 30 % of 125 channels masked, alternately with all of them."""
    torch.manual_seed(0)
    config = EncoderConfig(n_channels=125, n_times=250, patch=50, dim=128, depth=2, heads=4)
    network = Network(DecoderConfig(encoder=config, head=HEAD)).eval()
    x, every = torch.randn(2, 125, 250), torch.ones(2, 125, dtype=torch.bool)
    some = every.clone()
    some[:, torch.randperm(125)[:38]] = False  # 30 %

    def spent(used):
        began = time.process_time()
        network.infer(x, used)
        return time.process_time() - began

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            spent(every)
            for _ in range(4):  # other work on the machine only disturbs
                pairs = [(spent(every), spent(some)) for _ in range(9)]
                whole, less = (statistics.median(side) for side in zip(*pairs, strict=True))
                if less <= 0.75 * whole:
                    break
    finally:
        torch.set_num_threads(threads)
    assert less <= 0.75 * whole


@pytest.mark.parametrize("positions", ["table", "coordinates"])
def test_weights_and_sizes_of_the_version_before_are_read(positions, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("bci_music.config._noted", set())  # each note is given once
    encoder = SMALL.model_copy(update={"positions": positions})
    network = Network(DecoderConfig(encoder=encoder, head=HEAD), places(12))
    new = network.state_dict()
    old = {n.replace(".mlp.", ".feed.").replace("position_map", "place_map"): t for n, t in new.items()}
    save_file({name: tensor.contiguous() for name, tensor in old.items()}, tmp_path / "old.safetensors")
    config = {"widen" if k == "mlp_ratio" else "places" if k == "positions" else k: v for k, v in vars(encoder).items()}
    head = {"kind": "pooled", "hidden": HEAD.hidden, "shared": HEAD.embed_dim}
    read = DecoderConfig.model_validate({"encoder": config, "head": head})
    assert not caplog.records  # a pack was not written by hand: nobody is bothered with its keys
    opened = Network.load(tmp_path / "old.safetensors", read)
    resumed = torch.nn.ModuleDict({"network": Network(read)})  # as in a checkpoint to go on from
    resumed.load_state_dict({f"network.{name}": tensor for name, tensor in old.items()})
    for name, tensor in new.items():
        assert torch.equal(opened.state_dict()[name], tensor)
        assert torch.equal(resumed.state_dict()[f"network.{name}"], tensor)
    assert EncoderConfig.model_validate(config) == encoder
    assert "'widen' is now called 'mlp_ratio'" in caplog.text
