"""A comb of lines at multiples of the frame rate is found where it is, and music has none."""

import numpy as np
import pytest

from bci_music.metrics.comb import comb_db

RATE = 16_000
T = np.arange(8 * RATE) / RATE


def noise(seed=0):
    return 0.05 * np.random.default_rng(seed).standard_normal(len(T))


def test_noise_has_none():
    assert np.abs(comb_db(noise(), RATE)).max() < 1.0


def test_a_buzz_of_the_frame_rate_is_found_and_its_level_is_right():
    buzz = sum(np.sin(2 * np.pi * 100.0 * k * T + k) for k in range(25, 76))
    base = noise()
    levels = [float(np.median(comb_db(base + size * buzz, RATE))) for size in (0.0, 0.003, 0.03)]
    assert levels[1] > 3.0
    assert levels[2] == pytest.approx(levels[1] + 20.0, abs=2.0)


def test_a_buzz_of_another_rate_is_not_it():
    other = sum(np.sin(2 * np.pi * 130.0 * k * T) for k in range(20, 57) if (130 * k) % 100 > 15)
    assert np.median(comb_db(noise() + 0.01 * other, RATE)) < 1.0


def test_every_excerpt_that_sounds_has_a_figure_and_silence_none():
    assert len(comb_db(np.tile(noise(), 3)[: 18 * RATE], RATE)) == 5
    assert len(comb_db(np.zeros(8 * RATE), RATE)) == 0
    with pytest.raises(ValueError, match="6 s"):
        comb_db(np.zeros(RATE), RATE)


def test_the_rate_of_the_sound_does_not_matter():
    import soxr

    sound = noise() + 0.003 * sum(np.sin(2 * np.pi * 100.0 * k * T) for k in range(25, 76))
    again = soxr.resample(sound, RATE, 48_000)
    assert np.median(comb_db(again, 48_000)) == pytest.approx(np.median(comb_db(sound, RATE)), abs=0.5)
