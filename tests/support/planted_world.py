"""A small planted world: songs are band courses, listeners hear them through one head pattern and a delay."""

import numpy as np
import pytest

from bci_music.models.network import Network
from bci_music.models.pack import DecoderConfig
from bci_music.models.sizes import EncoderConfig, HeadConfig, LatentQueryConfig
from bci_music.training.eeg.corpus import Corpus, Music, Segment

RATE, CHANNELS, SECONDS, N_SONGS, N_BANDS = 50.0, 16, 60, 6, 4


HEAD = HeadConfig(hidden=32, embed_dim=16)
TOKENS = EncoderConfig(n_channels=CHANNELS, n_times=100, patch=20, dim=32, depth=2, heads=2)
QUERIES = LatentQueryConfig(
    n_channels=CHANNELS, n_times=100, patch=10, kernel=20, filters=16, queries=4, dim=32, depth=2, heads=2
)
SMALL = {config.kind: DecoderConfig(encoder=config, head=HEAD) for config in (TOKENS, QUERIES)}


@pytest.fixture(scope="session")
def small():
    return SMALL["channel-tokens"]


def network_of(config):
    """A network for the planted world's electrodes, which lie anywhere on the head."""
    return Network(config, np.random.default_rng(7).standard_normal((CHANNELS, 3)))


def plant(seed=0, noise=1.0, given_patterns=None, rest=0.0):
    """Music by song and a function that records one listener's segments of all songs.

    `given_patterns` (bands, electrodes) say where the response reaches the head, `rest` (sources, electrodes) where
    activity that has nothing to do with music does.
    """
    rng = np.random.default_rng(seed)
    patterns = rng.standard_normal((N_BANDS, CHANNELS))
    patterns = patterns if given_patterns is None else given_patterns
    rest = np.atleast_2d(rest)
    mixing = rng.standard_normal((2 * N_BANDS, 24))
    music, courses = {}, {}
    for song in range(N_SONGS):
        bands = rng.standard_normal((SECONDS * 10, N_BANDS)) * rng.uniform(0.3, 2.0, N_BANDS)
        bands += np.repeat(rng.standard_normal((SECONDS // 4, N_BANDS)), 40, axis=0)
        courses[song] = np.repeat(bands, round(RATE / 10), axis=0)
        rows = [bands[5 * k : 5 * k + 20] for k in range(2 * SECONDS - 3)]
        statistics = np.stack([np.concatenate([r.mean(0), np.log(r.std(0))]) for r in rows])
        targets = (statistics - statistics.mean(0)) @ mixing
        targets /= np.linalg.norm(targets, axis=1, keepdims=True)
        music[f"s{song}"] = Music(targets.astype(np.float32), bands.astype(np.float32), 0.5)

    def record(listener, heard=lambda song: song):
        drawn = np.random.default_rng((seed, listener, 1))
        segments = []
        for song in range(N_SONGS):
            source = np.roll(courses[heard(song)], round(0.15 * RATE), axis=0)
            eeg = source @ patterns + noise * drawn.standard_normal((len(source), patterns.shape[1])) * 2.0
            if rest.any():
                courses_of_rest = drawn.standard_normal((len(source) // 5, len(rest)))
                eeg += np.repeat(courses_of_rest, 5, axis=0) @ rest
            eeg = (eeg / eeg.std(0)).T.astype(np.float16)
            segments.append(Segment(eeg, np.ones(len(eeg), bool), f"s{song}", 0.0, str(listener), f"r{listener}"))
        return segments

    return music, record


def corpus_of(segments, music, patch=20):
    return Corpus(segments, music, sfreq_hz=RATE, n_times=100, patch=patch)


def part(segment, start_s, stop_s):
    eeg = segment.eeg[:, int(start_s * RATE) : int(stop_s * RATE)]
    return Segment(eeg, segment.used, segment.song, segment.song_start_s + start_s, segment.listener, segment.recording)


@pytest.fixture(scope="session")
def world():
    music, record = plant()
    segments = [segment for listener in range(6) for segment in record(listener)]
    learn = corpus_of([part(t, 0, 44) for t in segments], music)
    held_out = corpus_of([part(t, 46, 60) for t in segments], music)
    return learn, held_out


@pytest.fixture(scope="session")
def shuffled_world():
    """The same music, but what is said to have been heard is another song every time, without exception."""
    music, record = plant()
    segments = []
    for listener in range(6):
        segments += record(listener, lambda song, by=1 + listener % (N_SONGS - 1): (song + by) % N_SONGS)
    return corpus_of([part(t, 0, 44) for t in segments], music)
