"""How one clip follows another: on the great circle, on the beat, at one loudness, below the ceiling."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.messages import AUDIO_RATE_HZ, EMBEDDING_DIM
from bci_music.sound.beat import find_beat
from bci_music.sound.loudness import (
    DELAY,
    LIMIT_DB,
    from_db,
    glide,
    level_difference_db,
    limit,
    loudness_lufs,
    to_db,
    to_loudness,
    true_peaks,
)
from bci_music.sound.splice import find_splice_point, mix, similarity_by_lag, splice
from bci_music.sound.steering import angle, slerp, toward, unit

RATE = AUDIO_RATE_HZ


def stereo(mono):
    return np.repeat(np.asarray(mono, np.float32)[:, None], 2, axis=1)


def sine(seconds, hertz=1000.0, level_db=-23.0, phase=0.0):
    time_s = np.arange(round(seconds * RATE)) / RATE
    return stereo(from_db(level_db) * np.sin(2 * np.pi * hertz * time_s + phase))


def drums(seconds, bpm, first_s, seed=0, sfreq_hz=RATE):
    """Short bursts of noise on the beat, `first_s` after the beginning, over quiet noise."""
    rng = np.random.default_rng(seed)
    n = round(seconds * sfreq_hz)
    sound = 0.003 * rng.standard_normal(n)
    burst = 0.4 * rng.standard_normal(2400) * np.exp(-np.arange(2400) / 500)
    for at in np.rint(np.arange(first_s, seconds, 60 / bpm) * sfreq_hz).astype(int):
        sound[at : at + 2400] += burst[: n - at]
    return stereo(sound)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_slerp_goes_at_an_even_rate_along_the_great_circle(seed, share):
    a, b = np.random.default_rng(seed).standard_normal((2, EMBEDDING_DIM))
    between = slerp(a, b, share)
    assert np.linalg.norm(between) == pytest.approx(1, abs=1e-5)
    assert angle(a, between) == pytest.approx(share * angle(a, b), abs=1e-4)
    assert angle(a, between) + angle(between, b) == pytest.approx(angle(a, b), abs=1e-4)


def test_a_style_turns_no_faster_than_it_may_and_arrives():
    a, b = np.eye(EMBEDDING_DIM, dtype=np.float32)[:2]
    way = [a]
    for _ in range(4):
        way.append(toward(way[-1], b, np.deg2rad(40)))
    assert [round(float(np.rad2deg(angle(u, v)))) for u, v in pairwise(way)] == [40, 40, 10, 0]
    np.testing.assert_array_equal(way[-1], b)
    np.testing.assert_array_equal(slerp(a, b, 0.0), a)
    assert np.isfinite(slerp(a, -a, 0.5)).all()
    np.testing.assert_array_equal(toward(a, a, 0.1), unit(a))


@pytest.mark.parametrize("bpm", [80, 100, 120, 150])
def test_the_beat_is_found_with_its_phase(bpm):
    beat = find_beat(drums(4.0, bpm, 0.21))
    ratio = beat.period / (60 / bpm * RATE)
    assert min(abs(ratio * k - 1) for k in (0.5, 1, 2)) < 0.02
    off = (np.arange(0.21, 4.0, 60 / bpm) * RATE - beat.phase) / beat.period
    assert np.abs(off - np.rint(off)).max() * beat.period / RATE < 0.02 or ratio > 1.5


def test_where_nothing_recurs_there_is_no_beat():
    assert find_beat(stereo(np.zeros(3 * RATE))) is None
    assert find_beat(sine(3.0)) is None
    assert find_beat(stereo(0.1 * np.random.default_rng(0).standard_normal(4 * RATE))) is None
    assert find_beat(drums(1.0, 120, 0.1)) is None  # too short to tell


def test_similarity_by_lag_is_the_correlation_of_what_overlaps():
    rng = np.random.default_rng(1)
    tail, head = rng.standard_normal((2, 500)).astype(np.float32)
    found = similarity_by_lag(tail, head, 200)
    for lag in (-200, -7, 0, 200):
        a, b = tail[max(0, lag) : 500 + min(0, lag)], head[max(0, -lag) : 500 - max(0, lag)]
        expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b) * np.sqrt((500 - abs(lag)) / 500)
        assert found[lag + 200] == pytest.approx(expected, abs=1e-6)


def test_the_same_sound_meets_itself():
    rng = np.random.default_rng(2)
    music = stereo(0.1 * rng.standard_normal(6 * RATE))
    found = find_splice_point(music[: 3 * RATE], music[2 * RATE :], RATE, RATE // 4)
    assert (found.by, found.leave) == ("same", found.enter)
    assert found.similarity > 0.999
    spliced = splice(music[: 3 * RATE], music[2 * RATE :], RATE, RATE // 4)
    np.testing.assert_allclose(spliced.samples, music[2 * RATE : 5 * RATE], atol=1e-4)  # the splice leaves no trace


@pytest.mark.parametrize("pause_s", [0.1, 0.5, 0.9])
def test_the_same_sound_does_not_meet_in_a_pause(pause_s):
    music = stereo(0.1 * np.random.default_rng(5).standard_normal(6 * RATE))
    quiet = 2 * RATE + round((pause_s - 0.06) * RATE), 2 * RATE + round((pause_s + 0.06) * RATE)
    music[slice(*quiet)] *= 0.01
    found = find_splice_point(music[: 3 * RATE], music[2 * RATE :], RATE, RATE // 4)
    assert found.by == "same"
    start, stop = 2 * RATE + found.leave, 2 * RATE + found.leave + found.length
    assert stop <= quiet[0] + 0.05 * RATE or start >= quiet[1] - 0.05 * RATE  # where 50 ms would not be silent
    spliced = splice(music[: 3 * RATE], music[2 * RATE :], RATE, RATE // 4)
    np.testing.assert_allclose(spliced.samples, music[2 * RATE : 5 * RATE], atol=1e-4)


@settings(deadline=None, max_examples=60)
@given(overlap=st.integers(60, 6000), fade=st.integers(1, 6000), lag=st.integers(-140, 140), seed=st.integers(0, 9))
def test_the_same_sound_meets_within_the_overlap(overlap, fade, lag, seed):
    music = np.random.default_rng(seed).standard_normal(4 * RATE).astype(np.float32)
    before, after = stereo(music[140 : 140 + 2 * RATE]), stereo(music[140 + 2 * RATE - overlap + lag :][: RATE + 6000])
    found = find_splice_point(before, after, overlap, fade)
    assert 0 <= found.leave <= found.leave + found.length <= overlap
    assert 0 <= found.enter <= found.enter + found.length <= overlap


def test_music_meets_on_the_beat():
    before, after = drums(5.0, 120, 0.10, seed=3), drums(5.0, 120, 0.27, seed=4)
    overlap, fade = round(1.28 * RATE), round(0.3 * RATE)
    found = find_splice_point(before, after, overlap, fade)
    assert found.by == "beat"
    spliced = splice(before, after, overlap, fade)
    whole = np.concatenate([before[:-overlap], spliced.samples])
    power = np.square(whole[: len(whole) // 48 * 48, 0]).reshape(-1, 48).mean(axis=1)
    loud = np.flatnonzero(power > 0.25 * power.max()) / 1000
    starts = loud[np.diff(loud, prepend=-1) > 0.1]
    gaps = np.diff(starts)
    assert np.abs(gaps - 0.5).max() < 0.02  # the beat goes on as if nothing had happened
    shuffled = find_splice_point(before, drums(5.0, 95, 0.27, seed=4), overlap, fade)  # another tempo: no common beat
    assert shuffled.by == "similarity"


def test_unrelated_sounds_meet_where_they_are_most_alike():
    a, b = sine(3.0, 200.0), sine(3.0, 200.0, phase=np.pi)  # without the shift they would cancel
    found = find_splice_point(a, b, RATE // 2, RATE // 8)
    assert found.similarity > 0.99
    mixed = splice(a, b, RATE // 2, RATE // 8).samples
    parts = mixed[: RATE // 2].reshape(-1, 480, 2).std(axis=(1, 2))
    assert to_db(float(parts.min() / parts.max())) > -0.5


def test_a_fade_of_like_sounds_keeps_their_level():
    for similarity, other in ((1.0, sine(1.0)), (0.0, sine(1.0, 1000.0, phase=np.pi / 2))):
        mixed = mix(sine(1.0), other, RATE, similarity=similarity)
        parts = mixed.reshape(100, -1).std(axis=1)
        assert to_db(float(parts.min() / parts.max())) > -0.05


@pytest.mark.parametrize(("parts", "expected"), [  # signals 1, 2, 4 and 5 of EBU Tech 3341, shortened
    ([(5, -23)], -23.0),
    ([(5, -33)], -33.0),
    ([(5, -72), (5, -36), (30, -23), (5, -36), (5, -72)], -23.0),
    ([(5, -26), (5.025, -20), (5, -26)], -23.0),
])
def test_loudness_of_the_published_test_signals(parts, expected):
    signal = np.concatenate([sine(seconds, level_db=level) for seconds, level in parts])
    assert loudness_lufs(signal) == pytest.approx(expected, abs=0.1)


def test_loudness_is_brought_to_the_target_but_noise_is_not():
    rng = np.random.default_rng(5)
    music = stereo(0.02 * np.cumsum(rng.standard_normal(2 * RATE)) / 20)
    assert loudness_lufs(to_loudness(music, -20.0)) == pytest.approx(-20.0, abs=0.05)
    faint = stereo(1e-5 * rng.standard_normal(RATE))
    np.testing.assert_array_equal(to_loudness(faint, -20.0), faint)
    assert loudness_lufs(np.zeros((RATE, 2), np.float32)) == float("-inf")
    assert loudness_lufs(sine(0.2)) == pytest.approx(-23.0, abs=0.3)


def test_a_clip_enters_at_the_level_of_what_it_follows():
    quiet, loud = sine(3.0, 300.0, -30.0), sine(3.0, 300.0, -26.0)
    assert level_difference_db(quiet, loud) == pytest.approx(-4.0, abs=0.01)
    assert level_difference_db(quiet, 100 * quiet) == -6.0
    assert level_difference_db(quiet, 0 * quiet) == 0.0
    levels = splice(quiet, loud, RATE // 2, RATE // 8).samples.reshape(-1, 480, 2).std(axis=(1, 2))
    steps = np.abs(np.diff(20 * np.log10(levels)))
    assert steps.max() < 0.2  # per 10 ms: it glides
    assert to_db(float(levels[-1])) == pytest.approx(-29.0, abs=0.1)
    np.testing.assert_array_equal(glide(loud, 0.0, 100), loud)


def hot(seconds=1.0, seed=0):
    """Music that is quiet, then far too loud, then quiet; most of its peaks lie between the samples."""
    time_s = np.arange(round(seconds * RATE)) / RATE
    envelope = np.where((time_s > 0.3) & (time_s < 0.6), 1.4, 0.1)
    noise = np.random.default_rng(seed).normal(0, 0.2, len(time_s))
    return stereo(envelope * (np.sin(2 * np.pi * (RATE / 4) * time_s + np.pi / 4) + noise))


def fine_peak_db(sound):
    from scipy.signal import resample_poly

    return to_db(float(np.abs(resample_poly(sound.astype(np.float64), 8, 1, axis=0)).max()))


def test_true_peaks_are_seen_between_the_samples():
    turns = np.arange(4800) / 4 + 1 / 8  # samples lie at -3 dB, peaks at 0
    tone = stereo(np.sin(2 * np.pi * turns))
    assert to_db(float(np.abs(tone).max())) == pytest.approx(-3.01, abs=0.01)
    assert to_db(float(true_peaks(tone)[100:4000].max())) == pytest.approx(0.0, abs=0.2)


def test_the_limiter_holds_true_peaks_and_leaves_the_rest_alone():
    sound = hot()
    limited, state = limit(np.concatenate([sound, np.zeros((DELAY, 2), np.float32)]))
    assert len(limited) == len(sound)
    assert fine_peak_db(sound) > 2
    assert fine_peak_db(limited) < LIMIT_DB + 0.5  # what four points a sample may miss
    np.testing.assert_allclose(limited[: round(0.29 * RATE)], sound[: round(0.29 * RATE)], atol=1e-6)
    middle = slice(round(0.4 * RATE), round(0.5 * RATE))
    assert np.corrcoef(limited[middle, 0], sound[middle, 0])[0, 1] > 0.99  # a gain, no bending
    np.testing.assert_allclose(limited[-4800:], sound[-4800:], rtol=1e-3)  # and the gain comes back
    assert state.history.shape[1] == 2


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(DELAY, 20_000), min_size=1, max_size=3), st.integers(0, 100))
def test_the_limiter_does_not_care_how_sound_is_cut(cuts, seed):
    sound = hot(seed=seed)
    whole, _ = limit(sound)
    state, parts, at = None, [], 0
    for n in [*cuts, len(sound)]:
        part, state = limit(sound[at : at + n], state)
        parts.append(part)
        at = min(len(sound), at + n)
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)
