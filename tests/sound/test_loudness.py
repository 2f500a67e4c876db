"""Levels: fades keep their energy, the limiter holds its bound, gains glide, silence is found."""

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.messages import AUDIO_RATE_HZ, UserError
from bci_music.sound.loop import PAD_S, waiting_pad
from bci_music.sound.loudness import CEILING, KNEE, GainCurve, from_db, soft_limit, to_db, to_level
from bci_music.sound.silence import silent_seconds, silent_spans
from bci_music.sound.splice import equal_power, fade_in, mix


def test_equal_power_keeps_the_energy_flat():
    leaving, entering = equal_power(4800)
    np.testing.assert_allclose(leaving**2 + entering**2, 1.0, atol=1e-6)
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((48_000, 2)).astype(np.float32) for _ in range(2))
    mixed = mix(a, b, len(a))
    parts = mixed.reshape(10, -1).std(axis=1)
    assert parts.max() / parts.min() < 1.05


def test_a_fade_cut_into_blocks_is_the_same_fade():
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal((1000, 2)).astype(np.float32) for _ in range(2))
    whole = mix(a, b, 1000)
    parts = [mix(a[i:j], b[i:j], 1000, i) for i, j in ((0, 13), (13, 600), (600, 1000))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(np.concatenate([fade_in(a[:300], 500), fade_in(a[300:], 500, 300)]), fade_in(a, 500))


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 100.0), st.integers(0, 1000))
def test_nothing_passes_the_ceiling_and_quiet_sound_is_untouched(scale, seed):
    samples = (np.random.default_rng(seed).standard_normal((500, 2)) * scale).astype(np.float32)
    limited = soft_limit(samples)
    assert np.abs(limited).max() <= np.float32(CEILING)
    assert to_db(float(np.abs(limited).max())) <= -0.999
    quiet = np.abs(samples) <= KNEE
    np.testing.assert_array_equal(limited[quiet], samples[quiet])
    assert (np.sign(limited) == np.sign(samples)).all()


def test_level_is_reached_unless_the_peak_forbids():
    rng = np.random.default_rng(2)
    noise = to_level(0.001 * rng.standard_normal((48_000, 2)).astype(np.float32), -20.0)
    assert to_db(float(noise.std())) == pytest.approx(-20.0, abs=0.1)
    click = np.zeros((48_000, 2), np.float32)
    click[100] = 0.01
    assert to_db(float(np.abs(to_level(click, -20.0)).max())) == pytest.approx(-4.0, abs=0.01)


def test_gain_glides_as_a_one_pole_filter():
    curve = GainCurve().toward(from_db(-20), 100)
    gains = curve.at(0, 4800)
    assert (gains[:100] == 1.0).all()
    pole, expected = np.exp(-1 / (0.010 * AUDIO_RATE_HZ)), [1.0]
    for _ in range(4700):
        expected.append(pole * expected[-1] + (1 - pole) * 0.1)
    np.testing.assert_allclose(gains[100:], expected[1:], atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3000), st.floats(0, 1)), max_size=5), st.integers(1, 4000))
def test_gain_of_any_stretch_is_that_of_the_whole(changes, cut):
    curve = GainCurve()
    for index, target in sorted(changes):
        curve = curve.toward(target, index)
    whole = curve.at(0, 4000)
    np.testing.assert_array_equal(np.concatenate([curve.at(0, cut), curve.at(cut, 4000)])[:4000], whole)
    np.testing.assert_array_equal(curve.settled(cut).at(cut, 4000), curve.at(cut, 4000))
    assert np.abs(np.diff(whole)).max() < 0.01  # never a click


def test_silence_is_measured_on_what_was_written(tmp_path):
    second = AUDIO_RATE_HZ
    sound = np.full((4 * second, 2), 0.1, np.float32)
    sound[: second // 2] = 0  # before the first sound: not counted
    sound[second : 2 * second] = 0.0009  # just below -60 dBFS
    sound[3 * second : 3 * second + second // 5] = 0  # too short to count
    assert silent_seconds(sound) == pytest.approx(1.0)
    assert silent_seconds(sound, after_s=0.0) == pytest.approx(1.5)
    soundfile.write(tmp_path / "a.wav", sound, AUDIO_RATE_HZ, subtype="PCM_16")
    assert silent_seconds(tmp_path / "a.wav") == pytest.approx(1.0)
    assert silent_spans(sound)[1] == (second, 2 * second)
    assert silent_seconds(np.zeros((second, 2), np.float32)) == pytest.approx(1.0)
    (tmp_path / "b.wav").write_bytes(b"")
    with pytest.raises(UserError):
        silent_seconds(tmp_path / "b.wav")


def test_waiting_is_quiet_stereo_and_without_a_splice():
    pad = waiting_pad()
    assert pad.shape == (PAD_S * AUDIO_RATE_HZ, 2)
    assert to_db(float(pad.std())) == pytest.approx(-30.0, abs=0.2)
    steps = np.abs(np.diff(pad, axis=0)).max()
    assert np.abs(pad[0] - pad[-1]).max() <= steps
    assert silent_seconds(pad) == 0
