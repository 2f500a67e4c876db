"""A bank holds what was planned: the sound, its picture, words, who made it; stopped anywhere, it is finished later."""

import csv
import json

import numpy as np
import pytest

from bci_music.compose.songbook import GENRES, TEST_SEEDS, TRAINING_SEEDS
from bci_music.messages import UserError
from bci_music.models.log_mel import RATE_HZ, log_mel
from bci_music.training.audioldm.clips import ClipBank
from bci_music.training.audioldm.sources import drawn_pieces, recorded_pieces

pytestmark = pytest.mark.learning

SECONDS = 2.0
FEW = ("ambient", "rock")  # quick to render


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    pieces = drawn_pieces(TRAINING_SEEDS, 5, per_song=2, genres=FEW)
    return ClipBank.build(tmp_path_factory.mktemp("bank") / "clips", pieces, SECONDS)


def test_shapes_and_names(bank):
    assert (bank.sound.shape, bank.sound.dtype) == ((5, 32_000), np.int16)
    assert (bank.mel.shape, bank.mel.dtype) == ((5, 200, 64), np.float16)
    assert bank.songs == ["ambient-0", "ambient-0", "rock-1", "rock-1", "ambient-2"]
    assert [GENRES[g] for g in bank.genre] == ["ambient", "ambient", "rock", "rock", "ambient"]
    assert all(len(set(text)) > 3 for text in bank.captions)
    assert bank.credits == []


def test_the_picture_is_that_of_the_sound(bank):
    for sound, mel in zip(bank.sound, bank.mel, strict=True):
        assert abs(int(np.abs(sound).max()) - 16384) < 4  # peak at one half
        assert np.abs(log_mel(sound / 32768.0) - mel).max() < 0.02
    assert np.corrcoef(bank.mel[0].ravel(), bank.mel[2].ravel())[0, 1] < 0.9


def test_a_stopped_bank_is_finished_and_the_same(bank, tmp_path):
    pieces = drawn_pieces(TRAINING_SEEDS, 5, per_song=2, genres=FEW)
    seen = []
    with pytest.raises(UserError, match="has 2 of 5 clips: run the same command again"):
        ClipBank.build(tmp_path, pieces, SECONDS, until=lambda: len(seen) == 2, progress=lambda *x: seen.append(x))
    with pytest.raises(UserError, match="2 of 5 clips"):
        ClipBank.open(tmp_path)
    with (tmp_path / "clips.jsonl").open("a") as lines:
        lines.write('{"song": "ambi')  # torn
    again = ClipBank.build(tmp_path, pieces, SECONDS, progress=lambda *x: seen.append(x))
    assert seen == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    assert np.array_equal(again.sound, bank.sound)
    assert np.array_equal(again.mel, bank.mel)
    assert again.captions == bank.captions
    assert ClipBank.open(tmp_path).songs == bank.songs


def test_another_plan_does_not_go_into_the_same_folder(bank):
    with pytest.raises(UserError, match="holds a bank of other clips"):
        ClipBank.build(bank.directory, drawn_pieces(TEST_SEEDS, 5, per_song=2, genres=FEW), SECONDS)


def test_there_has_to_be_a_bank(tmp_path):
    with pytest.raises(UserError, match="There is no bank of clips in"):
        ClipBank.open(tmp_path)
    with pytest.raises(UserError, match="at least one clip"):
        ClipBank.build(tmp_path, [])


def test_genres_take_turns_and_excerpts_begin_on_bars():
    pieces = drawn_pieces(TEST_SEEDS, 40, per_song=2)
    assert sorted({p.genre for p in pieces}) == list(range(10))
    assert len({(p.song, p.start_s) for p in pieces}) == 40
    assert all(p.seed >= 1_000_000 for p in pieces)
    with pytest.raises(UserError, match="take more of a song"):
        drawn_pieces(range(5), 6)


def music_folder(folder, rows):
    import soundfile

    t = np.arange(3 * RATE_HZ) / RATE_HZ
    for number, row in enumerate(rows):
        loud = 0.0 if row["title"] == "Nothing" else 0.3
        soundfile.write(folder / row["path"], loud * np.sin(2 * np.pi * (220 + 110 * number) * t), RATE_HZ)
    with (folder / "manifest.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def row(name, licence, **more):
    blank = {"attribution": f"{name} by Somebody", "genre": "Folk", "bpm": "", "feel": "", "instruments": ""}
    return {"path": f"{name}.wav", "title": name, "artist": "Somebody", "licence": licence} | blank | more


def test_recorded_music_is_free_and_every_track_used_is_credited(tmp_path):
    music_folder(tmp_path, [
        row("One", "CC0 1.0", attribution="", bpm="90", feel="Calm, Warm", instruments="Harp, Bells"),
        row("Two", "CC BY 4.0"), row("Three", "CC BY-NC 4.0"), row("Four", "CC BY-SA 3.0"), row("Nothing", "CC0 1.0"),
    ])  # fmt: skip
    pieces, credits = recorded_pieces(tmp_path, 1.0)
    assert [p.song for p in pieces] == ["One.wav"] * 3 + ["Two.wav"] * 3
    assert [(c["title"], c["licence"]) for c in credits] == [("One", "CC0 1.0"), ("Two", "CC BY 4.0")]
    assert credits[1]["attribution"] == "Two by Somebody"
    assert pieces[0].captions[0] == "Calm folk music with harp and bells, 90 bpm."
    bank = ClipBank.build(tmp_path / "bank", pieces, 1.0, credits=credits)
    assert list(bank.genre) == [-1] * 6
    assert bank.credits == credits
    assert json.loads((tmp_path / "bank" / "bank.json").read_text())["credits"] == credits


def test_a_track_that_has_to_be_credited_and_cannot_be_is_refused(tmp_path):
    music_folder(tmp_path, [row("One", "CC BY 4.0", attribution="")])
    with pytest.raises(UserError, match="has no attribution"):
        recorded_pieces(tmp_path, 1.0)
    with pytest.raises(UserError, match=r"no manifest\.csv"):
        recorded_pieces(tmp_path / "elsewhere", 1.0)
