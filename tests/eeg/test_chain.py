"""The signal chain: cut it as you like, stop it and go on, break it: the windows are the same."""

import pickle
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.config import shipped
from bci_music.eeg.chain import SignalChain, SignalConfig
from bci_music.eeg.montage import Montage, map_channels
from bci_music.messages import BREAK, BURST, FILLED, HOLE, Quality, UserError, Window

SMALL = Montage.load("standard1020")


def make(sfreq_hz: float, montage: Montage = SMALL, labels=None, **config) -> SignalChain:
    return SignalChain(SignalConfig.parse(config), montage, map_channels(labels or montage.names, montage), sfreq_hz)


def recording(sfreq_hz: float, seconds: float, n_channels: int = 19, seed: int = 0):
    """Simulated EEG with offsets: samples, times, flags."""
    rng = np.random.default_rng(seed)
    n = int(seconds * sfreq_hz)
    samples = rng.standard_normal((n, n_channels)) * 15 + rng.standard_normal(n_channels) * 5e3
    return samples.astype(np.float32), 50.0 + np.arange(n) / sfreq_hz, np.zeros(n, np.uint8)


def run(chain: SignalChain, samples, times, flags, sizes=(10**9,), first: int = 0) -> list:
    out, i, k = [], 0, 0
    while i < len(samples):
        part = slice(i, i + sizes[k % len(sizes)])
        out += chain.process(samples[part], times[part], flags[part], first + i)
        i, k = part.stop, k + 1
    return out


def windows(out: list) -> list[Window]:
    return [message for message in out if isinstance(message, Window)]


def assert_same(a: list, b: list) -> None:
    assert [type(message) for message in a] == [type(message) for message in b]
    for one, other in zip(a, b, strict=True):
        if isinstance(one, Quality):
            assert repr(one) == repr(other)
            continue
        for field in fields(Window):
            x, y = getattr(one, field.name), getattr(other, field.name)
            assert x.tobytes() == y.tobytes() if isinstance(x, np.ndarray) else x == y, (one.index, field.name)


def damage(draw, samples, times, flags) -> None:
    """Holes, bursts, breaks with lost time and samples that are no numbers, wherever hypothesis wants them."""
    n = len(samples)
    for kind in draw(st.lists(st.sampled_from(["nan", "inf", "hole", "filled", "burst", "break", "back"]), max_size=4)):
        at = draw(st.integers(1, n - 2))
        stop = at + draw(st.integers(1, n // 8))
        channel = draw(st.integers(0, samples.shape[1] - 1))
        if kind in ("nan", "inf"):
            samples[at:stop, channel] = np.nan if kind == "nan" else np.inf
        elif kind in ("break", "back"):
            flags[at] |= BREAK
            times[at:] += draw(st.floats(0.01, 9.0)) if kind == "break" else -3.0
        else:
            flags[at:stop] |= {"hole": HOLE, "filled": FILLED, "burst": BURST}[kind]


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_any_cutting_gives_the_same_windows_and_verdicts_bit_for_bit(data):
    sfreq_hz = data.draw(st.sampled_from([125.0, 128.0, 160.0, 249.87, 500.0, 1000.0]))
    samples, times, flags = recording(sfreq_hz, 9, seed=data.draw(st.integers(0, 99)))
    damage(data.draw, samples, times, flags)
    whole = run(make(sfreq_hz), samples, times, flags)
    sizes = data.draw(st.lists(st.integers(1, int(sfreq_hz)), min_size=1, max_size=6))
    assert_same(whole, run(make(sfreq_hz), samples, times, flags, sizes))
    assert len(windows(whole)) >= 7


@pytest.mark.parametrize("sfreq_hz", [125.0, 249.87, 1000.0])
def test_all_channels_of_the_net_one_row_at_a_time(sfreq_hz):
    samples, times, flags = recording(sfreq_hz, 6, 125)
    samples[100:103, 7] = np.nan
    montage = Montage.nmed()
    whole = run(make(sfreq_hz, montage), samples, times, flags)
    assert_same(whole, run(make(sfreq_hz, montage), samples, times, flags, (1,)))


@settings(max_examples=6, deadline=None)
@given(st.data())
def test_a_saved_state_goes_on_bit_for_bit(data):
    sfreq_hz = data.draw(st.sampled_from([125.0, 160.0, 512.0]))
    samples, times, flags = recording(sfreq_hz, 9)
    damage(data.draw, samples, times, flags)
    cut = data.draw(st.integers(1, len(samples) - 1))
    whole = run(make(sfreq_hz), samples, times, flags)
    first = make(sfreq_hz)
    out = run(first, samples[:cut], times[:cut], flags[:cut], (37,))
    saved = pickle.dumps(first.state())
    run(first, samples[cut:], times[cut:], flags[cut:], first=cut)  # what it does afterwards changes nothing saved
    second = make(sfreq_hz)
    second.restore(pickle.loads(saved))
    out += run(second, samples[cut:], times[cut:], flags[cut:], first=cut)
    assert_same(whole, out)


def test_a_state_of_something_else_is_refused():
    with pytest.raises(ValueError, match="no state of a SignalChain"):
        make(125.0).restore({"x": 1})


@pytest.mark.parametrize("sfreq_hz", [125.0, 249.87])
def test_the_future_never_changes_an_earlier_window(sfreq_hz):
    samples, times, flags = recording(sfreq_hz, 12)
    cut = int(8.1 * sfreq_hz)
    other = samples.copy()
    other[cut:] = np.random.default_rng(9).standard_normal(other[cut:].shape) * 500
    before = [w for w in windows(run(make(sfreq_hz), samples, times, flags)) if w.last_sample < cut]
    also = [w for w in windows(run(make(sfreq_hz), other, times, flags)) if w.last_sample < cut]
    assert len(before) >= 8
    assert_same(before, also)


@pytest.mark.parametrize("sfreq_hz", [125.0, 128.0, 160.0, 249.87, 500.0, 1000.0, 4000.0])
def test_a_click_appears_at_its_time_within_one_sample(sfreq_hz):
    samples, times, flags = recording(sfreq_hz, 11)
    click_s = times[0] + 8.3
    samples[:, 5] += 60 * np.exp(-0.5 * ((times - click_s) / 0.008) ** 2).astype(np.float32)
    found = 0
    for window in windows(run(make(sfreq_hz), samples, times, flags)):
        instants = window.end_s - np.arange(500)[::-1] / 125
        if instants[20] < click_s < instants[-20]:
            near = np.abs(instants - click_s) < 0.1
            assert abs(instants[near][window.samples[5, near].argmax()] - click_s) <= 0.008
            found += 1
    assert found >= 5


def test_windows_keep_coming_with_fresh_times_over_a_break():
    samples, times, flags = recording(250.0, 20)
    at = 2500
    flags[at] = BREAK
    times[at:] += 1.6
    found = windows(run(make(250.0), samples, times, flags, (25,)))
    assert [w.index for w in found] == list(range(len(found)))
    steps = np.diff([w.end_s for w in found])
    np.testing.assert_allclose(steps, 0.5, atol=0.013)
    for window in found[4:]:
        start_s = window.end_s - 499 / 125
        if start_s < times[at] and window.end_s > times[at - 1]:
            assert not window.decodable
        if window.end_s < times[at - 1] - 0.1 or start_s > times[at] + 0.6:
            assert window.decodable
    assert {w.connection for w in found} == {0, 1}
    assert found[-1].decodable


def test_a_long_break_is_at_most_one_window_of_hole():
    samples, times, flags = recording(125.0, 16)
    flags[1000] = BREAK
    times[1000:] += 300.0
    found = windows(run(make(125.0), samples, times, flags))
    assert len(found) == 1 + int((2000 + 500 - 500) / 62.5)
    assert sum(not w.decodable and w.connection == 1 for w in found) <= 18
    assert np.diff([w.end_s for w in found]).max() > 290
    assert found[-1].end_s == pytest.approx(times[-1] - make(125.0).delay_s, abs=0.5)


def test_after_a_break_filters_do_not_know_what_was_before():
    a, times, flags = recording(500.0, 14, seed=1)
    b = a.copy()
    b[:3000] = recording(500.0, 6, seed=2)[0]
    flags[3000] = BREAK
    in_uv = []
    for x in (a, b):
        chain = make(500.0, quality={"enabled": False})
        last = windows(run(chain, x, times, flags))[-1]
        location, spread = chain._windower.scale.now()  # the scale alone remembers
        in_uv.append(last.samples * spread[:, None] + location[:, None])
    np.testing.assert_allclose(*in_uv, atol=1e-3)


def test_rows_that_were_skipped_are_a_break():
    samples, times, flags = recording(250.0, 16)
    outputs = []
    for flag in (0, BREAK):
        flags[2300] = flag
        chain = make(250.0)
        out = run(chain, samples[:2000], times[:2000], flags[:2000])
        outputs.append(out + run(chain, samples[2300:], times[2300:], flags[2300:], first=2300))
    assert_same(*outputs)
    for window in windows(outputs[0]):
        if window.first_sample < 2000 <= window.last_sample:
            assert not window.decodable
    with pytest.raises(ValueError, match="time runs one way"):
        chain.process(samples[:10], times[:10], flags[:10], 0)


@pytest.mark.parametrize(("flag", "decodable"), [(HOLE, False), (BURST, False), (FILLED, True)])
def test_no_window_holds_an_unflagged_hole(flag, decodable):
    samples, times, flags = recording(500.0, 16)
    flags[4000:4020] = flag
    for window in windows(run(make(500.0), samples, times, flags)):
        touches = window.first_sample <= 4019 and window.last_sample >= 4000
        assert bool((window.flags & flag).any()) >= (touches and window.settled)
        if window.index > 3:
            assert window.decodable == (decodable or not touches)


def test_the_zero_reference_of_the_stream_becomes_a_channel_and_is_never_flat():
    montage = Montage.nmed()
    samples, times, flags = recording(250.0, 12, 125)
    samples[:, 124] = 0.0
    chain = make(250.0, montage)
    last = windows(run(chain, samples, times, flags))[-1]
    assert last.used.all()
    assert last.samples[124].std() == pytest.approx(1.0, abs=0.2)
    assert chain.quality is not None
    assert chain.quality.channels[124].state == "good"
    left_out = make(250.0, montage, [f"E{i}" for i in range(1, 125)])
    assert_same([last], [windows(run(left_out, samples[:, :124], times, flags))[-1]])


def test_channels_that_are_no_numbers_are_dropped_at_once():
    samples, times, flags = recording(250.0, 10)
    samples[1501:, 3] = np.nan
    for window in windows(run(make(250.0), samples, times, flags)):
        assert window.used[3] == (window.last_sample < 1501)
        assert window.used[[0, 1, 2, 4]].all()
        assert np.isfinite(window.samples).all()


def test_bad_channels_are_masked_and_come_from_verdicts_before_the_window():
    samples, times, flags = recording(250.0, 30)
    samples[2500:5000, 3] = samples[2500, 3]
    bad_since = None
    for message in run(make(250.0), samples, times, flags):
        if isinstance(message, Quality):
            bad = message.channels[3].state == "bad"
            bad_since = message.sample_index if bad and bad_since is None else bad_since if bad else None
        else:
            assert message.used[3] == (bad_since is None)
            assert message.used.sum() == 19 - (bad_since is not None)
    assert bad_since is None  # and it has come back


def test_absent_electrodes_are_absent():
    labels = [name for name in SMALL.names if name not in ("F3", "O2")]
    samples, times, flags = recording(250.0, 6, len(labels))
    chain = make(250.0, labels=labels)
    last = windows(run(chain, samples, times, flags))[-1]
    gone = [SMALL.names.index(name) for name in ("F3", "O2")]
    assert not last.samples[gone].any()
    assert np.flatnonzero(~last.used).tolist() == sorted(gone)
    assert [chain.quality.channels[i].state for i in gone] == ["absent", "absent"]


def test_verdicts_and_windows_come_in_order_and_on_time():
    samples, times, flags = recording(1000.0, 10)
    out = run(make(1000.0), samples, times, flags)
    seen = [m.sample_index if isinstance(m, Quality) else m.last_sample for m in out]
    assert seen == sorted(seen)
    chain = make(1000.0)
    for i in range(0, 10_000, 20):
        for message in chain.process(samples[i : i + 20], times[i : i + 20], flags[i : i + 20], i):
            if isinstance(message, Window):
                assert times[i + 19] - message.end_s <= chain.delay_s + 0.021 + 0.040


def test_slow_streams_are_refused_with_a_sentence():
    with pytest.raises(UserError, match="bci-music monitor"):
        make(100.0)


def test_quality_can_be_switched_off():
    samples, times, flags = recording(125.0, 8)
    samples[:, 2] = 1.0
    out = run(make(125.0, quality={"enabled": False}), samples, times, flags)
    assert all(isinstance(message, Window) for message in out)
    assert out[-1].used.all()


def test_the_commented_configuration_is_the_default():
    assert SignalConfig.load(shipped("configs/signal.yaml")) == SignalConfig()
