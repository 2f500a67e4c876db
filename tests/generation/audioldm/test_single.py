"""One clip to a file: from words, a sound or a vector, with a true report of what was made."""

import numpy as np
import pytest
import soundfile

from bci_music.cli.generate import generate
from bci_music.generation import condition
from bci_music.generation.audioldm.loading import write_random_audioldm
from bci_music.generation.audioldm.precision import Speed
from bci_music.generation.audioldm.sampler import load_audioldm
from bci_music.messages import AUDIO_RATE_HZ, EMBEDDING_DIM, UserError
from bci_music.models import embedder as embedder_module
from bci_music.models.embedder import StatisticsEmbedder
from bci_music.models.music_features import group_sizes

pytestmark = pytest.mark.learning


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return write_random_audioldm(tmp_path_factory.mktemp("audioldm"), seed=1)


@pytest.fixture
def statistics(tmp_path):
    n = sum(size for size, _ in group_sizes())
    StatisticsEmbedder(np.zeros(n), np.ones(n), np.eye(n)[:, :8]).save(tmp_path / "embedder")
    return tmp_path / "embedder"


@pytest.fixture
def vector(tmp_path):
    path = tmp_path / "vector.npy"
    np.save(path, np.random.default_rng(0).standard_normal((1, EMBEDDING_DIM)))
    return path


def test_a_vector_becomes_a_clip_and_a_picture(directory, vector, tmp_path, capsys):
    out, picture = tmp_path / "new" / "clip.wav", tmp_path / "clip.png"
    generate(embedding=vector, generator=str(directory), seconds=0.64, steps=3, guidance=1.5, solver="dpm++", seed=4,
             out=out, picture=picture, device="cpu")  # fmt: skip
    sentence = capsys.readouterr().out
    assert "0.64 s by random AudioLDM (not trained): 3 steps of dpm++, guidance 1.5, seed 4" in sentence
    assert "not trained" in sentence.splitlines()[-2]
    samples, rate = soundfile.read(out)
    assert (rate, samples.shape) == (AUDIO_RATE_HZ, (0.64 * AUDIO_RATE_HZ, 2))
    peak = 20 * np.log10(np.abs(samples).max())
    assert f"peak {peak:.1f} dBFS" in sentence
    assert picture.read_bytes()[1:4] == b"PNG"
    again = tmp_path / "again.wav"
    generate(embedding=vector, generator=str(directory), seconds=0.64, steps=3, guidance=1.5, solver="dpm++", seed=4,
             out=again, device="cpu")  # fmt: skip
    assert again.read_bytes() == out.read_bytes()


def test_a_vector_is_brought_to_length_one_and_nonsense_is_refused(vector, tmp_path):
    assert np.linalg.norm(condition.from_file(vector)) == pytest.approx(1, abs=1e-6)
    for number, wrong in enumerate((np.zeros(EMBEDDING_DIM), np.ones(3), np.full(EMBEDDING_DIM, np.nan))):
        path = tmp_path / f"{number}.npy"
        np.save(path, wrong)
        with pytest.raises(UserError, match=r"embed again|not finite"):
            condition.from_file(path)
    (tmp_path / "text.npy").write_text("no array")
    for name in ("text.npy", "missing.npy"):
        with pytest.raises(UserError, match=r"There is no file|could not be read"):
            condition.from_file(tmp_path / name)


def test_a_sound_is_heard_by_the_embedder_that_leads(directory, statistics, tmp_path):
    path = tmp_path / "sound.wav"
    soundfile.write(path, np.random.default_rng(1).standard_normal((32_000, 2)) * 0.1, 16_000)
    samples, _ = soundfile.read(path, dtype="float32")
    heard = condition.from_sound(path, directory, statistics)
    np.testing.assert_allclose(heard, StatisticsEmbedder.load(statistics).embed(samples, 16_000), atol=1e-6)
    with pytest.raises(UserError, match="has no sound tower"):
        condition.from_sound(path, directory)
    for content in (b"", b"no sound"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="could not be read as sound"):
            condition.from_sound(path, directory, statistics)
    soundfile.write(path, np.zeros(16_000), 16_000)
    with pytest.raises(UserError, match="no sound"):
        condition.from_sound(path, directory, statistics)


def test_words_need_a_clap(directory, statistics, monkeypatch):
    class Clap:
        def embed_text(self, text):
            return np.eye(EMBEDDING_DIM, dtype=np.float32)[len(text)]

    with pytest.raises(UserError, match="is no CLAP"):
        condition.from_text("slow piano", directory, statistics)
    with pytest.raises(UserError, match="no text encoder"):
        condition.from_text("slow piano", directory)
    with pytest.raises(UserError, match="text is empty"):
        condition.from_text(" ", directory, statistics)
    monkeypatch.setattr(embedder_module, "load_embedder", lambda where: Clap())
    assert condition.from_text("slow piano", directory, "clap").argmax() == 10


def test_exactly_one_wish(directory, vector):
    for wishes in ({}, {"text": "piano", "embedding": vector}):
        with pytest.raises(UserError, match="give one of --text"):
            generate(generator=str(directory), **wishes)


def test_settings_of_the_model_are_defaults_and_wrong_ones_are_named(directory, vector, tmp_path, capsys):
    with pytest.raises(UserError, match=r"steps in the options is 0"):
        generate(embedding=vector, generator=str(directory), steps=0, out=tmp_path / "a.wav", device="cpu")
    note = directory / "generator.json"
    before = note.read_text()
    try:
        note.write_text('{"trained": true, "name": "mine", "solver": "lcm", "steps": 2, "guidance": 1}')
        model = load_audioldm(directory, device="cpu", speed=Speed(dtype="float32"))
        assert (model.settings.solver, model.settings.steps, model.settings.guidance) == ("lcm", 2, 1.0)
        generate(embedding=vector, generator=str(directory), seconds=0.64, out=tmp_path / "a.wav", device="cpu")
        sentence = capsys.readouterr().out
        assert "by mine: 2 steps of lcm, guidance 1, seed 0" in sentence
        assert "not trained" not in sentence
        for wrong, word in (('{"steps": 0}', "steps"), ('{"stepps": 1}', "steps"), ("{", "could not be read as JSON")):
            note.write_text(wrong)
            with pytest.raises(UserError, match=word):
                load_audioldm(directory, device="cpu")
    finally:
        note.write_text(before)
