"""A pack with both ways: what it holds, what is refused, and that the pairs are of the moment they say."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from random_transformer import write_random_transformer
from untrained_pack import write_untrained

from bci_music.generation.audioldm.echoes import CONTROL, control_note, load_control, load_echoes
from bci_music.generation.audioldm.latent_control import LatentControl
from bci_music.generation.audioldm.loading import write_random_audioldm
from bci_music.messages import UserError
from bci_music.models.embedder import StatisticsEmbedder
from bci_music.models.pack import ENCODER_FILE, Pack
from bci_music.packing import echoes as build
from bci_music.packing.echoes import EchoesBuildConfig, Reader, build_echoes_pack, collect, write_control
from bci_music.packing.music_models import MusicModels
from bci_music.training.audioldm.parts import TRANSFORMER, load_part, save_embedder_note

pytestmark = pytest.mark.learning


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """An untrained pack with a random AudioLDM and a random transformer."""
    root = tmp_path_factory.mktemp("echoes")
    noise = [np.random.default_rng(k).standard_normal(12 * 16_000).astype(np.float32) for k in range(3)]
    fitted = StatisticsEmbedder.fit(noise, n_axes=8)
    fitted.save(root / "embedder")
    parts = write_random_audioldm(root / "parts")
    np.save(parts / "unconditional.npy", np.full(512, 512**-0.5, np.float32))
    save_embedder_note(parts, fitted.sha)
    write_random_transformer(parts, seed=2)
    models = MusicModels.open(parts, root / "embedder")
    part = models.write(root / "pack")
    models.write_embedder(root / "pack")
    made = write_untrained(root / "pack")
    spaces = made.manifest.spaces.model_copy(update={"generator": fitted.sha})
    return Pack.write(made.directory, made.manifest.model_copy(update={"generator": part, "spaces": spaces}))


def test_a_control_net_comes_beside_the_transformer(pack, tmp_path):
    base = load_part(pack.generator, TRANSFORMER)
    made = write_control(pack, LatentControl.over(base, 6), tmp_path / "both", trained=True)
    opened = Pack.open(tmp_path / "both")
    assert opened.manifest.generator.parameters["control"] > 0
    note = control_note(opened.generator / CONTROL)
    assert (note.trained, note.decoder) == (True, pack.manifest.files[ENCODER_FILE].sha256)
    assert "sequence" in note.name
    assert load_echoes(opened.generator).control.config.eeg_dim == 6
    again = write_control(pack, load_control(opened.generator / CONTROL), tmp_path / "again", trained=True)
    assert str(tmp_path) not in (again.generator / CONTROL / "config.json").read_text()  # where it was read from
    with pytest.raises(UserError, match="is not empty"):
        write_control(pack, LatentControl.over(base, 6), made.directory, trained=True)
    (opened.generator / CONTROL / "config.json").unlink()
    with pytest.raises(UserError, match="There is no ControlNet in"):
        load_control(opened.generator / CONTROL)


def test_what_it_cannot_be_built_on_is_refused_before_anything_is_made(pack, tmp_path):
    with pytest.raises(UserError, match="was not made of simulated listeners"):
        build_echoes_pack(pack, tmp_path / "out", tmp_path / "work", EchoesBuildConfig())
    bare = shutil.copytree(pack.directory, tmp_path / "bare")
    shutil.rmtree(bare / "generator" / TRANSFORMER)
    with pytest.raises(UserError, match="has no transformer for a ControlNet to lead"):
        build_echoes_pack(Pack.write(bare, pack.manifest), tmp_path / "out", tmp_path / "work", EchoesBuildConfig())
    assert not (tmp_path / "work").exists()


def test_pairs_are_of_the_seconds_they_name(monkeypatch, tmp_path):
    """An autoencoder that says at which frame of which song it is, and a decoder that says which window it sees."""
    calls = []

    def encode(sound):
        frames = len(sound) // 640
        return torch.arange(frames, dtype=torch.float32)[None, None, :, None].expand(1, 8, frames, 16)

    window = SimpleNamespace(seconds=4.0)
    signal = SimpleNamespace(window=window)
    decoder = SimpleNamespace(
        manifest=SimpleNamespace(signal=signal), montage=None,
        steps_many=lambda x, used: x.mean((1, 2))[:, None, None] * np.ones((1, 25, 3), np.float32),
        decode_many=lambda x, used: {"vector": np.full((len(x), 512), 512**-0.5, np.float32)},
    )  # fmt: skip
    song = "salt-road"
    music = {song: SimpleNamespace(target_at=lambda at: np.full(512, at, np.float32))}
    monkeypatch.setattr(build, "mono_16k", lambda name: np.ones(16_000 * 30, np.float32))
    monkeypatch.setattr(build, "training_session", lambda *of: calls.append(of) or of)
    monkeypatch.setattr(build, "held_out_session", lambda *of: calls.append(of) or of)

    def heard(session, signal, montage, name, *, min_gap_s):
        samples = [np.full((2, 5), k, np.float32) for k in range(3)]
        windows = [SimpleNamespace(samples=x, used=np.ones(2, bool)) for x in samples]
        return SimpleNamespace(windows=windows, songs=[song] * 3, second=np.array([0.0, 2.0, 8.0]), recording=name)

    monkeypatch.setattr(build, "heard_windows", heard)
    monkeypatch.setattr(build, "demo_music", lambda embedder: music)
    reader = Reader(decoder, SimpleNamespace(encode=encode), None)
    config = EchoesBuildConfig(recordings=2, first_recording=20)
    found = collect(reader, (4, 7), config, tmp_path, False, lambda text: None)
    assert [(of[0], of[1]) for of in calls] == [(4, 20), (7, 20), (4, 21), (7, 21)]
    assert found[0].latents.shape == (3, 8, 100, 16)
    assert found[0].latents[:, 0, 0, 0].tolist() == [0, 50, 200]
    assert found[0].eeg[:, 0, 0].tolist() == [0, 1, 2]
    assert found[0].style[:, 0].tolist() == [0, 2, 8]
    assert [part.listener[0] for part in found] == [0, 1, 0, 1]
    collect(reader, (4, 7), config, tmp_path, False, lambda text: None)
    assert len(calls) == 4  # what is there is not made again
    collect(reader, (4, 7), config, tmp_path, True, lambda text: None)
    assert [of[1] for of in calls[4:]] == [20, 20]


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_short_build_plays_both_ways(tmp_path):
    """Needs a demo pack with a transformer; learns for two steps."""
    pack = Pack.open("demo")
    if pack.generator is None or not (pack.generator / TRANSFORMER).is_dir():
        pytest.skip("the demo pack ships no transformer")
    config = EchoesBuildConfig.parse(
        {"recordings": 1, "hop_s": 20.0, "control": {"loop": {"steps": 2}, "held": 2}}, "the test"
    )
    made, took = build_echoes_pack(pack, tmp_path / "out", tmp_path / "work", config)
    assert set(took) == {"pairs", "control"}
    assert json.loads((made.generator / CONTROL / "control.json").read_text())["trained"]
