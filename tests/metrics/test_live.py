import numpy as np
import pytest

from bci_music.metrics.live import LiveGauge, above_chance, chance_words
from bci_music.status import Identification

SONGS = [f"song-{i}" for i in range(14)]


def run(gauge, signal, seed, n=238):
    rng = np.random.default_rng(seed)
    prototypes = gauge._prototypes
    for index in range(n):
        song = index // 17
        vector = signal * prototypes[song] + rng.standard_normal(prototypes.shape[1])
        gauge.add(index, vector, SONGS[song])


@pytest.fixture
def gauge():
    return LiveGauge(SONGS, np.random.default_rng(0).standard_normal((14, 512)), window_s=4.0, hop_s=0.5)


def test_a_deciding_brain_is_reported_in_words(gauge):
    run(gauge, 0.2, seed=1)
    found = gauge.identification(refresh=True)
    assert found.n == 30  # 238 hops, one window of 8 hops each
    assert found.p < 0.01
    assert found.ci95[0] > found.chance == pytest.approx(1 / 14)
    assert gauge.words() == f"yes, {found.hits} of 30 windows found the song, chance 2"


def test_noise_is_not_called_a_finding(gauge):
    run(gauge, 0.0, seed=2)
    assert gauge.words().startswith("not shown: ")


def test_early_and_unmarked_listening_claims_nothing(gauge):
    assert gauge.words() == "cannot tell: nothing is marked as heard"
    run(gauge, 1.0, seed=3, n=20)
    assert gauge.words().startswith("too early: 3 of 3 windows")
    other = LiveGauge(SONGS, np.eye(14))
    other.add(0, np.eye(14)[0], None)
    other.add(1, np.eye(14)[0], "a song that is no candidate")
    assert other.identification() is None


def test_skipped_windows_leave_their_place_empty(gauge):
    rng = np.random.default_rng(4)
    for index in range(100, 300):
        if not 150 <= index < 190:
            gauge.add(index, gauge._prototypes[index % 14] + 0.1 * rng.standard_normal(512), SONGS[index % 14])
    assert gauge.identification(refresh=True).n == 20
    assert gauge.n_windows == 160


def test_the_answer_is_worked_out_once_per_window_length(gauge):
    run(gauge, 1.0, seed=5, n=64)
    assert gauge.identification() is gauge.identification()


def test_words_for_tiny_chance():
    found = Identification("", 1000, 3, 40, 0.001, (0.02, 0.2), 0.001, 0.001)
    assert chance_words(found) == "yes, 3 of 40 windows found the song, chance below 1"


@pytest.mark.parametrize(("n", "low", "p", "text"), [
    (40, 0.2, 0.01, True), (40, 0.2, 0.049, True), (40, 0.2, float("nan"), True),  # not known yet: while it runs
    (40, 0.2, 0.06, False), (40, 0.05, 0.01, False), (7, 0.2, 0.01, False),
])  # fmt: skip
def test_window_and_report_say_yes_by_the_same_rule(n, low, p, text):
    assert above_chance(Identification("", 14, n // 2, n, 1 / 14, (low, 0.9), 0.07, p)) is text
