"""Self-distillation: it finds what tells segments apart, nothing in strangers' views, and says when it collapses."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from bci_music.messages import UserError
from bci_music.models import parallel
from bci_music.models.encoder import ChannelEncoder
from bci_music.models.network import make_encoder
from bci_music.models.sizes import EncoderConfig, LatentQueryConfig
from bci_music.training.eeg import pretrain as pretraining
from bci_music.training.eeg.corpus import Segment
from bci_music.training.eeg.distiller import Distiller, collapse_metrics
from bci_music.training.eeg.pretrain import (
    EegWindows,
    PretrainConfig,
    ViewConfig,
    make_views,
    pretrain,
    teacher_momentum,
)
from bci_music.training.loop import LoopConfig
from bci_music.training.sampling import Prefetcher

pytestmark = pytest.mark.learning

RATE, CHANNELS, SEGMENTS = 50.0, 12, 8
SMALL = EncoderConfig(n_channels=CHANNELS, n_times=100, patch=20, dim=32, depth=2, heads=2, gains=False, start="paper")
QUERIES = LatentQueryConfig(
    n_channels=CHANNELS, n_times=100, patch=10, kernel=20, filters=16, queries=4, dim=32, depth=2, heads=2
)


def own_rhythms(seed=0, seconds=20):
    """Segments that differ in where on the head and at which frequencies they swing, well above the noise."""
    segments = []
    for number in range(SEGMENTS):
        rng = np.random.default_rng((seed, number))
        t = np.arange(round(seconds * RATE)) / RATE
        frequencies = rng.uniform(2.0, 20.0, 3)
        courses = np.sin(2 * np.pi * frequencies[:, None] * t + rng.uniform(0, 6, (3, 1)))
        eeg = rng.standard_normal((CHANNELS, 3)) @ courses + 0.3 * rng.standard_normal((CHANNELS, len(t)))
        eeg = (eeg / eeg.std()).astype(np.float16)
        segments.append(Segment(eeg, np.ones(CHANNELS, bool), "", 0.0, str(number), str(number)))
    return segments


def settings(steps=80, **more):
    loop = LoopConfig(
        steps=steps, lr=2e-3, warmup=5, final_share=0.1, ema=0.0, bf16=False, checkpoint_every=10, beta2=0.95
    )
    values = {
        "batch": 16, "window_s": 2.0, "hidden": 64, "bottleneck": 32, "prototypes": 32, "teacher_momentum": 0.97,
        "teacher_views": ViewConfig(count=2, scale=(0.8, 1.0), n_times=100, noise=0.01),
        "student_views": ViewConfig(count=2, scale=(0.6, 1.0), n_times=80, noise=0.03, keep_share=0.5),
    } | more  # fmt: skip
    return PretrainConfig(loop=loop, **values)


def learn(directory, config=None, encoder=SMALL, **more):
    torch.manual_seed(0)
    seen = []
    positions = np.random.default_rng(0).standard_normal((CHANNELS, 3)) if encoder is QUERIES else None
    module = pretrain(
        make_encoder(encoder, positions), own_rhythms(), RATE, config or settings(), directory,
        report=lambda at, metrics: seen.append(metrics), **more,
    )  # fmt: skip
    return module, seen


def mean_of(seen, key, last=10):
    return float(np.mean([metrics[key] for metrics in seen[-last:]]))


@torch.inference_mode()
def similarity(encoder):
    """Mean cosine of the CLS features of windows of the same segment, and of different segments."""
    segments = own_rhythms()
    windows = [s.eeg[:, at : at + 100] for s in segments for at in range(0, 900, 125)]
    x = np.stack(windows).astype(np.float32)
    which = np.repeat(np.arange(SEGMENTS), len(x) // SEGMENTS)
    features = torch.nn.functional.normalize(encoder.eval()(torch.from_numpy(x)).cls, dim=1)
    cosine, same = (features @ features.T).numpy(), which[:, None] == which
    return float(cosine[same & ~np.eye(len(x), dtype=bool)].mean()), float(cosine[~same].mean())


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    return learn(tmp_path_factory.mktemp("run"))


def test_it_tells_segments_apart_that_differ(learned):
    module, seen = learned
    assert mean_of(seen, "distil") < mean_of(seen, "usage") - 0.15  # below what the frequencies of prototypes give
    assert mean_of(seen, "usage") > np.log(8)  # and not by giving all windows the same one
    assert mean_of(seen, "entropy") < mean_of(seen, "usage") - 0.3
    assert mean_of(seen, "rank") > 6
    assert mean_of(seen, "std") > 0.3
    within, between = similarity(module.teacher)
    assert 1 - within < 0.3 * (1 - between)


def test_the_latent_query_encoder_is_pretrained_and_resumed_alike(tmp_path):
    whole, seen = learn(tmp_path / "whole", settings(steps=12), QUERIES)
    steps = []
    more = {"until": lambda: len(steps) >= 11}
    torch.manual_seed(0)
    encoder = make_encoder(QUERIES, np.random.default_rng(0).standard_normal((CHANNELS, 3)))
    arguments = encoder, own_rhythms(), RATE, settings(steps=12), tmp_path / "parts"
    pretrain(*arguments, report=lambda at, metrics: steps.append(at), **more)
    again = pretrain(*arguments, resume=True)
    assert len(seen) == 12
    for name, weight in whole.teacher.state_dict().items():
        assert torch.equal(weight, again.teacher.state_dict()[name]), name
    assert not torch.equal(whole.teacher.gain_map, make_encoder(QUERIES).gain_map)


def test_it_learns_nothing_from_views_that_belong_to_others(tmp_path, monkeypatch):
    real = make_views

    def strangers(windows, config, step):
        wide, narrow = real(windows, config, step)
        moved = np.random.default_rng(step).permutation(config.batch)
        return wide, [pretraining.View(view.x[moved], view.keep[moved]) for view in narrow]

    monkeypatch.setattr(pretraining, "make_views", strangers)
    _, seen = learn(tmp_path)
    assert mean_of(seen, "distil") > mean_of(seen, "usage") - 0.05
    assert mean_of(seen, "entropy") > mean_of(seen, "usage") - 0.15


def test_features_that_became_one_are_reported_to_be():
    torch.manual_seed(0)
    lively = collapse_metrics(torch.randn(64, 32))
    assert lively["std"] > 0.9
    assert lively["rank"] > 25
    dead = collapse_metrics(torch.ones(64, 32) * 3.0)
    assert dead["std"] < 1e-6
    assert dead["rank"] < 1.01
    line = collapse_metrics(torch.randn(64, 1) * torch.randn(1, 32) * 0.1 + torch.randn(1, 32))
    assert line["rank"] < 3.0


def test_the_momentum_rises_over_the_run_and_as_released_hardly_at_all():
    run = settings(steps=200, teacher_momentum=0.996)
    assert teacher_momentum(0, run, 20) == pytest.approx(0.996)
    assert teacher_momentum(100, run, 20) == pytest.approx(0.998)
    assert teacher_momentum(200, run, 20) == pytest.approx(1.0)
    rising = [teacher_momentum(at, run, 20) for at in range(201)]
    assert all(a <= b for a, b in pairwise(rising))
    released = settings(steps=200, teacher_momentum=0.996, momentum_schedule="epoch")
    assert max(teacher_momentum(at, released, 20) for at in range(200)) < 0.99615
    assert teacher_momentum(40, released, 20) == teacher_momentum(0, released, 20)  # begins again


def test_the_teacher_starts_as_a_copy_or_as_released_as_somebody_else(tmp_path):
    def first_features(start, positions="table"):
        torch.manual_seed(0)
        at = np.random.default_rng(0).standard_normal((CHANNELS, 3))
        encoder = ChannelEncoder(SMALL.model_copy(update={"positions": positions}), at)
        module = pretrain(
            encoder, own_rhythms(), RATE, settings(teacher_start=start), tmp_path / f"{start}-{positions}",
            until=lambda: True,
        )  # fmt: skip
        return module

    copied = first_features("copy")
    pairs = [(copied.teacher, copied.student), (copied.teacher_head, copied.student_head)]
    assert all(
        torch.equal(a, b) for one, other in pairs for a, b in zip(one.parameters(), other.parameters(), strict=True)
    )
    stranger = first_features("random")
    assert not torch.equal(stranger.teacher.patch.weight, stranger.student.patch.weight)
    assert not torch.equal(stranger.teacher_head.layers[0].weight, stranger.student_head.layers[0].weight)
    assert not any(p.requires_grad for p in (*stranger.teacher.parameters(), *stranger.teacher_head.parameters()))
    placed = first_features("random", "coordinates")
    assert torch.equal(placed.teacher.basis, placed.student.basis)  # the same electrodes all the same
    assert placed.teacher.basis.abs().sum() > 0


def test_the_teacher_follows_and_the_centre_is_the_mean_of_what_it_says():
    torch.manual_seed(0)
    module = Distiller(ChannelEncoder(SMALL), hidden=16, bottleneck=8, prototypes=5, centre_momentum=0.75)
    with torch.no_grad():
        module.student.patch.weight.add_(1.0)
    before = module.teacher.patch.weight.clone()
    module.update_teacher(0.9)
    torch.testing.assert_close(module.teacher.patch.weight, before + 0.1, rtol=0, atol=1e-6)
    text = [torch.full((4, 5), 2.0), torch.full((4, 5), 6.0)]
    module.recentre(text)
    torch.testing.assert_close(module.centre, torch.full((5,), 1.0))
    length = module.student_head.prototypes.weight.norm(dim=1)
    torch.testing.assert_close(length, torch.ones(5))


def test_views_keep_their_share_of_channels_and_nothing_of_the_others():
    segments = own_rhythms()
    used = np.ones(CHANNELS, bool)
    used[[2, 9]] = False
    segments = [Segment(t.eeg, used, t.song, 0.0, t.listener, t.recording) for t in segments]
    config = settings(pool_share=0.75)  # 9 of 12 per window, from the 10 there are
    wide, narrow = make_views(EegWindows(segments, 100), config, step=3)
    assert [view.x.shape for view in (*wide, *narrow)] == 2 * [(16, 12, 100)] + 2 * [(16, 12, 80)]
    assert {view.keep.shape for view in wide} == {(16, 9)}
    assert {view.keep.shape for view in narrow} == {(16, 6)}  # half of 12
    pool = wide[0].keep
    for view in (*wide, *narrow):
        left_out = np.ones(view.x.shape[:2], bool)
        np.put_along_axis(left_out, view.keep, False, axis=1)
        assert not view.x[left_out].any()
        assert view.x[~left_out].std(axis=1).min() > 0
        assert not np.isin(view.keep, [2, 9]).any()
        assert all(set(row) <= set(pool[i]) for i, row in enumerate(view.keep.tolist()))
    assert not np.array_equal(narrow[0].keep, narrow[1].keep)
    torch.manual_seed(0)
    encoder = ChannelEncoder(SMALL).eval()
    loud = np.where(left_out[:, :, None], 9.0, view.x).astype(np.float32)
    with torch.inference_mode():
        keep = torch.from_numpy(view.keep)
        quiet = encoder(torch.from_numpy(view.x), keep=keep).cls
        assert torch.equal(quiet, encoder(torch.from_numpy(loud), keep=keep).cls)


def test_one_scale_per_view_of_a_batch_one_place_per_window():
    """Ramps tell where a crop begins (its lowest value) and how long it is (its slope)."""
    ramp = np.tile(np.arange(400, dtype=np.float16) / 400, (CHANNELS, 1))
    windows = EegWindows([Segment(ramp, np.ones(CHANNELS, bool), "", 0.0, "a", "a")], 100)
    quiet = ViewConfig(count=3, scale=(0.3, 0.8), n_times=60, noise=0.0)
    config = settings(student_views=quiet, teacher_views=quiet)
    x, _ = windows.draw(config.seed, 5, config.batch)
    wide, narrow = make_views(windows, config, step=5)
    slopes, places = [], []
    for view in (*wide, *narrow):
        rows = np.take_along_axis(view.x, view.keep[:, :1, None], axis=1)[:, 0]
        slope = (rows[:, -1] - rows[:, 0]) * 400 / 100
        assert np.ptp(slope) < 0.02
        slopes.append(float(slope.mean()))
        places.append((rows[:, 0] - x[:, 0, 0]) * 400)
        assert len(np.unique(np.round(places[-1]))) > 5
    assert len(np.unique(np.round(slopes, 2))) > 3
    assert all(0.27 < slope < 0.82 for slope in slopes)


@pytest.mark.parametrize("share", [0.75, 1.0])
@pytest.mark.parametrize("world", [2, 4])
def test_draws_belong_to_samples_whoever_computes_them(world, share, monkeypatch):
    segments = own_rhythms()
    segments[0] = replace(segments[0], used=np.arange(CHANNELS) > 2)  # a process may draw no window of it
    windows, config = EegWindows(segments, 100), settings(pool_share=share)
    whole = make_views(windows, config, step=7)
    parts = []
    for rank in range(world):
        monkeypatch.setattr(parallel, "world", lambda: world)
        monkeypatch.setattr(parallel, "rank", lambda rank=rank: rank)
        parts.append(make_views(windows, config, step=7))
    for side in range(2):
        for number, view in enumerate(whole[side]):
            shared = [part[side][number] for part in parts]
            np.testing.assert_array_equal(np.concatenate([v.x for v in shared]), view.x)
            np.testing.assert_array_equal(np.concatenate([v.keep for v in shared]), view.keep)
    other = make_views(windows, config, step=8)
    assert not np.array_equal(other[0][0].x[:2], whole[0][0].x[:2])


def test_a_batch_that_cannot_be_shared_is_one_sentence(monkeypatch):
    monkeypatch.setattr(parallel, "world", lambda: 3)
    with pytest.raises(UserError, match=r"batch of 16 .* 3 processes"):
        make_views(EegWindows(own_rhythms(), 100), settings(), step=0)
    with pytest.raises(UserError, match="2000 samples"):
        EegWindows(own_rhythms(), 2000)


def test_what_is_made_ahead_comes_in_order_and_its_fault_is_reported():
    prefetcher = Prefetcher(lambda step: 10 * step if step < 5 else 1 // 0, 3, 9)
    assert [prefetcher.get(3), prefetcher.get(4)] == [30, 40]
    with pytest.raises(ZeroDivisionError):
        prefetcher.get(5)
    prefetcher.close()
    prefetcher = Prefetcher(lambda step: step, 0, 100)
    with pytest.raises(ValueError, match="step 4 was asked for, 0 comes next"):
        prefetcher.get(4)
    prefetcher.close()
