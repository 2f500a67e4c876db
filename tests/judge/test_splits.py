import numpy as np
import pytest

from bci_music.judge.splits import ListenerSplit, RecordingSplit, Split, TimeBlockSplit, WindowTable
from bci_music.messages import UserError


@pytest.fixture
def table():
    """4 recordings of 2 listeners, 100 windows of 4 s every 0.5 s each."""
    start = np.tile(np.arange(100) * 0.5, 4)
    recording = np.repeat(["r1", "r2", "r3", "r4"], 100)
    listener = np.repeat(["ann", "ann", "bob", "bob"], 100)
    song = np.tile(np.repeat(["x", "y"], 50), 4)
    return WindowTable(start, start + 4.0, recording, listener, song)


def test_recordings_and_listeners_are_kept_apart(table):
    split = RecordingSplit.make(table, {"r2"})
    assert set(table.recording[split.test]) == {"r2"}
    assert len(split.train) == 300
    assert split.shared_songs == ("x", "y")
    assert "100 to test from 1 recordings" in split.describe()
    split = ListenerSplit.make(table, {"bob"})
    assert set(table.listener[split.train]) == {"ann"}


def test_time_blocks_keep_the_guard(table):
    split = TimeBlockSplit.make(table, block_s=12.0, share=0.25, guard_s=2.0, seed=3)
    assert len(split.test)
    assert len(split.train)
    for i in split.test:
        same = split.train[table.recording[split.train] == table.recording[i]]
        apart = np.maximum(table.start_s[same] - table.stop_s[i], table.start_s[i] - table.stop_s[same])
        assert (apart >= 2.0 - 1e-9).all()


@pytest.mark.parametrize("make", [
    lambda t: RecordingSplit(t, np.arange(0, 150), np.arange(150, 400)),
    lambda t: ListenerSplit(t, np.arange(0, 100), np.arange(100, 400)),
    lambda t: TimeBlockSplit(t, np.arange(0, 50), np.arange(55, 100)),
    lambda t: TimeBlockSplit(t, np.arange(60, 100), np.arange(0, 50), 2.0),
    lambda t: Split(t, np.arange(0, 10), np.arange(9, 20)),
])  # fmt: skip
def test_a_leak_cannot_be_made(table, make):
    with pytest.raises(UserError, match="leaks"):
        make(table)


def test_touching_blocks_without_guard_are_no_leak(table):
    TimeBlockSplit(table, np.arange(0, 50), np.arange(58, 100))


def test_an_empty_side_and_an_unknown_name_are_told(table):
    with pytest.raises(UserError, match="leaves 400 windows to train and 0 to test"):
        Split(table, np.arange(400), np.zeros(0, int))
    with pytest.raises(UserError, match="no recording 'r9' to hold out"):
        RecordingSplit.make(table, {"r9"})
