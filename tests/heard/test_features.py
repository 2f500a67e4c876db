import numpy as np
import pytest

from bci_music.heard.features import eeg_rows, envelope_rows, in_band, sound_rows, standardised


def clicks(at_s, seconds=4.0, rate=16_000):
    audio = 1e-4 * np.random.default_rng(0).standard_normal(round(seconds * rate))
    for at in at_s:
        first = round(at * rate)
        audio[first : first + 3200] += np.linspace(1, 0, 3200) * np.sin(2 * np.pi * 440 * np.arange(3200) / rate)
    return audio.astype(np.float32)


def test_flux_stands_at_the_onsets_and_nowhere_else():
    flux = sound_rows(clicks([1.0, 2.5]), 16_000)[:, 0]
    peaks = np.flatnonzero(flux > 0.5 * flux.max()) / 64
    assert len(peaks)
    assert all(min(abs(peak - 1.0), abs(peak - 2.5)) <= 0.02 for peak in peaks)


def test_rows_are_blind_to_the_level_and_the_rate_of_the_recording():
    audio = clicks([1.0, 2.5])
    quiet = sound_rows(0.01 * audio, 16_000)
    assert np.corrcoef(sound_rows(audio, 16_000)[:, 0], quiet[:, 0])[0, 1] > 0.9999
    double = np.repeat(audio, 2)
    assert np.corrcoef(sound_rows(double, 32_000)[:257, 0], sound_rows(audio, 16_000)[:257, 0])[0, 1] > 0.99


def test_an_envelope_of_any_rate_comes_onto_the_grid():
    t = np.arange(0, 10, 1 / 200)
    rows = envelope_rows(1 + np.sin(2 * np.pi * t), 200.0)
    assert abs(len(rows) - 640) <= 1
    assert np.allclose(rows[:, 1], 1 + np.sin(2 * np.pi * np.arange(len(rows)) / 64), atol=0.06)
    assert (rows[:, 0] >= 0).all()
    assert rows[np.cos(2 * np.pi * np.arange(len(rows)) / 64) < -0.1, 0].max() == 0


@pytest.mark.parametrize("rate", [100.0, 125.0, 1000.0])
def test_eeg_comes_onto_the_sounds_grid_within_the_band(rate):
    t = np.arange(round(8 * rate)) / rate
    slow, fast = np.sin(2 * np.pi * 4 * t), np.sin(2 * np.pi * 30 * t)
    rows, first = eeg_rows(np.stack([slow, fast, np.ones_like(t)]), rate, 2.3)
    assert first == np.ceil(3.3 * 64)
    assert rows[:, 0].std() == pytest.approx(np.sqrt(0.5), rel=0.1)
    assert rows[64:, 1].std() < 0.02
    assert np.abs(rows[:, 2]).max() < 1e-3


def test_the_eegs_filter_looks_at_nothing_that_comes():
    eeg = np.random.default_rng(1).standard_normal((2, 1000))
    changed = eeg.copy()
    changed[:, 600:] += 5.0
    before = [eeg_rows(x, 125.0, 0.0)[0] for x in (eeg, changed)]
    until = int(599 / 125 * 64) - 64
    assert np.array_equal(before[0][:until], before[1][:until])
    assert not np.allclose(before[0][until + 4 :], before[1][until + 4 :])


def test_in_band_keeps_four_hertz_in_place():
    t = np.arange(1280) / 64
    wave = np.sin(2 * np.pi * 4 * t)
    kept = in_band(np.column_stack([wave + 3.0, np.sin(2 * np.pi * 25 * t)]))
    assert np.corrcoef(kept[64:-64, 0], wave[64:-64])[0, 1] > 0.999
    assert kept[64:-64, 1].std() < 0.01


def test_what_does_not_move_or_is_no_number_is_zero():
    rng = np.random.default_rng(0)
    parts = [rng.standard_normal((50, 4)).astype(np.float32) for _ in range(2)]
    for part in parts:
        part[:, 1] = 7.0
        part[3, 2] = np.nan
        part[5, 3] = 1000.0
    done = np.concatenate(standardised(parts))
    assert (done[:, 1:3] == 0).all()
    assert done[:, 0].std() == pytest.approx(1, abs=0.01)
    assert np.abs(done).max() <= 5
