"""What is planted in a simulated trial: the response as strong as asked, the fingerprint with it or without it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import welch

from bci_music.eeg.montage import Montage
from bci_music.simulate.listener import band_power, measured_snr_db
from bci_music.simulate.study_plan import files, preset
from bci_music.simulate.trial import N_RHYTHMS, Fingerprint, simulate_trial

pytestmark = pytest.mark.learning

CONFIG = preset("tiny").model_copy(update={"before_s": 8.0})
PLAN = files(CONFIG)
N = 20 * 16_000
SILENCE = np.zeros(N, np.float32)


@pytest.fixture(scope="module")
def audio():
    rng = np.random.default_rng(0)
    gates = np.repeat(rng.random((4, N // 3200)) < 0.4, 3200, axis=1)
    tones = np.sin(2 * np.pi * np.outer([150, 500, 1300, 3600], np.arange(N)) / 16_000)
    return (0.05 * (gates * tones).sum(0)).astype(np.float32)


def trial_of(study="nmed-t", listener=0, which=0):
    return [f for f in PLAN if f.study == study][which].trials[listener]


def parts(audio, trial=None, **knobs):
    return simulate_trial(trial or trial_of(), audio, CONFIG.model_copy(update=knobs))


def good(made):
    return np.setdiff1d(np.arange(125), list(made.bad))


def test_the_parts_are_as_strong_as_asked_and_sum_up(audio):
    made = parts(audio, snr_db=-8.0, fingerprint=0.4)
    rows, channels = slice(made.n_before, None), good(made)
    assert made.n_before == 1000
    response, background = made.response_uv[rows, channels], made.background_uv[rows, channels]
    assert measured_snr_db(response, background, 125) == pytest.approx(-8.0, abs=0.1)
    power = [band_power(p[:, channels], 125).mean() for p in (made.fingerprint_uv, made.background_uv)]
    assert np.sqrt(power[0] / power[1]) == pytest.approx(0.4, rel=0.01)
    total = made.response_uv + made.fingerprint_uv + made.background_uv
    assert np.allclose(made.samples_uv[:, channels], total[:, channels], atol=1e-3)
    assert np.abs(made.samples_uv[:, channels].mean(1)).max() < 1e-3  # referenced to their mean


def test_before_the_music_there_is_a_fingerprint_but_no_response(audio):
    made = parts(audio)
    assert not made.response_uv[:made.n_before].any()
    assert made.response_uv[made.n_before:].any()
    assert np.square(made.fingerprint_uv[:made.n_before]).mean() > 0.2 * np.square(made.fingerprint_uv).mean()


def test_silence_and_no_fingerprint_leave_the_background():
    made = parts(SILENCE, fingerprint=0.0)
    assert not made.response_uv.any()
    assert not made.fingerprint_uv.any()


def test_groups_of_electrodes_can_hear_better_or_worse(audio):
    regions = np.array(Montage.nmed().regions())
    plain, shaped = parts(audio), parts(audio, snr_db_by_group={"left": 6.0, "back": -20.0})
    ratio = np.sqrt(np.square(shaped.response_uv).sum(0) / np.square(plain.response_uv).sum(0))
    for region, db in {"left": 6.0, "back": -20.0, "front": 0.0}.items():
        assert 20 * np.log10(ratio[regions == region]) == pytest.approx(db, abs=1e-6)
    assert np.array_equal(plain.background_uv, shaped.background_uv)


def test_a_reversed_stimulus_is_answered_backwards(audio):
    trial = trial_of("nmed-h")
    backwards = replace(trial, stimulus=replace(trial.stimulus, reversed=True))
    assert np.array_equal(parts(audio, backwards).samples_uv, parts(audio[::-1], trial).samples_uv)


def test_a_repeat_has_the_listeners_answer_but_its_own_fingerprint(audio):
    a, b = parts(audio, trial_of("nmed-h", which=0)), parts(audio, trial_of("nmed-h", which=1))
    other = parts(audio, trial_of("nmed-h", listener=1))
    both = np.intersect1d(np.intersect1d(good(a), good(b)), good(other))

    def alike(x, y):
        return np.mean([np.corrcoef(x[:, c], y[:, c])[0, 1] for c in both])

    assert alike(a.response_uv, b.response_uv) > 0.99
    assert 0.3 < alike(a.response_uv, other.response_uv) < 0.99
    assert abs(alike(a.fingerprint_uv, b.fingerprint_uv)) < 0.1
    assert abs(alike(a.background_uv, b.background_uv)) < 0.1


def test_knobs_of_the_rest(audio):
    made = parts(audio, min_bad=9, max_bad=9, drift_uv=0.0)
    assert len(made.bad) == 9
    slow = [band_power(np.cumsum(parts(SILENCE, drift_uv=d).background_uv, 0), 125).mean() for d in (0.0, 40.0)]
    assert slow[1] > 2 * slow[0]


def spectra(samples, n_windows, skip=0):
    """Logarithmic spectra (n_windows, f) of pieces of 4 s, mean over channels that are scaled alike."""
    scaled = np.clip(samples[skip:] / (samples.std(0) + 1e-6), -20, 20)[:500 * n_windows]
    freqs, power = welch(scaled.reshape(n_windows, 500, 125), 125, nperseg=250, axis=1)
    return np.log(power[:, (freqs > 5) & (freqs < 42)] + 1e-4).mean(2)


@pytest.mark.parametrize(("strength", "low", "high"), [(CONFIG.fingerprint, 0.9, 1.0), (0.0, 0.0, 0.45)])
def test_the_spectrum_tells_trials_apart_by_their_fingerprint_only(strength, low, high):
    """One listener, one session, six trials without any music: learned on the later part, asked before the start."""
    first = trial_of()
    trials = [replace(first, seed=first.seed + k) for k in range(6)]
    made = [parts(SILENCE, trial, fingerprint=strength).samples_uv for trial in trials]
    learned = np.stack([spectra(x, 4, skip=1000).mean(0) for x in made])
    asked = np.concatenate([spectra(x[:1000], 2) for x in made])
    distance = np.square(asked[:, None] - learned[None]).sum(2)
    right = (distance.argmin(1) == np.repeat(np.arange(6), 2)).mean()
    assert low <= right <= high


def test_the_fingerprint_tells_when():
    """Windows near each other in time are more alike than far ones."""
    prints = [Fingerprint(Montage.nmed().positions_m, seed).course(120 * 125, 125) for seed in range(5)]
    near, far = [], []
    for course in prints:
        level = np.log(np.square(course.reshape(-1, 500, N_RHYTHMS)).mean(1))
        near.append(np.square(level[1:] - level[:-1]).mean())
        far.append(np.square(level[15:] - level[:-15]).mean())
    assert np.mean(near) < 0.3 * np.mean(far)
    assert np.mean([np.square(c).mean() for c in prints]) * N_RHYTHMS == pytest.approx(1.0, rel=0.3)
