"""Gaps, bursts, backwards stamps and duplicates from stamps alone."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.messages import BREAK, BURST, FILLED, HOLE
from bci_music.timing.stamps import StampGrid, filler_flag


@dataclass
class Stamped:
    flags: np.ndarray
    missing: np.ndarray
    dropped: np.ndarray
    kinds: list
    grid: StampGrid


def stamped(times, rate, cuts=()):
    """Everything the grid says: flags of the rows, missing samples before each, dropped rows, and kinds."""
    grid = StampGrid(rate)
    pieces = []
    for part in np.split(times, sorted(cuts)):
        pieces += grid.accept(part)
    pieces += grid.flush()
    flags, missing = np.zeros(len(times), np.uint8), np.zeros(len(times), int)
    dropped, kinds, at = np.zeros(len(times), bool), [], 0
    for piece in pieces:
        flags[at : at + piece.n] |= piece.every
        flags[at] |= piece.first
        missing[at] = piece.missing
        dropped[at : at + piece.n] = piece.dropped
        kinds += [(piece.kind, at)] if piece.kind else []
        at += piece.n
    assert at == len(times)
    return Stamped(flags, missing, dropped, kinds, grid)


def clean(n, rate, start_s=1000.0):
    return start_s + np.arange(n) / rate


@settings(max_examples=60, deadline=None)
@given(
    rate=st.sampled_from([125, 160, 250, 512, 1000, 4000]),
    share=st.floats(0.0, 0.1),
    runs=st.lists(st.integers(1, 3000), max_size=4),
    ppm=st.floats(-200, 200),
    seed=st.integers(0, 10_000),
)
def test_dropped_samples_are_counted_exactly_and_in_place(rate, share, runs, ppm, seed):
    rng = np.random.default_rng(seed)
    n = 4 * rate + sum(runs)
    keep = rng.random(n) >= share
    for run in runs:
        at = rng.integers(1, n - run - 1)
        keep[at : at + run] = False
    keep[0] = True
    times = (1000.0 + np.arange(n) / (rate * (1 + 1e-6 * ppm)))[keep]
    kept = np.flatnonzero(keep)
    expected = np.concatenate(([0], np.diff(kept) - 1))
    verdict = stamped(times, rate)
    # A clock that is off by 200 ppm hides or adds one sample in a gap of 5000; none of these is longer by far.
    np.testing.assert_allclose(verdict.missing, expected, atol=0 if max([0, *expected]) * abs(ppm) < 4e5 else 1)
    assert not verdict.dropped.any()
    long = expected > 0.25 * rate
    assert (verdict.flags[long] == BREAK).all()
    assert not verdict.flags[~long].any()


SHAPES = ["drops", "jitter", "stall", "glitch", "wild"]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 10_000), kind=st.sampled_from(SHAPES))
def test_any_chunking_gives_the_same_verdicts(data, seed, kind):
    rng = np.random.default_rng(seed)
    rate, n = 250, 2000
    times = clean(n, rate)
    if kind == "drops":
        times = times[rng.random(n) > 0.03]
    elif kind == "jitter":
        times = times + np.repeat(rng.uniform(0, 0.02, n // 10), 10)
    elif kind == "stall":
        times[900:1400] = times[1400] + np.sort(rng.uniform(0, 0.03, 500))
    elif kind == "glitch":
        times[rng.integers(200, n, 5)] += rng.normal(0, 0.3, 5)
    else:
        times = times + rng.normal(0, 0.02, n) * (rng.random(n) < 0.05)
        times[1200:] -= 3.0
    cuts = data.draw(st.lists(st.integers(0, len(times)), max_size=40))
    whole, parts = stamped(times, rate), stamped(times, rate, cuts)
    for name in ("flags", "missing", "dropped"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
    assert whole.kinds == parts.kinds
    assert whole.grid.rate_hz == parts.grid.rate_hz
    assert whole.grid.jitter_s == parts.grid.jitter_s


@pytest.mark.parametrize("jitter_ms", [0.2, 1, 5, 30])
@pytest.mark.parametrize("packet", [1, 8, 20])
@pytest.mark.parametrize("ppm", [-300, 0, 300])
def test_jittered_stamps_are_no_gaps(jitter_ms, packet, ppm):
    rng = np.random.default_rng(packet)
    rate, n = 500, 30_000
    late = np.repeat(rng.uniform(0, jitter_ms / 1000, n // packet + 1), packet)[:n]
    verdict = stamped(clean(n, rate * (1 + ppm * 1e-6)) + late, rate)
    assert verdict.kinds == []
    assert not verdict.flags.any()


def test_packets_whose_samples_share_one_stamp_are_neither_bursts_nor_duplicates():
    rate, packet, n = 256, 12, 8000
    times = clean(n, rate)[np.arange(n) // packet * packet]
    assert stamped(times, rate).kinds == []


def test_a_late_packet_of_a_jittery_stream_is_no_gap_and_a_lost_one_is():
    rng = np.random.default_rng(1)
    rate, packet, n = 500, 10, 10_000
    late = np.repeat(rng.uniform(0, 0.004, n // packet), packet)
    times = clean(n, rate) + late
    late_packet = times.copy()
    late_packet[5000:5010] += 0.06
    late_packet[5010:5020] += 0.04
    assert stamped(late_packet, rate).kinds == []
    lost_packets = np.delete(times, slice(5000, 5040))
    verdict = stamped(lost_packets, rate)
    assert verdict.kinds == [("gap", 5000)]
    assert verdict.missing.sum() == pytest.approx(40, abs=2)


@pytest.mark.parametrize("lost", [0, 1500])
def test_a_burst_after_a_stall_is_flagged_until_stamps_are_true_again(lost):
    rate, pause = 500, 2000
    before = clean(3000, rate)
    resumed_s = before[-1] + pause / rate
    burst = resumed_s + np.linspace(0, 0.02, pause - lost)
    after = burst[-1] + np.arange(1, 2000) / rate
    verdict = stamped(np.concatenate((before, burst, after)), rate)
    flags, kinds = verdict.flags, verdict.kinds
    first, last = 3000, 3000 + len(burst)
    assert [k for k, _ in kinds] == ["gap", "burst", "resume"]
    assert flags[first] & BREAK
    assert (flags[first + 1 : last] & BURST).all()
    resumed = kinds[-1][1]
    assert last <= resumed <= last + 0.15 * rate
    assert flags[resumed] == BREAK
    assert not flags[:first].any()
    assert not flags[resumed + 1 :].any()


def test_a_held_up_sender_does_not_end_its_burst():
    rate = 1000
    before = clean(3000, rate)
    stamps = before[-1] + 3.0 + np.linspace(0, 0.04, 2000)
    stamps[700:] += 0.04  # the sending process lost the processor for a moment
    verdict = stamped(np.concatenate((before, stamps, stamps[-1] + np.arange(1, 1000) / rate)), rate)
    assert (verdict.flags[3001:5000] & BURST).all()


def test_a_clock_set_back_is_a_break_with_the_rest_untouched():
    times = clean(4000, 250)
    times[2000:] -= 37.0
    verdict = stamped(times, 250)
    assert verdict.kinds == [("backwards", 2000)]
    assert verdict.flags[2000] == BREAK
    assert verdict.flags.astype(bool).sum() == 1


def test_one_stray_stamp_is_a_backwards_stamp_and_gaps_stay_exact_after_it():
    times = clean(3000, 250)
    times[1000] -= 0.1
    times = np.delete(times, [1100, 1101])
    verdict = stamped(times, 250)
    assert verdict.kinds == [("backwards", 1000), ("gap", 1100)]
    assert verdict.missing.sum() == 2
    assert not verdict.dropped.any()


def test_stamps_that_rise_too_slowly_are_early_and_never_backwards():
    times = clean(2000, 250)
    faster = np.concatenate((times, times[-1] + np.arange(1, 1000) / 400))
    assert {kind for kind, _ in stamped(faster, 250).kinds} == {"early"}
    stray = times.copy()
    stray[1000] = stray[999] + 0.0005
    assert stamped(stray, 250).kinds == [("early", 1000)]


@pytest.mark.parametrize("repeats", [1, 3])
def test_repeated_rows_are_dropped_from_the_grid(repeats):
    times = np.insert(clean(3000, 250), [1000] * repeats, clean(3000, 250)[999])
    verdict = stamped(times, 250)
    assert verdict.kinds == [("duplicate", 1000)]
    assert verdict.dropped.sum() == repeats
    assert verdict.dropped[1000]
    assert verdict.missing.sum() == 0


def test_a_rate_that_is_not_the_declared_one_is_learnt_and_shown():
    for real in (245.0, 250.02, 262.0):
        verdict = stamped(clean(15_000, real), 250)
        assert verdict.kinds == []
        assert verdict.grid.rate_hz == pytest.approx(real, rel=1e-4)
        assert verdict.grid.drift == pytest.approx(real / 250 - 1, abs=1e-4)


def test_stamps_that_are_no_numbers_do_not_stop_the_grid():
    times = clean(2000, 250)
    times[1000] = np.nan
    assert [k for k, _ in stamped(times, 250).kinds] == ["unstamped"]


@settings(max_examples=40, deadline=None)
@given(
    rate=st.sampled_from([125, 250, 500, 1000]), drift=st.floats(-0.02, 0.02), at=st.floats(0.06, 1.0),
    ramp_s=st.floats(0.0, 10.0), lost=st.sampled_from([0, 1, 5, 200]),
)
def test_a_clock_that_begins_to_drift_makes_no_rows_and_hides_none(rate, drift, at, ramp_s, lost):
    """After the first half second the pace changes by up to 2 %, at once or slowly; a later gap is still found."""
    n = 20 * rate
    row = np.arange(n)
    share = np.clip((row / rate - 10 * at) / max(ramp_s, 1e-9), 0.0, 1.0)
    times = np.cumsum((1 + drift * share) / rate)
    times = np.delete(times, slice(n - 2 * rate, n - 2 * rate + lost))
    verdict = stamped(times, rate)
    assert verdict.missing.sum() == pytest.approx(lost, abs=0.03 * lost)
    assert [kind for kind, _ in verdict.kinds] == ["gap"] * (lost > 0)
    assert (verdict.flags > 0).sum() == (lost > 0.25 * rate)


def test_stamps_jumped_back_only_where_they_fall():
    rising = clean(3000, 250)
    rising[2000:] -= 0.0039  # no sample before its predecessor, yet none in its place
    assert [kind for kind, _ in stamped(rising, 250).kinds] == ["early"]
    falling = clean(3000, 250)
    falling[2000:] -= 0.0061
    assert [kind for kind, _ in stamped(falling, 250).kinds] == ["backwards"]
    fast = np.concatenate((clean(2000, 250), 1008 + np.arange(2000) / 400))  # 1.6 times the rate, from one row on
    kinds = {kind for kind, _ in stamped(fast, 250).kinds}
    assert "early" in kinds
    assert "backwards" not in kinds


@pytest.mark.parametrize(("missing", "flag"), [(1, FILLED), (12, FILLED), (13, HOLE), (62, HOLE), (63, 0)])
def test_what_stands_for_missing_samples(missing, flag):
    assert filler_flag(missing, 250) == flag


def test_a_rate_of_zero_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        StampGrid(0.0)
