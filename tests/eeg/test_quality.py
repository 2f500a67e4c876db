"""Channel quality: planted defects are found and named, clean EEG is left in peace."""


import numpy as np
import pytest

from bci_music.eeg.quality import QualityConfig, QualityMonitor
from bci_music.messages import BREAK, HOLE, ChannelState, Quality

RATE = 250.0


def simulated(seconds: float, n_channels: int = 24, sfreq_hz: float = RATE, seed: int = 0) -> np.ndarray:
    """Simulated EEG (n, n_channels) in µV: 1/f noise of some 15 µV and a little mains on a large offset."""
    rng = np.random.default_rng(seed)
    n = int(seconds * sfreq_hz)
    spectrum = np.fft.rfft(rng.standard_normal((n, n_channels)), axis=0)
    spectrum /= np.maximum(np.fft.rfftfreq(n, 1 / sfreq_hz), 1.0)[:, None] ** 0.5
    noise = np.fft.irfft(spectrum, n, axis=0)
    mains = np.sin(2 * np.pi * 50 * np.arange(n) / sfreq_hz)[:, None] * rng.uniform(0.3, 1, n_channels)
    return (15 * noise / noise.std(axis=0) + mains + 2e4 * rng.standard_normal(n_channels)).astype(np.float32)


def watch(samples: np.ndarray, sfreq_hz: float = RATE, flags=None, **config) -> list[Quality]:
    n, n_channels = samples.shape
    monitor = QualityMonitor(QualityConfig.parse(config), [f"C{i}" for i in range(n_channels)], sfreq_hz)
    flags = np.zeros(n, np.uint8) if flags is None else flags
    return monitor.process(samples, np.arange(n) / sfreq_hz, flags, 0)


def plant(kind: str, x: np.ndarray, sfreq_hz: float, rng: np.random.Generator) -> np.ndarray:
    """A copy of one channel (n,) with one defect."""
    n, t = len(x), np.arange(len(x)) / sfreq_hz
    second = (t % 1.0) < 0.25
    return np.asarray({
        "nan": lambda: np.where(np.arange(n) % 40 == 0, np.nan, x),
        "flat": lambda: np.full(n, x[0]),
        "zero": lambda: np.zeros(n),
        "railed": lambda: np.clip(20 * (x - x.mean()), -200, 200),
        "mains50": lambda: x + 30 * np.sin(2 * np.pi * 50 * t),
        "mains60": lambda: x + 25 * np.sin(2 * np.pi * 59.97 * t + 1),
        "noise": lambda: x + 200 * rng.standard_normal(n),
        "loud": lambda: x + 7 * (x - x.mean()),
        "weak": lambda: x.mean() + 0.005 * (x - x.mean()),
        "dropout": lambda: np.where(second, 0.0, x),
        "held": lambda: x[np.where(second, np.floor(t) * sfreq_hz, np.arange(n)).astype(int)],
    }[kind](), np.float32)


WORDS = {
    "nan": "no numbers", "flat": "flat line", "zero": "flat line", "railed": "limit", "mains50": "mains",
    "mains60": "mains", "noise": "amplitude", "loud": "amplitude", "weak": "range of only", "dropout": "drops out",
    "held": "drops out",
}


@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize("sfreq_hz", [125.0, 160.0, 1000.0])
def test_each_defect_is_found_within_three_seconds_and_named(kind, sfreq_hz):
    samples = simulated(14, sfreq_hz=sfreq_hz)
    start = int(6 * sfreq_hz)
    samples[start:, 5] = plant(kind, samples[start:, 5], sfreq_hz, np.random.default_rng(1))
    verdicts = watch(samples, sfreq_hz)
    states = [(q.time_s, q.channels[5].state) for q in verdicts]
    assert all(state == ChannelState.GOOD for time_s, state in states if 3 < time_s < 6)
    assert all(state == ChannelState.BAD for time_s, state in states if time_s > 9.5)
    assert any(WORDS[kind] in reason for reason in verdicts[-1].channels[5].reasons)
    others = [c for q in verdicts[6:] for i, c in enumerate(q.channels) if i != 5]
    assert all(c.state == ChannelState.GOOD for c in others)
    assert all(not c.reasons for c in others)


def test_no_numbers_are_bad_at_the_next_verdict():
    samples = simulated(8)
    samples[int(5.2 * RATE), 3] = np.nan
    verdicts = watch(samples)
    assert [q.channels[3].state for q in verdicts if q.time_s > 5.2] == [ChannelState.BAD] * 6
    assert verdicts[9].channels[3].state == ChannelState.GOOD


def test_a_fixed_channel_is_good_again_after_five_seconds_not_sooner():
    samples = simulated(24)
    samples[int(4 * RATE) : int(10 * RATE), 2] = 7.0
    states = {q.time_s: q.channels[2] for q in watch(samples)}
    assert all(v.state == ChannelState.BAD for t, v in states.items() if 6.6 < t < 15)
    assert all(v.state == ChannelState.GOOD for t, v in states.items() if t > 19)
    assert all(v.reasons for v in states.values() if v.state == ChannelState.BAD)


def test_everything_is_unknown_until_there_is_enough_to_assess():
    states = [q.channels[0].state for q in watch(simulated(6))]
    assert states[:4] == [ChannelState.UNKNOWN] * 4
    assert states[4:] == [ChannelState.GOOD] * (len(states) - 4)


def test_the_reference_may_be_zero_but_not_die():
    samples = simulated(10)
    samples[:, 7] = 0.0
    monitor = QualityMonitor(QualityConfig(), [f"C{i}" for i in range(24)], RATE, reference=7)
    last = monitor.process(samples, np.arange(len(samples)) / RATE, np.zeros(len(samples), np.uint8), 0)[-1]
    assert last.channels[7].state == ChannelState.GOOD
    assert "reference" in last.channels[7].reasons[0]
    samples[: int(4 * RATE), 7] = simulated(4, 1)[:, 0]
    monitor = QualityMonitor(QualityConfig(), [f"C{i}" for i in range(24)], RATE, reference=7)
    last = monitor.process(samples, np.arange(len(samples)) / RATE, np.zeros(len(samples), np.uint8), 0)[-1]
    assert last.channels[7].state == ChannelState.BAD


def test_a_reference_that_moves_speaks_against_no_channel():
    samples = simulated(10)
    t = np.arange(len(samples)) / RATE
    samples += (1500 * np.sin(2 * np.pi * 0.3 * t) + 300 * np.sin(2 * np.pi * 3 * t))[:, None].astype(np.float32)
    assert {c.state for c in watch(samples)[-1].channels} == {ChannelState.GOOD}


def test_known_full_scale_tells_saturation_from_a_flat_line():
    samples = simulated(10)
    samples[:, 4] = 187_500.0
    assert watch(samples)[-1].channels[4].reasons[0].startswith("flat line")
    last = watch(samples, limits={"full_scale_uv": 187_500.0})[-1].channels[4]
    assert last.state == ChannelState.BAD
    assert last.reasons[0].startswith("at its limit 100 %")


def test_mains_on_all_channels_is_not_held_against_one():
    samples = simulated(10)
    samples += 20 * np.sin(2 * np.pi * 50 * np.arange(len(samples)) / RATE)[:, None].astype(np.float32)
    assert watch(samples)[-1].n_usable == 24
    samples *= np.float32(1)
    samples += 80 * np.sin(2 * np.pi * 50 * np.arange(len(samples)) / RATE)[:, None].astype(np.float32)
    last = watch(samples)[-1]
    assert {c.state for c in last.channels} == {ChannelState.DOUBTFUL}
    assert "ground" in last.channels[0].reasons[0]


@pytest.mark.parametrize("sfreq_hz", [20.0, 50.0, 100.0])
def test_slow_streams_can_be_monitored(sfreq_hz):
    samples = simulated(20, sfreq_hz=sfreq_hz)
    samples[:, 1] = 3.0
    last = watch(samples, sfreq_hz)[-1]
    assert last.channels[1].state == ChannelState.BAD
    assert last.n_usable == 23


def test_any_cutting_gives_the_same_verdicts():
    samples = simulated(9)
    samples[700:900, 3] = np.nan
    flags = np.zeros(len(samples), np.uint8)
    flags[1111] = BREAK
    flags[1300:1320] = HOLE
    whole = watch(samples, flags=flags)
    monitor = QualityMonitor(QualityConfig(), [f"C{i}" for i in range(24)], RATE)
    pieces, i = [], 0
    for size in np.random.default_rng(0).integers(1, 90, 200):
        part = slice(i, i + size)
        pieces += monitor.process(samples[part], (np.arange(len(samples)) / RATE)[part], flags[part], i)
        i += size
    assert repr(pieces) == repr(whole)


def test_data_that_never_came_change_no_verdict():
    samples = simulated(14)
    flags = np.zeros(len(samples), np.uint8)
    gone = slice(int(6 * RATE), int(10 * RATE))
    samples[gone], flags[gone] = 0.0, HOLE
    assert all(c.state == ChannelState.GOOD for q in watch(samples, flags=flags)[5:] for c in q.channels)


def real(path) -> tuple[np.ndarray, float, list[str]]:
    import mne

    raw = mne.io.read_raw_edf(path, verbose="error")
    return (raw.get_data().T * 1e6).astype(np.float32), float(raw.info["sfreq"]), raw.ch_names


def test_planted_defects_in_real_eeg_are_found(shared_data):
    rng = np.random.default_rng(0)
    hits = misses = false = 0
    for path in sorted((shared_data / "eeg" / "physionet").glob("*.edf")):
        samples, sfreq_hz, names = real(path)
        start = int(rng.integers(0, 100) * sfreq_hz)
        samples = samples[start : start + int(20 * sfreq_hz)].copy()
        planted = rng.choice(len(names), 10, replace=False)
        for channel, kind in zip(planted, rng.choice(list(WORDS), 10), strict=True):
            samples[:, channel] = plant(str(kind), samples[:, channel], sfreq_hz, rng)
        last = watch(samples, sfreq_hz)[-1]
        bad = {i for i, c in enumerate(last.channels) if c.state == ChannelState.BAD}
        hits += len(bad & set(planted.tolist()))
        false += len(bad - set(planted.tolist()))
        misses += len(set(planted.tolist()) - bad)
    assert 2 * hits / (2 * hits + false + misses) >= 0.9


@pytest.mark.learning
def test_clean_real_eeg_rarely_changes_its_verdicts(shared_data):
    changes = seconds = 0.0
    for path in sorted((shared_data / "eeg" / "physionet").glob("*.edf")):
        samples, sfreq_hz, _ = real(path)
        states = np.array([[c.state.value for c in q.channels] for q in watch(samples, sfreq_hz)])
        changes += ((states[1:] != states[:-1]) & (states[:-1] != "unknown")).sum()  # of all 64 channels together
        seconds += len(samples) / sfreq_hz
    assert changes / seconds <= 0.05
