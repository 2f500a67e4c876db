"""Which rate a recording has: what its stamps show, against what its header states."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bci_music.messages import UserError
from bci_music.timing.recorded import recorded_rate


def true_rate(times, stated, where):
    rate, after, note = recorded_rate(times, stated, where)
    assert len(after) == len(times)
    return rate, note


def stamps(hz, seconds=20.0, jitter=0.0, packet=1):
    n = round(hz * seconds)
    rows = np.arange(n) // packet * packet
    return 5.0 + rows / hz + np.random.default_rng(0).uniform(0, jitter, n)


@pytest.mark.parametrize(("stated", "hz"), [(128, 256), (1000, 550), (550, 1000), (250, 200), (0, 250), (500, 600)])
@pytest.mark.parametrize("shape", [{}, {"jitter": 2e-4}, {"packet": 12}])
def test_the_measured_rate_decides_and_is_noted(stated, hz, shape):
    rate, note = true_rate(stamps(hz, **shape), stated, "stream 'amp'")
    assert rate == hz
    assert f"{hz} Hz is used" in note
    assert ("states no sampling rate" if stated == 0 else f"states {stated} Hz") in note


@pytest.mark.parametrize("drift", [0.981, 0.99, 1.0, 1.01, 1.019])
def test_drift_is_left_to_the_stamp_grid(drift):
    assert true_rate(stamps(250 * drift), 250.0, "x") == (250.0, "")


def test_losses_are_gaps_and_no_other_rate():
    rng = np.random.default_rng(1)
    times = stamps(256.0)
    assert true_rate(times[rng.random(len(times)) > 0.25], 256.0, "x") == (256.0, "")
    late = times.copy()
    late[2000:] += 100.0
    late[3000:] += 7.0
    assert true_rate(late, 256.0, "x") == (256.0, "")


def test_many_gaps_hide_no_rate():
    times = stamps(250.0, 60.0)
    for k in range(1, 12):
        times[k * 1250 + 17 * k :] += 3.0
    assert true_rate(times, 0.0, "x")[0] == 250.0
    assert true_rate(times, 500.0, "x")[0] == 250.0


def test_stamps_counted_at_a_wrong_rate_are_spaced_by_the_right_one():
    rows = np.arange(2560)
    end = (rows // 16 + 1) * 16 - 1
    late = np.random.default_rng(0).uniform(0, 2e-3, 160)[rows // 16]
    rate, times, note = recorded_rate(end / 256 + late - (end - rows) / 128, 128.0, "x")
    assert (rate, bool(note)) == (256.0, True)
    assert np.abs(np.diff(times) - 1 / 256).max() < 3e-3


def test_few_rows_leave_the_stated_rate():
    assert true_rate(stamps(100.0)[:20], 50.0, "x") == (50.0, "")
    with pytest.raises(UserError, match="20 samples are too few"):
        true_rate(stamps(100.0)[:20], 0.0, "x")


@pytest.mark.parametrize("stated", [0.0, 250.0])
def test_stamps_that_stand_still_or_settle_nowhere_are_refused_in_a_sentence(stated):
    with pytest.raises(UserError, match="All 500 stamps of stream 'amp' are the same"):
        true_rate(np.full(500, 3.0), stated, "stream 'amp'")
    wild = np.cumsum(np.exp(np.random.default_rng(2).normal(0, 3, 5000)))
    with pytest.raises(UserError, match="The stamps of stream 'amp' run at") as refused:
        true_rate(wild, stated, "stream 'amp'")
    assert "\n" not in str(refused.value)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=80), st.sampled_from([0.0, 100.0]))
def test_any_stamps_give_a_rate_or_a_sentence(times, stated):
    try:
        rate, _ = true_rate(np.array(times, float), stated, "x")
    except UserError:
        return
    assert 0 < rate < 1e6
