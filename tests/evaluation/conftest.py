"""A small test set with planted truth: what the decoder says holds as much of music and fingerprint as asked."""

import numpy as np
import pytest

from bci_music.evaluation.outputs import Outputs
from bci_music.judge.split_choice import SplitConfig, make_split
from bci_music.judge.splits import WindowTable

LISTENERS, SONGS, PIECES = 5, 14, 22


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def planted(kind, *, signal=0.0, fingerprint=0.0, seed=0):
    """``(outputs, before, mean_embedding, split)``: five listeners, 14 songs of 22 windows, four of them before each.

    `signal` is how much of the music heard is in the decoded vectors, `fingerprint` how much of the song the
    recording was made with, which a decoder may have learned from the recordings themselves.
    """
    rng = np.random.default_rng(seed)
    place = np.array([(a, s, p) for a in range(LISTENERS) for s in range(SONGS) for p in range(PIECES)])
    song = np.array([f"s{s:02d}" for s in place[:, 1]])
    second = 4.0 * place[:, 2]
    listener = np.array([f"L{a}" for a in place[:, 0]])
    recording = np.char.add(np.char.add(listener, " "), song)
    split = make_split(kind, WindowTable(second, second + 4, recording, listener, song, second), SplitConfig(seed=1))
    songs, pieces = rng.standard_normal((SONGS, 32)), rng.standard_normal((SONGS, PIECES, 32))
    target = unit(songs[place[:, 1]] + pieces[place[:, 1], place[:, 2]])
    known = fingerprint * songs[place[:, 1]]
    during = signal * 6 * target + known + rng.standard_normal(target.shape)
    earlier = known + rng.standard_normal(target.shape)
    to_clap = rng.standard_normal((32, 512)) / 6

    def outputs(vectors, rows):
        return Outputs(
            unit(vectors[rows]), target[rows], (vectors[rows] @ to_clap).astype(np.float32),
            unit(target[rows] @ to_clap), song[rows], song[rows], second[rows], recording[rows], listener[rows],
            np.full((len(rows), 10), 0.1, np.float32),
        )  # fmt: skip

    mean = unit(target[split.train] @ to_clap).mean(0)
    first_four = np.flatnonzero(place[:, 2] < 4)
    return outputs(during, split.test), outputs(earlier, first_four), mean, split


@pytest.fixture(scope="session")
def plant():
    return planted
