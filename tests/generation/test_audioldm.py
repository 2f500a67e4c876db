"""AudioLDM from its parts: the right classes, the right mathematics, in time, and honest about what is not trained."""

import json
import shutil
import threading
import time
import warnings

import numpy as np
import pytest

from bci_music.clock import Clock, ManualClock
from bci_music.generation.audioldm import AudioLdmConfig, AudioLdmGenerator
from bci_music.generation.library import LibraryGenerator, MusicLibrary
from bci_music.generation.loudness import to_db
from bci_music.generation.player import ClockPlayer
from bci_music.generation.random_model import NAME, write_random_audioldm
from bci_music.generation.sampler import Budget, Interrupted, load_audioldm
from bci_music.generation.silence import silent_seconds
from bci_music.generation.stage import SoundConfig, SoundStage
from bci_music.generation.steering import Steering
from bci_music.messages import AUDIO_RATE_HZ, EMBEDDING_DIM, Embedding, Style, UserError
from bci_music.workers import Latest

SHORT = AudioLdmConfig(steps=2, anytime=False, fade_s=0.1)
SECONDS = 0.64


def unit(seed):
    vector = np.random.default_rng(seed).standard_normal(EMBEDDING_DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def unhurried():
    return Budget(lambda: float("inf"), threading.Event())


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return write_random_audioldm(tmp_path_factory.mktemp("audioldm"), seed=1)


@pytest.fixture(scope="module")
def model(directory):
    return load_audioldm(directory, device="cpu")


def make(generator, seed, state):
    return generator.generate(Style(unit(seed), made_s=1.0), state, seconds=SECONDS, deadline=0.0)


def test_the_random_model_is_seeded_safe_and_not_trained(directory, tmp_path, model):
    again, other = (write_random_audioldm(tmp_path / str(seed), seed) for seed in (1, 2))
    weights = "unet/diffusion_pytorch_model.safetensors"
    assert (again / weights).read_bytes() == (directory / weights).read_bytes()
    assert (other / weights).read_bytes() != (directory / weights).read_bytes()
    assert {p.suffix for p in directory.rglob("*") if p.is_file()} == {".json", ".safetensors"}
    assert not model.trained
    assert model.name == NAME
    block, _ = make(AudioLdmGenerator(model, SHORT), 0, None)
    assert "not trained" in block.spans[0].title


def test_it_equals_the_pipeline_of_diffusers(model):
    import torch

    with warnings.catch_warnings():  # the pipeline is deprecated, which is why only its parts are used
        warnings.simplefilter("ignore")
        from diffusers import AudioLDMPipeline
        from transformers import ClapTextConfig, ClapTextModelWithProjection

        words = ClapTextModelWithProjection(ClapTextConfig(
            vocab_size=10, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
        ))
        pipeline = AudioLDMPipeline(model.vae, words, None, model.unet, model.scheduler, model.vocoder)
        pipeline.set_progress_bar_config(disable=True)
        vector = unit(3)
        frames = model.frames(SECONDS)
        shape = (1, 8, frames // 4, 16)
        expected = pipeline(
            audio_length_in_s=frames / 100, num_inference_steps=3, guidance_scale=2.5,
            prompt_embeds=torch.from_numpy(vector[None]), negative_prompt_embeds=torch.zeros(1, EMBEDDING_DIM),
            latents=torch.randn(shape, generator=torch.Generator().manual_seed(7)),
        ).audios[0]
    made = model.sample(vector, SECONDS, steps=3, guidance=2.5, seed=7, budget=unhurried())
    np.testing.assert_allclose(made[: len(expected)], expected, atol=1e-5)


def test_the_embedding_leads_and_guidance_only_against_the_unconditional(model):
    def sample(vector, guidance):
        return model.sample(vector, SECONDS, steps=2, guidance=guidance, seed=0, budget=unhurried())

    assert np.abs(sample(unit(1), 2.5) - sample(unit(2), 2.5)).max() > 1e-5
    nothing = model.unconditional
    np.testing.assert_allclose(sample(nothing, 1.0), sample(nothing, 6.0), atol=1e-6)
    assert np.abs(sample(unit(1), 1.0) - sample(unit(1), 6.0)).max() > 1e-5


def test_clips_are_continuous_levelled_and_reproducible(model):
    generator = AudioLdmGenerator(model, SHORT)
    first, state = make(generator, 1, None)
    second, after = make(generator, 2, state)
    again, _ = make(AudioLdmGenerator(model, SHORT), 2, state)
    np.testing.assert_array_equal(second.samples, again.samples)
    assert len(first.samples) == len(state.clip) - round(0.1 * AUDIO_RATE_HZ)
    assert len(state.clip) == model.frames(SECONDS) * 160 * 3
    assert second.samples.shape[1] == 2
    assert to_db(float(state.clip.std())) == pytest.approx(-23.0, abs=1.5)
    joined = np.concatenate([first.samples, second.samples])
    at = len(first.samples)
    steps = np.abs(np.diff(joined[:, 0]))
    assert steps[at - 2 : at + 2].max() <= np.quantile(steps, 0.9999)  # the joint is no click
    assert (after.clips_generated, after.crossfades, after.clips_retrieved) == (2, 1, 0)


def test_the_same_style_keeps_its_clip_once_and_is_not_counted(model):
    generator, state, counts = AudioLdmGenerator(model, SHORT), None, []
    for seed in (1, 1, 1, 2):
        _, state = make(generator, seed, state)
        counts.append(state.clips_generated)
    assert counts == [1, 1, 2, 3]


def test_steps_follow_the_deadline(directory):
    clock = ManualClock()
    model = load_audioldm(directory, device="cpu")
    calls = []

    def count(module, args, kwargs):
        calls.append(1)
        clock.advance(0.1)

    model.unet.register_forward_pre_hook(count, with_kwargs=True)
    generator = AudioLdmGenerator(model, AudioLdmConfig(steps=10, fade_s=0.1), clock)
    for left_s, least, most in ((100.0, 10, 10), (0.35, 1, 4), (-1.0, 1, 1)):
        calls.clear()
        block, _ = generator.generate(Style(unit(4)), None, seconds=SECONDS, deadline=clock.now() + left_s)
        assert least <= len(calls) <= most
        assert silent_seconds(block.samples) == 0


def test_interrupting_ends_at_the_next_step(model):
    generator = AudioLdmGenerator(model, AudioLdmConfig(steps=200, anytime=False, fade_s=0.1))
    threading.Timer(0.2, generator.interrupt).start()
    began = time.monotonic()
    with pytest.raises(Interrupted):
        make(generator, 1, None)
    assert time.monotonic() - began < 3.0


def test_what_is_missing_is_named_in_one_sentence(directory, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="There is no AudioLDM"):
        AudioLdmGenerator.from_directory(tmp_path / "nothing")
    broken = tmp_path / "broken"
    shutil.copytree(directory, broken)
    weights = broken / "vae" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(UserError, match="safetensors"):
        AudioLdmGenerator.from_directory(broken)
    shutil.rmtree(broken / "vae")
    with pytest.raises(UserError, match="no vae/"):
        AudioLdmGenerator.from_directory(broken)
    shutil.copytree(directory / "vae", broken / "vae")
    (broken / "vae" / weights.name).write_bytes(b"\0" * 100)
    with pytest.raises(UserError, match="vae could not be loaded"):
        AudioLdmGenerator.from_directory(broken)
    shutil.copytree(directory / "vae", broken / "vae", dirs_exist_ok=True)
    config = broken / "vocoder" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "sampling_rate": 22_050}))
    with pytest.raises(UserError, match="vocoder"):
        AudioLdmGenerator.from_directory(broken)


def test_in_the_stage_the_next_clip_is_there_in_time(model, library_dir, tmp_path):
    clock, latest = Clock(), Latest()
    generator = AudioLdmGenerator(model, AudioLdmConfig(steps=3), clock)
    player = ClockPlayer(clock, tmp_path / "a.wav", subtype="FLOAT", prime_s=0.5)
    fallback = LibraryGenerator(MusicLibrary.load(library_dir))
    stage = SoundStage(generator, fallback, Steering(latest), player, clock, config=SoundConfig(clip_s=2.0))
    player.start()
    number = 0
    while player.counters.played_frames < 5.0 * AUDIO_RATE_HZ:
        now = clock.now()
        vector = unit(number // 40)
        latest.put(Embedding(vector, np.ones(1, np.float32), 0.5, number, 0, 1, now, now, 1.0), now)
        number += 1
        stage.step(now)
        time.sleep(0.02)
    player.stop()
    assert stage.close()
    status = stage.status(clock.now())
    assert status.clips_generated >= 2
    assert status.clips_retrieved == status.fallbacks == status.underruns == 0
    assert status.first_eeg_sound_s is not None
    assert not status.trained
    assert silent_seconds(tmp_path / "a.wav") == 0
