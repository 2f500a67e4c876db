"""A tiny CLAP learns which words belong to which sound, goes on exactly where it stopped, and is read back."""

import json
import re

import numpy as np
import pytest
import torch

from bci_music.messages import UserError
from bci_music.models.clap import ClapEmbedder
from bci_music.training.audioldm.clap import ClapConfig, ClapTask, new_clap, new_tokenizer, train_clap, varied
from bci_music.training.audioldm.clips import ClipBank

pytestmark = pytest.mark.learning

RATE, SECONDS = 16_000, 2.0
PITCHES = {"low": 200, "middle": 700, "high": 2500}
COLOURS = {"dark": 90, "bright": 5000}


def planted(n, seed, directory):
    """Tones whose height and colour the captions name; each clip is a song of its own."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(RATE * SECONDS)) / RATE
    sounds, sentence = [], []
    for i in range(n):
        pitch, colour = list(PITCHES)[i % 3], list(COLOURS)[i // 3 % 2]
        tone, hum = (
            np.sin(2 * np.pi * hz * rng.uniform(0.9, 1.1) * t + rng.uniform(0, 6))
            for hz in (PITCHES[pitch], COLOURS[colour])
        )
        sounds.append(12_000 * (tone + 0.5 * hum + 0.002 * rng.standard_normal(t.size)))
        sentence.append((f"A {pitch} and {colour} tone.", f"{colour}, {pitch}"))
    names = [f"song {seed} {i}" for i in range(n)]
    sound = np.round(np.stack(sounds)).astype(np.int16)
    return ClipBank(directory, SECONDS, sound, np.zeros((n, 1, 64)), sentence, np.zeros(n, np.int64), names, [])


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny(**changes):
    config = ClapConfig.preset("tiny")
    return config.model_copy(update={"loop": config.loop.model_copy(update=changes)})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("clap")
    return train_clap(planted(48, 1, out), out, tiny(), held=planted(12, 2, out)), out


def test_words_find_the_sounds_they_describe(trained):
    embedder, out = trained
    unseen = planted(24, 3, out)
    sounds = np.stack([embedder.embed(s / 32768.0, RATE) for s in unseen.sound])
    texts = {sentence[0]: embedder.embed_text(sentence[0]) for sentence in unseen.captions}
    assert len(texts) == 6
    named = [max(texts, key=lambda text: float(texts[text] @ row)) for row in sounds]
    right = np.mean([a == sentence[0] for a, sentence in zip(named, unseen.captions, strict=True)])
    assert right > 0.6  # chance one in six


def test_what_is_written_is_small_safe_and_read_back(trained):
    embedder, out = trained
    files = {p.name for p in (out / "clap").iterdir()}
    assert {"model.safetensors", "config.json", "preprocessor_config.json", "tokenizer.json"} <= files
    assert not any(name.endswith((".bin", ".pt")) for name in files)
    assert (out / "clap" / "model.safetensors").stat().st_size < 2.2 * sum(
        p.numel() for p in embedder.model.parameters()
    )
    again = ClapEmbedder.load(out / "clap")
    assert again.sha == embedder.sha
    assert np.array_equal(again.embed_text("bright, high"), embedder.embed_text("bright, high"))
    assert abs(np.linalg.norm(again.embed_text("an unknown wörd")) - 1) < 1e-5


def test_the_log_names_loss_and_held_out_recall(trained):
    lines = [json.loads(line) for line in (trained[1] / "clap-training" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 101))
    assert np.mean([line["loss"] for line in lines[-5:]]) < 0.85 * np.mean([line["loss"] for line in lines[:5]])
    assert lines[-1]["held_clips"] == 12


def test_it_goes_on_exactly_where_it_was_stopped(tmp_path):
    bank, config = planted(12, 4, tmp_path), tiny(steps=8, checkpoint_every=3)
    whole = train_clap(bank, tmp_path / "whole", config)
    steps = []
    train_clap(bank, tmp_path / "parts", config, report=lambda at, _: steps.append(at), until=lambda: len(steps) == 4)
    again = train_clap(bank, tmp_path / "parts", config, report=lambda at, _: steps.append(at))
    assert steps == list(range(1, 9))
    assert again.sha == whole.sha
    fresh = train_clap(bank, tmp_path / "parts", config, restart=True, report=lambda at, _: steps.append(at))
    assert len(steps) == 16
    assert fresh.sha == whole.sha


def test_the_model_of_the_pack_keeps_its_budget():
    config = ClapConfig()
    tokenizer = new_tokenizer(["Slow rock with guitar, 90 bpm."] * 3, config)
    model = new_clap(tokenizer, config).model
    grown = config.vocabulary - len(tokenizer)  # a real corpus fills the vocabulary
    assert sum(p.numel() for p in model.parameters()) + grown * config.text_width <= 3_700_000


def test_pieces_vary_and_keep_what_is_heard():
    config = tiny()
    picture = np.full((126, 64), -60.0, np.float32)
    picture[::10, 20] = 0.0
    seen = [varied(picture, np.random.default_rng(i), config) for i in range(6)]
    assert all(p.shape == picture.shape for p in seen)
    assert len({round(float(p.max())) for p in seen}) > 3
    assert all(set(p[p.max(1) > p.max() - 3].argmax(1)) == {20} for p in seen)


def test_a_batch_needs_as_many_songs(tmp_path):
    bank, config = planted(6, 5, tmp_path), tiny()
    embedder = new_clap(new_tokenizer(["a"], config), config)
    with pytest.raises(UserError, match=re.escape("needs as many songs")):
        ClapTask(embedder, bank, config, tmp_path)


def test_a_checkpoint_of_other_clips_is_not_gone_on_with(tmp_path):
    """Other captions number the words otherwise: going on would leave a text tower that means nothing."""
    train_clap(planted(12, 4, tmp_path), tmp_path, tiny(steps=2))
    before = (tmp_path / "clap" / "model.safetensors").read_bytes()
    with pytest.raises(UserError, match=r"--restart"):
        train_clap(planted(12, 5, tmp_path), tmp_path, tiny(steps=2))
    assert (tmp_path / "clap" / "model.safetensors").read_bytes() == before
    train_clap(planted(12, 5, tmp_path), tmp_path, tiny(steps=2), restart=True)
    assert (tmp_path / "clap" / "model.safetensors").read_bytes() != before


def test_held_out_songs_are_not_those_of_the_training(tmp_path):
    bank = planted(12, 4, tmp_path)
    with pytest.raises(UserError, match="12 songs are in both"):
        train_clap(bank, tmp_path, tiny(), held=bank)
    assert not (tmp_path / "clap").exists()
