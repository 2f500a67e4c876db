"""Sound that a generator makes from decoded vectors, evaluated beside its controls."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bci_music.evaluation.music.audio import LibrarySound
from bci_music.evaluation.music.generated import GeneratedSound
from bci_music.evaluation.music.genre import EmbeddingGenres
from bci_music.evaluation.protocol import evaluate_decoded
from bci_music.messages import UserError

from .test_sound import Tones, decode, world  # noqa: F401

pytestmark = pytest.mark.learning


class Copyist:
    """A generator that plays the song whose embedding is nearest to the vector, with some noise of the seed's."""

    name, frame_unit = "copyist", 8
    settings = SimpleNamespace(steps=2, solver="none")

    def __init__(self, music, audio):
        self._vectors = {s: m.targets for s, m in music.items()}
        self._audio, self.made = audio, 0

    def sample(self, vector, seconds, *, seed):
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-3)
        self.made += 1
        song = max(self._vectors, key=lambda s: float((self._vectors[s] @ vector).max()))
        at = int((self._vectors[song] @ vector).argmax()) * 64_000
        n = round(seconds * 16_000)
        return np.resize(self._audio[song][at : at + n], n) + 0.01 * np.random.default_rng(seed).standard_normal(n)


@pytest.fixture(scope="module")
def player(world):  # noqa: F811
    split, music, audio = world
    vectors = np.concatenate([m.targets for m in music.values()])
    genres = [s for s, m in music.items() for _ in m.targets]
    library = LibrarySound.of_training(split, music, audio, genre=EmbeddingGenres.fit(vectors, genres, Tones()))
    return GeneratedSound(Copyist(music, audio), library, Tones(), pairs=2000)


def test_what_follows_the_decoder_is_heard_and_what_does_not_is_not(world, player):  # noqa: F811
    split, music, _ = world

    def metrics(signal):
        heard = decode(split, music, signal)
        found = evaluate_decoded(heard, before=None, mean_embedding=None, split=split, audio=player)
        return {f.name: f for f in found}

    good, none = metrics(4.0), metrics(0.0)
    for name in ("clap-score", "genre", "ssim", "psnr"):
        assert good[name].ci95[0] > good[name].controls["mismatched"].value, name
        assert good[name].p < 0.01
        assert "copyist" in good[name].protocol
    assert none["genre"].ci95[0] < none["genre"].controls["mismatched"].value + 0.1
    assert none["clap-score"].value < good["clap-score"].value
    assert "more of them" in good["clap-score"].missing["fad"]


def test_a_vector_is_generated_once_and_always_the_same(world, player):  # noqa: F811
    vector = world[1]["s1"].targets[3]
    before = player.model.made
    one = player.clip(vector)[0]
    assert player.clip(2 * vector)[0] is one or np.array_equal(player.clip(2 * vector)[0], one)
    assert len(one) == 64_000
    assert player.model.made <= before + 2
    reported = []
    fresh = GeneratedSound(player.model, player.library, player.embedder, reported.append)
    assert np.array_equal(fresh.clip(vector)[0], one)
    fresh.clip(vector)
    fresh.clip(-vector)
    assert reported == [1, 2]  # what a person who waits is shown


def test_a_pack_without_generator_or_led_by_another_embedder_is_a_sentence(player, monkeypatch):
    from bci_music.models import pack

    def opened(generator, leads):
        spaces = SimpleNamespace(generator=leads)
        found = SimpleNamespace(
            name="demo", generator=generator, directory=Path("packs"), manifest=SimpleNamespace(spaces=spaces)
        )
        monkeypatch.setattr(pack.Pack, "open", lambda name: found)

    embedder = SimpleNamespace(sha="tones", name="tones")
    opened(None, "tones")
    with pytest.raises(UserError, match="brings no generator"):
        GeneratedSound.of_pack("demo", player.library, embedder)
    opened("somewhere", "other")
    with pytest.raises(UserError, match="conditioned on another embedder"):
        GeneratedSound.of_pack("demo", player.library, embedder)
