import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.messages import UserError
from bci_music.metrics.split_choice import SPLITS, SplitConfig, make_split
from bci_music.metrics.splits import (
    ListenerSplit,
    RecordingSplit,
    RepeatSplit,
    SongSplit,
    Split,
    WindowTable,
    shared_counts,
)
from bci_music.metrics.time_splits import RandomSplit, SongTimeSplit, TimeBlockSplit


@pytest.fixture
def table():
    """4 recordings of 2 listeners, 100 windows of 4 s every 0.5 s each: 25 s of song x, then 25 s of song y."""
    start = np.tile(np.arange(100) * 0.5, 4)
    recording = np.repeat(["r1", "r2", "r3", "r4"], 100)
    listener = np.repeat(["ann", "ann", "bob", "bob"], 100)
    repeat = np.repeat(["a", "b", "a", "b"], 100)
    song = np.tile(np.repeat(["x", "y"], 50), 4)
    return WindowTable(start, start + 4.0, recording, listener, song, start % 25.0, repeat)


def random_table(seed, hop_s, n_recordings, n_songs, n_windows):
    """Recordings in which songs follow each other, each cut from a place and a time of its own."""
    rng = np.random.default_rng(seed)
    columns = {k: [] for k in ("start", "recording", "listener", "song", "song_start", "repeat")}
    for r in range(n_recordings):
        at = rng.uniform(0, 3)
        for song in rng.permutation(n_songs):
            begin = rng.uniform(0, 2)
            for i in range(n_windows):
                row = (at + i * hop_s, f"r{r}", f"p{r % 3}", f"s{song}", begin + i * hop_s, "ab"[r % 2])
                for values, value in zip(columns.values(), row, strict=True):
                    values.append(value)
            at += n_windows * hop_s + 4.0
    start, recording, listener, song, song_start, repeat = (np.array(v) for v in columns.values())
    return WindowTable(start, start + 4.0, recording, listener, song, song_start, repeat)


def refused(make):
    """What is made, or the sentence why it cannot be."""
    try:
        return make()
    except UserError as error:
        return str(error)


def closest(start, stop, train, test):
    """Smallest distance between a training and a test window, below zero where they overlap; by brute force."""
    apart = np.maximum(start[train][:, None] - stop[test], start[test] - stop[train][:, None])
    return apart.min() if apart.size else np.inf


def test_recordings_listeners_songs_and_repeats_are_kept_apart(table):
    split = RecordingSplit.make(table, {"r2"})
    assert set(table.recording[split.test]) == {"r2"}
    assert len(split.train) == 300
    assert split.shared_songs == ("x", "y")
    assert "100 to test from 1 recordings" in split.describe()
    split = ListenerSplit.make(table, {"bob"})
    assert set(table.listener[split.train]) == {"ann"}
    assert shared_counts(split) == {"recordings": 0, "listeners": 0, "songs": 2, "song names": 2, "song seconds": 58}
    split = SongSplit.make(table, {"y"})
    assert set(table.song[split.train]) == {"x"}
    split = RepeatSplit.make(table, {"b"})
    assert set(table.recording[split.test]) == {"r2", "r4"}
    split = RepeatSplit.make(table, {"b"}, {"bob"})
    assert (set(table.recording[split.train]), set(table.recording[split.test])) == ({"r1"}, {"r4"})


def test_versions_of_a_song_are_held_out_together(table):
    versions = WindowTable(table.start_s, table.stop_s, table.recording, table.listener, table.song,
                           name=np.full(len(table), "one song"))  # fmt: skip
    with pytest.raises(UserError, match="leaks: song 'one song'"):
        SongSplit(versions, np.flatnonzero(table.song == "x"), np.flatnonzero(table.song == "y"))
    nameless = WindowTable(table.start_s, table.stop_s, table.recording, table.listener, table.song,
                           name=np.full(len(table), ""))  # fmt: skip
    assert SongSplit.make(nameless, {"y"}).table.name[0] == "x"


def test_a_block_of_a_song_is_held_out_forwards_and_backwards():
    at = 4.0 * np.tile(np.arange(30), 4)  # two listeners hear 120 s, and hear them backwards
    recording = np.repeat(["r1", "r2", "r3", "r4"], 30)
    song = np.repeat(["song", "gnos", "song", "gnos"], 30)
    origin = np.where(song == "gnos", 116.0 - at, at)
    table = WindowTable(at, at + 4, recording, recording, song, at, name=np.full(120, "song"), origin_s=origin)
    split = make_split("time-block", table, SplitConfig(seed=5))
    backwards = split.test[song[split.test] == "gnos"]
    forwards = split.test[song[split.test] == "song"]
    assert sorted(set(origin[forwards])) == sorted(set(origin[backwards]))
    assert closest(origin, origin + 4, split.train, split.test) >= 4.0
    at_20, at_96 = np.flatnonzero((song == "song") & (at == 20)), np.flatnonzero((song == "gnos") & (at == 96))
    with pytest.raises(UserError, match="leaks"):
        SongTimeSplit(table, at_20, at_96)


def test_a_version_in_another_order_leaks_wherever_its_song_is_tested():
    at = 4.0 * np.concatenate([np.arange(30), np.arange(30), np.arange(4), np.arange(4)])
    recording = np.repeat(["r1", "r2", "r3", "r4"], [30, 30, 4, 4])
    shuffled = np.isin(recording, ["r2", "r4"])
    name = np.where(np.isin(recording, ["r1", "r2"]), "long", "short")  # too short for two blocks: it is not tested
    table = WindowTable(at, at + 4, recording, recording, recording, at, name=name,
                        origin_s=np.where(shuffled, np.nan, at))  # fmt: skip
    split = make_split("time-block", table, SplitConfig(seed=5))
    assert set(recording[split.test]) == {"r1"}
    assert set(recording[split.train]) == {"r1", "r3", "r4"}
    assert "30 windows of versions in another order" in split.describe()
    with pytest.raises(UserError, match="leaks"):
        SongTimeSplit(table, np.append(split.train, 30), split.test)
    with pytest.raises(UserError, match="leaks"):
        SongTimeSplit(table, split.train, np.append(split.test, 30))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6), hop_s=st.sampled_from([0.5, 1.7, 4.0]), block_s=st.floats(6, 20),
    share=st.floats(0.1, 0.6), guard_s=st.floats(0, 6),
)
def test_blocks_keep_the_guard_in_the_recording_and_in_the_song(seed, hop_s, block_s, share, guard_s):
    table = random_table(seed, hop_s, 4, 2, 12)
    for made, groups in ((TimeBlockSplit, ("recording",)), (SongTimeSplit, ("recording", "song"))):
        split = refused(lambda made=made: made.make(table, block_s=block_s, share=share, guard_s=guard_s, seed=seed))
        if isinstance(split, str):
            assert "leaves" in split  # too little is left: said, and nothing is made
            continue
        assert min(len(split.train), len(split.test)) > 0
        for group in groups:
            names = getattr(table, group)
            start, stop = (
                (table.start_s, table.stop_s) if group == "recording" else (table.song_start_s, table.song_stop_s)
            )
            for name in np.unique(names):
                train = split.train[names[split.train] == name]
                test = split.test[names[split.test] == name]
                assert closest(start, stop, train, test) >= guard_s - 1e-5


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.data())
def test_a_leaking_split_cannot_be_made(seed, data):
    """Whatever rows are put on either side: a split exists only if it keeps its promise."""
    table = random_table(seed, 2.0, 3, 2, 6)
    n = len(table)
    side = np.array(data.draw(st.lists(st.sampled_from([0, 0, 1, 2]), min_size=n, max_size=n)))
    train, test = np.flatnonzero(side == 1), np.flatnonzero(side == 2)

    def apart(names, start, stop):
        return all(
            closest(start, stop, train[names[train] == v], test[names[test] == v]) >= -1e-9 for v in np.unique(names)
        )

    both = np.concatenate([train, test])
    disjoint = all(
        (np.diff(np.sort(table.start_s[both][table.recording[both] == r])) >= 4 - 1e-9).all()
        for r in np.unique(table.recording)
    )
    kept = {
        RandomSplit: disjoint,
        TimeBlockSplit: apart(table.recording, table.start_s, table.stop_s),
        SongTimeSplit: apart(table.recording, table.start_s, table.stop_s)
        and apart(table.song, table.song_start_s, table.song_stop_s),
        ListenerSplit: not set(table.listener[train]) & set(table.listener[test]),
        SongSplit: not set(table.song[train]) & set(table.song[test]),
        RecordingSplit: not set(table.recording[train]) & set(table.recording[test]),
        RepeatSplit: not set(table.repeat[train]) & set(table.repeat[test]),
    }
    for kind, holds in kept.items():
        split = refused(lambda kind=kind: kind(table, train, test))
        if isinstance(split, str):
            assert not holds or not len(train) or not len(test), split
        else:
            assert holds, kind


@pytest.mark.parametrize("make", [
    lambda t: RecordingSplit(t, np.arange(0, 150), np.arange(150, 400)),
    lambda t: ListenerSplit(t, np.arange(0, 100), np.arange(100, 400)),
    lambda t: TimeBlockSplit(t, np.arange(0, 50), np.arange(55, 100)),
    lambda t: TimeBlockSplit(t, np.arange(60, 100), np.arange(0, 50), 2.0),
    lambda t: SongTimeSplit(t, np.arange(0, 20), np.arange(130, 140), 2.0),  # other listeners, the same music
    lambda t: RandomSplit(t, np.arange(0, 400, 8), np.arange(7, 400, 8)),
    lambda t: SongSplit(t, np.arange(0, 100), np.arange(100, 200)),
    lambda t: RepeatSplit(t, np.arange(0, 100), np.arange(200, 300)),
    lambda t: RepeatSplit(t, np.arange(0, 100), np.arange(100, 200), True),
    lambda t: Split(t, np.arange(0, 10), np.arange(9, 20)),
])  # fmt: skip
def test_a_leak_is_reported(table, make):
    with pytest.raises(UserError, match="leaks"):
        make(table)


def test_touching_blocks_without_guard_are_no_leak(table):
    TimeBlockSplit(table, np.arange(0, 50), np.arange(58, 100))


def test_a_random_split_is_the_papers_and_needs_windows_apart(table):
    apart = random_table(1, 4.0, 10, 2, 20)
    split = make_split("random", apart)
    assert (len(split.train), len(split.test)) == (380, 20)
    assert split.test.tolist() == make_split("random", apart).test.tolist()
    counts = shared_counts(split)
    assert counts["recordings"] > 5
    assert counts["songs"] == 2
    with pytest.raises(UserError, match="overlap the one before"):
        make_split("random", table)


@pytest.mark.parametrize("kind", SPLITS)
def test_every_split_can_be_made_by_name(kind):
    split = make_split(kind, random_table(2, 4.0, 6, 4, 12), SplitConfig(seed=3))
    assert split.kind == kind
    assert kind in split.describe()


def test_what_cannot_be_split_is_reported(table):
    with pytest.raises(UserError, match="leaves 400 windows to train and 0 to test"):
        Split(table, np.arange(400), np.zeros(0, int))
    with pytest.raises(UserError, match="no recording 'r9' to hold out"):
        RecordingSplit.make(table, {"r9"})
    with pytest.raises(UserError, match="no split 'rows'"):
        make_split("rows", table)
    bare = WindowTable(table.start_s, table.stop_s, table.recording, table.listener, table.song)
    with pytest.raises(UserError, match="needs the song second"):
        make_split("time-block", bare)
    assert "song seconds" not in shared_counts(ListenerSplit.make(bare, {"bob"}))
