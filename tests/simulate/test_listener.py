"""The simulated listener: the asked-for signal-to-noise ratio, plausible EEG, and a response that can be found."""

import numpy as np
import pytest
from scipy.signal import lfilter

from bci_music.simulate.background import Background, BackgroundConfig, shaped_noise
from bci_music.simulate.listener import ListenerConfig, SimulatedListener, band_power, heard_features, measured_snr_db

pytestmark = pytest.mark.learning

RATE = 16_000


def music(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise of several bands, each switched by a rhythm of its own."""
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    audio = np.zeros(n)
    for centre in (120, 400, 1000, 2500, 5000):
        gate = np.repeat(rng.random(n // 1600 + 1) < 0.3, 1600)[:n]
        gate = lfilter([1.0], [1.0, -np.exp(-1 / 700)], gate)
        tone = np.sin(2 * np.pi * np.cumsum(centre * (1 + 0.1 * rng.standard_normal(n))) / RATE)
        audio += 0.05 * gate / 700 * 20 * tone
    return audio.astype(np.float32)


@pytest.fixture(scope="module")
def hearing():
    return SimulatedListener(3).listen(music(60), RATE, seed=8)


@pytest.mark.parametrize("snr_db", [-10.0, -20.0])
def test_measured_ratio_equals_the_knob(snr_db):
    heard = SimulatedListener(3, snr_db).listen(music(30), RATE, seed=8)
    good = np.setdiff1d(np.arange(125), list(heard.bad))
    measured = measured_snr_db(heard.response_uv[:, good], heard.background_uv[:, good], 125)
    assert measured == pytest.approx(snr_db, abs=0.1)


def test_amplitudes_are_those_of_eeg(hearing):
    assert hearing.samples_uv.shape == (7500, 125)
    assert hearing.samples_uv.dtype == np.float32
    spread = hearing.samples_uv.std(0)
    assert 10 < np.median(spread) < 30
    assert np.percentile(spread, 90) < 60


def test_bad_electrodes_are_bad(hearing):
    assert 2 <= len(hearing.bad) <= 5
    assert 124 not in hearing.bad
    spread = hearing.samples_uv.std(0)
    for channel, kind in hearing.bad.items():
        if kind == "flat":
            assert spread[channel] < 0.1
        else:
            assert spread[channel] > 2 * np.median(spread)


def test_spectrum_falls_with_alpha_at_the_back_and_blinks_in_front(hearing):
    x = hearing.background_uv
    freqs = np.fft.rfftfreq(len(x), 1 / 125)
    power = np.abs(np.fft.rfft(x - x.mean(0), axis=0)) ** 2

    def band(low, high):
        return power[(freqs >= low) & (freqs < high)].mean(0)

    good = np.setdiff1d(np.arange(125), list(hearing.bad))
    y = SimulatedListener(3).montage.positions_m[:, 1]
    back, front = good[y[good] < -0.06], good[y[good] > 0.07]
    assert np.median(band(1, 4)[good] / band(25, 40)[good]) > 5
    assert np.median(band(9, 11.5)[back] / band(14, 18)[back]) > 3
    assert np.abs(x[:, front]).max() > 2 * np.median(np.abs(x[:, back]).max(0))
    assert np.median(band(49.5, 50.5)[good] / band(44, 48)[good]) > 3


def test_a_planted_envelope_is_recovered_by_ridge():
    listener = SimulatedListener(3)
    lags = range(0, 48, 6)

    def rows(seed):
        audio = music(40, seed)
        heard = listener.listen(audio, RATE, seed)
        x = heard.samples_uv.astype(float)
        x[:, list(heard.bad)] = 0
        x = np.clip(x / (np.median(np.abs(x), 0) + 1e-6), -8, 8)
        y = heard_features(audio, RATE)
        lagged = np.concatenate([np.roll(x @ basis, -lag, axis=0) for lag in lags], 1)
        return lagged, y - y.mean(0)

    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((125, 40)))[0]
    train, test = [rows(seed) for seed in (1, 2, 3)], rows(4)
    gram = sum(x.T @ x for x, _ in train)
    gram += 0.01 * np.trace(gram) / len(gram) * np.eye(len(gram))
    weights = np.linalg.solve(gram, sum(x.T @ y for x, y in train))
    guess = test[0] @ weights
    matched = [np.corrcoef(guess[:, i], test[1][:, i])[0, 1] for i in range(16)]
    displaced = [np.corrcoef(guess[:, i], np.roll(test[1][:, i], 1700))[0, 1] for i in range(16)]
    assert np.mean(matched) > 0.15
    assert abs(np.mean(displaced)) < 0.05


def test_the_same_seeds_give_the_same_eeg():
    audio = music(5)
    first = SimulatedListener(2).hear(audio, RATE, 7)
    assert np.array_equal(first, SimulatedListener(2).hear(audio, RATE, 7))
    assert not np.array_equal(first, SimulatedListener(2).hear(audio, RATE, 8))
    assert not np.array_equal(first, SimulatedListener(4).hear(audio, RATE, 7))


@pytest.mark.parametrize("rate", [125.0, 250.0, 1000.0])
def test_output_rates(rate):
    samples = SimulatedListener(1).hear(music(4), RATE, 1, rate)
    assert samples.shape == (4 * rate, 125)


def test_response_is_the_same_at_any_rate():
    listener, audio = SimulatedListener(1), music(6)
    slow, fast = listener.respond(audio, RATE), listener.respond(audio, RATE, 500.0)
    inner = slice(50, -50)
    assert np.corrcoef(slow[inner, 10], fast[::4][inner, 10])[0, 1] > 0.99


def test_silence_has_no_response():
    heard = SimulatedListener(1).listen(np.zeros(4 * RATE, np.float32), RATE, 1)
    assert not heard.response_uv.any()
    assert np.isfinite(heard.samples_uv).all()


def test_response_lags_the_sound():
    audio = np.zeros(4 * RATE, np.float32)
    audio[2 * RATE:2 * RATE + 800] = 0.3 * np.sin(2 * np.pi * 440 * np.arange(800) / RATE)
    power = np.square(SimulatedListener(1).respond(audio, RATE)).sum(1)
    assert power[:245].max() < 0.02 * power.max()
    assert 0.04 < (power.argmax() - 250) / 125 < 0.35


def test_listeners_share_most_of_their_maps():
    audio = music(8)
    a, b = (SimulatedListener(seed).respond(audio, RATE) for seed in (1, 2))
    alike = np.mean([np.corrcoef(a[:, c], b[:, c])[0, 1] for c in range(0, 125, 5)])
    assert 0.5 < alike < 0.999


def test_knobs_do_what_they_say():
    positions = SimulatedListener(1).montage.positions_m
    quiet = BackgroundConfig(blinks_per_minute=0, muscle_bursts_per_minute=0, drift_uv=0, alpha_uv=0, sensor_uv=0)
    rng = np.random.default_rng(0)
    only_brain = Background(quiet, positions, 1, 1).noise(5000, 125, rng)
    assert 4 < np.sqrt(band_power(only_brain, 125)).mean() < 14
    nothing = quiet.model_copy(update={"brain_uv": 0.0})
    assert np.abs(Background(nothing, positions, 1, 1).noise(500, 125, rng)).max() < 1e-9
    assert SimulatedListener(1, config=ListenerConfig(snr_db=-3)).config.snr_db == -3


def test_shaped_noise_has_unit_spread_in_its_band():
    noise = shaped_noise((20_000, 4), 125, np.random.default_rng(0), lambda f: np.maximum(f, 0.5) ** -0.5)
    assert np.sqrt(band_power(noise, 125)).mean() == pytest.approx(1.0, abs=0.1)


def test_mains_is_one_wave_over_blocks():
    background = SimulatedListener(1).background(5)
    whole = background.mains(0, 300, 500.0)
    parts = np.concatenate([background.mains(0, 130, 500.0), background.mains(130, 170, 500.0)])
    assert np.allclose(whole, parts)
