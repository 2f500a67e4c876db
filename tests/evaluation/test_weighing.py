"""Maps of the electrodes find a planted source, and what they weigh most is missed most."""

import numpy as np
import pytest
import torch
from planted_world import N_BANDS, corpus_of, part, plant

from bci_music.evaluation.robustness import TestWindows
from bci_music.evaluation.weighing import electrode_map, found_planted, maps_of, removal
from bci_music.messages import UserError
from bci_music.models.network import Network
from bci_music.models.pack import DecoderConfig
from bci_music.models.sizes import EncoderConfig, HeadConfig, LatentQueryConfig
from bci_music.training.eeg.align import AlignConfig, Aligner, align, recompute_batchnorm
from bci_music.training.loop import LoopConfig

ELECTRODES, REMOVED = 32, 4
NETWORK = DecoderConfig(
    encoder=LatentQueryConfig(
        n_channels=ELECTRODES, n_times=100, patch=10, kernel=20, filters=32, queries=8, dim=32, depth=1, heads=4
    ),
    head=HeadConfig(hidden=32, embed_dim=16),
)  # fmt: skip


def positions():
    """Electrodes spread evenly over the upper part of the head, in metres."""
    height = 1.0 - 1.2 * (np.arange(ELECTRODES) + 0.5) / ELECTRODES
    turn = np.pi * (1 + 5**0.5) * np.arange(ELECTRODES)
    flat = np.sqrt(1 - height**2)
    return 0.09 * np.column_stack([flat * np.cos(turn), flat * np.sin(turn), height])


def near(*places):
    """How strongly a source under each of the places (3,) reaches the electrodes: (places, electrodes)."""
    at = np.array(places) / np.linalg.norm(places, axis=1, keepdims=True)
    return np.exp(8.0 * (at @ (positions() / 0.09).T - 1.0))


RIGHT = near([0.9, 0.3, 0.5], [0.95, -0.2, 0.4], [0.8, 0.1, 0.7], [0.9, 0.0, 0.3])
ELSEWHERE = 3.0 * near([-0.9, 0.2, 0.4], [0.0, 0.9, 0.4], [0.0, -0.8, 0.6])
CARRY = (RIGHT**2).sum(0) > 0.1 * (RIGHT**2).sum(0).max()


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A network that learned of six listeners whose response reaches the right of the head only, and test windows."""
    assert RIGHT.shape == (N_BANDS, ELECTRODES)
    music, record = plant(seed=0, noise=0.6, given_patterns=RIGHT, rest=ELSEWHERE)
    segments = [segment for listener in range(6) for segment in record(listener)]
    corpus = corpus_of([part(t, 0, 40) for t in segments], music)
    torch.manual_seed(0)
    network = Network(NETWORK, positions())
    loop = LoopConfig(steps=150, lr=4e-3, warmup=10, ema=0.95, bf16=False, watch_every=10_000)
    config = AlignConfig(loop=loop, batch=48, keep=(12, 20), noise=0.05, window_s=2.0, bands_weight=0.0)
    aligner = align(Aligner(network, corpus, bands=False), corpus, config, tmp_path_factory.mktemp("weighing"))
    recompute_batchnorm(aligner.network, corpus, bf16=False)
    test = corpus_of([part(t, 40, 60) for t in segments], music)
    batch = test.gather(list(test.windows(2.0)))
    which = [test.segments[i] for i, _ in test.windows(2.0)]
    with torch.no_grad():
        target = aligner.place_music(torch.from_numpy(batch.target)).numpy()
    song = np.array([s.song for s in which])
    recording = np.array([s.recording for s in which])
    return aligner.network, TestWindows(batch.x, batch.used, target, song, song, recording, batch.second)


def shared(network):
    def predict(x, used):
        with torch.inference_mode():
            return network.infer(torch.from_numpy(x), torch.from_numpy(used))[0].numpy()

    return predict


@pytest.mark.learning
def test_what_the_decoder_shows_finds_the_planted_electrodes_and_attention_alone_does_not(learned):
    network, windows = learned
    found = {
        kind: found_planted(electrode_map(kind, network, windows), CARRY, windows.recording, name=kind)
        for kind in ("contribution", "attention")
    }
    assert found["contribution"].value >= 0.8
    assert found["contribution"].ci95[0] > found["attention"].ci95[1]


@pytest.mark.learning
def test_the_electrodes_weighed_most_are_missed_more_than_others(learned):
    network, windows = learned
    weighed = electrode_map("contribution", network, windows)
    test = removal(shared(network), windows, weighed, name="contribution", n_removed=REMOVED, window_s=2.0)
    assert test.cost.ci95[0] > 0
    assert test.most.value < min(test.random.value, test.least.value, test.whole.value)
    assert test.cost.value == pytest.approx(test.random.value - test.most.value)
    assert (test.whole.name, test.whole.chance, test.cost.n_recordings) == ("50-way", 0.02, 6)


@pytest.fixture
def untrained():
    """A network that has learned nothing, and four windows of two recordings; two electrodes are absent in one."""
    torch.manual_seed(0)
    network = Network(NETWORK, positions()).eval()
    rng = np.random.default_rng(0)
    used = np.ones((4, ELECTRODES), bool)
    used[0, [3, 7]] = False
    target = rng.standard_normal((4, 16))
    target /= np.linalg.norm(target, axis=1, keepdims=True)
    song = np.array(["a", "b", "a", "b"])
    x = rng.standard_normal((4, ELECTRODES, 100)).astype(np.float32)
    return network, TestWindows(x, used, target, song, song, np.array(["r", "r", "s", "s"]), np.array([0.0, 0, 4, 4]))


@pytest.mark.parametrize("kind", ["contribution", "attention", "gradient", "deletion"])
def test_every_map_has_a_weight_for_every_electrode_that_is_there(untrained, kind):
    network, windows = untrained
    weighed = electrode_map(kind, network, windows, batch=3)
    assert np.array_equal(np.isnan(weighed), ~windows.used)
    if kind in ("contribution", "attention"):
        assert np.nansum(weighed, axis=1) == pytest.approx(np.ones(4), abs=1e-5)


def test_the_map_by_contribution_is_what_the_decoder_shows(untrained):
    network, windows = untrained
    with torch.no_grad():
        shown = network.infer(torch.from_numpy(windows.x), torch.from_numpy(windows.used))[1].numpy()
    assert np.allclose(electrode_map("contribution", network, windows), shown, equal_nan=True)
    assert maps_of(network)[0] == "contribution"


def test_deletion_is_what_is_lost_without_the_electrode(untrained):
    network, windows = untrained
    x, without = torch.from_numpy(windows.x), torch.from_numpy(windows.used.copy())
    without[:, 11] = False
    predict = shared(network)
    whole, rest = predict(windows.x, windows.used), predict(x.numpy(), without.numpy())
    lost = ((whole - rest) * windows.target).sum(1)
    assert np.allclose(electrode_map("deletion", network, windows)[:, 11], lost, atol=1e-5)


def test_what_is_gathered_twice_as_strongly_weighs_more(untrained):
    network, windows = untrained
    louder = windows.x.copy()
    louder[:, 5] *= 4.0
    before, after = (
        electrode_map("contribution", network, TestWindows(x, *(
            getattr(windows, name) for name in ("used", "target", "song", "name", "recording", "second")
        )))[:, 5] for x in (windows.x, louder)
    )  # fmt: skip
    assert (after > 2.0 * before).all()


def test_a_map_that_knows_the_electrodes_is_told_from_one_that_does_not():
    rng = np.random.default_rng(0)
    recording = np.repeat([f"r{i}" for i in range(6)], 10)
    planted = np.arange(ELECTRODES) < 8
    weighed = rng.standard_normal((60, ELECTRODES))
    weighed[:, 2] = np.nan
    blind = found_planted(weighed, planted, recording, name="x")
    knows = found_planted(weighed + 2.0 * planted, planted, recording, name="x")
    assert blind.ci95[0] < 0.6
    assert knows.value > 0.99
    assert (knows.chance, knows.n_recordings) == (0.5, 6)


def test_electrodes_are_chosen_on_the_other_half_of_the_recordings():
    """Only electrode 0 carries the music, but every recording's own map points elsewhere."""
    rng = np.random.default_rng(0)
    place = np.array([(r, p) for r in range(4) for p in range(12)])
    pieces = rng.standard_normal((12, 20))
    recording = np.array([f"r{r}" for r in place[:, 0]])
    x = rng.standard_normal((48, 6, 20)).astype(np.float32)
    x[:, 0] += 9.0 * pieces[place[:, 1]]
    song = np.array([f"s{p % 3}" for p in place[:, 1]])
    windows = TestWindows(x, np.ones((48, 6), bool), pieces[place[:, 1]], song, song, recording, 4.0 * place[:, 1])
    even = (place[:, 0] % 2 == 0)[:, None]
    weighed = np.where(even, np.eye(6)[0], np.eye(6)[1])  # even recordings point at 0, odd ones at 1

    def mean(x, used):
        return (x * used[:, :, None]).sum(1) / used.sum(1, keepdims=True)

    test = removal(mean, windows, weighed, name="x", n_removed=1, k=10, draws=8)
    without_0 = removal(mean, windows, np.tile(np.eye(6)[0], (48, 1)), name="x", n_removed=1, k=10, draws=8)
    assert without_0.most.value < 0.4 < 0.9 < without_0.whole.value
    assert test.most.value == pytest.approx((without_0.most.value + without_0.whole.value) / 2, abs=0.15)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [({"recording": np.array(["r"] * 4)}, "at least two recordings"), ({}, "40 cannot be removed: remove fewer")],
)
def test_what_cannot_be_tested_is_one_sentence(untrained, change, sentence):
    network, windows = untrained
    fields = {name: getattr(windows, name) for name in TestWindows.__dataclass_fields__} | change
    with pytest.raises(UserError, match=sentence):
        removal(shared(network), TestWindows(**fields), windows.used * 1.0, name="x", n_removed=40)


def test_a_model_without_attention_has_the_maps_that_need_none(untrained):
    _, windows = untrained
    encoder = EncoderConfig(n_channels=ELECTRODES, n_times=100, patch=20, dim=16, depth=1, heads=2)
    flat = Network(DecoderConfig(encoder=encoder, head=HeadConfig(hidden=8, embed_dim=16)))
    assert maps_of(flat) == ("attention", "gradient", "deletion")
    with pytest.raises(UserError, match="ask for attention or gradient or deletion"):
        electrode_map("contribution", flat, windows)
