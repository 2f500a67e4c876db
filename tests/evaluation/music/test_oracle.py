"""The oracle tells sound that follows from sound that does not, on sounds whose answer is known."""

import json

import numpy as np
import pytest

from bci_music.evaluation.music.fidelity import Evaluators, Heard, compare, generate, table, through_the_autoencoder
from bci_music.evaluation.music.pictures import draw_pairs
from bci_music.generation.audioldm.loading import write_random_audioldm
from bci_music.generation.audioldm.sampler import load_audioldm
from bci_music.messages import UserError
from bci_music.models.embedder import StatisticsEmbedder

pytestmark = pytest.mark.learning

RATE = 16_000
STYLES = {"bells": (1200.0, 0.5), "drone": (110.0, 4.0), "pulse": (400.0, 0.15)}


def sound(style, seed, seconds=4.0):
    rng = np.random.default_rng(seed)
    pitch, every = STYLES[style]
    t = np.arange(int(seconds * RATE)) / RATE
    pitch *= rng.uniform(0.9, 1.1)
    tones = sum(np.sin(2 * np.pi * pitch * k * t + rng.uniform(0, 6)) / k for k in (1, 2, 3))
    return (0.2 * tones * np.exp(-3 * (t % every) / every) + 0.01 * rng.standard_normal(t.size)).astype(np.float32)


@pytest.fixture(scope="module")
def evaluators():
    clips = [(style, sound(style, seed, 6.0)) for style in STYLES for seed in range(6)]
    sounds, styles = [s for _, s in clips], [style for style, _ in clips]
    return Evaluators.fit(sounds, styles, StatisticsEmbedder.fit(sounds, n_axes=16), leads="another")


@pytest.fixture(scope="module")
def heard():
    vector = np.full(512, 512**-0.5, np.float32)
    return [
        Heard(f"{style} {seed}", style, sound(style, 100 + seed), vector) for style in STYLES for seed in range(5)
    ]


def test_sound_in_the_same_style_is_distinguished_from_other_sound(evaluators, heard):
    row = compare("same style", [sound(h.genre, 500 + i) for i, h in enumerate(heard)], heard, evaluators)
    assert row.apart
    assert row.difference_ci95[0] > 0
    assert row.genre > 0.9
    assert row.agreement > 0.9
    assert (row.n, row.n_songs, row.chance) == (15, 15, pytest.approx(1 / 3))
    assert row.mismatched < row.own


def test_sound_that_follows_nothing_is_not(evaluators, heard):
    styles = list(STYLES)
    chance = np.random.default_rng(0)
    row = compare("any style", [sound(styles[chance.integers(3)], 900 + i) for i in range(15)], heard, evaluators)
    assert not row.apart
    assert row.difference_ci95[0] < 0 < row.difference_ci95[1]
    assert row.genre_ci95[0] < 1 / 3 < row.genre_ci95[1]


def test_genres_of_other_names_are_those_heard_in_the_music(evaluators, heard):
    renamed = [Heard(h.song, "unknown", h.sound, h.vector) for h in heard]
    row = compare("same style", [h.sound for h in heard], renamed, evaluators)
    assert row.genre == row.agreement == 1.0
    assert row.own == pytest.approx(1.0)


def test_pieces_of_the_same_song_are_no_other_music(evaluators, heard):
    twins = [Heard("one", h.genre, h.sound, h.vector) if h.genre == "bells" else h for h in heard]
    made = [h.sound for h in heard]
    plain, tied = compare("x", made, heard, evaluators), compare("x", made, twins, evaluators)
    assert tied.n_songs == 11
    assert tied.others < plain.others


def test_wrong_input_is_one_sentence(evaluators, heard):
    with pytest.raises(UserError, match="2 songs or more"):
        compare("one", [heard[0].sound], heard[:1], evaluators)
    with pytest.raises(UserError, match="cannot evaluate"):
        Evaluators.fit([h.sound for h in heard], ["a"] * 15, evaluators.embedder, leads=evaluators.embedder.sha)


def test_a_random_model_is_evaluated_and_drawn(evaluators, heard, tmp_path):
    model = load_audioldm(write_random_audioldm(tmp_path / "random"), device="cpu")
    model.settings = model.settings.model_copy(update={"steps": 1, "guidance": 1.0})
    few = [heard[0], heard[7]]
    reported = []
    made = generate(model, few, progress=lambda done, of: reported.append((done, of)))
    again = through_the_autoencoder(model, few)
    assert reported == [(1, 2), (2, 2)]
    assert all(np.isfinite(s).all() for s in made + again)
    assert len(made[0]) == len(few[0].sound)
    rows = [compare("generated", made, few, evaluators), compare("through", again, few, evaluators)]
    lines = table(rows).splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert "2 (2)" in lines[2]
    assert json.loads(json.dumps(rows[0].as_dict()))["apart"] in (True, False)
    picture = draw_pairs(tmp_path / "out" / "pairs.png", few, {"before": made, "generated": made}, pairs=2, columns=2)
    assert picture.read_bytes()[:4] == b"\x89PNG"
