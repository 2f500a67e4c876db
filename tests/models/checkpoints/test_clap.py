"""CLAP as an embedder: equal to transformers' own path, blind to batches and rates, honest about what is missing."""

import json
import shutil

import numpy as np
import pytest
import torch

from bci_music.messages import UserError
from bci_music.models.checkpoints.probe import hears
from bci_music.models.clap import ClapEmbedder, clap_input
from bci_music.models.embedder import StatisticsEmbedder, load_embedder
from bci_music.models.windowed import cover
from bci_music.training.eeg.targets import embed_song

pytestmark = pytest.mark.learning

RATE = 16_000


@pytest.fixture(scope="module")
def embedder(clap_directory):
    return ClapEmbedder.load(clap_directory, device="cpu")


def test_sound_is_seen_as_transformers_extractor_sees_it(make):
    for options in ({}, {"padding": "repeat"}, {"padding": "pad"}, {"truncation": "fusion"}):
        extractor = make.extractor(**options)
        sounds = [make.piece(seed, seconds) for seed, seconds in ((0, 2.0), (1, 0.7))]
        seen = [extractor(s, sampling_rate=RATE, return_tensors="np")["input_features"][0] for s in sounds]
        np.testing.assert_allclose(clap_input(extractor, sounds), np.stack(seen), atol=2e-3)
    with pytest.raises(UserError, match="fills short sound"):
        clap_input(make.extractor(padding="mirror"), [make.piece(0, 1.0)])
    with pytest.raises(ValueError, match="at most"):
        clap_input(make.extractor(), [make.piece(0, 2.5)])


def test_it_equals_the_model_of_transformers_at_the_hubs_own_rate(make):
    hearing = {"sampling_rate": 48_000, "hop_length": 480, "max_length_s": 3, "fft_window_size": 1024}
    model, extractor = make.clap(5, spec_size=256), make.extractor(**hearing, frequency_max=14_000)
    sound = make.piece(0, 1.4, 48_000)
    seen = extractor(sound, sampling_rate=48_000, return_tensors="pt")
    with torch.inference_mode():
        expected = model.get_audio_features(**seen).pooler_output[0].numpy()
    made = ClapEmbedder(model, extractor, device="cpu").embed(sound, 48_000)
    np.testing.assert_allclose(made, expected, atol=1e-4)


def test_text_equals_the_model_of_transformers(embedder, make):
    words = ["slow piano", "techno", ""]
    tokens = make.tokenizer()(words, return_tensors="pt", padding=True)
    with torch.inference_mode():
        expected = embedder.model.get_text_features(**tokens).pooler_output.numpy()
    np.testing.assert_allclose(embedder.embed_texts(words), expected, atol=1e-5)
    np.testing.assert_array_equal(embedder.embed_text("techno"), embedder.embed_texts(words)[1])
    assert embedder.embed_text("piano " * 100).shape == (512,)  # more words than the tower takes


def test_vectors_are_unit_and_frames_equal_single_windows(embedder, make):
    song = make.piece(3, 5.0)
    rows = embedder.embed_frames(song, RATE, window_s=1.5, hop_s=0.5)
    assert rows.shape == (8, 512)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
    for row, start in ((0, 0), (5, int(2.5 * RATE))):
        alone = embedder.embed(song[start : start + int(1.5 * RATE)], RATE)
        np.testing.assert_allclose(rows[row], alone, atol=1e-5)
    np.testing.assert_array_equal(embed_song(embedder, song, RATE, 1.5, 0.5), rows)


def test_long_sound_is_covered_and_averaged(embedder, make):
    song = make.piece(4, 4.7)
    windows = list(cover(song, 2 * RATE))
    assert [len(w) for w in windows] == [2 * RATE] * 4
    np.testing.assert_array_equal(windows[-1], song[-2 * RATE :])
    mean = np.mean([embedder.embed(w, RATE) for w in windows], axis=0)
    np.testing.assert_allclose(embedder.embed(song, RATE), mean / np.linalg.norm(mean), atol=1e-5)
    longer = embedder.embed_frames(song, RATE, window_s=3.0, hop_s=1.0)
    np.testing.assert_allclose(longer[1], embedder.embed(song[RATE : 4 * RATE], RATE), atol=1e-5)


def test_rate_and_channels_do_not_matter(embedder, make):
    sound = make.piece(5, 2.0)
    stereo = np.stack([sound, sound], axis=1)
    np.testing.assert_allclose(embedder.embed(stereo, RATE), embedder.embed(sound, RATE), atol=1e-6)
    finer = np.repeat(sound, 3)  # held samples: the same sound below 8 kHz, at 48 kHz
    assert embedder.embed(finer, 48_000) @ embedder.embed(sound, RATE) > 0.99
    with pytest.raises(UserError, match="expected \\(n,\\) or \\(n, 2\\)"):
        embedder.embed(np.zeros((3, 2, 2)), RATE)


def test_a_fused_model_does_not_depend_on_its_batch(make):
    model = make.clap(1, enable_fusion=True, fusion_type="aff_2d")
    embedder = ClapEmbedder(model, make.extractor(truncation="fusion"), device="cpu")
    song = make.piece(6, 4.0)
    rows = embedder.embed_frames(song, RATE, 2.0, 1.0)
    np.testing.assert_allclose(rows[1], embedder.embed(song[RATE : 3 * RATE], RATE), atol=1e-5)


def test_the_sha_follows_weights_and_hearing_and_survives_saving(embedder, clap_directory, make, tmp_path):
    sound = make.piece(7, 2.0)
    embedder.save(tmp_path / "again")
    again = load_embedder(tmp_path / "again")
    assert again.sha == embedder.sha
    np.testing.assert_array_equal(again.embed(sound, RATE), embedder.embed(sound, RATE))
    np.testing.assert_array_equal(again.embed_text("sad"), embedder.embed_text("sad"))
    assert ClapEmbedder(make.clap(1), make.extractor(), device="cpu").sha != embedder.sha
    assert ClapEmbedder(make.clap(0), make.extractor(frequency_min=40), device="cpu").sha != embedder.sha
    embedder.save(tmp_path / "half", half=True)
    half = ClapEmbedder.load(tmp_path / "half", device="cpu")
    assert half.sha not in (embedder.sha, "")
    assert half.embed(sound, RATE) @ embedder.embed(sound, RATE) > 0.999
    assert {p.suffix for p in (tmp_path / "half").iterdir()} == {".json", ".safetensors"}


def test_a_folder_says_which_embedder_lies_in_it(clap_directory, make, tmp_path):
    StatisticsEmbedder.fit([make.piece(i, 20.0) for i in range(2)], n_axes=8).save(tmp_path / "statistics")
    assert isinstance(load_embedder(tmp_path / "statistics"), StatisticsEmbedder)
    assert isinstance(load_embedder(clap_directory), ClapEmbedder)
    (tmp_path / "pointer").mkdir()
    (tmp_path / "pointer" / "hub.yaml").write_text("name: nobody/nothing\nrevision: null\n")
    with pytest.raises(UserError, match="nobody/nothing is not on this machine: fetch it with `bci-music models pull"):
        load_embedder(tmp_path / "pointer")


def test_without_a_tokenizer_sound_is_embedded_and_text_is_refused(copy_of, clap_directory, make):
    directory = copy_of(clap_directory)
    for path in directory.glob("tokenizer*"):
        path.unlink()
    deaf = ClapEmbedder.load(directory, device="cpu")
    assert deaf.embed(make.piece(0, 1.0), RATE).shape == (512,)
    with pytest.raises(UserError, match="no tokenizer, so text cannot be embedded"):
        deaf.embed_text("piano")


def test_what_is_wrong_is_a_sentence(copy_of, clap_directory, tmp_path):
    def refused(match, directory=None):
        with pytest.raises(UserError, match=match):
            ClapEmbedder.load(directory or broken, device="cpu")

    refused("There is no directory", tmp_path / "nowhere")
    broken = copy_of(clap_directory)
    (broken / "preprocessor_config.json").unlink()
    refused("no preprocessor_config.json")
    shutil.copy(clap_directory / "preprocessor_config.json", broken)
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "projection_dim": 256}))
    refused("could not be read as ClapModel")
    config["audio_config"]["depths"] = [2, 1]
    (broken / "config.json").write_text(json.dumps(config))
    refused("lacks .* weights")
    (broken / "model.safetensors").rename(broken / "pytorch_model.bin")
    refused("could not be read .*safetensors")


def test_a_tower_that_hears_nothing_is_reported(embedder, make):
    model = make.clap(0)
    with torch.no_grad():
        model.audio_projection.linear2.weight.zero_()
        model.audio_projection.linear2.bias.fill_(0.1)
    found = hears(ClapEmbedder(model, make.extractor(), device="cpu"))
    assert not found.differs
    assert found.verdict.startswith("Beware")
    assert hears(embedder).cosine < 0.9999
