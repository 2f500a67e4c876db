"""The rate that stamps show, where what a header states is wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.timing.rate import agrees, rate_note, spread, steady_rate, usual_rate


def counted(seconds, rate, stated, chunk, jitter_s=0.004, seed=0):
    """Stamps as LSL makes them: each chunk's last is the time of sending, the others counted back at `stated`."""
    rows = np.arange(round(seconds * rate))
    end = (rows // chunk + 1) * chunk - 1
    late = np.random.default_rng(seed).uniform(0, jitter_s, len(rows) // chunk + 1)[rows // chunk]
    return 1.7e9 + end / rate + late - (end - rows) * (1 / stated if stated else 0)


@pytest.mark.parametrize(("rate", "stated"), [(256, 128), (128, 256), (1000, 550), (250, 0), (500, 500), (490, 500)])
@pytest.mark.parametrize("chunk", [1, 4, 16, 64])
def test_the_true_rate_is_found_behind_stamps_that_were_counted(rate, stated, chunk):
    found = steady_rate(counted(8, rate, stated, chunk), stated)
    assert found == pytest.approx(rate, rel=0.005)
    assert usual_rate(found) == rate
    assert agrees(found, stated) == (rate / 1.05 < stated < rate * 1.05)


@pytest.mark.parametrize("seconds", [2, 3, 4])
@pytest.mark.parametrize("chunk", [1, 16, 64, 128])
def test_a_short_look_is_right_or_says_nothing(seconds, chunk):
    found = steady_rate(counted(seconds, 128, 256, chunk), 256)
    assert found is None or found == pytest.approx(128, rel=0.02)


@settings(max_examples=100, deadline=None)
@given(at=st.floats(0.05, 0.95), lost_s=st.floats(0.0, 30.0), stated=st.sampled_from([0, 250, 500]))
def test_a_gap_changes_no_rate(at, lost_s, stated):
    stamps = np.arange(2000) / 250
    stamps[int(at * 2000) :] += lost_s
    assert steady_rate(stamps, stated) == pytest.approx(250, rel=0.03)


def test_no_rate_is_found_where_there_is_none():
    rng = np.random.default_rng(0)
    assert steady_rate(np.full(2000, 5.0)) is None  # all stamps equal
    assert steady_rate(np.full(2000, np.nan)) is None
    assert steady_rate(np.cumsum(rng.exponential(0.5, 8)), 250) is None
    assert steady_rate(np.concatenate((np.arange(1000) / 250, 4 + np.arange(500) / 125))) is None  # it changes
    assert steady_rate(np.zeros(0)) is None


def test_a_measured_rate_becomes_the_one_an_amplifier_calls_its_own():
    assert [usual_rate(hz) for hz in (255.6, 249.2, 1003.0, 137.4, 10.5)] == [256, 250, 1000, 137, 10.5]
    assert rate_note("Amp", 128, 255.7, 256) == (
        "Amp states 128 Hz but sends 255.7 samples per second: 256 Hz is used"
    )
    assert "states no sampling rate" in rate_note("Amp", 0, 250.1, 250)


@pytest.mark.parametrize(("rate", "stated"), [(256, 128), (550, 1000), (250, 0)])
def test_stamps_that_were_counted_wrongly_are_spaced_again(rate, stated):
    stamps = spread(counted(800 / rate, rate, stated, 16, jitter_s=0.0), stated, rate)
    np.testing.assert_allclose(np.diff(stamps), 1 / rate, atol=1e-6)


def test_measured_stamps_stay_as_they_are():
    stamps = np.cumsum(np.random.default_rng(0).uniform(0.003, 0.005, 500))
    assert spread(stamps, 128, 250) is stamps


def test_gaps_all_over_jittery_stamps_are_no_slower_rate():
    rng = np.random.default_rng(3)
    stamps = np.arange(2100) / 500 + 2e-3 * rng.uniform(-1, 1, 2100)
    for row, missing in ((163, 157), (816, 142), (1372, 149), (1900, 150)):
        stamps[row:] += missing / 500
    assert steady_rate(stamps, 500) == 500
