import numpy as np
import pytest

from bci_music.metrics.live import LiveGauge

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


def test_windows_that_find_the_song_are_counted(gauge):
    run(gauge, 0.2, seed=1)
    found = gauge.identification(refresh=True)
    assert found.n == 30  # 238 hops, one window of 8 hops each
    assert found.p < 0.01
    assert found.ci95[0] > found.chance == pytest.approx(1 / 14)


def test_noise_is_not_called_a_finding(gauge):
    run(gauge, 0.0, seed=2)
    assert gauge.identification(refresh=True).p > 0.05


def test_early_and_unmarked_listening_claims_nothing(gauge):
    assert gauge.identification() is None
    run(gauge, 1.0, seed=3, n=20)
    found = gauge.identification(refresh=True)
    assert (found.hits, found.n) == (3, 3)
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
