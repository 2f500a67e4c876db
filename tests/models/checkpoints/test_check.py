"""`bci-music models check` and `convert`: every fault is one sentence and exit code 2; the text towers are compared."""

import json
import os
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from bci_music.cli.models import app
from bci_music.messages import UserError
from bci_music.models.checkpoints.inspect import inspect_checkpoint
from bci_music.models.checkpoints.manifest import PULLED, Pulled, stored
from bci_music.models.checkpoints.pickled import convert_folder
from bci_music.models.checkpoints.towers import PROMPTS, compare_towers, require_agreement, require_lead, text_tower
from bci_music.models.clap import ClapEmbedder
from bci_music.models.pack import Pack

pytestmark = pytest.mark.learning


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "160"})


def edit(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_directory_as_the_hub_has_it_opens_by_path(audioldm_directory, clap_directory):
    done = run("check", audioldm_directory, "--clap", clap_directory, "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "UNet, VAE and vocoder with" in done.output
    assert all(prompt in done.output for prompt in PROMPTS)
    assert "The text towers agree (least cosine 1.0000)" in done.output


def test_without_text_parts_it_opens_all_the_same(copy_of, audioldm_directory):
    directory = copy_of(audioldm_directory)
    shutil.rmtree(directory / "tokenizer")
    shutil.rmtree(directory / "text_encoder")
    done = run("check", directory, "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "no text_encoder and no tokenizer: embeddings lead the music, text prompts cannot" in done.output
    assert "name one with --clap" in done.output


def test_each_fault_is_one_sentence_and_exit_code_2(copy_of, audioldm_directory):
    directory = copy_of(audioldm_directory)

    def faults():
        done = run("check", directory, "--device", "cpu")
        assert done.exit_code == 2
        assert done.stdout == ""
        return done.stderr.splitlines()

    shutil.rmtree(directory / "vae")
    (only,) = faults()
    assert only == f"bci-music: The generator in {directory} has no vae/: it needs unet, vae, vocoder, scheduler."
    shutil.copytree(audioldm_directory / "vae", directory / "vae")
    weights = directory / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    assert "unet in" in faults()[0]
    assert "weights pickled only" in faults()[0]
    weights.write_bytes(weights.with_suffix(".bin").read_bytes()[:5000])
    assert "could not be read as weights" in faults()[0]
    shutil.copy(audioldm_directory / "unet" / weights.name, weights)
    edit(directory / "unet" / "config.json", projection_class_embeddings_input_dim=768)
    edit(directory / "vocoder" / "config.json", sampling_rate=22_050)
    edit(directory / "text_encoder" / "config.json", projection_dim=1024)
    unet, vocoder, words = faults()
    assert "takes a class of 768 numbers, expected 512" in unet
    assert "makes 22050 Hz with hop 160, expected 16000 Hz" in vocoder
    assert "embeds to 1024 numbers, expected 512" in words
    edit(directory / "vae" / "config.json", latent_channels=4, in_channels=3)
    assert [s for s in faults() if "8 channels, the VAE 4" in s or "one for spectrograms" in s]
    assert len(faults()) == 5


def test_weights_that_do_not_fit_their_config_are_refused(copy_of, audioldm_directory):
    directory = copy_of(audioldm_directory)
    edit(directory / "unet" / "config.json", block_out_channels=[8, 32, 32])
    done = run("check", directory, "--device", "cpu")
    assert isinstance(done.exception, UserError)
    assert "could not be read as AudioLDM's unet" in str(done.exception)


def test_a_wrong_hash_is_named(copy_of, clap_directory):
    directory = copy_of(clap_directory)
    names = [p.name for p in directory.iterdir()]
    Pulled(name="a/b", revision="0" * 40, licence="x", source={}, files=stored(directory, names)).write(directory)
    assert (directory / PULLED).is_file()
    assert run("check", directory, "--device", "cpu").exit_code == 0
    path = directory / "model.safetensors"
    content, times = path.read_bytes(), path.stat()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # only hashing all of it tells
    done = run("check", directory, "--device", "cpu")
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "model.safetensors of a/b was changed (its hash is another)" in done.stderr


def test_a_clap_is_checked_too(copy_of, clap_directory, cache):
    done = run("check", clap_directory, "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "is a CLAP (0.6 M parameters, sha" in done.output
    directory = copy_of(clap_directory)
    (directory / "preprocessor_config.json").unlink()
    (directory / "tokenizer.json").unlink()
    edit(directory / "config.json", projection_dim=256)
    done = run("check", directory, "--device", "cpu")
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 2
    assert inspect_checkpoint(directory).notes == ("There is no tokenizer: sound can be embedded, text cannot.",)
    for word, match in ((directory / "nowhere", "no directory"), ("clap-music", "is not on this machine: fetch it")):
        done = run("check", word)
        assert isinstance(done.exception, UserError)
        assert match in str(done.exception)


def test_another_training_run_is_not_taken_for_the_same_clap(audioldm_directory, make, tmp_path):
    other = make.clap(7)
    other.save_pretrained(tmp_path)
    make.extractor().save_pretrained(tmp_path)
    make.tokenizer().save_pretrained(tmp_path)
    done = run("check", audioldm_directory, "--clap", tmp_path, "--device", "cpu")
    assert done.exit_code == 2
    assert "The text towers differ" in done.stderr
    with pytest.raises(UserError, match="does not fit"):
        require_agreement(tmp_path, audioldm_directory)


def test_a_stage_trusts_a_generator_only_with_the_clap_that_leads_it(
    copy_of, audioldm_directory, clap_directory, make, tmp_path
):
    assert require_lead(clap_directory, audioldm_directory, "demo").agree
    ClapEmbedder(make.clap(seed=5), make.extractor(), make.tokenizer(), device="cpu").save(tmp_path / "other")
    with pytest.raises(UserError, match="does not fit"):
        require_lead(tmp_path / "other", audioldm_directory, "demo")
    with pytest.raises(UserError, match="decodes into a space of its own"):
        require_lead(None, audioldm_directory, "demo")
    mute = copy_of(audioldm_directory)
    shutil.rmtree(mute / "text_encoder")
    assert require_lead(None, mute, "demo") is None


def test_a_packs_own_generator_leads_only_packs_of_its_space():
    demo = Pack.open("demo")
    assert require_lead(None, demo.generator, "mine", demo.manifest.spaces.targets) is None
    with pytest.raises(UserError, match="conditioned on another embedder"):
        require_lead(None, demo.generator, "mine", "0" * 64)


def test_half_precision_still_agrees_and_a_lost_tokenizer_is_lent(copy_of, audioldm_directory, clap_directory):
    directory = copy_of(audioldm_directory)
    path = directory / "text_encoder" / "model.safetensors"
    save_file({k: v.half() if v.is_floating_point() else v for k, v in load_file(path).items()}, path,
              metadata={"format": "pt"})  # fmt: skip
    shutil.rmtree(directory / "tokenizer")
    tower = text_tower(directory)
    with pytest.raises(UserError, match="has no tokenizer"):
        tower.embed(["piano"])
    found = compare_towers(text_tower(clap_directory), tower)
    assert found.agree
    assert found.own.min() < 1.0
    assert (found.own > found.others).all()


def test_a_tower_that_says_the_same_of_everything_does_not_agree(clap_directory):
    one, other = text_tower(clap_directory), text_tower(clap_directory)
    for tower in (one, other):
        with torch.no_grad():
            tower.model.text_projection.linear2.weight.zero_()
            tower.model.text_projection.linear2.bias.fill_(1.0)
    assert not compare_towers(one, other).agree


def test_musicldm_brings_its_own_clap(copy_of, audioldm_directory, clap_directory, make):
    directory = copy_of(audioldm_directory)
    shutil.rmtree(directory / "text_encoder")
    make.clap().save_pretrained(directory / "text_encoder")
    make.extractor().save_pretrained(directory / "feature_extractor")
    done = run("check", directory, "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "brings its own CLAP with a sound tower" in done.output
    sound = make.piece(0, 1.0)
    own, given = ClapEmbedder.load(directory, device="cpu"), ClapEmbedder.load(clap_directory, device="cpu")
    np.testing.assert_array_equal(own.embed(sound, 16_000), given.embed(sound, 16_000))
    assert own.embed_text("piano") @ given.embed_text("piano") == pytest.approx(1.0, abs=1e-5)
    assert require_agreement(clap_directory, directory).agree


def test_pickled_folders_are_converted_without_running_them(copy_of, audioldm_directory, make, tmp_path):
    directory = copy_of(audioldm_directory)
    make.pickles(directory)
    done = run("convert", directory, tmp_path / "safe")
    assert done.exit_code == 0, done.output
    assert run("check", tmp_path / "safe", "--device", "cpu").exit_code == 0
    for name in ("unet/diffusion_pytorch_model.safetensors", "vocoder/model.safetensors"):
        before, after = load_file(audioldm_directory / name), load_file(tmp_path / "safe" / name)
        assert all(torch.equal(after[key], value) for key, value in before.items())

    class Evil:
        def __reduce__(self):
            return (print, ("this ran",))

    torch.save({"weight": Evil()}, directory / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(UserError, match="holds more than weights"):
        convert_folder(directory, tmp_path / "evil")
    with pytest.raises(UserError, match="is not empty"):
        convert_folder(directory, tmp_path / "safe")
    with pytest.raises(UserError, match="nothing to convert"):
        convert_folder(audioldm_directory, tmp_path / "nothing")
    with pytest.raises(UserError, match="There is no directory"):
        convert_folder(tmp_path / "nowhere", tmp_path / "new")


def test_list_and_pull_speak_at_the_terminal(hub, copy_of, clap_directory, tmp_path):
    before = run("list").output
    assert all(word in before for word in ("audioldm-m", "CC BY-NC-SA 4.0", "Apache-2.0", "musicldm"))
    commit = hub.add("ucsd-reach/musicldm", copy_of(clap_directory))
    refused = run("pull", "musicldm")
    assert isinstance(refused.exception, UserError)
    assert "The weights may be used for non-commercial purposes only" in refused.stderr
    done = run("pull", "musicldm", "--accept-licence", "--lock", tmp_path / "lock.json")
    assert done.exit_code == 0, done.output
    assert f"ucsd-reach/musicldm at {commit[:12]} (CC BY-NC-SA 4.0) is in" in done.stdout
    assert commit[:12] in run("list").output
    assert "it was here, every byte as it was pulled" in run("pull", "musicldm").stdout
