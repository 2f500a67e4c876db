"""Calibration: finds what is planted, invents nothing, and never changes much on little evidence."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.eeg.chain import SignalConfig
from bci_music.messages import UserError
from bci_music.metrics.splits import WindowTable
from bci_music.models.adapter import RidgeAdapter
from bci_music.models.pack import DecoderConfig, Metric
from bci_music.training.calibration.compare import Comparison
from bci_music.training.calibration.folds import make_folds
from bci_music.training.calibration.listener import CalibrateConfig, calibrate
from bci_music.training.calibration.listener_data import ListenerData
from bci_music.training.calibration.ridge import KEEP, CalibrationSums, changes
from bci_music.training.eeg.corpus import Segment
from bci_music.training.lab.windows import lab_windows

RATE, CHANNELS, DIM = 125.0, 16, 6
RNG = np.random.default_rng(0)
PATTERNS, MIXING = RNG.standard_normal((DIM, CHANNELS)), RNG.standard_normal((DIM, 512))


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class World:
    """Songs that are courses in a few dimensions, and listeners who carry them by their own head patterns."""

    def __init__(self, songs=6, seconds=60):
        rng = np.random.default_rng(1)
        steps = int(seconds * 4)
        self.courses = {
            f"s{i}": 1.5 * rng.standard_normal(DIM) + np.repeat(rng.standard_normal((steps // 8 + 2, DIM)), 8, axis=0)
            for i in range(songs)
        }
        self.seconds = seconds
        self.music = {
            song: unit(np.stack([z[i : i + 16].mean(0) for i in range(steps - 15)]) @ MIXING)
            for song, z in self.courses.items()
        }

    def listen(self, patterns, noise=10.0, name="anna"):
        rng = np.random.default_rng(2)
        segments = []
        for number, song in enumerate(self.courses):
            eeg = np.repeat(self.courses[song], 32, axis=0)[: int(self.seconds * RATE)] @ patterns
            eeg = eeg + noise * rng.standard_normal(eeg.shape)
            segments.append(Segment(
                eeg.T.astype(np.float16), np.ones(CHANNELS, bool), song, 0.0, name, "r", 100.0 * number
            ))  # fmt: skip
        return ListenerData(name, segments=segments, recordings={"r": "0" * 64}, simulated=True)


def encode(x, used):
    return unit(x.mean(axis=2)), np.full((len(x), CHANNELS), 1 / CHANNELS, np.float32)


def decoder_of(adapter):
    manifest = SimpleNamespace(signal=SignalConfig(), decoder=DecoderConfig())
    return SimpleNamespace(adapter=adapter, manifest=manifest, encode_many=encode)


def trained_on(patterns):
    """The adapter of a pack whose listeners all had these patterns, from more music than any test has."""
    rng = np.random.default_rng(3)
    z = rng.standard_normal((4000, DIM)) + 1.5 * np.repeat(rng.standard_normal((40, DIM)), 100, axis=0)
    x = unit(z @ patterns + 0.5 * rng.standard_normal((4000, CHANNELS)))
    return RidgeAdapter.fit([(x, unit(z @ MIXING), np.arange(4000) // 1000)], alpha=0.1)


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def own():
    return trained_on(PATTERNS)


def outcome(world, own, data, learn=None, **config):
    return calibrate(decoder_of(own), data, world.music, CalibrateConfig(**config), learn=learn)


class Learner:
    """Gives decoders that read what `encoding` makes of windows, and keeps what it was given to learn from."""

    def __init__(self, own, encoding):
        self.trainings, self._own, self._encoding = [], own, encoding

    def __call__(self, trainings):
        self.trainings += trainings
        return [SimpleNamespace(adapter=self._own, encode_many=self._encoding) for _ in trainings]


def test_a_listener_unlike_those_of_the_pack_is_learned(world, own):
    turned = PATTERNS[:, np.random.default_rng(4).permutation(CHANNELS)]
    done = outcome(world, own, world.listen(turned))
    assert done.alpha < KEEP
    names = {c.before.name.partition(",")[0] for c in done.comparisons}
    assert names == {"50-way identification", "6-way song name"}
    for comparison in done.comparisons:
        assert comparison.after.ci95[0] > comparison.after.controls["mismatched"].value
    assert [c.verdict for c in done.comparisons if c.question.startswith("songs calibrated on")] == ["better"] * 2
    assert done.minutes == pytest.approx(6.0, abs=0.1)


def test_an_encoder_that_learned_on_is_taken_where_it_surely_helps_more(world, own):
    order = np.random.default_rng(4).permutation(CHANNELS)
    data = world.listen(PATTERNS[:, order])
    learner = Learner(own, lambda x, used: encode(x[:, np.argsort(order)], used))
    done = outcome(world, own, data, learn=learner)
    assert done.decoder is not None
    assert done.alpha == KEEP
    np.testing.assert_array_equal(done.adapter.weights, own.weights)
    assert [c.verdict for c in done.comparisons] == ["better"] * 4  # other songs as well: nothing of them was learned
    alone = outcome(world, own, data)
    assert np.mean([c.after.value for c in done.comparisons]) > np.mean([c.after.value for c in alone.comparisons])


def test_an_encoder_that_learned_nothing_is_not_taken(world, own):
    done = outcome(world, own, world.listen(PATTERNS), learn=Learner(own, lambda x, used: encode(x[:, ::-1], used)))
    assert done.decoder is None
    same = outcome(world, own, world.listen(PATTERNS), learn=Learner(own, encode))
    assert same.decoder is None  # no gain at all


def test_what_an_encoder_learns_from_is_apart_from_what_it_is_tested_on(world, own):
    data = world.listen(PATTERNS)
    learner = Learner(own, encode)
    outcome(world, own, data, learn=learner)
    names = {key: key for key in world.music}
    windows = lab_windows(data.segments, names, window_s=4.0, sfreq_hz=RATE, hop_s=1.0)
    table = windows.table
    folds = make_folds(table, block_s=20.0, guard_s=4.0, n=4)
    assert len(learner.trainings) == 4
    for part, segments in enumerate(learner.trainings):
        assert sum(s.eeg.shape[1] for s in segments) > 60 * RATE
        tested = folds.tested[:, part] | folds.tested[:, 4 + part]
        for song, first in zip(table.song[tested], table.song_start_s[tested], strict=True):
            for s in segments:
                begin, stop = s.song_start_s, s.song_start_s + s.eeg.shape[1] / RATE
                assert s.song != song or first + 4 + 4 <= begin + 1e-6 or stop <= first - 4 + 1e-6
                whole = next(t for t in data.segments if t.song == s.song)
                at = round(begin * RATE)
                np.testing.assert_array_equal(s.eeg, whole.eeg[:, at : at + s.eeg.shape[1]])


def test_a_listener_the_pack_reads_already_loses_nothing(world, own):
    done = outcome(world, own, world.listen(PATTERNS))
    for comparison in done.comparisons:
        assert comparison.verdict != "worse"
        assert comparison.after.value > comparison.before.value - 0.05
        assert comparison.before.ci95[0] > comparison.before.chance


def test_nothing_is_learned_where_there_is_nothing(world, own):
    rng = np.random.default_rng(5)
    heard = world.listen(PATTERNS)
    deaf = replace(
        heard, segments=[replace(t, eeg=rng.standard_normal(t.eeg.shape).astype(np.float16)) for t in heard.segments]
    )
    done = outcome(world, own, deaf)
    assert done.alpha == KEEP
    np.testing.assert_array_equal(done.adapter.weights, own.weights)
    assert all(c.verdict.startswith("no difference") for c in done.comparisons)


def test_better_is_only_what_lies_apart():
    def metric(low, high):
        return Metric(name="x, y, z", protocol="", value=low, chance=0.1, n=9, n_recordings=1, ci95=(low, high))

    def verdict(before, after):
        return Comparison("q", metric(*before), metric(*after), (0.01, 0.2)).verdict  # the pairs say there is a gain

    assert verdict((0.1, 0.2), (0.21, 0.3)) == "better"
    assert verdict((0.3, 0.4), (0.1, 0.2)) == "worse"
    assert "overlap" in verdict((0.1, 0.2), (0.2, 0.3))


def test_little_is_stated_in_a_sentence(world, own):
    some = world.listen(PATTERNS)
    short = replace(some, segments=[replace(some.segments[0], eeg=some.segments[0].eeg[:, :5000])])
    with pytest.raises(UserError, match=r"hold 0\.7 minutes.*at least 1\.5 minutes"):
        outcome(world, own, short)
    with pytest.raises(UserError, match=r"no 4 s of usable EEG"):
        outcome(world, own, replace(some, segments=[replace(some.segments[0], eeg=some.segments[0].eeg[:, :100])]))
    again = [replace(some.segments[0], start_s=100.0 * i, recording="r") for i in range(3)]
    with pytest.raises(UserError, match="from 3 different excerpts"):
        outcome(world, own, replace(some, segments=again))


def table_of(song, start, recording=None):
    song, start = np.array(song), np.array(start, float)
    place = 1000.0 * np.unique(song, return_inverse=True)[1] + start
    recording = np.full(len(song), "r") if recording is None else np.array(recording)
    return WindowTable(place, place + 4, recording, recording, song, start)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 120)), min_size=8, max_size=60, unique=True))
def test_what_is_learned_from_is_apart_from_what_is_tested(windows):
    song, start = zip(*windows, strict=True)
    folds = make_folds(table_of(song, start), block_s=20.0, guard_s=4.0, n=4)
    song, start = np.array(song), np.array(start, float)
    for question in folds.questions:
        for k in question.folds:
            test, free = folds.tested[:, k], folds.free[:, k]
            assert test.any()
            near = (song[:, None] == song[test]) & (np.abs(start[:, None] - start[test]) < 8.0 - 1e-6)
            assert not (near.any(1) & free).any()
            if question.name == "songs not calibrated on":
                assert not np.intersect1d(song[test], song[free]).size
    assert len(folds.questions) == (2 if len(np.unique(song)) >= 3 else 1)


def test_sums_do_not_depend_on_batches_and_give_the_ridge_of_the_allowed_rows():
    rng = np.random.default_rng(6)
    table = table_of(np.repeat(list("abcd"), 30), np.tile(np.arange(30.0), 4))
    folds = make_folds(table, block_s=10.0, guard_s=4.0, n=3)
    x, y = rng.standard_normal((120, 5)), rng.standard_normal((120, 3))
    own = RidgeAdapter(rng.standard_normal((5, 3)).astype(np.float32), rng.standard_normal(3).astype(np.float32))
    one, many = CalibrationSums(own, folds), CalibrationSums(own, folds)
    one.add(np.arange(120), x, y)
    for rows in np.array_split(np.arange(120), 17):
        many.add(rows, x[rows], y[rows])
    for held in ((), (0,), (1, 4)):
        np.testing.assert_allclose(one.solve(2.0, *held)[0], many.solve(2.0, *held)[0], atol=1e-9)
        allowed = folds.free[:, list(held)].all(axis=1)
        a, left = x[allowed], (y - own(x))[allowed]
        penalty = 2.0 * np.trace(a.T @ a) / 5
        expected = np.linalg.solve(a.T @ a + penalty * np.eye(5), a.T @ left)
        np.testing.assert_allclose(one.solve(2.0, *held)[0], expected, atol=1e-5)
    assert not changes(one.learned(), own, (KEEP,))[0].any()
