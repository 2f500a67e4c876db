"""The ring: absolute indices, many readers, no torn or silently missing row."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.streaming.ring import Cursor, RingBuffer


def block(first, n, n_channels=2):
    """Rows whose content tells their absolute index."""
    index = np.arange(first, first + n)
    return np.repeat(index[:, None], n_channels, 1).astype(np.float32), index * 0.5, (index % 251).astype(np.uint8)


def assert_true_rows(piece):
    index = np.arange(piece.first_index, piece.stop_index)
    np.testing.assert_array_equal(piece.samples, np.repeat(index[:, None], piece.samples.shape[1], 1))
    np.testing.assert_array_equal(piece.times, index * 0.5)
    np.testing.assert_array_equal(piece.flags, index % 251)


@settings(max_examples=60, deadline=None)
@given(
    capacity=st.integers(1, 50),
    actions=st.lists(st.tuples(st.sampled_from(["write", "pull", "pull other"]), st.integers(0, 80)), max_size=40),
)
def test_every_row_is_read_once_in_order_or_counted_as_lost(capacity, actions):
    ring = RingBuffer(2, capacity)
    cursors = {"pull": Cursor(ring), "pull other": Cursor(ring)}
    read = dict.fromkeys(cursors, 0)
    written = 0
    for what, n in actions:
        if what == "write":
            assert ring.write(*block(written, n)) == written
            written += n
            continue
        piece = cursors[what].pull(n)
        assert len(piece) <= min(n, capacity)
        assert_true_rows(piece)
        read[what] += len(piece)
        assert piece.lost == max(0, piece.first_index - (cursors[what].position - len(piece) - piece.lost))
    for what, cursor in cursors.items():
        rest = cursor.pull()
        assert_true_rows(rest)
        assert read[what] + len(rest) + cursor.lost == written
        assert cursor.behind == 0
    assert ring.head == written
    assert ring.tail == max(0, written - capacity)


@settings(max_examples=60, deadline=None)
@given(capacity=st.integers(1, 40), written=st.integers(0, 120), start=st.integers(0, 150), max_n=st.integers(0, 60))
def test_reading_from_anywhere(capacity, written, start, max_n):
    ring = RingBuffer(3, capacity)
    for first in range(0, written, 7):
        ring.write(*block(first, min(7, written - first), 3))
    piece = ring.read(start, max_n)
    assert_true_rows(piece)
    wanted = range(start, written)
    held = [i for i in wanted if i >= written - capacity]
    assert len(piece) == min(max_n, len(held))
    if held:
        assert piece.lost == held[0] - start
    assert len(piece) == 0 or piece.first_index == held[0]


def test_what_was_read_stays_as_it_was():
    ring = RingBuffer(2, 10)
    ring.write(*block(0, 10))
    piece = ring.read(0)
    ring.write(*block(10, 10))
    assert_true_rows(piece)


def test_jump_forward_counts_what_it_skips_and_not_as_lost():
    ring = RingBuffer(1, 100)
    ring.write(*block(0, 80, 1))
    cursor = Cursor(ring, at=0)
    assert cursor.jump(60) == 60
    assert cursor.pull(5).first_index == 60
    assert cursor.jump(500) == 15
    assert cursor.position == 80
    assert cursor.jump(10) == 0
    assert cursor.pull().first_index == 10
    assert cursor.lost == 0


def test_a_new_cursor_sees_only_new_rows():
    ring = RingBuffer(1, 100)
    ring.write(*block(0, 30, 1))
    cursor = Cursor(ring)
    assert len(cursor.pull()) == 0
    ring.write(*block(30, 5, 1))
    assert cursor.pull().first_index == 30


def test_readers_beside_a_writer_see_no_torn_row():
    ring = RingBuffer(8, 500)
    stop = threading.Event()
    wrong, seen = [], [0, 0]

    def reader(which):
        cursor = Cursor(ring, at=0)
        while not stop.is_set():
            piece = cursor.pull(400)
            index = np.arange(piece.first_index, piece.stop_index) % 4096
            if not (piece.samples == index[:, None]).all():
                wrong.append(piece.first_index)
            seen[which] += len(piece)

    readers = [threading.Thread(target=reader, args=(i,), name=f"reader-{i}") for i in range(2)]
    for thread in readers:
        thread.start()
    written = 0
    rng = np.random.default_rng(0)
    for n in rng.integers(1, 300, 3000):
        index = np.arange(written, written + n)
        ring.write(np.repeat((index % 4096)[:, None], 8, 1).astype(np.float32), index * 1.0, np.zeros(n, np.uint8))
        written += int(n)
    stop.set()
    for thread in readers:
        thread.join()
    assert wrong == []
    assert min(seen) > 1000


@pytest.mark.parametrize(("n_channels", "capacity"), [(0, 10), (10, 0)])
def test_an_empty_ring_is_refused(n_channels, capacity):
    with pytest.raises(ValueError, match="at least one"):
        RingBuffer(n_channels, capacity)


def test_rows_of_another_width_are_refused():
    ring = RingBuffer(4, 10)
    with pytest.raises(ValueError, match=r"expected \(3, 4\)"):
        ring.write(np.zeros((3, 5), np.float32), np.zeros(3), np.zeros(3, np.uint8))
    assert ring.head == 0
