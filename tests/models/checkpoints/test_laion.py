"""laion_clap's own checkpoints: names mapped and sizes read without running anything in the file."""

import re
import sys
from types import ModuleType, SimpleNamespace
from zipfile import ZipFile

import numpy as np
import pytest
import torch

from bci_music.messages import UserError
from bci_music.models.clap import ClapEmbedder, convert_laion
from bci_music.models.laion import read_laion
from bci_music.models.laion_package import LaionPackageEmbedder

pytestmark = pytest.mark.learning

RATE = 48_000


def laion_names(model):
    """Weights of a `ClapModel` under the names and in the layout that laion_clap saves them in."""
    names = (
        (r"audio_model\.audio_encoder\.batch_norm", "audio_branch.bn0"),
        (r"audio_model\.audio_encoder\.(layers\.\d+\.blocks\.\d+)\.layernorm_before", r"audio_branch.\1.norm1"),
        (r"audio_model\.audio_encoder\.(layers\.\d+\.blocks\.\d+)\.layernorm_after", r"audio_branch.\1.norm2"),
        (r"audio_model\.audio_encoder\.(.+)\.attention\.output\.dense", r"audio_branch.\1.attn.proj"),
        (r"audio_model\.audio_encoder\.(.+)\.attention\.self", r"audio_branch.\1.attn"),
        (r"audio_model\.audio_encoder\.(.+)\.intermediate\.dense", r"audio_branch.\1.mlp.fc1"),
        (r"audio_model\.audio_encoder\.(.+)\.output\.dense", r"audio_branch.\1.mlp.fc2"),
        (r"audio_model\.audio_encoder", "audio_branch"),
        (r"text_model", "text_branch"),
        (r"_projection\.linear1", "_projection.0"),
        (r"_projection\.linear2", "_projection.2"),
    )
    made = {}
    for name, value in model.state_dict().items():
        new = next((re.sub(old, to, name) for old, to in names if re.search(old, name)), name)
        made["module." + new] = value.clone()
    for name in [n for n in made if n.endswith(("attn.query.weight", "attn.query.bias"))]:
        three = [made.pop(name.replace("query", kind)) for kind in ("query", "key", "value")]
        made[name.replace("query", "qkv")] = torch.cat(three)
    made["module.audio_branch.logmel_extractor.melW"] = torch.ones(3, 3)
    made["module.audio_branch.tscam_conv.weight"] = torch.ones(2, 2)
    made["module.audio_transform.sequential.0.weight"] = torch.ones(2, 2)
    made["module.audio_branch.layers.0.blocks.0.attn_mask"] = torch.ones(2, 2)
    return made


@pytest.fixture(scope="module")
def original(make):
    """Random HTSAT in the sizes that the mapping has to find out: four stages as in laion_clap."""
    model = make.clap(2, depths=[1, 2, 1, 1], num_attention_heads=[1, 2, 4, 8], hidden_size=64, num_hidden_layers=4,
                      spec_size=256)  # fmt: skip
    model.config.text_config.num_attention_heads = 1  # hidden size 16: fewer than the 64 of one head
    model.config.text_config.layer_norm_eps = 1e-5
    return type(model)(model.config).eval()


@pytest.fixture(scope="module")
def checkpoint(original, tmp_path_factory):
    path = tmp_path_factory.mktemp("laion") / "music_epoch_1.pt"
    torch.save({"epoch": 1, "name": "a run", "state_dict": laion_names(original)}, path)
    return path


def test_weights_and_sizes_come_back(original, checkpoint):
    model, extractor, tokenizer = read_laion(checkpoint)
    expected = original.state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, expected[name], msg=name)
    assert model.config.audio_config.depths == [1, 2, 1, 1]
    assert model.config.audio_config.num_attention_heads == [1, 2, 4, 8]
    assert (extractor.sampling_rate, extractor.truncation, extractor.frequency_min) == (RATE, "rand_trunc", 50)
    assert tokenizer is None


def test_it_is_an_embedder_like_any_other_and_is_converted(original, checkpoint, make, tmp_path):
    sound = make.piece(0, 1.0, RATE)
    direct = ClapEmbedder.load(checkpoint, device="cpu")
    _, extractor, _ = read_laion(checkpoint)
    np.testing.assert_allclose(
        direct.embed(sound, RATE), ClapEmbedder(original, extractor, device="cpu").embed(sound, RATE), atol=1e-6
    )
    make.tokenizer().save_pretrained(checkpoint.parent / "tokenizer")
    convert_laion(checkpoint, tmp_path / "converted")
    converted = ClapEmbedder.load(tmp_path / "converted", device="cpu")
    assert converted.sha == direct.sha
    assert converted.embed_text("piano").shape == (512,)
    with pytest.raises(UserError, match="is not empty"):
        convert_laion(checkpoint, tmp_path / "converted")


def test_fused_checkpoints_are_found_out(make, tmp_path):
    model = make.clap(3, enable_fusion=True, fusion_type="aff_2d")
    torch.save(laion_names(model), tmp_path / "fusion.pt")
    read, extractor, _ = read_laion(tmp_path / "fusion.pt")
    assert read.config.audio_config.enable_fusion
    assert extractor.truncation == "fusion"


def test_numbers_of_training_beside_the_weights_are_left_unread(original, tmp_path):
    """As in the released files: numpy's scalars, under numpy's name of then or of now, are no reason to refuse."""
    torch.save({"loss": np.float64(0.5), "state_dict": laion_names(original)}, tmp_path / "now.pt")
    with ZipFile(tmp_path / "now.pt") as now, ZipFile(tmp_path / "then.pt", "w") as then:
        for name in now.namelist():
            then.writestr(name, now.read(name).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert b"cnumpy.core.multiarray\nscalar" in (tmp_path / "then.pt").read_bytes()
    for name in ("now.pt", "then.pt"):
        model = read_laion(tmp_path / name)[0]
        torch.testing.assert_close(model.logit_scale_a, original.logit_scale_a)


def test_what_would_run_is_refused_and_not_run(checkpoint, tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("this ran",), None)

    weights = torch.load(checkpoint, weights_only=True)
    torch.save({**weights, "extra": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(UserError, match=r"holds more than weights.*it is not opened"):
        ClapEmbedder.load(tmp_path / "evil.pt")


def test_other_files_are_refused_in_a_sentence(checkpoint, tmp_path):
    def refused(match, **changed):
        torch.save({k: v for k, v in {**weights, **changed}.items() if v is not None}, tmp_path / "other.pt")
        with pytest.raises(UserError, match=match):
            read_laion(tmp_path / "other.pt")

    weights = torch.load(checkpoint, weights_only=True)["state_dict"]
    refused("in no CLAP of laion_clap", **{"module.decoder.weight": torch.ones(2)})
    refused("does not hold a whole CLAP", **{"module.audio_branch.norm.bias": None})
    refused("does not hold a whole CLAP", **{"module.audio_projection.2.bias": torch.ones(7)})
    refused("no checkpoint of laion_clap", **{"module.text_branch.embeddings.word_embeddings.weight": None})
    (tmp_path / "text.pt").write_text("not a checkpoint")
    with pytest.raises(UserError, match="damaged"):
        read_laion(tmp_path / "text.pt")
    torch.save({"state_dict": {"a": 1}}, tmp_path / "other.pt")
    with pytest.raises(UserError, match="no table of weights"):
        read_laion(tmp_path / "other.pt")
    with pytest.raises(UserError, match="There is no file"):
        read_laion(tmp_path / "nowhere.pt")


def fake_package(monkeypatch, seen):
    """Stand for laion_clap (its environment is another one): the calls we make of it, and what they are given."""
    class Module:
        def __init__(self, **options):
            seen.update(options)
            self.model = SimpleNamespace(load_state_dict=lambda weights: seen.update(weights=weights))

        def get_audio_embedding_from_data(self, x, use_tensor):
            assert not use_tensor
            return np.full((1, 512), len(x[0]) / RATE, np.float32)

        def get_text_embedding(self, x):
            return np.arange(1024, dtype=np.float32).reshape(len(x), 512)

    package = ModuleType("laion_clap")
    package.CLAP_Module = Module
    monkeypatch.setitem(sys.modules, "laion_clap", package)


def test_the_package_has_the_same_interface(make, tmp_path, monkeypatch):
    model = make.clap(2, patch_embeds_hidden_size=96, depths=[1], num_attention_heads=[4], hidden_size=96,
                      num_hidden_layers=1)  # fmt: skip
    torch.save({"state_dict": laion_names(model)}, tmp_path / "tiny.pt")
    monkeypatch.setitem(sys.modules, "laion_clap", None)
    with pytest.raises(UserError, match=r"laion-clap is not installed here.*make laion"):
        LaionPackageEmbedder.load(tmp_path / "tiny.pt")
    seen = {}
    fake_package(monkeypatch, seen)
    embedder = LaionPackageEmbedder.load(tmp_path / "tiny.pt", device="cpu")
    assert (seen["enable_fusion"], seen["amodel"], seen["device"]) == (False, "HTSAT-tiny", "cpu")
    assert "audio_branch.bn0.weight" in seen["weights"]
    rows = embedder.embed_frames(make.piece(0, 3.0, 16_000), 16_000, 2.0, 1.0)
    assert rows.shape == (2, 512)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-6)
    assert embedder.embed_text("piano") @ embedder.embed_text("piano") == pytest.approx(1.0)
    assert len(embedder.sha) == 64


def test_the_package_is_not_given_other_sizes(checkpoint):
    with pytest.raises(UserError, match="no sound tower of laion_clap"):
        LaionPackageEmbedder.load(checkpoint)
