"""Songs as sound: loud enough, never too loud, in time, in tune, the same every time."""

import numpy as np
import pytest

from bci_music.compose.composer import HELD_OUT_SECONDS, TRAIN_SECONDS, compose, song_spec
from bci_music.compose.mastering import limit, loudness_lufs, true_peak
from bci_music.compose.orchestra import ORCHESTRA
from bci_music.compose.percussion import SOUNDS, stroke
from bci_music.messages import UserError

RATE = 48_000


@pytest.fixture(scope="module")
def loop():
    return compose("morning-loop", 16.0)


def test_shape_level_and_peak(loop):
    assert loop.samples.shape == (16 * RATE, 2)
    assert loop.samples.dtype == np.float32
    assert loudness_lufs(loop.samples.T) == pytest.approx(-16.0, abs=0.3)
    assert 20 * np.log10(true_peak(loop.samples.T)) < -1.0


def test_the_same_bytes_every_time(loop):
    assert compose("morning-loop", 16.0).samples.tobytes() == loop.samples.tobytes()


def test_onsets_fall_on_the_beat(loop):
    low = np.abs(np.diff(loop.samples.mean(1).reshape(-1, 480)[:, ::8].std(1)))
    frames = (np.arange(len(low)) + 1) / 100
    phase = (frames / song_spec("morning-loop").beat_s) % 1
    on, off = low[(phase < 0.08) | (phase > 0.96)], low[(phase > 0.2) & (phase < 0.4)]
    assert on.mean() > 2 * off.mean()
    assert loop.beats_s[1] == pytest.approx(60 / 122)
    assert loop.bars_s[1] == pytest.approx(240 / 122)


def test_ends_in_silence_and_has_no_click():
    samples = compose("low-tide", 6.0).samples
    assert np.abs(samples[:4]).max() < 1e-3
    assert np.abs(samples[-20:]).max() < 1e-3
    assert np.abs(np.diff(samples, axis=0)).max() < 0.1  # pads alone: any jump is a click


def test_other_rates(loop):
    song = compose("morning-loop", 4.0, 16_000)
    assert song.samples.shape == (64_000, 2)
    assert song.sfreq_hz == 16_000


def test_unknown_song_is_a_sentence():
    with pytest.raises(UserError, match="night-bus"):
        compose("no-such-song")


def test_training_and_held_out_seconds_are_apart():
    assert TRAIN_SECONDS[1] + 4.0 <= HELD_OUT_SECONDS[0]  # not even one window touches both


@pytest.mark.parametrize("name", ORCHESTRA)
def test_instruments_are_in_tune_and_do_not_click(name):
    freq = 440 * 2 ** ((60 - 69) / 12)
    wave = ORCHESTRA[name](freq, 1.0).astype(float)
    spectrum = np.abs(np.fft.rfft(wave[2400:38_400] * np.hanning(36_000), 2**18))
    freqs = np.fft.rfftfreq(2**18, 1 / RATE)
    near = (freqs > 0.95 * freq) & (freqs < 1.05 * freq)
    found = freqs[near][spectrum[near].argmax()]
    assert abs(1200 * np.log2(found / freq)) < 25
    assert abs(wave[0]) < 1e-3
    assert abs(wave[-1]) < 1e-3


@pytest.mark.parametrize("name", SOUNDS)
def test_strokes_begin_and_end_in_silence(name):
    wave = stroke(name)
    assert abs(wave[0]) < 1e-3
    assert abs(wave[-1]) < 1e-2
    assert 0.3 < np.abs(wave).max() < 3.2


def test_loudness_of_a_known_tone():
    t = np.arange(5 * RATE) / RATE
    tone = 0.1 * np.sin(2 * np.pi * 997 * t)
    assert loudness_lufs(np.stack([tone, 0 * tone])) == pytest.approx(-23.0, abs=0.1)  # BS.1770: 0 dBFS is -3.01


def test_true_peak_sees_between_the_samples():
    t = np.arange(RATE) / RATE
    tone = np.sin(2 * np.pi * 12_000 * t + np.pi / 4).astype(np.float32)  # samples reach 0.707 only
    assert np.abs(tone).max() < 0.72
    assert true_peak(np.stack([tone, tone])) == pytest.approx(1.0, abs=0.03)


def test_limiter_keeps_the_ceiling_and_leaves_the_rest():
    samples = np.zeros((2, 9600), np.float32)
    samples[:, ::7] = 0.2
    samples[0, 5000] = 2.0
    limited = limit(samples, 0.5)
    assert np.abs(limited).max() <= 0.5 + 1e-6
    assert np.array_equal(limited[:, :4000], samples[:, :4000])
