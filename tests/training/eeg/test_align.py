"""Training finds a planted truth, finds nothing where there is none, and resumes where it was."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from planted_world import SMALL, corpus_of, network_of

from bci_music.models import parallel
from bci_music.training.eeg.align import (
    AlignConfig,
    Aligner,
    _channel_view,
    align,
    found_share,
    info_nce,
    recompute_batchnorm,
    same_music,
    top1,
)
from bci_music.training.eeg.corpus import Corpus
from bci_music.training.eeg.views import kept_channels
from bci_music.training.loop import LoopConfig

pytestmark = pytest.mark.learning


@pytest.fixture(params=sorted(SMALL))
def small(request):
    """Both kinds of encoder."""
    return SMALL[request.param]


def cut_for(config, corpus):
    """The same corpus with the time slots of this encoder."""
    return corpus_of(corpus.segments, corpus.music, config.encoder.patch)


def config(steps=110, **more):
    loop = LoopConfig(steps=steps, lr=4e-3, warmup=10, ema=0.95, bf16=False, watch_every=10_000, checkpoint_every=20)
    return AlignConfig(loop=loop, batch=32, keep=(6, 10), noise=0.05, window_s=2.0, **more)


def learn(corpus, small, directory, **more):
    torch.manual_seed(0)
    settings, corpus = config(**more), cut_for(small, corpus)
    aligner = align(Aligner(network_of(small), corpus), corpus, settings, directory)
    recompute_batchnorm(aligner.network, corpus, bf16=False)
    return aligner, settings


def test_recovers_the_planted_truth_on_held_out_time(world, small, tmp_path):
    corpus, held_out = world
    aligner, settings = learn(corpus, small, tmp_path)
    assert found_share(aligner, cut_for(small, held_out), settings, "cpu") > 5 / 50


def test_falls_to_chance_with_shuffled_labels(world, shuffled_world, small, tmp_path):
    _, held_out = world
    aligner, settings = learn(shuffled_world, small, tmp_path)
    assert found_share(aligner, cut_for(small, held_out), settings, "cpu", batches=10) < 2.5 / 50


def test_training_lowers_the_loss(world, small, tmp_path):
    corpus = cut_for(small, world[0])
    seen = []
    torch.manual_seed(0)
    aligner = Aligner(network_of(small), corpus)
    align(aligner, corpus, config(steps=40), tmp_path, report=lambda at, f: seen.append(f["nce"]))
    assert np.mean(seen[-8:]) < np.mean(seen[:4]) - 0.1


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(world, small, tmp_path):
    corpus = cut_for(small, world[0])

    def run(directory, **more):
        torch.manual_seed(0)
        return align(Aligner(network_of(small), corpus), corpus, config(steps=40), directory, **more)

    whole = run(tmp_path / "whole")
    steps = []
    run(tmp_path / "parts", until=lambda: len(steps) >= 25, report=lambda at, f: steps.append(at))
    resumed = []
    again = run(tmp_path / "parts", resume=True, report=lambda at, f: resumed.append(at))
    assert resumed[0] == 21  # from the checkpoint at 20
    for a, b in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    lines = (tmp_path / "parts" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 41))  # nothing twice


def test_the_same_music_is_no_negative():
    eeg = torch.nn.functional.normalize(torch.randn(3, 8), dim=1)
    music = eeg.clone()
    music[1] = music[0]  # two listeners, the same seconds
    eeg[1] = eeg[0]
    same = same_music(torch.tensor([0, 0, 0]), torch.tensor([1.0, 1.0, 30.0]), 4.0)
    scale = torch.tensor(50.0)
    assert info_nce(eeg, music, scale, same) < 0.05
    assert info_nce(eeg, music, scale, torch.eye(3, dtype=torch.bool)) > 0.3
    assert top1(eeg, music, same) == 1.0


def test_other_listeners_and_overlapping_windows_count_as_the_same():
    song, second = torch.tensor([0, 0, 0, 1]), torch.tensor([10.0, 13.5, 14.0, 10.0])
    same = same_music(song, second, 4.0)
    assert same[0, 1]
    assert not same[0, 2]
    assert not same[0, 3]


def test_dropped_channels_are_drawn_from_the_usable_ones():
    used = np.ones((5, 16), bool)
    used[:, 3] = False
    used[2, :6] = False
    keep = kept_channels(used, 7, 10, 0, 0, range(5))
    assert keep.shape == (5, 7)
    assert used[np.arange(5)[:, None], keep].all()
    assert all(len(set(row)) == len(row) for row in keep)
    everything = kept_channels(used, 99, 10, 0, 0, range(5))
    assert everything.shape[1] == used.sum(1).min()
    part = kept_channels(used[:2], 99, 10, 0, 0, range(2))  # rows that have more keep as many as the others
    np.testing.assert_array_equal(part, everything[:2])


def test_one_process_keeps_as_many_channels_as_another(world, monkeypatch):
    """Where one listener lacks electrodes, a process without a row of theirs must know."""
    learn, _ = world
    fewer = np.arange(16) > 2
    segments = [replace(s, used=s.used & fewer) if s.listener == "0" else s for s in learn.segments]
    corpus = Corpus(segments, learn.music, sfreq_hz=learn.sfreq_hz, n_times=100, patch=20)
    config = AlignConfig(batch=8, keep=(16, 16), window_s=2.0)
    for step in range(6):
        whole, keep = _channel_view(corpus, config, step)
        parts = []
        with monkeypatch.context() as patch:
            patch.setattr(parallel, "world", lambda: 2)
            for rank in range(2):
                patch.setattr(parallel, "rank", lambda rank=rank: rank)
                parts.append(_channel_view(corpus, config, step))
        np.testing.assert_array_equal(np.concatenate([part.x for part, _ in parts]), whole.x)
        np.testing.assert_array_equal(np.concatenate([kept for _, kept in parts]), keep)
        assert keep.shape[1] == whole.used.sum(1).min()
