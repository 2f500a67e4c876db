"""Music with planted truth: every song has its colour, every piece a shade of it and attacks at places of its own."""

import numpy as np
import pytest

from bci_music.evaluation.echoes.rows import Reconstructions, distinct_pieces

SAMPLES, SONGS, PIECES = 36_000, 11, 3  # 2.25 s; with a song left out there are 30 pieces


def attacks(seed):
    """Three seconds, more than .4 apart and away from the ends."""
    return 0.35 + 0.7 * np.arange(3) + np.random.default_rng([seed, 1]).uniform(-0.12, 0.12, 3)


def noise(seed, colour, at=None):
    """Coloured noise, with attacks at these seconds or without."""
    rng = np.random.default_rng(seed)
    sound = 0.01 * rng.standard_normal(SAMPLES)
    for second in [] if at is None else at:
        first = round(second * 16_000)
        length = min(4_000, SAMPLES - first)
        sound[first : first + length] += np.exp(-np.arange(length) / 700) * rng.standard_normal(length)
    return np.fft.irfft(np.fft.rfft(sound) * colour, SAMPLES)


def colour_of(piece):
    """A smooth spectrum: peaks where song and piece say."""
    octave = np.log2(np.fft.rfftfreq(SAMPLES, 1 / 16_000) + 30)
    rng = np.random.default_rng([piece // PIECES, 5])
    peaks = rng.uniform(6, 12, 4) + 0.25 * np.random.default_rng([piece, 6]).standard_normal(4)
    return 0.02 + sum(np.exp(-(((octave - peak) / 0.5) ** 2)) for peak in peaks)


@pytest.fixture(scope="session")
def heard():
    """(33, samples) pieces of music."""
    made = [noise(i, colour_of(i), attacks(i)) for i in range(SONGS * PIECES)]
    return np.stack([0.5 * sound / np.abs(sound).max() for sound in made]).astype(np.float32)


@pytest.fixture(scope="session")
def coloured():
    """(33, samples) noise with the mean spectrum of each piece and nothing of its timing."""
    made = [noise(1000 + i, colour_of(i)) for i in range(SONGS * PIECES)]
    return np.stack([0.5 * sound / np.abs(sound).max() for sound in made]).astype(np.float32)


@pytest.fixture(scope="session")
def late(heard):
    """What was heard, 200 ms later."""
    return np.roll(heard, 3200, axis=1)  # nothing begins in the last 200 ms


@pytest.fixture(scope="session")
def row(heard):
    """Function of key, split and sounds by piece: a row of two listeners who heard every other piece, 33 windows."""
    n = len(heard)
    song = np.array([f"song {i // PIECES}" for i in range(n)])
    second = np.arange(n) % PIECES * 5.0
    listener = np.tile(["A", "B"], n)[:n]

    def make(key, split, by_piece=None, every=1, **more):
        names, seconds = song[::every], second[::every]
        first, piece = distinct_pieces(names, seconds)
        sounds = {} if by_piece is None else {"made": by_piece[::every]}
        return Reconstructions(
            key, split, names, listener[::every], seconds, heard[::every][first], piece, **sounds, **more
        )

    return make
