"""Windows of the lab: on one grid of song time, inside segments, apart; training never holds a tested sample."""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.data.study import Stimulus
from bci_music.messages import UserError
from bci_music.metrics.split_choice import SplitConfig, make_split
from bci_music.metrics.splits import WindowTable
from bci_music.training.eeg.corpus import Corpus, Music, Segment
from bci_music.training.eeg.targets import read_song
from bci_music.training.lab.windows import Version, lab_windows, split_windows, study_windows, training_seconds

RATE = 25.0  # every sample of every segment holds a number of its own, exactly, in float16 pairs


def segment(number, song, song_start_s, seconds, start_s=0.0, recording=""):
    n = round(seconds * RATE)
    eeg = np.stack([np.full(n, number), np.arange(n) // 1000, np.arange(n) % 1000]).astype(np.float16)
    return Segment(eeg, np.ones(3, bool), song, song_start_s, f"p{number % 3}", recording or f"r{number}", start_s)


def samples(part):
    """(segment, sample) of every sample of a segment."""
    number, high, low = part.eeg.astype(int)
    return set(zip(number.tolist(), (1000 * high + low).tolist(), strict=True))


@st.composite
def segments_of_a_study(draw):
    """Segments that begin anywhere in their songs and recordings, some of them two of one recording."""
    made = []
    for number in range(draw(st.integers(1, 6))):
        song = draw(st.sampled_from(["a", "b", "b backwards"]))
        begin = draw(st.integers(0, 500)) / RATE
        made.append(segment(number, song, begin, draw(st.floats(0.1, 70.0)), begin + draw(st.sampled_from([0.0, 3.0]))))
    return made


WINDOWS = st.sampled_from([1.0, 2.0, 2.4, 4.0])


@settings(max_examples=60, deadline=None)
@given(segments_of_a_study(), WINDOWS)
def test_windows_lie_in_segments_on_the_grid_and_apart(segments, window_s):
    long = [t for t in segments if t.eeg.shape[1] >= 2 * window_s * RATE]
    try:
        windows = lab_windows(segments, {}, window_s=window_s, sfreq_hz=RATE)
    except UserError:
        assert not long  # a window may begin up to one window's length into a segment
        return
    table, n = windows.table, windows.n_times
    x, used = windows.gather(np.arange(len(table)))
    assert x.shape == (len(table), 3, n)
    assert x.dtype == np.float32
    assert used.shape == (len(table), 3)
    slots = table.song_start_s / window_s
    np.testing.assert_allclose(slots, np.rint(slots), atol=1e-6)
    seen = set()
    for row in range(len(table)):
        source = segments[windows.segment[row]]
        first = windows.first[row]
        assert 0 <= first <= source.eeg.shape[1] - n
        assert abs(source.song_start_s + first / RATE - table.song_start_s[row]) <= 0.5 / RATE + 1e-6
        assert table.start_s[row] == pytest.approx(source.start_s + first / RATE)
        np.testing.assert_array_equal(x[row], source.eeg[:, first : first + n])
        own = {(windows.segment[row], at) for at in range(first, first + n)}
        assert not own & seen
        seen |= own
    for number, source in enumerate(segments):  # none is left out that would fit
        left = source.eeg.shape[1] / RATE - window_s
        assert (windows.segment == number).sum() >= int(max(0.0, left) / window_s)


@settings(max_examples=60, deadline=None)
@given(
    segments_of_a_study(), WINDOWS, st.sampled_from(["random", "time-block"]), st.floats(0.05, 0.5), st.integers(0, 99),
    st.sampled_from([0.0, 2.0, 5.0]),
)  # fmt: skip
def test_no_tested_sample_is_trained_on(segments, window_s, kind, share, seed, guard_s):
    try:
        windows = lab_windows(segments, {"b backwards": "b"}, window_s=window_s, sfreq_hz=RATE)
        config = SplitConfig(share=share, seed=seed, block_s=8.0, guard_s=guard_s)
        split, parts = split_windows(windows, kind, config)
    except UserError:
        return  # too little for two sides
    tested = set()
    for row in split.test:
        first = windows.first[row]
        tested |= {(int(windows.segment[row]), at) for at in range(first, first + windows.n_times)}
    trained = [samples(part) for part in parts]
    assert not tested & set().union(*trained)
    assert sum(map(len, trained)) == len(split.train) * windows.n_times  # all of it, nothing twice
    for part in parts:
        number, first = min(samples(part))
        source = segments[number]
        assert part.song_start_s == pytest.approx(source.song_start_s + first / RATE)
        assert part.start_s == pytest.approx(source.start_s + first / RATE)
        assert (part.song, part.listener, part.recording) == (source.song, source.listener, source.recording)


@settings(max_examples=20, deadline=None)
@given(segments_of_a_study(), st.integers(0, 99))
def test_what_is_drawn_for_training_holds_no_tested_sample_or_music(segments, seed):
    """All the way to batches: the corpus draws on a finer grid, with jitter, but only within parts."""
    try:
        windows = lab_windows(segments, {"b backwards": "b"}, window_s=2.0, sfreq_hz=RATE)
        split, parts = split_windows(windows, "time-block", SplitConfig(share=0.3, block_s=8.0, seed=seed))
    except UserError:
        return
    music = {s: Music(np.ones((400, 8), np.float32), np.ones((1000, 2), np.float32), 0.25) for s in windows.table.song}
    corpus = Corpus(parts, music, sfreq_hz=RATE, n_times=50, patch=25)
    batch = corpus.draw(np.random.default_rng(seed), 64, jitter_s=0.5)
    rows = {(int(t), int(f) + i) for t, f in zip(windows.segment[split.test], windows.first[split.test], strict=True)
            for i in range(50)}  # fmt: skip
    number, high, low = batch.x.astype(int).transpose(1, 0, 2)
    drawn = set(zip(number.ravel().tolist(), (1000 * high + low).ravel().tolist(), strict=True))
    assert not drawn & rows
    song = np.array(corpus.songs)[batch.song]
    for test in split.test:
        there = batch.second[song == windows.table.song[test]]
        assert (np.abs(there - windows.table.song_start_s[test]) >= 2.0 - 1e-6).all()  # nor by another listener


def test_songs_played_backwards_are_placed_where_their_music_came_from():
    segments = [segment(0, "b", 0.0, 20.0), segment(1, "b backwards", 3.0, 17.0)]
    names = {"b": "b", "b backwards": "b"}
    versions = {"b backwards": Version(20.0, backwards=True)}
    windows = lab_windows(segments, names, window_s=4.0, sfreq_hz=RATE, versions=versions)
    table = windows.table
    forwards = table.song == "b"
    np.testing.assert_allclose(table.origin_s[forwards], table.song_start_s[forwards])
    # second 4 to 8 of 20 backwards is second 12 to 16 forwards
    np.testing.assert_allclose(table.song_start_s[~forwards], [4.0, 8.0, 12.0, 16.0])
    np.testing.assert_allclose(table.origin_s[~forwards], [12.0, 8.0, 4.0, 0.0])
    assert set(table.name) == {"b"}
    split, parts = split_windows(windows, "time-block", SplitConfig(share=0.3, block_s=4.0, guard_s=0.0, seed=1))
    held, kept = table.origin_s[split.test], table.origin_s[split.train]
    assert set(held) & set(kept) == set()
    assert {table.song[row] for row in split.test} == {"b", "b backwards"}
    assert {part.song for part in parts} == {"b", "b backwards"}


AUDIO_HZ, AUDIO_S = 100, 100.0


@pytest.fixture
def ramp(tmp_path):
    """Music that tells its second, as a file that runs forwards and one that is backwards already."""
    rising = np.arange(round(AUDIO_S * AUDIO_HZ)) / AUDIO_HZ
    for name, samples in (("forwards", rising / 1000), ("backwards", rising[::-1] / 1000)):
        soundfile.write(tmp_path / f"{name}.wav", samples, AUDIO_HZ, subtype="FLOAT")
    return tmp_path


def windows_of(ramp, *stimuli, seconds=80.0):
    """One segment of each stimulus, all of them versions of one song."""
    made = {
        key: Stimulus(key, key, "song", ramp / f"{name}.wav", offset_s, backwards)
        for key, name, offset_s, backwards in stimuli
    }
    segments = [segment(number, key, 0.0, seconds) for number, key in enumerate(made)]
    prepared = SimpleNamespace(stimuli=made, segments=segments, sfreq_hz=RATE, song_seconds=lambda: made)
    return study_windows(prepared, 4.0), made


@pytest.mark.parametrize("forwards", [("nmed-h/21", "forwards", 9.0, False), ("nmed-h/21", "backwards", 9.0, True)])
@pytest.mark.parametrize("backwards", [
    ("nmed-h/25", "forwards", 2.0, True), ("nmed-h/25", "backwards", 2.0, False), ("own", "forwards", 2.0, True),
])  # fmt: skip
def test_music_is_placed_where_it_lies_in_the_song_whatever_the_offset_and_the_file(ramp, forwards, backwards):
    windows, stimuli = windows_of(ramp, forwards, backwards)
    table = windows.table
    pieces = [
        read_song(stimuli[song])[0][round(at * AUDIO_HZ) : round((at + 4.0) * AUDIO_HZ)]
        for song, at in zip(table.song, table.song_start_s, strict=True)
    ]
    origin = np.array([1000 * piece.min() for piece in pieces])
    np.testing.assert_allclose(table.origin_s, origin, atol=1.5 / AUDIO_HZ)
    split, _ = split_windows(windows, "time-block", SplitConfig(seed=3))
    assert set(table.song[split.test]) == set(stimuli) == set(table.song[split.train])
    apart = np.abs(origin[split.train][:, None] - origin[split.test])
    assert apart.min() >= 4.0 + 4.0 - 0.05  # a window and the guard


def test_versions_in_another_order_are_kept_out_of_training_and_test(ramp):
    ordered = (("nmed-h/21", "forwards", 0.0, False), ("nmed-h/25", "forwards", 0.0, True))
    shuffled = (("nmed-h/29", "forwards", 0.0, False), ("nmed-h/33", "forwards", 0.0, False))
    windows, _ = windows_of(ramp, *ordered, *shuffled, seconds=AUDIO_S)
    split, parts = split_windows(windows, "time-block", SplitConfig(seed=3))
    assert {part.song for part in parts} == {"nmed-h/21", "nmed-h/25"} == set(windows.table.song[split.test])
    assert "50 windows of versions in another order than a tested song's are left out" in split.describe()
    alone, _ = windows_of(ramp, *ordered, seconds=AUDIO_S)
    without, _ = split_windows(alone, "time-block", SplitConfig(seed=3))
    assert "order" not in without.describe()
    np.testing.assert_array_equal(split.test, without.test)
    np.testing.assert_array_equal(split.train, without.train)
    random, _ = split_windows(windows, "random", SplitConfig())
    assert set(windows.table.song[random.train]) == {key for key, *_ in (*ordered, *shuffled)}


def test_without_offsets_a_song_and_its_reverse_are_split_as_ever(ramp):
    """What simulated studies hold: first and last second of a file, of as many seconds as the EEG."""
    windows, _ = windows_of(ramp, ("nmed-h/22", "forwards", 0.0, False), ("nmed-h/26", "forwards", 0.0, True),
                            seconds=AUDIO_S)  # fmt: skip
    table = windows.table
    assert len(table) == 50
    origin = np.where(table.song == "nmed-h/26", AUDIO_S - table.song_start_s - 4.0, table.song_start_s)
    np.testing.assert_array_equal(table.origin_s, origin)
    plain = WindowTable(
        table.start_s, table.stop_s, table.recording, table.listener, table.song, table.song_start_s, table.repeat,
        table.name, origin,
    )  # fmt: skip
    for kind in ("time-block", "random"):
        split, _ = split_windows(windows, kind, SplitConfig())
        as_ever = make_split(kind, plain, SplitConfig())
        np.testing.assert_array_equal(split.train, as_ever.train)
        np.testing.assert_array_equal(split.test, as_ever.test)


@pytest.mark.parametrize(("eeg_s", "last"), [(100.0, 96.0), (100.2, 96.0), (104.0, 96.0)])
def test_a_window_without_a_target_is_none(ramp, eeg_s, last):
    windows, _ = windows_of(ramp, ("a", "forwards", 0.0, False), seconds=eeg_s)
    assert windows.table.song_start_s.max() == last
    windows, _ = windows_of(ramp, ("a", "forwards", 0.2, False), seconds=eeg_s)
    assert windows.table.song_start_s.max() == last - 4.0


def test_two_segments_of_one_recording_keep_their_times():
    segments = [segment(0, "a", 1.0, 9.0, 1.0, "r"), segment(1, "a", 30.0, 10.0, 30.0, "r")]
    windows = lab_windows(segments, {}, window_s=2.0, sfreq_hz=RATE)
    np.testing.assert_allclose(windows.table.start_s, [2, 4, 6, 8, 30, 32, 34, 36, 38])
    joined = windows.joined(np.array([0, 1, 3, 4, 5]))
    assert [(p.song_start_s, p.eeg.shape[1] / RATE) for p in joined] == [(2.0, 4.0), (8.0, 2.0), (30.0, 4.0)]


def test_no_take_as_long_as_a_window_is_one_sentence():
    with pytest.raises(UserError, match=r"No segment is as long as one window of 4 s"):
        lab_windows([segment(0, "a", 0.0, 3.0)], {}, window_s=4.0, sfreq_hz=RATE)


def test_training_seconds_are_joined_over_listeners():
    segments = [
        segment(0, "a", 0.0, 10.0), segment(1, "a", 8.0, 6.0), segment(2, "a", 20.0, 4.0), segment(3, "a", 24.0, 4.0),
        segment(4, "b", 5.0, 2.0), segment(5, "a", 1.0, 2.0),
    ]  # fmt: skip
    assert training_seconds(segments, RATE) == {"a": [(0.0, 14.0), (20.0, 28.0)], "b": [(5.0, 7.0)]}


@settings(max_examples=40, deadline=None)
@given(segments_of_a_study())
def test_training_seconds_cover_what_is_heard_and_nothing_else(segments):
    spans = training_seconds(segments, RATE)
    grid = np.arange(0, 100, 0.21)
    for song in ("a", "b", "b backwards"):
        heard = np.zeros(len(grid), bool)
        for t in segments:
            if t.song == song:
                heard |= (grid >= t.song_start_s) & (grid < t.song_start_s + t.eeg.shape[1] / RATE)
        text = np.zeros(len(grid), bool)
        for start, stop in spans.get(song, []):
            text |= (grid >= start) & (grid < stop)
        np.testing.assert_array_equal(text, heard)
