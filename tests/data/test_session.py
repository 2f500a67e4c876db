import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bci_music.data.session import (
    Event,
    HeardSpan,
    Session,
    heard_spans,
    parse_song_marker,
    song_marker,
)
from bci_music.timing.stamps import on_lattice

KEYS = st.sampled_from(["song", "title", "song_start_s"])


def make(times, events=()):
    samples = np.zeros((len(times), 2), np.float32)
    return Session("made", ("Cz", "Pz"), 100.0, samples, np.asarray(times, float), events=tuple(events))


def test_songs_are_heard_from_one_marker_to_the_next():
    events = [
        Event(2.0, song_marker("a", "A", 10.0)), Event(1.0, "start"), Event(5.0, song_marker("b", "B")),
        Event(7.0, song_marker(None)), Event(8.0, song_marker("a", "A", 30.0)),
    ]  # fmt: skip
    spans = make(np.arange(1000) / 100, events).heard()
    assert spans == (
        HeardSpan(2.0, 5.0, "a", "A", 10.0), HeardSpan(5.0, 7.0, "b", "B", 0.0), HeardSpan(8.0, 10.0, "a", "A", 30.0)
    )  # fmt: skip
    assert spans[0].song_position_s(3.5) == 11.5


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.text(max_size=20), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner),
    max_leaves=6,
).map(json.dumps)))  # fmt: skip
@example('{"song": "a", "song_start_s": 1' + "0" * 400 + "}")
def test_any_text_is_a_marker_or_not_but_never_an_error(text):
    marker = parse_song_marker(text)
    assert marker is None or (isinstance(marker[1], str) and isinstance(marker[2], float))
    heard_spans([Event(0.0, text), Event(1.0, text)], 2.0)


def test_a_marker_survives_its_own_writing():
    assert parse_song_marker(song_marker("x", 'With "quotes"', 1.5)) == ("x", 'With "quotes"', 1.5)
    assert parse_song_marker(song_marker(None)) == (None, "", 0.0)
    assert parse_song_marker("T1") is None


def test_segments_end_at_long_gaps_only():
    steps = np.full(1000, 0.01)
    steps[300] += 0.03  # filled by the grid
    steps[600] += 2.0
    session = make(np.cumsum(steps))
    assert session.segments() == ((0, 600), (600, 1000))
    (rows,) = session.grid_rows()
    assert np.flatnonzero(rows.flags).tolist() == [300, 301, 302, 603]
    assert session.duration_s == pytest.approx(10.0 + 2.03)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1e9), min_size=2, max_size=20), st.floats(0, 1e6))
def test_adding_a_clock_time_on_the_lattice_is_exact(times, base):
    on = on_lattice(np.array(times))
    assert np.abs(on - times).max() <= 2.0**-21
    moved = on + on_lattice(np.array(base))
    assert np.array_equal(moved - moved[0], on - on[0])


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="float32"):
        Session("x", ("a",), 1.0, np.zeros((3, 1)), np.zeros(3))
    with pytest.raises(ValueError, match="as many times and labels"):
        Session("x", ("a", "b"), 1.0, np.zeros((3, 1), np.float32), np.zeros(3))
