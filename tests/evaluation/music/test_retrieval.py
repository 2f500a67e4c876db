"""Recall within a genre and the genre probe find what is planted, and nothing where nothing is."""

import numpy as np
import pytest

from bci_music.compose.songbook import GENRES
from bci_music.evaluation.music.retrieval import genre_probe, recall_within_genres, table
from bci_music.messages import UserError
from bci_music.training.audioldm.clips import ClipBank

POOL = 20


def bank(tmp_path, per_genre=POOL, genres=3, first=0, clips_per_song=1):
    """Clips whose first sample is their number: what the planted embedder hears."""
    n = per_genre * genres * clips_per_song
    sound = np.zeros((n, 8), np.int16)
    sound[:, 0] = first + np.arange(n)
    genre = np.repeat(np.arange(genres), per_genre * clips_per_song)
    songs = [f"song {first + i // clips_per_song}" for i in range(n)]
    sentence = [(f"clip {first + i}",) for i in range(n)]
    return ClipBank(tmp_path, 0.01, sound, np.zeros((n, 1, 64)), sentence, genre, songs, [])


class Planted:
    """A vector per clip and one per genre; captions say the clip's number, of which `knows` are understood."""

    sha = "planted"

    def __init__(self, knows=1.0, genre=1.0, noise=0.05):
        rng = np.random.default_rng(0)
        self.clip, self.kind = rng.standard_normal((2000, 512)), rng.standard_normal((10, 512))
        self.knows, self.genre, self.noise = knows, genre, noise

    def _vector(self, number):
        row = self.clip[number] + self.genre * 3 * self.kind[number % 1000 // POOL % 10]
        return (row / np.linalg.norm(row)).astype(np.float32)

    def embed(self, sound, sfreq_hz):
        return self._vector(int(np.round(sound[0] * 32768)))

    def embed_texts(self, texts):
        numbers = [int(text.split()[1]) for text in texts]
        other = np.random.default_rng(1).integers(0, 999, len(numbers))
        meant = [n if n % 100 < 100 * self.knows else o for n, o in zip(numbers, other, strict=True)]
        return np.stack([self._vector(n) for n in meant])


def test_an_embedder_that_knows_everything_finds_everything(tmp_path):
    rates = recall_within_genres(Planted(), bank(tmp_path), pool=POOL, first=2)
    assert [r.value for r in rates] == [1.0] * 4
    assert (rates[0].n, rates[0].songs, rates[0].chance) == (60, 60, 0.1)
    assert rates[0].shuffled < 0.4
    assert [r.name.split(", ")[1] for r in rates[1:]] == list(GENRES[:3])
    assert "| 1.000 | 1.000 to 1.000 | 60 clips of 60 songs | 0.10 |" in table(rates)


def test_an_embedder_that_knows_only_the_genre_is_at_chance(tmp_path):
    rate = recall_within_genres(Planted(knows=0.0), bank(tmp_path), pool=POOL, first=2)[0]
    assert rate.low < 0.1 < rate.high + 0.05
    assert rate.value < 0.3


def test_a_constant_embedder_finds_nothing(tmp_path):
    class Constant(Planted):
        def _vector(self, number):
            return np.full(512, 512**-0.5, np.float32)

    assert recall_within_genres(Constant(), bank(tmp_path), pool=POOL, first=2)[0].value == 0.0


def test_clips_of_one_song_do_not_fill_the_pool(tmp_path):
    with pytest.raises(UserError, match="no genre with 40 songs"):
        recall_within_genres(Planted(), bank(tmp_path, per_genre=20, clips_per_song=2), pool=40)


def test_captions_have_to_be_unique(tmp_path):
    same = bank(tmp_path)
    same.captions[3] = same.captions[2]
    with pytest.raises(UserError, match="the same captions"):
        recall_within_genres(Planted(), same, pool=POOL)


def test_the_probe_names_genres_and_shuffled_labels_do_not(tmp_path):
    learnt, unseen = bank(tmp_path), bank(tmp_path, first=1000)
    rate = genre_probe(Planted(), learnt, unseen)
    assert rate.value > 0.9
    assert rate.shuffled < 0.6
    assert rate.chance == pytest.approx(1 / 3)
    assert genre_probe(Planted(genre=0.0), learnt, unseen).value < 0.6
    with pytest.raises(UserError, match="60 songs are in both banks"):
        genre_probe(Planted(), learnt, learnt)


def test_the_probe_needs_genres_and_other_songs(tmp_path):
    learnt, unseen = bank(tmp_path), bank(tmp_path, first=1000)
    with pytest.raises(UserError, match="60 songs are in both"):
        genre_probe(Planted(), learnt, learnt)
    learnt.genre[:] = -1  # recorded tracks only
    with pytest.raises(UserError, match="known genre"):
        genre_probe(Planted(), learnt, unseen)
