"""A pack with music models: what it holds, what it says, and that the engine plays it."""

import json
import shutil

import numpy as np
import pytest
from random_transformer import write_random_transformer
from untrained_pack import write_untrained

from bci_music.generation.audioldm.loading import note_of, write_random_audioldm
from bci_music.generation.audioldm.spectral_vocoder import SpectralVocoder
from bci_music.messages import UserError
from bci_music.models.embedder import StatisticsEmbedder, load_embedder
from bci_music.models.pack import Pack
from bci_music.packing.describe import describe
from bci_music.packing.music_models import CARD, FLOW, MusicModels, replace_transformer, replace_vocoder
from bci_music.training.audioldm.distil import DistilConfig
from bci_music.training.audioldm.parts import (
    BUDGET,
    CREDITS,
    FEW,
    FEW_NOTE,
    check_budget,
    load_part,
    save_embedder_note,
    save_part,
)

pytestmark = pytest.mark.learning

TRACK = {"title": "Rain on Tin", "artist": "A. Player", "licence": "CC-BY-4.0", "source": "example.org/rain"}


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    noise = [np.random.default_rng(k).standard_normal(12 * 16_000).astype(np.float32) for k in range(3)]
    fitted = StatisticsEmbedder.fit(noise, n_axes=8)
    fitted.save(folder := tmp_path_factory.mktemp("embedder"))
    return folder, fitted


@pytest.fixture
def parts(tmp_path, embedder):
    folder = write_random_audioldm(tmp_path / "parts")
    np.save(folder / "unconditional.npy", np.full(512, 512**-0.5, np.float32))
    (folder / CREDITS).write_text(json.dumps([TRACK]))
    save_embedder_note(folder, embedder[1].sha)
    return folder


def test_a_pack_carries_generator_card_and_credits(parts, embedder, tmp_path):
    models = MusicModels.open(parts, embedder[0])
    part = models.write(tmp_path / "pack")
    models.write_embedder(tmp_path / "pack")
    assert load_embedder(tmp_path / "pack" / "embedder").sha == part.embedder
    assert part.embedder == embedder[1].sha
    assert part.parameters == check_budget(tmp_path / "pack" / "generator")
    assert part.parameters.keys() == BUDGET.keys() - {"transformer", "control"}
    pack = write_untrained(tmp_path / "pack")
    pack = Pack.write(pack.directory, pack.manifest.model_copy(update={"generator": part}))
    assert pack.generator == tmp_path / "pack" / "generator"
    assert {CARD, "generator/generator.json", "generator/credits.json"} <= set(pack.manifest.files)
    card = (pack.directory / CARD).read_text()
    assert all(value in card for value in TRACK.values())
    assert f"{part.parameters['unet']:,}" in card
    assert "learned from 1 real tracks" in describe(pack)
    note = json.loads((pack.generator / "generator.json").read_text())
    assert note["trained"] is True
    assert note["solver"] == "dpm++"


def test_a_new_vocoder_takes_the_place_of_the_old_one_and_nothing_else_changes(parts, embedder, tmp_path):
    models = MusicModels.open(parts, embedder[0])
    part = models.write(tmp_path / "pack")
    models.write_embedder(tmp_path / "pack")
    pack = write_untrained(tmp_path / "pack")
    pack = Pack.write(pack.directory, pack.manifest.model_copy(update={"generator": part}))
    with pytest.raises(UserError, match="no vocoder"):
        replace_vocoder(pack, tmp_path / "nothing", tmp_path / "new")
    save_part(SpectralVocoder(dim=16, depth=1), tmp_path / "learned", "vocoder")
    made = replace_vocoder(pack, tmp_path / "learned", tmp_path / "new")
    before, after = pack.manifest.files, made.manifest.files
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed <= {CARD, *(f"generator/vocoder/{n}" for n in ("config.json", "model.safetensors",
                                                                  "diffusion_pytorch_model.safetensors"))}  # fmt: skip
    counts = made.manifest.generator.parameters
    assert counts["vocoder"] != part.parameters["vocoder"]
    assert {**counts, "vocoder": 0} == {**part.parameters, "vocoder": 0}
    assert f"{counts['vocoder']:,}" in (made.directory / CARD).read_text()
    assert isinstance(load_part(made.generator, "vocoder"), SpectralVocoder)
    with pytest.raises(UserError, match="is not empty"):
        replace_vocoder(pack, tmp_path / "learned", tmp_path / "new")


def test_a_transformer_comes_beside_the_unet(parts, embedder, tmp_path):
    part = MusicModels.open(parts, embedder[0]).write(tmp_path / "pack")
    pack = write_untrained(tmp_path / "pack")
    spaces = pack.manifest.spaces.model_copy(update={"generator": embedder[1].sha})
    pack = Pack.write(pack.directory, pack.manifest.model_copy(update={"generator": part, "spaces": spaces}))
    learned = write_random_transformer(tmp_path / "learned")
    shutil.copytree(pack.generator / "vae", learned / "vae")
    (learned / CREDITS).write_text(json.dumps([TRACK, other := {**TRACK, "title": "Another"}]))
    save_embedder_note(learned, "0" * 64)
    with pytest.raises(UserError, match="another embedder"):
        replace_transformer(pack, learned, tmp_path / "new")
    save_embedder_note(learned, embedder[1].sha)
    made = replace_transformer(pack, learned, tmp_path / "new")
    assert made.manifest.generator.parameters.keys() == BUDGET.keys() - {"control"}
    assert made.manifest.generator.credits == (TRACK, other)
    assert "Another" in (made.directory / CARD).read_text()
    assert "the transformer for: solver" in (made.directory / CARD).read_text()
    note = note_of(made.generator)
    assert (note.plays, note.transformer.solver, note.solver) == ("audioldm", FLOW["solver"], "dpm++")
    again = replace_transformer(made, learned, tmp_path / "again", plays=True)
    assert note_of(again.generator).plays == "transformer"
    assert len(again.manifest.generator.credits) == 2
    shutil.rmtree(learned / "vae")
    write_random_audioldm(learned, seed=5)
    with pytest.raises(UserError, match="another autoencoder"):
        replace_transformer(pack, learned, tmp_path / "other")


def test_a_pack_on_another_has_that_ones_generator(parts, embedder, tmp_path):
    base = write_untrained(tmp_path / "base")
    part = MusicModels.open(parts, embedder[0]).write(base.directory)
    base = Pack.write(base.directory, base.manifest.model_copy(update={"generator": part}))
    plain = write_untrained(tmp_path / "plain")
    assert plain.generator is None
    assert Pack(plain.directory, plain.manifest, base).generator == base.generator


def test_parts_of_another_embedder_are_refused(parts, embedder):
    save_embedder_note(parts, "0" * 64)
    with pytest.raises(UserError, match="another embedder"):
        MusicModels.open(parts, embedder[0])


def test_a_distilled_unet_is_taken_and_sampled_as_it_learned(parts, embedder, tmp_path):
    shutil.copytree(parts / "unet", parts / FEW)
    with pytest.raises(UserError, match="distil it again"):
        MusicModels.open(parts, embedder[0])
    (parts / FEW_NOTE).write_text(json.dumps(DistilConfig().sampler))
    config = json.loads((parts / FEW / "config.json").read_text())
    (parts / FEW / "config.json").write_text(json.dumps({**config, "sample_size": 33}))
    MusicModels.open(parts, embedder[0]).write(tmp_path / "pack")
    note = json.loads((tmp_path / "pack" / "generator" / "generator.json").read_text())
    assert (note["guidance"], note["steps"]) == (1.0, 5)
    assert json.loads((tmp_path / "pack" / "generator" / "unet" / "config.json").read_text())["sample_size"] == 33


def test_too_large_a_part_is_refused(parts, monkeypatch):
    from bci_music.training.audioldm import parts as module

    monkeypatch.setitem(module.BUDGET, "vae", 10)
    with pytest.raises(UserError, match=r"vae has .* parameters, a shipped pack carries at most 10"):
        check_budget(parts)


def test_the_embedder_is_carried_as_it_was_stored(tmp_path):
    """A CLAP in half precision stays that small; a pulled one is named, not copied."""
    from bci_music.models.checkpoints.store import Reference
    from bci_music.models.clap import ClapEmbedder
    from bci_music.training.audioldm.clap import ClapConfig, new_clap, new_tokenizer

    config = ClapConfig.preset("tiny")
    new_clap(new_tokenizer(["a low tone", "a high tone"], config), config).save(tmp_path / "clap", half=True)
    embedder = ClapEmbedder.load(tmp_path / "clap")
    models = MusicModels(tmp_path / "parts", embedder, folder=tmp_path / "clap")
    models.write_embedder(tmp_path / "pack")
    files = {file.name: file.read_bytes() for file in (tmp_path / "clap").iterdir()}
    assert {file.name: file.read_bytes() for file in (tmp_path / "pack" / "embedder").iterdir()} == files
    assert load_embedder(tmp_path / "pack" / "embedder").sha == embedder.sha
    embedder.origin = Reference(name="somebody/clap", revision="0" * 40)
    models.write_embedder(tmp_path / "named")
    assert not list((tmp_path / "named" / "embedder").glob("*.safetensors"))


def test_a_part_does_not_tell_where_it_was_trained(tmp_path):
    folder = write_random_audioldm(tmp_path / "secret-place")
    for name in ("unet", "vae"):
        again = save_part(load_part(folder, name), tmp_path / "parts", name)
        assert "secret-place" not in (again / "config.json").read_text()


def test_the_shipped_pack_names_no_folder_of_its_making():
    pack = Pack.open("demo")
    texts = [(pack.directory / name).read_text() for name in pack.manifest.files if name.endswith((".json", ".md"))]
    assert not any("/tmp/" in text or "_name_or_path" in text for text in texts)
