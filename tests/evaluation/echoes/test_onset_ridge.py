"""The baseline of timing reads planted onsets of music and listeners it has not met, and none where there are none."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from bci_music.evaluation.echoes import onset_ridge
from bci_music.evaluation.echoes.figures import figures
from bci_music.evaluation.echoes.onset_ridge import add_ridge_rows, ridge_row, song_flux
from bci_music.evaluation.echoes.rows import Reconstructions, distinct_pieces, load_row, save_row
from bci_music.evaluation.echoes.scores import score
from bci_music.messages import UserError
from bci_music.training.eeg.corpus import Segment

pytestmark = pytest.mark.learning

SECONDS, RATE, SONGS = 40, 64.0, ("one", "two", "three")
NAMES = {song: song for song in SONGS}


def tune(seed):
    """Attacks at random."""
    rng = np.random.default_rng(seed)
    gate = np.zeros(SECONDS * 16_000)
    for second in np.cumsum(rng.uniform(0.25, 0.8, 100)):
        if second < SECONDS - 0.5:
            first = round(second * 16_000)
            gate[first : first + 3000] += np.exp(-np.arange(3000) / 800)
    return (0.3 * gate * rng.standard_normal(len(gate)) + 0.003 * rng.standard_normal(len(gate))).astype(np.float32)


@pytest.fixture(scope="module")
def sounds():
    return {song: tune(seed) for seed, song in enumerate(SONGS)}


@pytest.fixture(scope="module")
def study(sounds):
    """Flux, segments of three listeners with the flux in the EEG and without it, and EEG from before the music."""
    flux = {song: song_flux(sound) for song, sound in sounds.items()}
    rng, made = np.random.default_rng(9), {3.0: [], 0.0: []}
    for gain, segments in made.items():
        for listener in "ABC":
            for song in SONGS:
                eeg = rng.standard_normal((5, SECONDS * 64))
                response = np.roll(flux[song] / flux[song].std(), 10)  # 156 ms
                eeg[:2] += gain * np.outer([1.0, -0.7], response[: eeg.shape[1]])
                name = f"{listener} {song}"
                segments.append(Segment(eeg.astype(np.float16), np.ones(5, bool), song, 0.0, listener, name))
    quiet = [rng.standard_normal((5, 640)).astype(np.float16) for _ in SONGS]
    before = [
        Segment(eeg, np.ones(5, bool), "", 0.0, "C", f"C {song}") for eeg, song in zip(quiet, SONGS, strict=True)
    ]
    return flux, made, before


def windows(sounds, split, listeners="C"):
    places = [(song, listener, second) for song in SONGS for listener in listeners for second in (5.0, 15.0, 25.0)]
    song, listener, second = (np.array(column) for column in zip(*places, strict=True))
    first, piece = distinct_pieces(song, second)
    heard = np.stack([sounds[song[i]][round(second[i] * 16_000) :][: 5 * 16_000] for i in first])
    return Reconstructions("way-b-sequence", split, song, listener, second, heard, piece, made=heard[piece])


@pytest.mark.parametrize("split", ["listener", "time-block"])
def test_planted_onsets_are_read_in_time(sounds, study, split):
    flux, made, before = study
    row = ridge_row(made[3.0], before, RATE, flux, NAMES, windows(sounds, split))
    assert row.curve.shape == (9, 500)
    assert row.before.shape[1] == 500
    found = figures(row, score(row))
    assert found.metrics["flux-r"].value > 0.5
    assert found.metrics["flux-r"].apart()
    assert abs(found.curves["flux-r"].best_s) <= 0.04
    assert abs(found.metrics["flux-r"].controls["before_song"].value) < 0.3
    assert "spectrum-rank" not in found.metrics


def test_of_versions_of_one_song_the_one_that_was_heard_is_read(sounds, study):
    flux, made, before = study
    names = dict.fromkeys(SONGS, "tune")  # as if all three were versions of one
    like = windows(sounds, "listener")
    like = replace(like, song=np.where(like.song == "two", "two", "tune"))
    row = ridge_row(made[3.0], before, RATE, flux, names, like)
    assert figures(row, score(row)).metrics["flux-r"].value > 0.5


def test_where_nothing_is_planted_nothing_is_read(sounds, study):
    flux, made, before = study
    row = ridge_row(made[0.0], before, RATE, flux, NAMES, windows(sounds, "listener"))
    assert abs(figures(row, score(row)).metrics["flux-r"].value) < 0.2


def test_what_is_tested_is_not_learned_from(sounds, study):
    flux, made, before = study
    with pytest.raises(UserError, match="nothing to learn from"):
        ridge_row(made[3.0], before, RATE, flux, NAMES, windows(sounds, "listener", "ABC"))
    with pytest.raises(UserError, match="knows the splits"):
        ridge_row(made[3.0], before, RATE, flux, NAMES, windows(sounds, "random"))


def test_the_flux_of_a_long_song_has_no_edges(sounds):
    twice = np.tile(sounds["one"], 2)  # more than one block of pictures
    whole = song_flux(twice)
    assert len(whole) == 2 * SECONDS * 64
    away = slice(58 * 64, 62 * 64)  # where the blocks meet, against the same music 40 s earlier
    assert whole[away] == pytest.approx(whole[18 * 64 : 22 * 64], abs=1e-3)


def test_rows_are_added_to_a_folder_where_there_is_none_yet(tmp_path, monkeypatch, sounds, study):
    _, made, before = study
    stimuli = {song: SimpleNamespace(id=song, name=song, title=song, audio="there") for song in SONGS}
    prepared = SimpleNamespace(
        segments=made[3.0], before=before, sfreq_hz=RATE, stimuli=stimuli,
        song_seconds=lambda: dict.fromkeys(SONGS, 40.0),
    )  # fmt: skip
    monkeypatch.setattr(onset_ridge.Prepared, "open", lambda folder: prepared)
    monkeypatch.setattr(onset_ridge, "read_song", lambda stimulus: (sounds[stimulus.id], 16_000.0))
    save_row(tmp_path, windows(sounds, "listener"))
    assert [path.name for path in add_ridge_rows(tmp_path, tmp_path)] == ["ridge-onset--listener.npz"]
    assert load_row(tmp_path / "ridge-onset--listener.npz").curve.shape == (9, 500)
    assert add_ridge_rows(tmp_path, tmp_path) == []
