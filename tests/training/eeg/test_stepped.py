"""A head that goes step by step finds music by its course in time, where one vector for the window cannot."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted_world import CHANNELS, HEAD, QUERIES, SMALL, corpus_of, network_of

from bci_music.models.heads import SteppedHead, unit_course
from bci_music.models.network import Network
from bci_music.training.eeg.align import AlignConfig, Aligner, align, continued, found_share
from bci_music.training.loop import LoopConfig

STEPPED = {
    kind: config.model_copy(update={"head": HEAD.model_copy(update={"step_dim": 4})}) for kind, config in SMALL.items()
}
QUERIED = STEPPED["latent-queries"]
LOOP = LoopConfig(steps=80, lr=4e-3, warmup=10, ema=0.95, bf16=False, watch_every=10_000)
SETTINGS = AlignConfig(loop=LOOP, batch=32, keep=None, noise=0.05, window_s=2.0, bands_weight=0.0)


def sounding_alike(corpus, patch):
    """The same EEG and courses, but every window's embedding is the same: only time tells windows apart."""
    music = {song: replace(m, targets=np.ones_like(m.targets)) for song, m in corpus.music.items()}
    return corpus_of(corpus.segments, music, patch)


@pytest.mark.learning
def test_it_finds_music_of_one_style_by_its_course_and_a_single_vector_does_not(world, tmp_path):
    learn, held_out = (sounding_alike(corpus, QUERIES.patch) for corpus in world)
    found = {}
    for name, config in (("whole", SMALL["latent-queries"]), ("steps", QUERIED)):
        torch.manual_seed(0)
        aligner = Aligner(network_of(config), learn, bands=False)
        with torch.no_grad():
            aligner.music.weight.normal_()
        aligner = align(aligner, learn, SETTINGS, tmp_path / name)
        found[name] = found_share(aligner, held_out, SETTINGS, "cpu")
    assert found["steps"] > 0.3
    assert found["whole"] < 0.1


@pytest.mark.parametrize("kind", sorted(STEPPED))
def test_vectors_of_eeg_and_music_are_unit_vectors_of_one_space(world, kind):
    config = STEPPED[kind]
    corpus = corpus_of(world[0].segments, world[0].music, config.encoder.patch)
    aligner = Aligner(network_of(config).eval(), corpus)
    batch = corpus.draw(np.random.default_rng(0), 5)
    with torch.no_grad():
        eeg, _ = aligner.network.infer(torch.from_numpy(batch.x), torch.from_numpy(batch.used))
        music = aligner.place_music(torch.from_numpy(batch.target), torch.from_numpy(batch.bands))
    assert eeg.shape == music.shape == (5, config.head.size(config.encoder))
    torch.testing.assert_close(eeg.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(music.norm(dim=1), torch.ones(5))


def test_the_cosine_is_that_of_the_whole_and_the_correlation_in_time_weighted():
    torch.manual_seed(0)
    head = SteppedHead(8, HEAD.model_copy(update={"step_dim": 1, "embed_dim": 3}))
    wholes, courses = torch.randn(2, 3), torch.randn(2, 20, 1)
    with torch.no_grad():
        head.balance.fill_(np.log(3.0))  # three quarters for time
        a, b = head.joined(wholes, courses)
    r = np.corrcoef(courses[0, :, 0], courses[1, :, 0])[0, 1]
    expected = 0.25 * float(torch.cosine_similarity(wholes[0], wholes[1], dim=0)) + 0.75 * r
    assert float(a @ b) == pytest.approx(expected, abs=1e-5)


def test_a_constant_added_to_every_step_changes_no_course():
    steps = torch.randn(2, 10, 3)
    torch.testing.assert_close(unit_course(steps + torch.randn(2, 1, 3)), unit_course(steps))


def test_a_network_with_steps_is_saved_and_loaded_whole(tmp_path):
    torch.manual_seed(0)
    network = network_of(QUERIED).eval()
    network.save(tmp_path / "encoder.safetensors")
    again = Network.load(tmp_path / "encoder.safetensors", QUERIED).eval()
    x, used = torch.randn(2, CHANNELS, 100), torch.ones(2, CHANNELS, dtype=torch.bool)
    with torch.no_grad():
        torch.testing.assert_close(network.infer(x, used)[0], again.infer(x, used)[0], rtol=0, atol=5e-3)


def test_the_head_reads_no_step_out_of_place():
    """Number i of the sequence is read from step i alone."""
    torch.manual_seed(0)
    head = SteppedHead(8, HEAD.model_copy(update={"step_dim": 2})).eval()
    steps = torch.randn(1, 6, 8)
    changed = steps.clone()
    changed[:, 4] += 1.0
    with torch.no_grad():
        a, b = (head.steps(s) for s in (steps, changed))
    assert (a != b).any(2).tolist() == [[False] * 4 + [True] + [False]]


@pytest.mark.learning
def test_a_network_that_reads_already_goes_on_where_it_was(world, tmp_path):
    """`continued` finds the maps of the music that the network was trained with, whole and in steps."""
    corpus = corpus_of(world[0].segments, world[0].music, QUERIES.patch)
    torch.manual_seed(0)
    trained = align(Aligner(network_of(QUERIED), corpus, bands=False), corpus, SETTINGS, tmp_path).eval()
    again = continued(trained.network, corpus, hop_s=1.0)
    assert again.course is not None
    batch = corpus.draw(np.random.default_rng(1), 32)
    with torch.no_grad():
        eeg, _ = trained.read(batch, None, "cpu")
        music = again.place_music(torch.from_numpy(batch.target), torch.from_numpy(batch.bands))
        own, others = (eeg * music).sum(1).mean(), (eeg * music.roll(5, 0)).sum(1).mean()
    assert own > others + 0.1
