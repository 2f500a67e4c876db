"""Songs are counted once each, and what cannot be known is not claimed."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.engine.chance import COUNT_S, NOT_IN_LIBRARY, NOT_KNOWN, SongChance, bets_words
from bci_music.messages import Embedding, MusicMarker

SONGS = [f"s{i}" for i in range(14)]
VECTORS = np.random.default_rng(0).standard_normal((14, 64)).astype(np.float32)


def embedding(vector, end_s):
    return Embedding(vector, np.zeros(1, np.float32), 0.5, 0, 0, 0, end_s, end_s, 1.0)


def listen(order, signal, seed, song_s=8.5, late_s=0.0):
    """Decode songs in an order; `signal` is how much of a song's vector is found; markers come `late_s` late."""
    chance, rng = SongChance(SONGS, VECTORS, 4.0), np.random.default_rng(seed)
    markers = [MusicMarker(100 + song_s * i, song) for i, song in enumerate(order)]
    markers.append(MusicMarker(100 + song_s * len(order), None))
    for end_s in np.arange(104.0, markers[-1].time_s + 30, 0.5):
        song = order[min(int((end_s - 2 - 100) / song_s), len(order) - 1)]
        known = VECTORS[SONGS.index(song)] if song in SONGS else 0.0
        vector = (signal * known + rng.standard_normal(64)).astype(np.float32)
        chance.add(embedding(vector, float(end_s)), [m for m in markers if m.time_s + late_s <= end_s])
    return chance.answer()


def shuffled(seed):
    return [SONGS[i] for i in np.random.default_rng([seed, 1]).permutation(14)]


def test_a_decoder_that_finds_songs_is_above_chance_after_a_few():
    found = listen(shuffled(1), 1.0, 1)
    assert (found.method, found.n, found.shown) == ("songs", 13, True)  # the last song has no rival left
    assert found.shown_s < 100 + 5 * 8.5


def test_whatever_the_decoder_leans_to_chance_stays_chance():
    """Every song alike, one song always: 200 runs each of a decoder that does not hear."""
    for stuck in (False, True):
        alarms = 0
        for seed in range(100):
            chance, rng = SongChance(SONGS, VECTORS, 4.0), np.random.default_rng(seed)
            markers = [MusicMarker(8.5 * i, song) for i, song in enumerate([*shuffled(seed), None])]
            leaning = VECTORS[rng.integers(14)]
            for end_s in np.arange(4.0, 125.0, 2.0):
                vector = leaning if stuck else rng.standard_normal(64).astype(np.float32)
                chance.add(embedding(vector, float(end_s)), markers)
            alarms += chance.answer().shown
        assert alarms <= 5


def test_a_song_heard_again_adds_nothing():
    once, again = listen(shuffled(2), 0.5, 2), listen([*shuffled(2), *shuffled(2)], 0.5, 2)
    assert again.n == once.n == 13


def test_a_long_song_is_counted_once_and_early():
    found = listen(SONGS[:1], 1.0, 3, song_s=300.0)
    assert found.n == 1
    assert COUNT_S < 300


def test_markers_that_come_late_change_nothing():
    assert listen(shuffled(4), 0.5, 4, late_s=0.9) == listen(shuffled(4), 0.5, 4)


def test_what_cannot_be_known_is_not_claimed():
    chance = SongChance(SONGS, VECTORS, 4.0)
    assert chance.answer().why == NOT_KNOWN
    chance.add(embedding(VECTORS[0], 10.0), [])
    assert (chance.answer().method, chance.answer().why) == ("", NOT_KNOWN)
    unknown = listen(["a song of somebody else"] * 1, 1.0, 5, song_s=60.0)
    assert (unknown.method, unknown.why) == ("", NOT_IN_LIBRARY)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([*SONGS, None, "unknown"]), st.floats(0.1, 40.0)), max_size=12))
def test_any_markers_are_taken(music):
    chance, at, markers = SongChance(SONGS, VECTORS, 4.0), 0.0, []
    for song, seconds in music:
        markers.append(MusicMarker(at, song))
        at += seconds
    for end_s in np.arange(4.0, at + 10, 1.0):
        chance.add(embedding(VECTORS[0], float(end_s)), markers)
    assert chance.answer().n <= len({song for song, _ in music} & set(SONGS))
    assert np.isfinite(chance.answer().evidence)
    assert chance.answer().shown is (chance.answer().highest >= 20.0)


def test_bets_are_counted_in_words():
    assert bets_words({"n": 1, "method": "songs"}) == "1 song"
    assert bets_words({"n": 0, "method": "songs"}) == "0 songs"
    assert bets_words({"n": 12, "method": "sound", "heard": "set.wav"}) == "12 blocks of set.wav"
