"""The rate of false alarms holds for a whole run, at any look at it; what is there is found."""

import numpy as np
import pytest

from bci_music.metrics.sequential import ALARM_RATE, STRENGTHS, RankBets, rank_of


@pytest.mark.parametrize(
    ("ks", "runs"),
    [
        (range(14, 1, -1), 1000), ([20] * 50, 500), ([2] * 100, 500),
        pytest.param([2] * 300, 1000, marks=pytest.mark.soak),
    ],
)
def test_under_chance_no_more_runs_than_stated_ever_say_yes(ks, runs):
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(runs):
        bets = RankBets()
        for k in ks:
            bets.bet(int(rng.integers(1, k + 1)), k)
        alarms += bets.shown
    assert alarms / runs <= ALARM_RATE


@pytest.mark.parametrize("k", [2, 5, 14, 100])
def test_every_bet_is_fair(k):
    pays = []
    for rank in range(1, k + 1):
        bets = RankBets()
        bets.bet(rank, k)
        pays.append(bets.wealth)
    assert np.mean(pays) == pytest.approx(1.0)
    assert min(pays) >= 1 / len(STRENGTHS)


def test_three_songs_found_among_fourteen_are_enough_and_stay_so():
    bets = RankBets()
    for k in (14, 13, 12):
        bets.bet(1, k)
    assert bets.shown
    for k in range(11, 1, -1):
        bets.bet(k, k)
    assert bets.wealth < 20
    assert bets.shown
    assert bets.n == 13


def test_one_candidate_says_nothing_and_a_rank_that_cannot_be_is_refused():
    bets = RankBets()
    bets.bet(1, 1)
    assert (bets.n, bets.wealth) == (0, 1.0)
    with pytest.raises(ValueError, match="rank 0 of 3"):
        bets.bet(0, 3)


def test_the_rank_counts_ties_against_the_true_one_and_leaves_out_what_is_no_number():
    assert rank_of([0.1, 0.9, 0.5], 1) == (1, 3)
    assert rank_of([0.9, 0.9, 0.5], 1) == (2, 3)
    assert rank_of([np.nan, 0.5, 0.9], 1) == (2, 2)
