"""Batches hold the EEG of the moment they say, with that moment's music."""

import numpy as np

from bci_music.training.eeg.bands import band_features
from bci_music.training.eeg.corpus import Corpus, Music, Segment

RATE = 50.0


def counting_corpus():
    """EEG that counts its song seconds, targets that name their grid place."""
    seconds = 10.0 + np.arange(1000) / RATE
    eeg = np.repeat(seconds[None], 3, axis=0).astype(np.float16)
    segment = Segment(eeg, np.ones(3, bool), "a", 10.0, "1", "r")
    targets = np.arange(100, dtype=np.float32)[:, None] * 0.5
    bands = np.arange(600, dtype=np.float32)[:, None] * 0.1
    return Corpus([segment], {"a": Music(targets, bands, 0.5)}, sfreq_hz=RATE, n_times=100, patch=20)


def test_a_window_begins_at_its_song_second_and_has_the_target_of_it():
    batch = counting_corpus().draw(np.random.default_rng(0), 40)
    np.testing.assert_allclose(batch.x[:, 0, 0], batch.second, atol=0.02)
    np.testing.assert_allclose(batch.target[:, 0], batch.second)
    assert (batch.second >= 10.0).all()
    assert (batch.second <= 28.0).all()


def test_bands_of_a_slot_are_a_little_earlier_than_its_eeg():
    corpus = counting_corpus()
    batch = corpus.gather([(0, 15.0)])
    assert batch.bands.shape == (1, 5, 4)
    np.testing.assert_allclose(batch.bands[0, :, 0], 15.0 - 0.15 + 0.4 * np.arange(5), atol=0.06)


def test_the_same_seed_gives_the_same_batch_and_another_another():
    corpus = counting_corpus()
    a, b, c = (corpus.draw(np.random.default_rng((0, step)), 8, 0.04) for step in (1, 1, 2))
    np.testing.assert_array_equal(a.x, b.x)
    assert not np.array_equal(a.x, c.x)


def test_the_map_of_the_music_knows_only_what_is_heard_in_the_segments():
    """Each piece once, however many listen; music kept for the test changes neither centre nor axes."""
    rng = np.random.default_rng(0)
    music = {song: rng.standard_normal((100, 4)).astype(np.float32) for song in "ab"}
    segments = [
        Segment(np.zeros((3, 500), np.float16), np.ones(3, bool), "a", start, who, who)
        for who, start in (("1", 4.0), ("2", 4.0), ("2", 30.0))
    ]
    bands = np.zeros((600, 1), np.float32)

    def heard(changed=None):
        known = {song: rows.copy() for song, rows in music.items()}
        for song, rows in changed or ():
            known[song][rows] = 9.0
        made = {song: Music(rows, bands, 0.5) for song, rows in known.items()}
        return Corpus(segments, made, sfreq_hz=RATE, n_times=100, patch=20).heard_targets()

    # windows of 2 s in 10 s of EEG, every half second: grid places 8 to 24 and 60 to 76 of song a
    np.testing.assert_array_equal(heard(), music["a"][[*range(8, 25), *range(60, 77)]])
    unheard = [("b", slice(None)), ("a", slice(0, 8)), ("a", slice(25, 60)), ("a", slice(77, None))]
    np.testing.assert_array_equal(heard(unheard), heard())
    assert not np.array_equal(heard([("a", slice(24, 25))]), heard())


def test_windows_keep_their_distance():
    places = list(counting_corpus().windows(2.0))
    assert np.all(np.diff([start for _, start in places]) >= 2.0)
    assert len(places) == 10


def test_bands_tell_low_from_high_and_rise_from_fall():
    rate = 16_000
    t = np.arange(4 * rate) / rate
    low = np.sin(2 * np.pi * 100 * t) * (np.floor(t) % 2 == 0)
    high = np.sin(2 * np.pi * 5000 * t) * (np.floor(t) % 2 == 1)
    bands = band_features((low + high).astype(np.float32), rate)
    assert bands.shape == (40, 16)
    np.testing.assert_allclose(bands.mean(0), 0.0, atol=1e-4)
    on, off = bands[2:8], bands[12:18]
    assert (on[:, 0] > off[:, 0]).all()
    assert (on[:, 6] < off[:, 6]).all()
    assert bands[:, 8].argmax() in (20, 0)  # the low tone comes back at 2 s
