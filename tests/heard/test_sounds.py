"""What was heard when: files placed by markers or by a start, and what is captured."""

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.heard.open import HeardConfig, open_heard
from bci_music.heard.sounds import KEPT_S, RATE_HZ, SoundFiles, SoundMemory
from bci_music.messages import MusicMarker, UserError


def ramp(path, seconds, rate=16_000, scale=1.0):
    """A file whose sample at second t is t / 100 * scale."""
    soundfile.write(path, scale * np.arange(round(seconds * rate)) / rate / 100, rate, subtype="FLOAT")
    return path


def seconds_of(audio):
    return 100 * np.asarray(audio, float)


@pytest.fixture
def folder(tmp_path):
    ramp(tmp_path / "a.wav", 20)
    ramp(tmp_path / "b.wav", 20, rate=48_000)
    (tmp_path / "notes.txt").write_text("no sound")
    return tmp_path


def test_markers_place_the_songs_of_a_folder(folder):
    sound = SoundFiles(folder)
    assert "no music marker" in sound.why
    sound.marker(MusicMarker(110.0, "b", "B", 7.0))  # late ones may come first
    sound.marker(MusicMarker(100.0, "a", "A", 2.0))
    sound.marker(MusicMarker(115.0, None))
    assert sound.why == ""
    assert sound.between(99.0, 101.0) is None  # what was heard before is not known
    heard = seconds_of(sound.between(104.0, 116.0))
    assert len(heard) == 12 * RATE_HZ
    t = 104.0 + np.arange(len(heard)) / RATE_HZ
    np.testing.assert_allclose(heard[t < 109.99], (t - 98.0)[t < 109.99], atol=1e-3)
    inside = (t > 110.05) & (t < 114.95)
    np.testing.assert_allclose(heard[inside], (t - 103.0)[inside], atol=5e-3)
    assert not heard[t > 115.01].any()


def test_a_song_without_a_file_is_not_known(folder):
    sound = SoundFiles(folder)
    sound.marker(MusicMarker(0.0, "a"))
    sound.marker(MusicMarker(5.0, "../a"))
    assert sound.between(0.0, 5.0) is not None
    assert sound.between(0.0, 6.0) is None


def test_one_file_is_the_first_song_s(folder):
    sound = SoundFiles(folder / "a.wav")
    for time_s, song in ((0.0, "whatever"), (5.0, "another"), (10.0, "whatever")):
        sound.marker(MusicMarker(time_s, song))
    assert sound.between(1.0, 5.0) is not None
    assert sound.between(6.0, 9.0) is None
    assert sound.between(11.0, 12.0) is not None


def test_a_start_counts_from_the_eeg_s_first_row_and_the_end_is_silence(folder):
    sound = SoundFiles(folder / "a.wav", start_s=3.0)
    sound.marker(MusicMarker(0.0, "a"))  # does not count
    sound.begin(50.0)
    sound.begin(70.0)  # nor does a later beginning
    assert sound.between(52.0, 54.0) is None
    np.testing.assert_allclose(seconds_of(sound.between(55.0, 56.0))[0], 2.0, atol=1e-3)
    late = sound.between(72.0, 74.0)
    assert late[: RATE_HZ // 2].any()
    assert not late[-RATE_HZ // 2 :].any()


ANY_MARKER = st.tuples(st.floats(-1e6, 1e6), st.sampled_from(["a", "b", None]), st.floats(-1e300, 1e300))


@settings(max_examples=40, deadline=None)
@given(st.lists(ANY_MARKER, max_size=9), st.floats(-1e6, 1e6))
def test_any_markers_are_taken(tmp_path_factory, markers, at_s):
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    for name in "ab":
        if not (folder / f"{name}.wav").exists():
            ramp(folder / f"{name}.wav", 3)
    sound = SoundFiles(folder)
    for time_s, song, song_start_s in markers:
        sound.marker(MusicMarker(time_s, song, "", song_start_s))
    heard = sound.between(at_s, at_s + 2.0)
    assert heard is None or (len(heard) == 2 * RATE_HZ and np.isfinite(heard).all())


def test_what_is_captured_is_kept_for_a_minute_and_cut_by_time():
    memory = SoundMemory(8000.0)
    assert memory.between(0.0, 1.0) is None
    memory.origin_s = 200.0
    for second in range(90):
        memory.add(np.full(8000, second, np.float32))
    assert memory.between(200.0 + 90 - KEPT_S - 5, 270.0) is None
    assert memory.between(289.0, 291.0) is None
    heard = memory.between(280.0, 282.0)
    assert len(heard) == 2 * RATE_HZ
    assert heard[4000] == pytest.approx(80, abs=0.1)
    assert heard[-4000] == pytest.approx(81, abs=0.1)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"file": "nowhere.wav"}, "There is no nowhere.wav"), ({"file": "empty"}, "holds no sound file"),
        ({"file": "text.wav"}, "could not be read as sound"), ({"file": ".", "start_s": 1.0}, "is a folder"),
        ({"device": "no such microphone"}, "captured"),
    ],
)  # fmt: skip
def test_what_cannot_be_heard_is_one_sentence(tmp_path, monkeypatch, values, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=words):
        open_heard(HeardConfig.parse(values), None)


def test_two_sources_or_a_start_without_a_file_are_refused():
    for values in ({"file": "a", "stream": "b"}, {"start_s": 1.0}):
        with pytest.raises(UserError):
            HeardConfig.parse(values)
    assert open_heard(HeardConfig(), None) is None
