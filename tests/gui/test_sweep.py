import numpy as np
import pytest

from bci_music.messages import BREAK, FILLED, HOLE
from gui.widgets.sweep import Sweep

RATE = 250.0
WIDTH = 400


def push(sweep, samples, cuts=(), flags=None, times=None):
    n = len(samples)
    flags = np.zeros(n, np.uint8) if flags is None else flags
    times = np.arange(n) / sweep.sfreq_hz if times is None else times
    for a, b in zip((0, *cuts), (*cuts, n), strict=True):
        sweep.push(samples[a:b].astype(np.float32), times[a:b], flags[a:b])
    return sweep


def everything(sweep):
    return sweep.columns(0, sweep.complete(WIDTH), WIDTH)


def noise(n=1200, channels=5, seed=1):
    return np.random.default_rng(seed).normal(size=(n, channels)) * 20 + 3000


@pytest.mark.parametrize("cuts", [(1,), (7, 8, 9, 500), tuple(range(16, 1200, 16))])
def test_columns_do_not_depend_on_how_the_stream_is_cut(cuts):
    flags = np.zeros(1200, np.uint8)
    flags[300:350] = HOLE
    flags[700] = BREAK
    whole = everything(push(Sweep(5, RATE), noise(), flags=flags))
    parts = everything(push(Sweep(5, RATE), noise(), cuts, flags=flags))
    np.testing.assert_array_equal(whole.low, parts.low)
    np.testing.assert_array_equal(whole.high, parts.high)


def test_offset_of_millivolts_is_gone_from_the_first_sample():
    columns = everything(push(Sweep(5, RATE), np.full((1000, 5), 40_000.0)))
    assert np.abs(columns.high).max() < 0.1


def test_slow_rhythm_keeps_its_size_and_mains_does_not():
    t = np.arange(5000) / 1000.0
    alpha, mains = np.sin(2 * np.pi * 10 * t), np.sin(2 * np.pi * 50 * t)
    columns = everything(push(Sweep(2, 1000.0), 50 * np.stack([alpha, mains], axis=1)))
    size = (columns.high - columns.low)[-100:].max(axis=0)
    reach = columns.high[-100:].max(axis=0)
    assert reach[0] == pytest.approx(50, rel=0.1)
    assert size[1] < 0.5 * 100


def test_hole_and_nan_are_gaps_and_filled_samples_are_not():
    samples, flags = noise(), np.zeros(1200, np.uint8)
    flags[400:500] = HOLE
    flags[800:810] = FILLED
    samples[600:700, 2] = np.nan
    columns = everything(push(Sweep(5, RATE), samples, flags=flags))
    per_column = 10 * RATE / WIDTH
    inside = slice(int(400 / per_column) + 2, int(500 / per_column) - 1)
    assert np.isnan(columns.low[inside]).all()
    dead = slice(int(600 / per_column) + 2, int(700 / per_column) - 1)
    assert np.isnan(columns.high[dead, 2]).all()
    assert np.isfinite(columns.high[dead][:, [0, 1, 3, 4]]).all()
    assert np.isfinite(columns.high[int(800 / per_column) :]).all()


def test_break_leaves_the_missing_time_empty_and_starts_settled():
    samples = np.vstack([np.zeros((500, 1)), np.full((500, 1), 9000.0)])
    times = np.concatenate([np.arange(500), np.arange(1000, 1500)]) / RATE  # 2 s are missing
    flags = np.zeros(1000, np.uint8)
    flags[500] = BREAK
    sweep = push(Sweep(1, RATE), samples, flags=flags, times=times)
    assert sweep.head == 1500
    columns = everything(sweep)
    per_column = 10 * RATE / WIDTH
    assert np.isnan(columns.low[int(500 / per_column) + 2 : int(1000 / per_column) - 1]).all()
    assert np.nanmax(columns.high) < 1.0


def test_break_longer_than_the_sweep_empties_it():
    samples, flags = noise(2000, 1), np.zeros(2000, np.uint8)
    times = np.arange(2000) / RATE
    times[1500:] += 60
    flags[1500] = BREAK
    sweep = push(Sweep(1, RATE), samples, flags=flags, times=times)
    done = sweep.complete(WIDTH)
    columns = sweep.columns(done - WIDTH + 20, done, WIDTH)
    n_new = int(500 / (10 * RATE / WIDTH))
    assert np.isfinite(columns.high[-n_new + 1 :]).all()
    assert np.isnan(columns.high[: -n_new - 1]).all()


def test_single_sample_spike_is_never_lost():
    samples = np.zeros((4000, 1))
    samples[3333] = 5000.0
    columns = everything(push(Sweep(1, 1000.0), samples))
    assert columns.high.max() > 50


@pytest.mark.parametrize("rate", [20.0, 160.0, 1000.0, 4000.0])
def test_columns_are_complete_when_their_samples_are_there(rate):
    sweep = Sweep(1, rate)
    for n in (1, 3, 50, 7):
        push(sweep, np.ones((n, 1)))
        done = sweep.complete(WIDTH)
        assert sweep._edge(done, WIDTH) <= sweep.head < sweep._edge(done + 1, WIDTH)


def test_spread_is_two_standard_deviations():
    rng = np.random.default_rng(0)
    sweep = push(Sweep(3, 100.0), np.cumsum(rng.normal(size=(3000, 3)), axis=0))
    shown = sweep._history[np.isfinite(sweep._history).all(axis=1)]
    assert sweep.spread_uv(10.0) == pytest.approx(2 * shown.std(), rel=0.3)
    assert np.isnan(Sweep(3, 100.0).spread_uv())
