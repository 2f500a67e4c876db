"""The history keeps what was heard and decoded, and assesses it."""

import numpy as np
import pytest

from bci_music.engine.history import History, SongLabel
from bci_music.messages import Embedding, MusicMarker

SONGS = tuple(SongLabel(f"s{i}", f"Song {i}", "genre") for i in range(14))


def prototypes(seed=0):
    vectors = np.random.default_rng(seed).standard_normal((14, 512)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def embedding(index, vector, end_s):
    return Embedding(vector, np.full(125, 1 / 125, np.float32), 0.5, index, 0, 0, end_s, end_s, 1.0)


def fill(history, truth, hop_s=0.5, song_s=8.5):
    """Decode 119 s of 14 songs; `truth` maps the song at the window's centre to the song the decoder finds."""
    for i in range(14):
        history.add_marker(MusicMarker(100 + i * song_s, f"s{i}", f"Song {i}"))
    history.add_marker(MusicMarker(100 + 14 * song_s, None))
    for k in range(int((14 * song_s - 4) / hop_s)):
        end_s = 104 + k * hop_s
        song = min(13, int((end_s - 2 - 100) / song_s))
        history.add_embedding(embedding(k, prototypes()[truth(song)], end_s))


def test_a_perfect_decoder_is_above_chance():
    history = History(SONGS, prototypes(), 4.0, 0.5)
    fill(history, lambda song: song)
    found = history.identification(refresh=True)
    assert found.hits == found.n >= 27
    assert found.p < 0.01
    assert found.shuffled_top1 < 0.2


def test_a_decoder_that_finds_other_songs_is_not():
    history = History(SONGS, prototypes(), 4.0, 0.5)
    rng = np.random.default_rng(3)
    fill(history, lambda song: int(rng.integers(14)))
    assert history.identification(refresh=True).p > 0.01


def test_bars_merge_runs_of_the_same_song_and_name_it():
    history = History(SONGS, prototypes(), 4.0, 0.5)
    fill(history, lambda song: song)
    bars = history.spans(100, 219)
    heard = [b for b in bars if b.lane == "heard"]
    decoded = [b for b in bars if b.lane == "decoded"]
    assert [b.label for b in heard] == [f"Song {i}" for i in range(14)]
    assert [b.label for b in decoded] == [f"Song {i}" for i in range(14)]
    assert all(b.stop_s > b.start_s for b in bars)
    assert heard[-1].stop_s == pytest.approx(219)


def test_marks_that_come_late_are_put_in_order():
    history = History(SONGS, prototypes(), 4.0, 0.5)
    history.add_marker(MusicMarker(20, "s1"))
    history.add_marker(MusicMarker(10, "s0"))
    assert history.heard_at(15).song == "s0"
    assert history.heard_at(25).song == "s1"
    assert history.heard_at(5) is None
