"""The bets on the sound's place: every rank as likely where EEG knows nothing, however alike the places are."""

import numpy as np
import pytest

from bci_music.heard.alignment import PLACES, ROWS, AlignmentBets


def smooth(n, k, width, rng):
    """(n, k) noise whose neighbours are alike over `width` rows."""
    kernel = np.hanning(width + 2)[1:-1]
    return np.stack([np.convolve(rng.standard_normal(n + width - 1), kernel, "valid") for _ in range(k)], axis=1)


def run(seed, gain=0.0, blocks=12, sound=None, eeg=None):
    rng = np.random.default_rng(seed)
    mixing, bets = rng.standard_normal((1, 8)), AlignmentBets(seed)
    for number in range(blocks):
        y = smooth(ROWS, 2, 9, rng) if sound is None else sound(number, rng)
        x = smooth(ROWS, 8, 15, rng) if eeg is None else eeg(number, rng)
        x = x / x.std() + gain * np.roll(y[:, :1], 10, axis=0) / y[:, :1].std() @ mixing
        bets.add(x, y)
    return bets


def beat(seed, period):
    """A strict beat that goes on from block to block, whose place no block knows."""
    rng = np.random.default_rng([seed, 1])
    at = rng.uniform(0, 1000)

    def make(number, _):
        t = np.arange(ROWS) + at + number * (ROWS + 20)
        return ((t[:, None] % period) < 6) + 0.1 * rng.random((ROWS, 2))

    return make


def heart(seed, period):
    """A pulse as regular as a heart, over noise."""
    rng = np.random.default_rng([seed, 2])
    state = [rng.uniform(0, 1000)]

    def make(number, _):
        steps = 1 + 0.5 * rng.standard_normal(ROWS + 20)
        t = state[0] + np.cumsum(steps)
        state[0] = t[-1]
        pulse = np.cos(2 * np.pi * t[:ROWS] / period) ** 9
        return pulse[:, None] * np.linspace(1, 2, 8) + smooth(ROWS, 8, 15, rng) / 6

    return make


def test_a_response_is_found_and_its_absence_is_not():
    assert run(1, gain=0.7).bets.shown
    assert run(1, gain=0.7).hits >= 6
    assert run(1).bets.highest < 20


@pytest.mark.parametrize("worlds", [(None, None), (32.0, 32.0)], ids=["noise", "a beat and a heart of its tempo"])
def test_false_alarms_stay_below_their_rate(worlds):
    tempo, pulse = worlds
    runs = [
        run(seed, blocks=8, sound=tempo and beat(seed, tempo), eeg=pulse and heart(seed, pulse)) for seed in range(20)
    ]
    assert sum(bets.bets.shown for bets in runs) <= 4  # 5 % of 20 are 1; more than 4 come in 3 of 1000 such tests
    hits, expected = sum(bets.hits for bets in runs), sum(bets.by_chance for bets in runs)
    assert hits == pytest.approx(expected, abs=4 * np.sqrt(expected))


def test_silence_and_flat_eeg_count_nothing():
    rng = np.random.default_rng(0)
    bets = AlignmentBets()
    for _ in range(4):
        bets.add(rng.standard_normal((ROWS, 3)), np.zeros((ROWS, 2)))
        bets.add(np.zeros((ROWS, 3)), rng.standard_normal((ROWS, 2)))
    assert bets.bets.n == 0


def test_one_channel_will_do_and_another_stream_is_learned_again():
    rng = np.random.default_rng(3)
    bets = AlignmentBets()
    for channels in (1, 1, 1, 4, 4, 4):
        bets.add(rng.standard_normal((ROWS, channels)), smooth(ROWS, 2, 9, rng))
    assert bets.bets.n == 2
    low, high = PLACES
    assert 2 / high <= bets.by_chance <= 2 / low
