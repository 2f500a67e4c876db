"""Songs drawn from seeds: always the same ones, never two alike, playable, told apart, and put into words."""

import numpy as np
import pytest

from bci_music.compose.captions import caption, heard_in
from bci_music.compose.composer import SONGS, render
from bci_music.compose.harmony import parse_progression
from bci_music.compose.score import lay_out, write_score
from bci_music.compose.songbook import GENRES, TEST_SEEDS, TRAINING_SEEDS, VALIDATION_SEEDS, new_song
from bci_music.compose.songwriting import Draw, motif, spell
from bci_music.evaluation.music.genre import EmbeddingGenres
from bci_music.messages import UserError
from bci_music.models.music_features import window_features

pytestmark = pytest.mark.learning


def test_the_genres_are_those_of_the_composed_songs():
    assert set(GENRES) == {song.genre for song in SONGS}
    assert len(GENRES) == 10


def test_seeds_of_training_and_tests_are_apart():
    assert max(TRAINING_SEEDS) < min(VALIDATION_SEEDS)
    assert max(VALIDATION_SEEDS) < min(TEST_SEEDS)


@pytest.mark.parametrize("genre", GENRES)
def test_a_seed_is_a_song_and_another_seed_another(genre):
    assert new_song(genre, 5) == new_song(genre, 5)
    drawn = [new_song(genre, seed) for seed in range(40)]
    assert len({(s.bpm, s.tonic, s.scale, tuple(p.instrument for p in s.parts)) for s in drawn}) > 36
    assert len({s.bpm for s in drawn}) > 12
    assert len({tuple(p.pattern for p in s.parts) for s in drawn}) == 40


@pytest.mark.parametrize("genre", GENRES)
def test_every_drawn_song_can_be_played(genre):
    for seed in range(8):
        spec = new_song(genre, seed)
        score = write_score(spec, 60.0)
        letters = {bar.section for bar in lay_out(spec, 60.0)}
        due = {i for i, p in enumerate(spec.parts) if letters & set(p.sections)}
        assert {n.part for n in score} == due  # nobody sits idle
        pitched = [n.pitch for n in score if spec.parts[n.part].role != "drums"]
        assert 24 <= min(pitched) <= max(pitched) <= 108
        assert np.diff(np.sort([n.start_s for n in score])).max() < 2.2 * spec.bar_s  # no hole in the music


def test_chords_move():
    """All but the drone of a raga change chords within a section."""
    for genre in GENRES:
        still = [len(set(parse_progression(new_song(genre, seed).progressions["A"]))) == 1 for seed in range(30)]
        assert np.mean(still) < (0.5 if genre == "world" else 0.05)


def test_numerals_become_chords():
    assert spell("ii V I", "C", "major", "sevenths") == "Dm7|G7|Cmaj7"
    assert spell("i bII V/VII", "A", "harmonic minor") == "Am|Bb|E/Ab"
    assert spell("i_iv VII", "E", "minor", "power") == "E5 A5|D5"
    assert spell("ii", "C", "minor") == "Ddim"
    with pytest.raises(ValueError, match="unknown numeral"):
        spell("I J", "C", "major")


def test_motifs_fill_two_bars_and_end_in_rest():
    draw = Draw(np.random.default_rng(1))
    for density in (0.1, 0.4, 0.9):
        cells = motif(draw, 16, 4, density)
        assert len(cells) == 32
        assert cells.count("x") >= 3
        assert set(cells[-2:]) <= {"-", "."}


def test_an_unknown_genre_is_a_sentence():
    with pytest.raises(UserError, match="choose one of ambient, blues"):
        new_song("polka", 1)


def test_captions_differ_and_say_what_is_there():
    for genre in GENRES:
        drawn = [new_song(genre, seed) for seed in range(60)]
        assert len({caption(spec, 0) for spec in drawn}) == 60
        assert len({caption(drawn[0], seed) for seed in range(12)}) > 9
        assert caption(drawn[0], 3) == caption(drawn[0], 3)
    spec = new_song("latin", 4)
    text = [caption(spec, seed).lower() for seed in range(30)]
    assert all("latin" in s for s in text)
    assert sum(f"{spec.bpm:.0f} b" in s for s in text) > 15
    assert sum(spec.mood in s for s in text) > 15
    assert sum(f"{spec.tonic} {spec.scale}".lower() in s for s in text) > 15
    assert not any(" a upbeat" in s or " a un" in s for s in text)


def test_captions_of_an_excerpt_name_what_is_heard_there():
    spec = new_song("rock", 2)
    quiet = heard_in(spec, 0.0, 0.9 * spec.bar_s)  # the intro
    whole = heard_in(spec, 0.0, 90.0)
    assert quiet < whole == {p.instrument for p in spec.parts}
    text = [caption(spec, seed, quiet) for seed in range(20)]
    assert not any("bass" in s for s in text)
    assert any("bass" in caption(spec, seed, whole) for seed in range(20))


def _features(specs, seconds=4.0):
    rows = []
    for spec in specs:
        sound = render(spec, seconds, start_s=6 * spec.bar_s).samples[:, 0]
        rows.append(window_features(sound, 1.0).mean(0))
    return np.stack(rows)


def _probe(genres, n_fit, n_unseen):
    """Share of unseen songs whose genre a linear probe on music statistics names."""
    learnt = [new_song(g, seed) for g in genres for seed in TRAINING_SEEDS[:n_fit]]
    unseen = [new_song(g, seed) for g in genres for seed in TEST_SEEDS[:n_unseen]]
    fit, tested = _features(learnt), _features(unseen)
    mean, spread = fit.mean(0), fit.std(0) + 1e-6
    probe = EmbeddingGenres.fit((fit - mean) / spread, [s.genre for s in learnt], None, penalty=3e-3)
    named = probe.predict_embeddings((tested - mean) / spread)
    return np.mean([probe.genres[k] == s.genre for k, s in zip(named, unseen, strict=True)])


@pytest.mark.learning
def test_a_linear_probe_tells_the_genres_of_unseen_songs_apart():
    assert _probe(("ambient", "classical", "latin", "rock"), 4, 3) > 0.6  # chance 0.25


@pytest.mark.soak
def test_a_linear_probe_with_enough_songs_is_nearly_always_right():
    assert _probe(GENRES, 100, 30) >= 0.9
