import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.metrics.controls import heard_there, permutation_p, wrong_song
from bci_music.metrics.identification import (
    auroc,
    best,
    distinct_music,
    k_way,
    largest_k,
    name_rates,
    pick_rates,
    top1_hits,
)


def planted(n, k, signal, seed):
    """Prototypes, queries that carry `signal` of their prototype in noise, and the truth."""
    rng = np.random.default_rng(seed)
    prototypes = rng.standard_normal((k, 64))
    true = rng.integers(0, k, n)
    return prototypes, signal * prototypes[true] + rng.standard_normal((n, 64)), true


def test_planted_truth_is_found_and_shuffled_truth_is_not():
    prototypes, queries, true = planted(2000, 14, 0.5, seed=1)
    assert top1_hits(queries, prototypes, true).mean() > 0.9
    shuffled = np.random.default_rng(2).permutation(true)
    assert abs(top1_hits(queries, prototypes, shuffled).mean() - 1 / 14) < 4 * np.sqrt(1 / 14 * 13 / 14 / 2000)


def test_a_collapsed_decoder_finds_nothing():
    same = np.ones((5, 8))
    assert not top1_hits(same, np.ones((3, 8)), np.zeros(5, int)).any()
    assert best([[0.1, np.nan], [0.3, 0.3], [0.2, 0.7]]).tolist() == [-1, -1, 1]


def test_k_way_by_drawing_agrees_with_the_exact_expectation():
    rng = np.random.default_rng(3)
    targets = rng.standard_normal((80, 16))
    queries = 0.3 * targets + rng.standard_normal((80, 16))
    exact = k_way(queries, targets, 10)
    drawn = k_way(queries, targets, 10, seed=4, repeats=400)
    assert np.abs(exact - drawn).max() < 0.12
    assert abs(exact.mean() - drawn.mean()) < 0.01
    assert exact.mean() > 0.2


def test_k_way_is_at_chance_without_signal_and_among_all_equals_top1():
    rng = np.random.default_rng(5)
    targets, noise = rng.standard_normal((400, 16)), rng.standard_normal((400, 16))
    assert abs(k_way(noise, targets, 50).mean() - 1 / 50) < 0.015
    queries = 0.5 * targets + noise
    assert np.allclose(k_way(queries, targets, 400), top1_hits(queries, targets, np.arange(400)))


def test_k_way_refuses_more_choices_than_there_are():
    with pytest.raises(ValueError, match="at least 9"):
        k_way(np.eye(5), np.eye(5), 9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_auroc_equals_brute_force(pairs):
    score, label = np.array([p[0] for p in pairs], float), np.array([p[1] for p in pairs])
    wins = [(p > q) + 0.5 * (p == q) for p in score[label] for q in score[~label]]
    if not wins:
        assert np.isnan(auroc(score, label))
    else:
        assert auroc(score, label) == pytest.approx(np.mean(wins))


def windows(seed=0, listeners=4, songs=6, pieces=8, offset=0.0):
    """Music heard by several listeners, every song in pieces of 4 s; `offset` shifts every second listener's cuts."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((songs, pieces, 2, 24))
    rows = [
        (listener, song, piece, (listener % 2) * bool(offset))
        for listener in range(listeners) for song in range(songs) for piece in range(pieces)
    ]
    heard = np.stack([vectors[s, p, o] for _, s, p, o in rows])
    song = np.array([f"s{s}" for _, s, _, _ in rows])
    second = np.array([4.0 * p + o * offset for _, _, p, o in rows])
    recording = np.array([f"r{listener} s{s}" for listener, s, _, _ in rows])
    return heard, song, second, recording, rng


@pytest.mark.parametrize("offset", [0.0, 1.5])
def test_chance_is_one_in_k_however_many_heard_the_same_second(offset):
    heard, song, second, _, rng = windows(listeners=12, offset=offset)
    candidates = distinct_music(heard, song, song, second, 4.0)
    rows = np.arange(len(heard))
    noise = rng.standard_normal((len(heard), 24))
    for k, inside in ((20, False), (4, True)):
        rates = pick_rates(noise, candidates, k, within_song=inside)[rows, candidates.of]
        assert abs(rates.mean() - 1 / k) < 4 * rates.std() / np.sqrt(len(rates))
    rates = name_rates(noise, candidates)[rows, candidates.of]
    assert abs(rates.mean() - 1 / 6) < 4 * rates.std() / np.sqrt(len(rates))
    assert np.allclose(pick_rates(heard, candidates, 20)[rows, candidates.of], 1.0)


def test_rates_equal_drawing_by_hand():
    heard, song, second, _, rng = windows(listeners=2, offset=1.5)
    candidates = distinct_music(heard, song, song, second, 4.0)
    query = (heard[:1] + 2.5 * rng.standard_normal((1, 24)))[0]
    score = candidates.vector @ query / np.linalg.norm(candidates.vector, axis=1)
    song, second = candidates.song, candidates.second
    overlap = (song[:, None] == song) & (np.abs(second[:, None] - second) < 4.0)
    piece = int(candidates.of[0])
    assert not np.triu(overlap[np.ix_(candidates.rival, candidates.rival)], 1).any()
    rivals = np.flatnonzero(candidates.rival & ~overlap[piece])
    draws = [rng.choice(rivals, 9, replace=False) for _ in range(4000)]
    drawn = np.mean([(score[d] < score[piece]).all() for d in draws])
    assert abs(pick_rates(query[None], candidates, 10)[0, piece] - drawn) < 0.03
    names = [n for n in np.unique(song) if n != candidates.name[piece]]
    pools = [np.flatnonzero(candidates.rival & (candidates.name == n)) for n in names]
    draws = [[rng.choice(pool) for pool in pools] for _ in range(4000)]
    drawn = np.mean([(score[d] < score[piece]).all() for d in draws])
    assert abs(name_rates(query[None], candidates)[0, piece] - drawn) < 0.03


def test_k_way_with_groups_knows_no_rival_that_is_the_same_music():
    heard, song, second, _, rng = windows(listeners=5)
    group = [f"{s} {t}" for s, t in zip(song, second, strict=True)]
    assert np.allclose(k_way(heard, heard, 20, group=group), 1.0)
    assert k_way(heard, heard, 20).mean() < 0.8  # its doubles tie with it, and a tie finds nothing
    noise = rng.standard_normal(heard.shape)
    candidates = distinct_music(heard, song, song, second, 4.0)
    expected = pick_rates(noise, candidates, 20)[np.arange(len(heard)), candidates.of]
    assert np.allclose(k_way(noise, heard, 20, group=group), expected)
    drawn = k_way(noise, heard, 20, group=group, repeats=200, seed=1)
    assert abs(drawn.mean() - expected.mean()) < 0.01


def test_too_little_music_is_known_beforehand():
    heard, song, second, _, _ = windows(songs=3, pieces=5)
    candidates = distinct_music(heard, song, song, second, 4.0)
    assert largest_k(candidates, 50) == 15
    assert largest_k(candidates, 10) == 10
    assert largest_k(candidates, 10, within_song=True) == 5
    assert not np.isnan(pick_rates(heard, candidates, 15)).any()
    assert np.isnan(pick_rates(heard, candidates, 16)).all()
    one = distinct_music(heard[:2], song[:2], song[:2], np.array([0.0, 1.0]), 4.0)
    assert largest_k(one, 50) == 0


def test_a_fingerprint_is_found_before_the_music_and_a_wrong_song_is_not():
    heard, song, second, recording, rng = windows()
    candidates = distinct_music(heard, song, song, second, 4.0)
    sung = np.stack([heard[song == s].mean(0) for s in song])  # knows the song, as from the recording's fingerprint
    table = pick_rates(sung + 0.3 * rng.standard_normal(sung.shape), candidates, 20)
    first = np.unique(recording, return_index=True)[1]
    before = heard_there(table[first], recording[first], candidates.of, recording)
    assert before.mean() > 3 / 20
    assert wrong_song(table, candidates.of, candidates.name).mean() < 1 / 20
    assert np.isnan(heard_there(table[:1], np.array(["never heard"]), candidates.of, recording)).all()


def test_permutations_of_recordings_tell_signal_from_none():
    heard, song, second, recording, rng = windows()
    candidates = distinct_music(heard, song, song, second, 4.0)
    noise = 3 * rng.standard_normal(heard.shape)
    signal = pick_rates(heard + noise, candidates, 20)
    assert permutation_p(signal, candidates.of, recording, n=199) == 1 / 200
    assert permutation_p(-signal, candidates.of, recording, n=199, lower=True) == 1 / 200
    tables = (pick_rates(rng.standard_normal(heard.shape), candidates, 20) for _ in range(40))
    low = [permutation_p(table, candidates.of, recording, n=39) < 0.1 for table in tables]
    assert np.mean(low) < 0.3
    few = recording == recording[0]
    assert permutation_p(signal[few], candidates.of[few], recording[few]) is None
