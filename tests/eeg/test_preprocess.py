"""Resampling, filters and reference: what passes, what does not, when it comes."""

import numpy as np
import pytest

from bci_music.eeg.preprocess import CleanRows, PreprocessConfig, Preprocessor, hold_last
from bci_music.eeg.resample import StreamResampler
from bci_music.messages import HOLE, UserError

RATES = [125.0, 128.0, 160.0, 249.87, 250.0, 512.0, 1000.0, 2048.0, 4000.0]


def run(sfreq_hz: float, rows: np.ndarray, good=None, zero_rows=0, flags=None, **settings) -> CleanRows:
    """Preprocess rows (n, n_channels) whose first stands at time 0, in one go."""
    stage = Preprocessor(PreprocessConfig(**settings), rows.shape[1], sfreq_hz)
    n, channels = rows.shape
    good = np.ones(channels, bool) if good is None else good
    flags = np.zeros(n, np.uint8) if flags is None else flags
    return stage.process(rows.astype(np.float32), np.arange(n) / sfreq_hz, flags, good, zero_rows)


def sine(sfreq_hz: float, hz: float, seconds: float = 8.0, uv: float = 50.0) -> np.ndarray:
    return uv * np.sin(2 * np.pi * hz * np.arange(int(seconds * sfreq_hz)) / sfreq_hz)[:, None]


def gain(sfreq_hz: float, hz: float, **settings) -> float:
    out = run(sfreq_hz, sine(sfreq_hz, hz), reference="none", **settings)
    return float(out.samples[0, 500:].std() / (50 / np.sqrt(2)))


@pytest.mark.parametrize("sfreq_hz", RATES)
def test_eeg_passes_and_mains_drift_and_aliases_do_not(sfreq_hz):
    assert gain(sfreq_hz, 10.0) == pytest.approx(1.0, abs=0.03)
    assert gain(sfreq_hz, 30.0) == pytest.approx(1.0, abs=0.12)
    assert gain(sfreq_hz, 0.05) < 0.03
    assert gain(sfreq_hz, 50.0) < 0.02
    assert gain(sfreq_hz, 60.0) < 0.02
    if sfreq_hz > 240:
        assert gain(sfreq_hz, 115.0) < 0.003  # would fold onto 10 Hz


@pytest.mark.parametrize("sfreq_hz", RATES)
def test_times_tell_when_it_happened(sfreq_hz):
    phase = run(sfreq_hz, sine(sfreq_hz, 10.0), reference="none")
    late = phase.times_s > 4.0

    def similarity(shift_s: float) -> float:
        return float(phase.samples[0, late] @ np.sin(2 * np.pi * 10.0 * (phase.times_s[late] + shift_s)))

    assert abs(max(np.arange(-12, 13) / 1000, key=similarity)) <= 0.004  # half an output sample
    np.testing.assert_allclose(np.diff(phase.times_s), 0.008, atol=1e-9)


def test_the_whole_delay_is_below_a_tenth_of_a_second():
    for rate in RATES:
        assert Preprocessor(PreprocessConfig(), 4, rate).delay_s <= 0.1


@pytest.mark.parametrize("sfreq_hz", [20.0, 100.0, 124.0, 4001.0])
def test_rates_that_cannot_be_decoded_are_refused(sfreq_hz):
    with pytest.raises(UserError, match="samples per second, decoding needs 125 to 4000"):
        Preprocessor(PreprocessConfig(), 8, sfreq_hz)


def test_a_resampled_constant_is_that_constant():
    for rate in RATES:
        out = StreamResampler(2, rate, 125.0).process(np.full((2, int(rate)), 7.0))
        np.testing.assert_allclose(out.samples[:, 20:], 7.0, rtol=1e-12)


def test_a_large_offset_leaves_no_trace():
    rng = np.random.default_rng(0)
    eeg = rng.standard_normal((2000, 2)) * 10
    plain, offset = run(250.0, eeg), run(250.0, eeg + np.array([-230_000.0, 120_000.0]))
    assert np.abs(offset.samples[:, 150:] - plain.samples[:, 150:]).max() < 0.1  # float32 steps at 0.23 V are 0.016 µV


def test_the_reference_is_the_mean_of_good_channels_and_the_zero():
    rng = np.random.default_rng(1)
    eeg = rng.standard_normal((1500, 5)) * 10
    eeg[:, 4] *= 1000
    good = np.array([True, True, True, True, False])
    plain = run(125.0, eeg, good, reference="none").samples.astype(float)
    with_zero = run(125.0, eeg, good, zero_rows=1).samples
    without = run(125.0, eeg, good, zero_rows=0).samples
    np.testing.assert_allclose(with_zero, plain - plain[:4].sum(axis=0) / 5, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(without, plain - plain[:4].mean(axis=0), rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(without[:4].mean(axis=0), 0, atol=1e-3)


def test_what_is_no_number_harms_no_other_channel_and_no_later_sample():
    rng = np.random.default_rng(2)
    eeg = rng.standard_normal((4000, 6)) * 10
    hurt = eeg.copy()
    hurt[1000:1100, 2] = np.nan
    hurt[1050, 3] = np.inf
    hurt[1060, 3] = 1e30
    good = np.array([True, True, False, False, True, True])
    plain, out = run(250.0, eeg, good), run(250.0, hurt, good)
    assert np.isfinite(out.samples).all()
    np.testing.assert_array_equal(out.samples[[0, 1, 4, 5]], plain.samples[[0, 1, 4, 5]])
    broken = np.flatnonzero(out.broken[2])
    assert set(broken // 5) >= set(range(101, 110))  # 1000..1099 at 250 Hz, blocks of five outputs
    assert not out.broken[[0, 1, 4, 5]].any()
    assert np.abs(out.samples[2, -200:] - plain.samples[2, -200:]).max() < 1.0


def test_a_broken_channel_leaves_the_reference_at_once_even_if_no_verdict_was_spoken():
    rng = np.random.default_rng(3)
    eeg = rng.standard_normal((2000, 4)) * 10
    eeg[1000:, 1] = np.nan
    out = run(250.0, eeg)
    late = slice(560, 990)
    np.testing.assert_allclose(out.samples[[0, 2, 3], late].mean(axis=0), 0, atol=1e-3)


def test_flags_cover_every_output_a_hole_has_touched():
    flags = np.zeros(4000, np.uint8)
    flags[2000:2050] = HOLE
    out = run(1000.0, np.random.default_rng(0).standard_normal((4000, 3)), flags=flags, settle_s=0.0)
    touched = (out.oldest <= 2049) & (out.newest >= 2000)
    np.testing.assert_array_equal((out.flags & HOLE) > 0, touched)
    assert touched.sum() == pytest.approx((50 + 100 + 16) / 8, abs=4)


def test_rows_after_a_start_are_flagged_until_filters_settle():
    out = run(1000.0, np.random.default_rng(0).standard_normal((3000, 3)), settle_s=0.4)
    np.testing.assert_array_equal((out.flags & HOLE) > 0, np.arange(len(out.flags)) < 50)


def test_holding_the_last_value():
    nan = np.nan
    samples = np.array([[nan, 1], [2, nan], [nan, nan], [3, 4]], np.float32)
    held = hold_last(samples, np.isfinite(samples), np.array([9, 8], np.float32))
    np.testing.assert_array_equal(held, [[9, 1], [2, 1], [2, 1], [3, 4]])


@pytest.mark.parametrize("settings", [{"notch_hz": (70.0,)}, {"lowpass_hz": 63.0}, {"highpass_hz": 0.0}])
def test_filters_that_cannot_be_are_refused(settings):
    with pytest.raises(UserError):
        PreprocessConfig.parse(settings)


@pytest.mark.parametrize("hz", [10.0, 16.0, 16.5, 16.7, 20.0, 24.9])
def test_a_notch_within_the_band_does_not_move_the_windows(hz):
    """Its phase jumps by pi at the centre: read as a delay, that shifted every window by some 48 ms."""
    usual = PreprocessConfig()
    assert PreprocessConfig(notch_hz=(hz, *usual.notch_hz)).filter_delay_s() == usual.filter_delay_s()
