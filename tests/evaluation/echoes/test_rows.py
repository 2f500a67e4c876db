"""Rows on disk: the same after a round trip, and one sentence for whatever is damaged."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bci_music.evaluation.echoes.rows import Reconstructions, distinct_pieces, load_row, save_row
from bci_music.messages import UserError

N, P, SAMPLES = 6, 3, 32_000


def small(**more):
    rng = np.random.default_rng(0)
    sounds = rng.uniform(-0.9, 0.9, (N + P, SAMPLES)).astype(np.float32)
    about = {"song": np.array(["ä", "b", "b"] * 2), "listener": np.repeat(["x", "y"], 3),
             "second": np.tile([0.0, 5.12, 200.123], 2), "heard": sounds[N:], "piece": np.arange(N) % P}  # fmt: skip
    return Reconstructions("oracle", "time-block", **({"made": sounds[:N]} | about | more))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    vector = np.eye(6, 4, dtype=np.float32)
    row = small(
        before=np.zeros((2, SAMPLES), np.float32), before_of=np.array([1, 5]), made_vector=vector,
        heard_vector=vector[:3], lag_s=0.1, made_by="8 steps", costs={"minutes": 2.5},
    )  # fmt: skip
    path = save_row(tmp_path_factory.mktemp("rows"), row)
    return row, path, path.read_bytes(), path.with_suffix(".json").read_text()


def test_a_row_is_the_same_after_a_round_trip(stored):
    row, path, *_ = stored
    again = load_row(path)
    for what in ("row", "split", "title", "made_by", "simulated", "lag_s", "costs"):
        assert getattr(again, what) == getattr(row, what)
    for what in ("song", "listener", "second", "piece", "before_of", "made_vector", "heard_vector"):
        assert np.array_equal(getattr(again, what), getattr(row, what)), what
    assert again.title == "oracle (the true music embedding)"
    assert np.abs(again.made - row.made).max() < 1e-4
    assert np.abs(again.heard - row.heard).max() < 1e-4


def test_what_is_louder_than_full_scale_is_brought_down_as_a_whole(tmp_path):
    row = small(made=3 * small().made)
    again = load_row(save_row(tmp_path, row))
    assert np.corrcoef(again.made[0], row.made[0])[0, 1] > 0.9999
    assert np.abs(again.made).max() <= 1.0


@pytest.mark.parametrize(("change", "words"), [
    ({"row": "Way B"}, "small letters"),
    ({"song": np.full(N, "a")}, "one song"),
    ({"made": None}, "either sounds or onset curves"),
    ({"made": np.zeros((N, SAMPLES - 1))}, "made has the shape"),
    ({"made": np.full((N, SAMPLES), np.nan)}, "not finite"),
    ({"piece": np.full(N, 3)}, "pieces other than"),
    ({"second": np.zeros(2)}, "of one length"),
    ({"heard": np.zeros((P, 99))}, "2 to 12 s"),
    ({"before": np.zeros((1, SAMPLES))}, "come together"),
    ({"before": np.zeros((1, SAMPLES)), "before_of": np.array([N])}, "windows that there are not"),
    ({"lag_s": 2.0}, "lag"),
])  # fmt: skip
def test_what_cannot_be_evaluated_is_refused_in_words(change, words):
    with pytest.raises(UserError, match=words):
        replace(small(), **change)


def test_pieces_are_counted_once():
    song, second = np.array(["a", "b", "a", "a"]), np.array([0.0, 0.0, 5.0, 0.0])
    first, piece = distinct_pieces(song, second)
    assert len(first) == 3
    assert piece[0] == piece[3]
    assert song[first][piece].tolist() == song.tolist()
    assert second[first][piece].tolist() == second.tolist()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_one_sentence(tmp_path, stored, data):
    _, path, sounds, note = stored
    here = tmp_path / path.name
    here.write_bytes(sounds)
    here.with_suffix(".json").write_text(note)
    values = json.loads(note)
    kind = data.draw(st.sampled_from(["cut", "turned", "gone", "value", "text"]))
    if kind == "cut":
        here.write_bytes(sounds[: data.draw(st.integers(0, len(sounds) - 1))])
    elif kind == "turned":
        at = data.draw(st.integers(0, 400) | st.integers(len(sounds) - 1500, len(sounds) - 1))
        here.write_bytes(sounds[:at] + bytes([sounds[at] ^ data.draw(st.integers(1, 255))]) + sounds[at + 1 :])
    elif kind == "gone":
        data.draw(st.sampled_from([here, here.with_suffix(".json")])).unlink()
    elif kind == "value":
        key = data.draw(st.sampled_from(sorted(values)))
        text = st.text("aä/ ", max_size=300)
        junk = st.none() | st.integers() | st.floats() | text | st.lists(text | st.integers(), max_size=3)
        values[key] = data.draw(junk)
        here.with_suffix(".json").write_text(json.dumps(values))
    else:
        here.with_suffix(".json").write_text(note[: data.draw(st.integers(0, len(note) - 1))])
    words = ""
    try:
        row = load_row(here)
    except UserError as error:
        words = str(error)
    else:  # what was changed is what may be: a text, a number, a byte that nothing reads
        assert len(row.song) == N
        assert row.made is None or np.isfinite(row.made).all()
    assert "\n" not in words
    assert len(words) < 1000
