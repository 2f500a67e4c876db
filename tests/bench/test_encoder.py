"""The lab's benchmark: what it counts is right, all take their turn, and what is not installed is said."""

import json
import time

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bci_music.bench.encoder import (
    MODES,
    PEERS,
    RELEASED,
    SIZES,
    MatrixPeak,
    PlainEncoder,
    _count,
    bench_lab,
    plain_title,
    product_shapes,
    take_turn,
    targets,
)
from bci_music.messages import UserError
from bci_music.models.device import native_bf16
from bci_music.models.encoder import ChannelEncoder
from bci_music.models.sizes import EncoderConfig

pytestmark = pytest.mark.learning

MINI = EncoderConfig(dim=32, depth=1, heads=2)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_flop_of_the_released_size_are_the_published_count():
    """A window of 250 tokens and CLS: 13.7 GFLOP; learning costs three times as much as reading."""
    model = ChannelEncoder(SIZES[RELEASED].model_copy(update={"n_times": 100}))
    assert _count(model, training=False) / 1e9 == pytest.approx(13.7, abs=0.05)
    assert _count(model, training=True) == pytest.approx(3 * _count(model, training=False), rel=0.01)
    assert sum(p.numel() for p in model.blocks.parameters()) / 1e6 == pytest.approx(25.2, abs=0.1)


def test_flop_are_those_of_the_formula():
    n, d = 1 + 125 * 10, 32
    blocks = 2 * n * d * d * (3 + 1 + 4 + 4) + 2 * 2 * n * n * d
    patches = 2 * 125 * 10 * 50 * d
    assert _count(ChannelEncoder(MINI), training=False) == blocks + patches


def test_torchs_own_computes_the_same_products_on_as_many_tokens():
    config = SIZES[RELEASED].model_copy(update={"n_times": 100})
    ours, plain = ChannelEncoder(config), PlainEncoder(config)
    x = torch.zeros(1, 125, 100, device="meta")
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        out = plain.to("meta").train()(x)  # in inference torch's own is one opaque operation
    assert out.shape == (1, 251, 512)
    assert counter.get_total_flops() == _count(ours, training=False)
    parameters = [sum(p.numel() for p in model.blocks.parameters()) for model in (ours, plain)]
    assert parameters[0] == pytest.approx(parameters[1], rel=0.001)  # less or more of biases


def test_a_peak_is_the_best_products_median_turn():
    peak = MatrixPeak([(64, 32, 64)], torch.device("cpu"), for_s=0.0, square=(256,))
    for _ in range(3):
        peak.measure()
    for name, table in peak.turns.items():
        assert all(len(turns) == 3 for turns in table.values())
        middle = {shape: sorted(turn.by_clock for turn in turns)[1] for shape, turns in table.items()}
        assert peak.sustained(name) == max(middle.values())
        assert peak.burst(name) == max(turn.fastest for turns in table.values() for turn in turns)
        assert 0 < peak.sustained(name) < peak.burst(name)
        assert peak.sustained(name, processor=True) > 0
    assert peak.sustained("float32") > middle[64, 32, 64]  # tiny products do not fill a machine


def test_a_turn_counts_the_work_of_all_its_runs():
    seen = []
    turn = take_turn(lambda: (seen.append(1), time.sleep(0.01)), 5.0, torch.device("cpu"), 0.2)
    assert 10 < len(seen) <= 21  # one warms up
    assert 250 < turn.by_clock <= turn.fastest <= 500
    assert turn.by_processor > turn.fastest  # asleep, it uses no processor


def test_products_of_a_block():
    assert product_shapes(MINI, 2) == [(2502, 32, 96), (2502, 32, 32), (2502, 32, 128), (2502, 128, 32)]


@pytest.fixture(scope="module")
def found():
    refused = []
    found = bench_lab(
        1.0, batch=1, runs=2, device="cpu", sizes={"mini": MINI}, for_s=0.0, square=(512,), log=refused.append
    )
    return found, refused


def modes(found):
    assert set(MODES) - set(found["left_out"]) == set(found["models"]["mini"]["windows_per_s"])
    assert all("bfloat16" in mode and not native_bf16("cpu") for mode in found["left_out"])
    return found["models"]["mini"]["windows_per_s"]


def test_all_take_their_turn_in_every_run(found):
    found, refused = found
    assert refused == [f"run {run} of 2: {title}" for run in (1, 2) for title in found["models"]]
    for model in found["models"].values():
        assert all(len(model["runs"][mode]) == 2 and min(model["runs"][mode]) > 0 for mode in modes(found))
        assert all(model["tokens_per_s"][m] == model["tokens"] * model["windows_per_s"][m] for m in modes(found))
    assert found["models"]["mini"]["windows_per_s"]["forward float32"] > 0
    json.dumps(found)


def test_shares_of_the_peak_are_shares(found):
    model = found[0]["models"]["mini"]
    for mode in modes(found[0]):
        assert 0 < model["share_of_burst"][mode] < model["share_of_peak"][mode] < 1
        assert 0 < model["share_of_peak_by_processor_time"][mode] < 1


def test_a_peer_is_measured_or_reported_missing(found):
    found = found[0]
    assert set(found["models"]) | set(found["missing"]) == {"mini", "plain torch (mini)", *PEERS}
    assert all("braindecode" in why for why in found["missing"].values())
    for peer in set(PEERS) & set(found["models"]):
        assert 3e6 < found["models"][peer]["parameters"] < 8e6
        assert found["models"][peer]["tokens"] == 125
        assert set(found["ratios"][f"mini / {peer}"]) == set(modes(found))


def test_without_braindecode_ours_is_measured_alone(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "braindecode", None)
    monkeypatch.setitem(__import__("sys").modules, "braindecode.models", None)
    found = bench_lab(1.0, batch=1, runs=1, device="cpu", sizes={"mini": MINI}, for_s=0.0, square=(256,))
    assert set(found["models"]) == {"mini", "plain torch (mini)"}
    assert set(found["missing"]) == set(PEERS)
    assert set(found["ratios"]) == {"mini / plain torch (mini)"}


def test_the_aim_is_evaluated_by_the_median_turn():
    def met(kind, share, ratio=1.0):
        model = {"share_of_peak": dict.fromkeys(MODES, share)}
        ratios = {f"{RELEASED} / {plain_title(RELEASED)}": dict.fromkeys(MODES, ratio)}
        found = {"machine": {"kind": kind}, "models": {RELEASED: model}, "ratios": ratios}
        return [row["met"] for row in targets(found)]

    assert met("cpu", 0.81) == [True, True]
    assert met("cpu", 0.79, 0.94) == [False, False]
    assert met("cpu", 0.79, 0.96) == [False, True]
    assert (met("cuda", 0.46), met("cuda", 0.44)) == ([True], [False])
    assert met("mps", 0.9) == []


@pytest.mark.parametrize("wrong", [{"seconds": 1.5}, {"seconds": 0.0}, {"runs": 0}])
def test_windows_that_cannot_be_compared(wrong):
    with pytest.raises(UserError, match="whole seconds"):
        bench_lab(**wrong)
