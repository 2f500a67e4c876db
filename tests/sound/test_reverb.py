"""Reverberation makes sound wide, leaves its sum as it was, and does not depend on how sound is cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.messages import AUDIO_RATE_HZ
from bci_music.sound.loudness import loudness_lufs
from bci_music.sound.reverb import LENGTH, Reverb


def music(seconds=3.0, seed=0, level=0.1):
    """Chords with noise, the same left and right."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * AUDIO_RATE_HZ)) / AUDIO_RATE_HZ
    tones = sum(np.sin(2 * np.pi * hz * t + rng.uniform(0, 6)) for hz in (110.0, 277.0, 523.0, 1319.0, 3520.0))
    one = level * (tones * (1 + np.sin(2 * np.pi * 2 * t)) / 4 + 0.3 * rng.standard_normal(len(t)))
    return np.stack([one, one], axis=1).astype(np.float32)


def test_without_reverb_it_is_the_sound_bit_for_bit():
    sound = music()
    assert Reverb(0.0)(sound, 0) is sound or np.array_equal(Reverb(0.0)(sound, 0), sound)
    assert Reverb(0.0).reach == 0


def test_both_ears_hear_something_else_and_the_sum_is_as_it_was():
    sound = music()
    wide = Reverb(0.35)(sound, 0)
    r = np.corrcoef(wide[AUDIO_RATE_HZ:].T)[0, 1]
    assert 0.5 < r < 0.95
    np.testing.assert_allclose(wide.mean(1), sound.mean(1), atol=1e-6)
    mono = np.repeat(wide.mean(1, keepdims=True), 2, axis=1)
    assert abs(loudness_lufs(mono) - loudness_lufs(sound)) < 1.0
    assert abs(loudness_lufs(wide) - loudness_lufs(sound)) < 1.0


def test_more_reverb_is_wider():
    r = [np.corrcoef(Reverb(wet)(music(), 0)[AUDIO_RATE_HZ:].T)[0, 1] for wet in (0.1, 0.3, 0.6)]
    assert r[0] > r[1] > r[2]


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(1, 40_000))
def test_cut_in_two_it_is_the_same_sound(cut):
    sound, reverb = music(1.0), Reverb(0.5)
    whole = reverb(sound, 0)
    before = min(cut, reverb.reach)
    parts = np.concatenate([reverb(sound[:cut], 0), reverb(sound[cut - before :], before)])
    np.testing.assert_allclose(parts, whole, atol=1e-6)


def test_the_bass_stays_in_the_middle_and_the_reverb_ends():
    t = np.arange(2 * AUDIO_RATE_HZ) / AUDIO_RATE_HZ
    tone = np.repeat(0.2 * np.sin(2 * np.pi * 50.0 * t)[:, None], 2, axis=1).astype(np.float32)
    wide = Reverb(0.5)(tone, 0)[AUDIO_RATE_HZ:]
    assert np.square(wide[:, 0] - wide[:, 1]).mean() < 0.03 * np.square(wide.sum(1)).mean()
    click = np.zeros((2 * LENGTH, 2), np.float32)
    click[0] = 0.5
    assert not Reverb(0.5)(click, 0)[LENGTH:].any() or np.abs(Reverb(0.5)(click, 0)[LENGTH:]).max() < 1e-9


def test_what_is_loud_stays_below_the_ceiling():
    assert np.abs(Reverb(1.0)(music(level=1.0), 0)).max() <= 10 ** (-1 / 20) + 1e-6


@pytest.mark.parametrize("wet", [-0.1, 1.5])
def test_a_share_is_a_share(wet):
    with pytest.raises(ValueError, match="0 to 1"):
        Reverb(wet)
