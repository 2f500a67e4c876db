"""A share of the recordings with their music known; pretraining reads all of them."""

import numpy as np

from bci_music.training.eeg.corpus import Segment
from bci_music.training.lab.run import some_recordings

SEGMENTS = [
    Segment(np.zeros((2, 10), np.float16), np.ones(2, bool), "a", 10.0 * part, "x", f"r{number}")
    for number in range(20)
    for part in range(3)
]


def recordings(share, seed=0):
    return {segment.recording for segment in some_recordings(SEGMENTS, share, seed)}


def test_it_is_whole_recordings_and_so_many_of_them():
    some = some_recordings(SEGMENTS, 0.1, 0)
    assert len(some) == 6
    assert len({segment.recording for segment in some}) == 2
    assert some_recordings(SEGMENTS, 1.0, 0) == SEGMENTS


def test_there_is_always_one_and_more_hold_the_fewer():
    assert len(recordings(0.001)) == 1
    assert recordings(0.1) < recordings(0.5) < recordings(1.0)
    assert any(recordings(0.1, seed) != recordings(0.1) for seed in range(1, 5))
