"""Prepared studies: the live chain's windows on disk, made once, opened without being loaded; targets made once."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from bci_music.data.session import Event, Session, song_marker
from bci_music.data.study import Recording, Stimulus, Study
from bci_music.eeg.chain import SignalConfig
from bci_music.eeg.montage import NMED_CHANNELS, Montage
from bci_music.messages import UserError
from bci_music.training.eeg import targets
from bci_music.training.eeg.corpus import Corpus
from bci_music.training.eeg.sessions import segments_of, session_windows, window_start_s
from bci_music.training.eeg.targets import fit_embedder, music_of, read_song
from bci_music.training.lab import prepare as making
from bci_music.training.lab.prepare import prepare
from bci_music.training.lab.prepared import Place, Prepared, PreparedConfig, write_prepared

pytestmark = pytest.mark.learning

NO_QUALITY = SignalConfig.model_validate({"quality": {"enabled": False}})
SONGS = ("nmed-t/21", "nmed-t/22")


def session(seed, song=SONGS[0], seconds=11.0):
    rng = np.random.default_rng(seed)
    samples = (10.0 * rng.standard_normal((round(125 * seconds), 125)) + 3.0).astype(np.float32)
    events = (Event(0.0, song_marker(song, "A")),) if song else ()
    return Session("s", NMED_CHANNELS, 125.0, samples, np.arange(len(samples)) / 125.0, events)


def open_one(seed, song):
    return session(seed, song)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two songs in two files, two listeners each, one of them with EEG from before the music."""
    from functools import partial

    folder = tmp_path_factory.mktemp("study")
    recordings, stimuli = [], {}
    for number, song in enumerate(SONGS):
        path = folder / f"song{21 + number}.mat"
        path.write_bytes(bytes(10 + number))
        for who in range(2):
            before = partial(session, 50 + who, "", 7.0) if who else None
            recordings.append(Recording(
                f"nmed-t S0{who} {path.stem}", f"nmed-t S0{who}", path, partial(open_one, 10 * number + who, song),
                before, duration_s=11.0, songs=(song,),
            ))  # fmt: skip
        tone = np.sin(np.arange(16_000 * 12) ** (1.05 + 0.01 * number) / 9.0) * (0.1 + 0.1 * number)
        soundfile.write(folder / f"{number}.wav", tone, 16_000)
        stimuli[song] = Stimulus(song, f"Song {number}", f"Song {number}", folder / f"{number}.wav", genre="folk")
    return Study("nmed-t", folder, tuple(recordings), stimuli, simulated=True, notes=("simulated",))


@pytest.fixture(scope="module")
def prepared(study, tmp_path_factory):
    return prepare(study, tmp_path_factory.mktemp("prepared") / "out", signal=NO_QUALITY)


def test_segments_are_what_the_live_chain_makes(prepared, study):
    made = segments_of(study.recordings[1].open(), NO_QUALITY, Montage.nmed(), "nmed-t S01", "nmed-t S01 song21")
    segment = next(t for t in prepared.segments if t.recording == "nmed-t S01 song21")
    np.testing.assert_array_equal(np.asarray(segment.eeg), made[0].eeg)
    assert (segment.song, segment.song_start_s, segment.start_s) == (SONGS[0], made[0].song_start_s, made[0].start_s)
    assert 0 < segment.song_start_s == segment.start_s < 4.0
    assert segment.eeg.dtype == np.float16
    assert prepared.seconds > 4 * 10.0


def test_before_the_music_has_no_song_but_the_recording(prepared):
    assert [(t.recording, t.song) for t in prepared.before] == [("nmed-t S01 song21", ""), ("nmed-t S01 song22", "")]
    assert all(t.eeg.shape[1] >= 500 for t in prepared.before)


def test_a_segment_has_no_break_and_loses_no_decodable_row(study):
    """Joined from few windows of the hop grid, it spans from the first decodable one to the last."""
    recording = study.recordings[0].open()
    (segment,) = segments_of(recording, NO_QUALITY, Montage.nmed(), "l", "r")
    windows = [w for w in session_windows(recording, NO_QUALITY, Montage.nmed()) if w.decodable]
    first, last = window_start_s(windows[0], 125.0), windows[-1].end_s
    assert segment.start_s == pytest.approx(max(first, 0.0), abs=0.01)
    assert segment.start_s + segment.eeg.shape[1] / 125.0 == pytest.approx(last + 1 / 125.0, abs=0.01)
    for window in windows[::3]:
        row = round((window_start_s(window, 125.0) - segment.start_s) * 125.0)
        if row >= 0:
            part = segment.eeg[:, row : row + 500].astype(np.float32)
            assert np.corrcoef(part.ravel(), window.samples.ravel())[0, 1] > 0.99


def test_what_is_done_is_not_done_again(study, prepared, monkeypatch):
    calls = []
    monkeypatch.setattr(making, "segments_of", lambda *a, **k: calls.append(a) or [])
    again = prepare(study, prepared.directory, signal=NO_QUALITY)
    assert calls == []
    assert again.data_hash == prepared.data_hash


def test_an_interrupted_preparation_goes_on(study, tmp_path, monkeypatch):
    real = making.segments_of

    def until_second_file(session, *rest):
        if "song22" in rest[-2]:
            raise KeyboardInterrupt
        return real(session, *rest)

    monkeypatch.setattr(making, "segments_of", until_second_file)
    with pytest.raises(KeyboardInterrupt):
        prepare(study, tmp_path / "out", signal=NO_QUALITY)
    with pytest.raises(UserError, match="not finished"):
        Prepared.open(tmp_path / "out")
    calls = []
    monkeypatch.setattr(making, "segments_of", lambda *a: calls.append(a[-2]) or real(*a))
    done = prepare(study, tmp_path / "out", signal=NO_QUALITY)
    assert calls == ["nmed-t S00 song22", "nmed-t S01 song22"]
    assert len(done.segments) == 4


@pytest.mark.learning
def test_processes_make_the_same(study, prepared, tmp_path):
    other = prepare(study, tmp_path / "out", signal=NO_QUALITY, workers=2)
    assert other.data_hash == prepared.data_hash


def test_other_settings_are_not_mixed(study, prepared):
    with pytest.raises(UserError, match="other settings"):
        prepare(study, prepared.directory, signal=NO_QUALITY, normalise="whole-recording")


def test_whole_recording_is_a_plain_z_score_and_says_so(study, tmp_path):
    made = prepare(study, tmp_path / "out", normalise="whole-recording")
    raw = study.recordings[0].open().samples_uv
    expected = ((raw - raw.mean(0)) / (raw.std(0) + 1e-6)).T
    segment = made.segments[0]
    assert np.abs(segment.eeg.astype(np.float32) - expected).max() < 0.01
    assert (segment.song_start_s, segment.start_s, made.normalise) == (0.0, 0.0, "whole-recording")
    assert made.data_hash != ""


def test_settings_come_back(prepared):
    opened = Prepared.open(prepared.directory)
    assert (opened.kind, opened.simulated, opened.normalise, opened.sfreq_hz) == ("nmed-t", True, "causal", 125.0)
    assert opened.signal == NO_QUALITY
    assert opened.montage.names == NMED_CHANNELS
    assert opened.stimuli[SONGS[1]].title == "Song 1"
    assert opened.stimuli[SONGS[1]].audio.is_file()


@pytest.mark.parametrize("damage", ["gone", "short", "table"])
def test_a_damaged_folder_is_one_sentence(study, tmp_path, damage):
    made = prepare(study, tmp_path / "out", signal=NO_QUALITY)
    file = next((made.directory / "eeg").glob("*.npy"))
    if damage == "gone":
        file.unlink()
    elif damage == "short":
        file.write_bytes(file.read_bytes()[:-5000])
    else:
        (made.directory / "segments.json").write_text("{}")
    with pytest.raises(UserError, match=r"segments\.json" if damage == "table" else file.name):
        Prepared.open(made.directory)


def test_thirty_hours_open_without_being_read(tmp_path):
    """Files of the full size (holes on disk), opened and drawn from: resident memory hardly grows."""
    (tmp_path / "eeg").mkdir()
    places, hours, n_files = [], 29.4, 40
    rows = round(hours * 3600 * 125 / n_files)
    for k in range(n_files):
        name = f"eeg/{k}.npy"
        with (tmp_path / name).open("wb") as file:
            np.lib.format.write_array_header_2_0(
                file, {"descr": "<f2", "fortran_order": False, "shape": (rows, 125)}
            )
            file.truncate(file.tell() + rows * 250)
        places += [Place(name, at, 33_000, "a", 0.0, "l", f"{k} {at}", 0.0, "", (3,), False)
                   for at in range(0, rows - 33_000, 33_000)]
    config = PreparedConfig(kind="nmed-t", normalise="causal", signal=SignalConfig(), simulated=True, data_hash="",
                            stimuli={})
    write_prepared(tmp_path, places, {}, config, {})
    before = psutil.Process().memory_info().rss
    opened = Prepared.open(tmp_path)
    drawn = [np.asarray(segment.eeg[:, 100:600]) for segment in opened.segments[::10]]
    assert opened.seconds > 0.9 * hours * 3600
    assert not drawn[0].any()
    assert not opened.segments[0].used[3]
    assert psutil.Process().memory_info().rss - before < 300e6


def test_targets_are_cut_where_the_music_is_heard(prepared, tmp_path):
    embedder = fit_embedder(prepared)
    music = music_of(prepared, embedder, 4.0, cache=tmp_path)
    assert set(music) == set(SONGS)
    audio, rate = read_song(prepared.stimuli[SONGS[0]])
    second = music[SONGS[0]].targets[12]
    direct = embedder.embed_frames(audio[round(3.0 * rate) : round(7.0 * rate)], rate)[0]
    assert second @ direct > 0.999
    corpus = Corpus(prepared.segments, music, sfreq_hz=125.0, n_times=500, patch=50)
    batch = corpus.draw(np.random.default_rng(0), 4)
    assert batch.x.shape == (4, 125, 500)
    assert batch.target.shape == (4, 512)


@pytest.mark.learning
def test_targets_are_made_once_and_again_when_something_changed(prepared, tmp_path, monkeypatch):
    calls = []
    real = targets.embed_song
    monkeypatch.setattr(targets, "embed_song", lambda *a: calls.append(a) or real(*a))
    embedder = fit_embedder(prepared)
    first = music_of(prepared, embedder, 4.0, cache=tmp_path)
    again = music_of(prepared, embedder, 4.0, cache=tmp_path)
    assert len(calls) == 2
    np.testing.assert_array_equal(first[SONGS[0]].targets, again[SONGS[0]].targets)
    music_of(prepared, embedder, 2.0, cache=tmp_path)
    music_of(prepared, fit_embedder(prepared, {SONGS[0]: [(0.0, 9.0)]}), 4.0, cache=tmp_path)
    assert len(calls) == 6


def test_the_embedder_is_fitted_on_the_seconds_given(prepared):
    """Test music changes nothing: the same seconds give the same constants whatever else is heard."""
    some = fit_embedder(prepared, {SONGS[0]: [(0.0, 8.0)]})
    assert some.sha != fit_embedder(prepared).sha
    assert some.sha == fit_embedder(prepared, {SONGS[0]: [(0.0, 8.0), (9.0, 11.0)]}).sha  # 2 s are no window


def test_offset_and_direction_are_heeded(prepared):
    stimulus = prepared.stimuli[SONGS[0]]
    plain, rate = read_song(stimulus)
    late, _ = read_song(replace(stimulus, offset_s=2.5))
    np.testing.assert_array_equal(late, plain[round(2.5 * rate) :])
    backwards, _ = read_song(replace(stimulus, reversed=True, offset_s=1.0))
    np.testing.assert_array_equal(backwards, plain[::-1][round(rate) :])


def test_a_corrected_song_makes_it_another_study(study, prepared, tmp_path):
    """Old results must not be taken for those of other sound, another offset, direction or name."""
    def hash_with(**changes):
        stimuli = dict(study.stimuli)
        stimuli[SONGS[0]] = replace(stimuli[SONGS[0]], **changes)
        out = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        shutil.copytree(prepared.directory / "eeg", out / "eeg")  # what is prepared stays
        return prepare(replace(study, stimuli=stimuli), out, signal=NO_QUALITY).data_hash

    other = tmp_path / "other.wav"
    sound, rate = soundfile.read(study.stimuli[SONGS[0]].audio)
    soundfile.write(other, 0.5 * sound, rate)
    moved = shutil.copy(study.stimuli[SONGS[0]].audio, tmp_path / "moved.wav")
    assert hash_with() == prepared.data_hash == hash_with(audio=Path(moved))
    changed = [hash_with(**c) for c in ({"audio": other}, {"offset_s": 0.5}, {"reversed": True}, {"name": "X"})]
    assert len({prepared.data_hash, *changed}) == 5


def test_a_song_without_audio_is_named(study, tmp_path):
    stimuli = {key: replace(s, audio=None) for key, s in study.stimuli.items()}
    made = prepare(replace(study, stimuli=stimuli), tmp_path / "out", signal=NO_QUALITY)
    with pytest.raises(UserError, match=r"no audio for nmed-t/21.*audio\.yaml"):
        fit_embedder(made)


def test_segments_json_is_plain(prepared):
    table = json.loads((prepared.directory / "segments.json").read_text())
    assert {row["file"] for row in table["segments"]} == set(table["files"])


def test_a_study_prepared_by_the_version_before_opens_with_a_note(prepared, tmp_path, caplog):
    old = tmp_path / "old"
    shutil.copytree(prepared.directory, old)
    table = json.loads((old / "segments.json").read_text())
    (old / "segments.json").unlink()
    (old / "takes.json").write_text(json.dumps({"files": table["files"], "takes": table["segments"]}))
    opened = Prepared.open(old)
    assert [s.recording for s in opened.segments] == [s.recording for s in prepared.segments]
    assert "'takes' is now called 'segments'" in caplog.text
