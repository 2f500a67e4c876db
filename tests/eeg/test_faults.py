"""Ten kinds of faults injected into simulated EEG of 125 electrodes: found, named, and beside PREP's own verdicts."""

import warnings

import numpy as np
import pytest

from bci_music.eeg.montage import Montage
from bci_music.eeg.quality import QualityConfig, QualityMonitor
from bci_music.messages import ChannelState, Quality
from bci_music.simulate.background import BackgroundConfig
from bci_music.simulate.listener import ListenerConfig, SimulatedListener

RATE = 500.0
SECONDS = 24.0
FAULTS = {  # kind: what the verdict must speak of
    "no numbers": "no numbers", "flat": "flat line", "repeats": "drops out", "railed": "limit", "mains": "mains",
    "loud": "amplitude", "high": "noise above 52 Hz", "unrelated": "agrees with no other", "drifts": "drifts",
    "bridged": "the same signal as",
}  # fmt: skip
PREP_SEES = ("no numbers", "flat", "loud", "high", "unrelated")  # the other measures are none of PREP's


def clean(seed: int, seconds: float = SECONDS, sfreq_hz: float = RATE) -> np.ndarray:
    """Background EEG of a simulated listener without bad electrodes, with little mains and an amplifier's offsets."""
    config = ListenerConfig(background=BackgroundConfig(min_bad=0, max_bad=0, mains_uv=0.5))
    rng = np.random.default_rng([seed, 7])
    background = SimulatedListener(seed, config=config).background(1)
    n = int(seconds * sfreq_hz)
    eeg = background.noise(n, sfreq_hz, rng) + background.mains(0, n, sfreq_hz)
    return (eeg + 3000 * rng.standard_normal(eeg.shape[1])).astype(np.float32)


def inject(samples: np.ndarray, seed: int, each: int = 2) -> tuple[np.ndarray, dict[int, str]]:
    """`each` electrodes of every kind; returns the spoiled EEG and the kind by channel (a bridge spoils two)."""
    rng = np.random.default_rng([seed, 8])
    out, n = samples.copy(), len(samples)
    t = np.arange(n) / RATE
    far = rng.permutation(samples.shape[1] - 1)
    truth: dict[int, str] = {}
    unlike = clean(seed + 1000)
    for i, kind in enumerate(np.repeat(list(FAULTS), each)):
        at = int(far[i])
        x = samples[:, at].astype(float)
        still = x - x.mean()
        held = np.where(t % 1.0 < 0.25, np.floor(t) * RATE, np.arange(n)).astype(int)
        if kind == "bridged":
            partner = int(far[-1 - i])
            truth[partner] = kind
            x = out[:, partner] + 0.2 * rng.standard_normal(n)
        out[:, at] = {
            "no numbers": lambda x=x: np.where(np.arange(n) % 97 == 0, np.nan, x),
            "flat": lambda x=x: np.full(n, x[0]),
            "repeats": lambda x=x, held=held: x[held],
            "railed": lambda x=x, still=still: x.mean() + np.clip(20 * still, -200, 200),
            "mains": lambda x=x: x + 30 * np.sin(2 * np.pi * 50 * t),
            "loud": lambda x=x, still=still: x + 9 * still,
            "high": lambda x=x: x + 25 * rng.standard_normal(n),
            "unrelated": lambda at=at: 3000 + unlike[:, (at + 60) % 124],
            "drifts": lambda x=x: x + 900 * np.sin(2 * np.pi * 0.15 * t),
            "bridged": lambda x=x: x,
        }[kind]()
        truth[at] = str(kind)
    return out, truth


def verdicts(samples: np.ndarray) -> list[Quality]:
    montage = Montage.nmed()
    monitor = QualityMonitor(QualityConfig(), montage.names, RATE, positions_m=montage.positions_m)
    n = len(samples)
    return monitor.process(samples, np.arange(n) / RATE, np.zeros(n, np.uint8), 0)


def f1(found: set[int], truth: set[int]) -> float:
    return 2 * len(found & truth) / max(len(found) + len(truth), 1)


@pytest.fixture(scope="module")
def spoiled():
    return [inject(clean(seed), seed) for seed in (1, 2)]


def test_ten_kinds_of_faults_are_found_and_named(spoiled):
    for samples, truth in spoiled:
        last = verdicts(samples)[-1].channels
        found = {i for i, c in enumerate(last) if c.state in (ChannelState.BAD, ChannelState.DOUBTFUL)}
        assert f1(found, set(truth)) >= 0.9, (sorted(found - set(truth)), [truth[i] for i in set(truth) - found])
        named = [any(FAULTS[kind] in reason for reason in last[i].reasons) for i, kind in truth.items()]
        assert np.mean(named) >= 0.9, [(kind, last[i].reasons) for i, kind in truth.items()]
        for i in found:
            for finding in last[i].findings:
                assert finding.reason
                assert finding.remedy
                assert np.isfinite([finding.value, finding.limit]).all()


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_faults_are_found_on_seeds_that_no_limit_was_set_on():
    """Seeds 501 to 530: mean .987, least .955, kinds found 659 of 660, when they were looked at first."""
    found_f1 = []
    for seed in range(501, 531):
        samples, truth = inject(clean(seed), seed)
        last = verdicts(samples)[-1].channels
        found = {i for i, c in enumerate(last) if c.state in (ChannelState.BAD, ChannelState.DOUBTFUL)}
        found_f1.append(f1(found, set(truth)))
    assert min(found_f1) >= 0.9
    assert np.mean(found_f1) >= 0.97


def test_prep_finds_the_same_faults_where_it_looks_for_them(spoiled):
    """pyprep assesses the recording afterwards, this program while it comes: on PREP's own kinds they agree."""
    compare_with_prep(*spoiled[0])


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [501, 502, 503])
def test_prep_agrees_on_seeds_that_no_limit_was_set_on(seed):
    compare_with_prep(*inject(clean(seed), seed))


def compare_with_prep(samples, truth):
    prep = pytest.importorskip("pyprep", reason="pyprep is not installed: pip install bci-music[prep]")
    import mne

    spared = np.array([i for i in range(125) if truth.get(i, PREP_SEES[0]) in PREP_SEES])
    eeg = samples[:, spared]
    montage = Montage.nmed()
    names = [montage.names[i] for i in spared]
    raw = mne.io.RawArray(eeg.T.astype(float) * 1e-6, mne.create_info(names, RATE, "eeg"), verbose="error")
    places = dict(zip(names, montage.positions_m[spared], strict=True))
    raw.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"), verbose="error")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        noisy = prep.NoisyChannels(raw, random_state=1)
        noisy.find_all_bads(ransac=True)
    theirs = {montage.names.index(name) for name in noisy.get_bads()}
    ours = {
        i for i, c in enumerate(verdicts(samples)[-1].channels)
        if i in spared and c.state in (ChannelState.BAD, ChannelState.DOUBTFUL)
    }
    faulty = set(truth) & set(spared.tolist())
    assert f1(ours, faulty) >= 0.9
    assert f1(ours, faulty) >= f1(theirs, faulty)
    assert f1(ours, theirs) >= 0.9


def test_clean_eeg_is_doubted_at_most_once_per_channel_in_ten_seconds():
    for seed in (3, 4):
        states = np.array([[c.state.value for c in q.channels] for q in verdicts(clean(seed, 44.0))])
        settled = states[8:]
        trusted = settled == "good"
        changes = trusted[:-1] & ~trusted[1:]  # doubt comes: how often it does, not that it goes again
        in_ten_seconds = np.stack([changes[i : i + 20].sum(axis=0) for i in range(len(changes) - 19)])
        assert in_ten_seconds.max() <= 1
        assert changes.sum() <= 0.1 * 125
        assert (settled[-1] == "good").mean() >= 0.97
