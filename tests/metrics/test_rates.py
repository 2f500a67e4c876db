import numpy as np
import pytest

from bci_music.metrics.metrics import k_way
from bci_music.metrics.permutation import heard_there, permutation_p, wrong_song
from bci_music.metrics.rates import distinct_music, largest_k, name_rates, pick_rates


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
    musics = distinct_music(heard, song, song, second, 4.0)
    rows = np.arange(len(heard))
    noise = rng.standard_normal((len(heard), 24))
    for k, inside in ((20, False), (4, True)):
        rates = pick_rates(noise, musics, k, within_song=inside)[rows, musics.of]
        assert abs(rates.mean() - 1 / k) < 4 * rates.std() / np.sqrt(len(rates))
    rates = name_rates(noise, musics)[rows, musics.of]
    assert abs(rates.mean() - 1 / 6) < 4 * rates.std() / np.sqrt(len(rates))
    assert np.allclose(pick_rates(heard, musics, 20)[rows, musics.of], 1.0)


def test_rates_equal_drawing_by_hand():
    heard, song, second, _, rng = windows(listeners=2, offset=1.5)
    musics = distinct_music(heard, song, song, second, 4.0)
    query = (heard[:1] + 2.5 * rng.standard_normal((1, 24)))[0]
    score = musics.vector @ query / np.linalg.norm(musics.vector, axis=1)
    overlap = (musics.song[:, None] == musics.song) & (np.abs(musics.second[:, None] - musics.second) < 4.0)
    piece = int(musics.of[0])
    assert not np.triu(overlap[np.ix_(musics.rival, musics.rival)], 1).any()
    rivals = np.flatnonzero(musics.rival & ~overlap[piece])
    draws = [rng.choice(rivals, 9, replace=False) for _ in range(4000)]
    drawn = np.mean([(score[d] < score[piece]).all() for d in draws])
    assert abs(pick_rates(query[None], musics, 10)[0, piece] - drawn) < 0.03
    names = [n for n in np.unique(song) if n != musics.name[piece]]
    draws = [[rng.choice(np.flatnonzero(musics.rival & (musics.name == n))) for n in names] for _ in range(4000)]
    drawn = np.mean([(score[d] < score[piece]).all() for d in draws])
    assert abs(name_rates(query[None], musics)[0, piece] - drawn) < 0.03


def test_k_way_with_groups_knows_no_rival_that_is_the_same_music():
    heard, song, second, _, rng = windows(listeners=5)
    group = [f"{s} {t}" for s, t in zip(song, second, strict=True)]
    assert np.allclose(k_way(heard, heard, 20, group=group), 1.0)
    assert k_way(heard, heard, 20).mean() < 0.8  # its doubles tie with it, and a tie finds nothing
    noise = rng.standard_normal(heard.shape)
    musics = distinct_music(heard, song, song, second, 4.0)
    expected = pick_rates(noise, musics, 20)[np.arange(len(heard)), musics.of]
    assert np.allclose(k_way(noise, heard, 20, group=group), expected)
    drawn = k_way(noise, heard, 20, group=group, repeats=200, seed=1)
    assert abs(drawn.mean() - expected.mean()) < 0.01


def test_too_little_music_is_known_beforehand():
    heard, song, second, _, _ = windows(songs=3, pieces=5)
    musics = distinct_music(heard, song, song, second, 4.0)
    assert largest_k(musics, 50) == 15
    assert largest_k(musics, 10) == 10
    assert largest_k(musics, 10, within_song=True) == 5
    assert not np.isnan(pick_rates(heard, musics, 15)).any()
    assert np.isnan(pick_rates(heard, musics, 16)).all()
    one = distinct_music(heard[:2], song[:2], song[:2], np.array([0.0, 1.0]), 4.0)
    assert largest_k(one, 50) == 0


def test_a_fingerprint_is_found_before_the_music_and_a_wrong_song_is_not():
    heard, song, second, recording, rng = windows()
    musics = distinct_music(heard, song, song, second, 4.0)
    sung = np.stack([heard[song == s].mean(0) for s in song])  # knows the song, as from the recording's fingerprint
    table = pick_rates(sung + 0.3 * rng.standard_normal(sung.shape), musics, 20)
    first = np.unique(recording, return_index=True)[1]
    before = heard_there(table[first], recording[first], musics.of, recording)
    assert before.mean() > 3 / 20
    assert wrong_song(table, musics.of, musics.name).mean() < 1 / 20
    assert np.isnan(heard_there(table[:1], np.array(["never heard"]), musics.of, recording)).all()


def test_permutations_of_recordings_tell_signal_from_none():
    heard, song, second, recording, rng = windows()
    musics = distinct_music(heard, song, song, second, 4.0)
    noise = 3 * rng.standard_normal(heard.shape)
    signal = pick_rates(heard + noise, musics, 20)
    assert permutation_p(signal, musics.of, recording, n=199) == 1 / 200
    assert permutation_p(-signal, musics.of, recording, n=199, lower=True) == 1 / 200
    low = [permutation_p(pick_rates(rng.standard_normal(heard.shape), musics, 20), musics.of, recording, n=39) < 0.1
           for _ in range(40)]  # fmt: skip
    assert np.mean(low) < 0.3
    few = recording == recording[0]
    assert permutation_p(signal[few], musics.of[few], recording[few]) is None
