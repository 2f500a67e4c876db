"""The folder of a calibration: begun once, gone on with by what its recordings hold."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import yaml
from small_xdf import Stream

from bci_music.data.audio_map import read_audio_map
from bci_music.data.session import song_marker
from bci_music.listening.folder import AUDIO, PLAN, CalibrationFolder, folder_name, heard_in, played
from bci_music.listening.songs import Excerpt
from bci_music.messages import AUDIO_RATE_HZ, UserError

RATE = 50.0


def sound_of(excerpt):
    n = round(excerpt.seconds * AUDIO_RATE_HZ)
    return np.full((n, 2), excerpt.start_s / 100, np.float32)


@pytest.fixture
def excerpts(tmp_path):
    places = [("night-bus", 12.5, 3.0), ("ash", 0.0, 4.0), ("night-bus", 40.0, 3.0)]
    return [Excerpt(song, song.title(), start, seconds, tmp_path / "x") for song, start, seconds in places]


@pytest.fixture
def folder(tmp_path, excerpts):
    return CalibrationFolder.begin(
        tmp_path / "calibration", excerpts, sound_of, listener="Anna / B.", pack="demo 1", pack_sha256="0" * 64,
        music="pack demo 1",
    )  # fmt: skip


@pytest.fixture
def record(folder, write_xdf):
    """Write a session: EEG from 0 to `until`, without the rows of `gap`, and what was heard from when on."""

    def write(name, *heard, until=60.0, gap=(0.0, 0.0)):
        times = np.arange(round(until * RATE)) / RATE
        times = times[(times < gap[0]) | (times >= gap[1])]
        eeg = Stream(rate=RATE, times=times)
        marks = [(at, song_marker(song, "", start)) for at, song, start in heard]
        markers = Stream(
            name="made music", kind="Markers", labels=("",), rate=0.0, format="string", source_id="m",
            times=np.array([at for at, _ in marks]), values=[text for _, text in marks],
        )  # fmt: skip
        (folder.path / name).mkdir()
        write_xdf(eeg, markers).rename(folder.path / name / "recording.xdf")

    return write


def test_what_was_begun_is_opened_as_it_was(folder, excerpts):
    again = CalibrationFolder.open(folder.path)
    assert again == folder
    assert again.session.name == "Anna-B"
    assert [(e.song, e.title, e.start_s, e.seconds) for e in again.excerpts()] == [
        (e.song, e.title, e.start_s, e.seconds) for e in excerpts
    ]
    for excerpt in again.excerpts():
        sound = played(excerpt)
        assert sound.shape == (round(excerpt.seconds * AUDIO_RATE_HZ), 2)
        np.testing.assert_allclose(sound, excerpt.start_s / 100, atol=1e-4)
    assert CalibrationFolder.open(folder.path / "songs") is None


def test_songs_lie_in_their_own_time(folder):
    entries = read_audio_map(folder.path / AUDIO)
    assert set(entries) == {"night-bus", "ash"}
    samples, rate = soundfile.read(folder.path / entries["night-bus"].file)
    assert (rate, len(samples)) == (AUDIO_RATE_HZ, 43 * AUDIO_RATE_HZ)
    assert not samples[: round(12.5 * rate)].any()
    assert samples[round(12.6 * rate), 0] == pytest.approx(0.125, abs=1e-4)


def test_missing_is_what_no_recording_holds(folder, record):
    assert len(folder.missing()) == 3
    record("Anna-B", (5.0, "night-bus", 12.5), (8.0, None, 0), (11.0, "ash", 0.0), (12.0, None, 0))
    assert [(e.song, e.start_s) for e in folder.missing()] == [("ash", 0.0), ("night-bus", 40.0)]
    record("Anna-B-2", (5.0, "ash", 0.0), (9.0, None, 0), (11.0, "night-bus", 40.0), until=13.5)  # killed within it
    assert not folder.missing()


def test_a_song_without_its_eeg_is_missing(folder, record):
    record("Anna-B", (5.0, "night-bus", 12.5), (8.0, None, 0), (11.0, "ash", 0.0), (15.0, None, 0), gap=(6.0, 7.0))
    assert [(e.song, e.start_s) for e in folder.missing()] == [("night-bus", 12.5), ("night-bus", 40.0)]


def test_a_song_that_stumbled_is_missing(folder, record):
    record("Anna-B", (5.0, "ash", 0.0), (7.0, "ash", 1.5), (9.5, None, 0))
    assert ("ash", 0.0) in [(e.song, e.start_s) for e in folder.missing()]


def test_a_recording_without_markers_holds_nothing(folder, record):
    record("Anna-B")
    assert heard_in(folder.path / "Anna-B" / "recording.xdf") == []
    assert len(folder.missing()) == 3


def test_another_folder_is_not_written_to(folder, excerpts, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.txt").write_text("mine")
    more = {"listener": "a", "pack": "p", "pack_sha256": "0", "music": "m"}
    for place in (tmp_path / "own", tmp_path / "own" / "thesis.txt", folder.path):
        with pytest.raises(UserError, match="holds something else than a calibration"):
            CalibrationFolder.begin(place, excerpts, sound_of, **more)


@pytest.mark.parametrize("spoil", [
    lambda values: values.update(excerpts=[]),
    lambda values: values["excerpts"][0].update(file="../../etc/passwd"),
    lambda values: values["excerpts"][0].update(seconds=-1),
    lambda values: values.update(format=2),
    lambda values: values.update(more=1),
])  # fmt: skip
def test_a_spoilt_plan_is_one_sentence(folder, spoil):
    values = yaml.safe_load((folder.path / PLAN).read_text())
    spoil(values)
    (folder.path / PLAN).write_text(yaml.safe_dump(values))
    with pytest.raises(UserError) as raised:
        CalibrationFolder.open(folder.path)
    assert "\n" not in str(raised.value)


def test_a_song_that_is_gone_is_one_sentence(folder):
    excerpt = folder.excerpts()[0]
    with pytest.raises(UserError, match="begin it again with another --record"):
        played(replace(excerpt, start_s=41.0))
    excerpt.path.unlink()
    with pytest.raises(UserError, match="There is no file"):
        played(excerpt)


@pytest.mark.parametrize(("name", "safe"), [
    ("anna", "anna"), ("Anna / B.", "Anna-B"), ("../up", "up"), ("", "listener"), ("日本", "日本"),
    ("a" * 300, "a" * 100),
])  # fmt: skip
def test_any_name_makes_a_folder(name, safe):
    assert folder_name(name) == safe
