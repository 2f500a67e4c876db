"""Which music is heard, in which order, as which sound; wrong folders are one sentence."""

import numpy as np
import pytest
import soundfile

from bci_music.listening import songs
from bci_music.messages import AUDIO_RATE_HZ, UserError
from bci_music.models.pack import Pack


def tone(path, seconds, rate=16_000, level=0.1):
    t = np.arange(round(seconds * rate)) / rate
    soundfile.write(path, level * np.sin(2 * np.pi * 330 * t), rate)
    return path


@pytest.fixture
def folder(tmp_path):
    for name, seconds in (("one.wav", 9.0), ("two.flac", 70.0), ("three.ogg", 30.0)):
        tone(tmp_path / name, seconds)
    (tmp_path / "cover.jpg").touch()
    (tmp_path / "._two.flac").touch()
    return tmp_path


def test_the_packs_library_is_heard_in_its_songs_own_time():
    found = songs.of_pack(Pack.open("demo"))
    library = Pack.open("demo").open_library()
    assert len(found) == len(library.clips)
    assert {e.song for e in found} == {song["id"] for song in library.songs}
    assert found[0].start_s == library.clips[0].song_start_s
    assert found[0].seconds == pytest.approx(9.88, abs=0.01)


def test_a_folder_gives_the_beginning_of_every_song(folder):
    found = songs.of_folder(folder, minutes=1.5)
    assert [(e.song, e.start_s, e.seconds) for e in found] == [
        ("one", 0.0, 9.0), ("three", 0.0, 30.0), ("two", 0.0, 30.0)
    ]  # fmt: skip
    assert max(e.seconds for e in songs.of_folder(folder, minutes=60)) == songs.MOST_S


def test_songs_of_one_name_are_told_apart(folder):
    tone(folder / "one.flac", 9.0)
    assert {"one.wav", "one.flac"} < {e.song for e in songs.of_folder(folder, 5)}


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda f: [p.unlink() for p in f.iterdir()], "holds 0 audio files"),
    (lambda f: tone(f / "a.wav", 3.0), "lasts 3.0 s, and a song needs at least 8 s"),
    (lambda f: (f / "b.mp3").write_bytes(b"nothing"), "cannot be read as audio"),
    (lambda f: [p.unlink() for p in f.iterdir()] and f.rmdir(), "There is no file"),
])  # fmt: skip
def test_wrong_folders_are_one_sentence(folder, spoil, words):
    spoil(folder)
    with pytest.raises(UserError, match=words) as raised:
        songs.of_folder(folder, 8)
    assert "\n" not in str(raised.value)


def test_every_song_comes_once_before_any_comes_again():
    every = [songs.Excerpt(s, s, at, 10.0, None) for s in "abcde" for at in (0.0, 50.0)]
    order = songs.in_order(every, 60, seed=3)
    assert sorted(e.song for e in order[:5]) == sorted(e.song for e in order[5:]) == list("abcde")
    assert [e.song for e in order[:5]] != [e.song for e in order[5:]]
    assert order == songs.in_order(every, 60, seed=3) != songs.in_order(every, 60, seed=4)
    assert len(songs.in_order(every, 1.0, seed=3)) == 6


def test_sound_is_stereo_at_one_level_without_clicks(folder):
    for excerpt in songs.of_folder(folder, 1.5):
        sound = songs.sound_of(excerpt)
        assert sound.shape == (round(excerpt.seconds * AUDIO_RATE_HZ), 2)
        assert 20 * np.log10(np.sqrt(np.mean(sound**2))) == pytest.approx(songs.LEVEL_DB, abs=0.2)
        assert np.abs(sound[[0, -1]]).max() < 1e-3
