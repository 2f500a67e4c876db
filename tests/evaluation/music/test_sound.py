"""Audio of the player: composed here from tones, so that what is near and what is far is known."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soxr

from bci_music.evaluation.decoded import DecodedWindows
from bci_music.evaluation.music.audio import N_FFT, LibrarySound, mel_filters, power_mel, training_music
from bci_music.evaluation.music.generated import GeneratedSound
from bci_music.evaluation.music.genre import EmbeddingGenres, HubGenres
from bci_music.evaluation.protocol import evaluate_decoded
from bci_music.evaluation.report.tables import not_to_be_had
from bci_music.messages import UserError
from bci_music.metrics.identification import distinct_music
from bci_music.metrics.scoring import DecodedSet
from bci_music.metrics.split_choice import SplitConfig, make_split
from bci_music.metrics.splits import WindowTable
from bci_music.models.checkpoints.manifest import Pulled, stored
from bci_music.models.checkpoints.store import folder_of
from bci_music.training.eeg.corpus import Music

pytestmark = pytest.mark.learning

SONGS, LISTENERS, SECONDS = 4, 12, 120
PLAYER = SimpleNamespace(name="player", settings=SimpleNamespace(steps=2, solver="none"))


class Tones:
    """Embedder stand-in: coarse power spectrum of a piece in 512 bins."""

    sha = "tones"

    def embed(self, audio, sfreq_hz):
        power = np.abs(np.fft.rfft(audio[:32_768], 32_768))[: 512 * 16].reshape(512, 16).sum(1)
        power = np.sqrt(power) - np.sqrt(power).mean()
        return (power / np.linalg.norm(power)).astype(np.float32)


def song(number):
    """Chords of two notes that change every 4 s, around a centre of the song's own."""
    rng = np.random.default_rng(number)
    at = np.arange(4 * 16_000) / 16_000
    pieces = [
        sum(np.sin(2 * np.pi * (300 + 900 * number + rng.uniform(0, 700)) * at) for _ in range(2))
        for _ in range(SECONDS // 4)
    ]
    return (0.2 * np.concatenate(pieces) + 0.01 * rng.standard_normal(SECONDS * 16_000)).astype(np.float32)


@pytest.fixture(scope="module")
def world():
    """``(split, music, audio, table)``: 12 listeners hear 4 songs of 120 s each."""
    embed = Tones().embed
    audio = {f"s{i}": song(i) for i in range(SONGS)}
    music = {
        name: Music(
            np.stack([embed(a[t * 64_000 : (t + 1) * 64_000], 16_000) for t in range(SECONDS // 4)]),
            np.zeros((1, 16), np.float32), 4.0,
        )
        for name, a in audio.items()
    }  # fmt: skip
    rows = [(f"L{x}", f"s{i}", 4.0 * t) for x in range(LISTENERS) for i in range(SONGS) for t in range(SECONDS // 4)]
    listener, name, at = (np.array(v) for v in zip(*rows, strict=True))
    recording = np.char.add(np.char.add(listener, " "), name)
    table = WindowTable(at, at + 4, recording, listener, name, at)
    return make_split("time-block", table, SplitConfig(block_s=40, guard_s=0, seed=2)), music, audio


def decode(split, music, signal, seed=0):
    """Decoded windows of the test side with `signal` of the truth in them."""
    rows = split.test
    t = split.table
    places = zip(t.song[rows].tolist(), t.song_start_s[rows].tolist(), strict=True)
    target = np.stack([music[s].targets[round(at / 4)] for s, at in places])
    noise = np.random.default_rng(seed).standard_normal(target.shape) / np.sqrt(512)
    return DecodedWindows(None, None, (signal * target + noise).astype(np.float32), target, t.song[rows], t.name[rows],
                   t.song_start_s[rows], t.start_s[rows], t.recording[rows], t.listener[rows])  # fmt: skip


def test_the_mel_spectrogram_is_the_one_everybody_makes():
    audio_utils = pytest.importorskip("transformers.audio_utils")
    filters = audio_utils.mel_filter_bank(N_FFT // 2 + 1, 64, 0.0, 8000.0, 16_000, norm=None, mel_scale="htk")
    assert np.allclose(mel_filters(), filters, atol=1e-9)
    sound = song(1)[:64_000] * 3
    centred = sound - sound.mean()
    other = audio_utils.spectrogram(
        0.5 * centred / np.abs(centred).max(), audio_utils.window_function(N_FFT, "hann"), N_FFT, 512,
        power=2.0, mel_filters=filters, mel_floor=0.0,
    )  # fmt: skip
    assert power_mel(sound).shape == (64, 126)
    assert np.allclose(power_mel(sound), other, rtol=1e-4, atol=1e-6)


def test_sound_follows_the_decoder_and_is_evaluated_beside_its_controls(world):
    split, music, audio = world
    song_of, _, _, vectors = training_music(split, music)
    genre = EmbeddingGenres.fit(vectors, ["low" if s in ("s0", "s1") else "high" for s in song_of], Tones())
    player = LibrarySound.of_training(split, music, audio, genre=genre)
    assert not set(zip(player.clips.song, player.clips.second, strict=True)) & {
        (s, t) for s, t in zip(split.table.song[split.test], split.table.song_start_s[split.test], strict=True)
    }  # fmt: skip
    found = {
        f.name: f for f in evaluate_decoded(
            decode(split, music, 2.0), before=None, mean_embedding=vectors.mean(0), split=split, audio=player
        )
    }  # fmt: skip
    for name in ("clap-score", "genre", "ssim", "psnr"):
        metric = found[name]
        assert metric.p == 0.001
        assert metric.ci95[0] > metric.controls["mismatched"].ci95[1], name
        assert "library: the nearest of" in metric.protocol
    assert found["genre"].value > 0.95
    assert found["genre"].label == "2-way genre agreement"
    assert found["clap-score"].missing["fad"].startswith("a Fréchet distance needs at least 1024 windows")
    noise = decode(split, music, 0.0)
    found = evaluate_decoded(noise, before=None, mean_embedding=None, split=split, audio=player)
    assert all(f.p > 0.01 for f in found if f.p is not None)


def test_a_true_picture_is_the_best_one(world):
    split, music, audio = world
    player = LibrarySound.of_training(split, music, audio)
    own = player.clips.vector[:6]
    for score in player.picture_scores(player.clips, ""):
        table = score.table(own)
        assert (table.argmax(axis=1) == np.arange(6)).all()
        assert table[0, 0] == pytest.approx(1.0 if score.name == "ssim" else 100.0)


def test_frechet_distance_tells_varied_music_from_always_the_same(world):
    split, music, audio = world
    player = LibrarySound.of_training(split, music, audio)
    many = decode(split, music, 3.0)
    trial_metrics = evaluate_decoded(many, before=many, mean_embedding=many.target[0], split=split, audio=player)
    assert len(many) < 1024
    assert "fad" not in {f.name for f in trial_metrics}
    often = np.tile(np.arange(len(many)), 3)
    candidates = distinct_music(many.target[often], many.song[often], many.name[often], many.second[often], 4.0)
    tested = DecodedSet(many.clap[often], many.recording[often], candidates, many.clap, many.recording, many.target[0])
    metric = player.frechet(tested, "somewhere", seed=0)
    assert metric.better == "lower"
    assert metric.value < metric.controls["random_clips"].value < metric.controls["mean_embedding"].value
    assert metric.ci95[0] < metric.ci95[1]
    assert metric.controls["before_song"].value == pytest.approx(metric.value, rel=0.05)
    assert "at least 1024" in player.frechet(replace(tested, queries=tested.queries[:9]), "", seed=0)


def test_only_some_pieces_are_pictured_when_there_are_many(world, monkeypatch):
    split, music, audio = world
    monkeypatch.setattr("bci_music.evaluation.music.audio._PAIRS", 800)
    player = LibrarySound.of_training(split, music, audio)
    found = {
        f.name: f for f in evaluate_decoded(
            decode(split, music, 2.0), before=None, mean_embedding=None, split=split, audio=player
        )
    }  # fmt: skip
    assert 0 < found["ssim"].n < found["clap-score"].n
    assert found["ssim"].value > found["ssim"].controls["mismatched"].value


def test_genres_learned_on_some_music_hold_for_other():
    rng = np.random.default_rng(0)
    centre = rng.standard_normal((3, 512))
    label = rng.integers(0, 3, 300)
    x = centre[label] + 2.0 * rng.standard_normal((300, 512))
    names = np.array(["blues", "folk", "rock"])[label]
    found = EmbeddingGenres.fit(x[:200], names[:200], Tones())
    assert found.genres == ("blues", "folk", "rock")
    assert (found.predict_embeddings(x[200:]) == label[200:]).mean() > 0.9
    shuffled = EmbeddingGenres.fit(x[:200], rng.permutation(names[:200]), Tones())
    assert (shuffled.predict_embeddings(x[200:]) == label[200:]).mean() < 0.55
    tone = song(2)[:64_000]
    heard = EmbeddingGenres.fit(np.stack([Tones().embed(s, 16_000) for s in (tone, -tone[::-1], song(0)[:64_000])]),
                                ["a", "a", "b"], Tones())  # fmt: skip
    assert heard.predict([song(0)[:64_000], tone], 16_000).tolist() == [1, 0]
    with pytest.raises(UserError, match="at least 2 genres"):
        EmbeddingGenres.fit(x[:5], ["one"] * 5, Tones())


@pytest.fixture(scope="module")
def classifier(write_classifier, tmp_path_factory):
    return write_classifier(tmp_path_factory.mktemp("genres") / "four", [song(i)[:64_000] for i in range(SONGS)])


def test_genre_agreement_is_that_of_the_classifier_given(world, classifier):
    split, music, audio = world
    genre = HubGenres.load(str(classifier))
    assert (genre.name, genre.genres) == ("four", ("blues", "folk", "jazz", "rock"))
    player = LibrarySound.of_training(split, music, audio, genre=genre)
    decoded = decode(split, music, 2.0)
    found = {f.name: f for f in evaluate_decoded(decoded, before=None, mean_embedding=None, split=split, audio=player)}
    metric = found["genre"]
    assert metric.label == "4-way genre agreement"
    assert "the classifier (four) names the same genre" in metric.protocol
    assert "genre" not in found["clap-score"].missing
    at = [(player.clips.song, player.clips.second), (decoded.song, decoded.second)]
    places = [place for columns in at for place in zip(*columns, strict=True)]
    named = {at: genre.predict([player.sound(*at)], 16_000)[0] for at in set(places)}
    ours, heard = np.split(np.array([named[at] for at in places]), [len(player.clips)])
    assert len(np.unique(heard)) >= 3
    assert metric.value == pytest.approx((ours[player.choose(decoded.clap)] == heard).mean())
    assert metric.ci95[0] > metric.controls["mismatched"].ci95[1]


def test_genre_of_what_is_generated_is_heard_once(world, classifier, monkeypatch):
    split, music, audio = world
    player = LibrarySound.of_training(split, music, audio, genre=HubGenres.load(str(classifier)))
    made = GeneratedSound(PLAYER, player, Tones())
    monkeypatch.setattr(GeneratedSound, "clip", lambda self, v: (audio["s1"][: int(64_000 * abs(v[0]))], None))
    score = next(m for m in made.scores(player.clips, "") if m.name == "genre")
    queries = np.eye(2, 512)[[0, 0]]
    agreed = score.table(queries)
    named = player.genre.predict([audio["s1"][:64_000]], 16_000)
    assert (agreed == (player.genres_of(player.clips) == named)).all()
    monkeypatch.setattr(HubGenres, "predict", None)  # nobody is asked twice
    assert (score.table(queries) == agreed).all()


def test_without_a_classifier_the_report_says_that_genre_is_lacking(world):
    split, music, audio = world
    player = LibrarySound.of_training(split, music, audio)
    for maker in (player, GeneratedSound(None, player, Tones())):
        assert maker.lacking["genre"].startswith("some training music has no genre")
    found = evaluate_decoded(decode(split, music, 2.0), before=None, mean_embedding=None, split=split, audio=player)
    assert "genre" not in {f.name for f in found}
    row = SimpleNamespace(metrics=found)
    assert "genre agreement (some training music has no genre, or all has the same one: name a classifier" in (
        not_to_be_had([row], [f.name for f in found])
    )


def test_a_genre_model_out_of_reach_is_reported(tmp_path, classifier, monkeypatch):
    monkeypatch.setenv("BCI_MUSIC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("socket.getaddrinfo", None)  # nobody asks the network
    deaf, torn = tmp_path / "deaf", tmp_path / "torn"
    for folder in (deaf, torn):
        shutil.copytree(classifier, folder)
    (deaf / "preprocessor_config.json").unlink()
    (torn / "model.safetensors").write_bytes(b"no weights")
    for where, text in (
        (tmp_path / "none", "There is no directory"),
        ("someone/genres", "is not on this machine: fetch it with `bci-music models pull someone/genres`"),
        ("someone/genres@abc", "pull someone/genres --revision abc"),
        (tmp_path, "could not be read as"),
        (deaf, "which says how it hears"),
        (torn, "could not be read as"),
    ):
        with pytest.raises(UserError, match=text):
            HubGenres.load(str(where))


def test_a_genre_model_that_was_pulled_is_found_by_its_name(tmp_path, classifier, monkeypatch):
    monkeypatch.setenv("BCI_MUSIC_CACHE", str(tmp_path / "cache"))
    folder = folder_of("someone/genres", "abc")
    shutil.copytree(classifier, folder)
    files = stored(folder, [p.name for p in folder.iterdir()])
    Pulled(name="someone/genres", revision="abc", licence="MIT", source=files, files=files).write(folder)
    assert HubGenres.load("someone/genres@abc").name == "someone/genres@abc"


def test_a_classifier_hears_at_its_own_rate(classifier):
    genre = HubGenres.load(str(classifier))
    fine = soxr.resample(song(2)[:64_000], 16_000, 48_000)
    assert genre.predict([fine], 48_000).tolist() == genre.predict([song(2)[:64_000]], 16_000).tolist() == [2]


def test_sound_that_is_missing_or_too_short_is_reported(world):
    split, music, audio = world
    with pytest.raises(UserError, match="no sound of s0"):
        LibrarySound.of_training(split, music, {k: v for k, v in audio.items() if k != "s0"})
    player = LibrarySound.of_training(split, music, {k: v[: 16_000 * 60] for k, v in audio.items()})
    with pytest.raises(UserError, match=r"ends at 60\.0 s, but second 80 to 84"):
        player.sound("s1", 80.0)
