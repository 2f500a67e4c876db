"""A directory shaped like Stable Audio Open's: it opens, makes diffusers' clip; what does not fit is one sentence."""

import importlib
import json
import shutil
import sys
import threading
import warnings
from types import ModuleType

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_stable_audio import COSINE, loud, random_transformer, write_random_stable_audio
from typer.testing import CliRunner

from bci_music.cli.models import app
from bci_music.generation.audioldm.echoes import EegCourse
from bci_music.generation.audioldm.sampler import Interrupted
from bci_music.generation.stable_audio.clip import Lead, Order, Watch, make_clip
from bci_music.generation.stable_audio.control import StableAudioControl
from bci_music.generation.stable_audio.loading import load_control, load_stable_audio
from bci_music.generation.stable_audio.solver import load_scheduler
from bci_music.messages import UserError

EEG = 5
ORDER = Order(0.2, "slow piano", steps=3, guidance=3.0, seed=7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_random_stable_audio(tmp_path_factory.mktemp("hub") / "small")


@pytest.fixture(scope="module")
def model(folder):
    return load_stable_audio(folder)


@pytest.fixture(scope="module")
def control(model):
    return loud(StableAudioControl.over(model.transformer, EEG, model.text_dim))


def course(seed=0):
    return EegCourse(np.random.default_rng(seed).standard_normal((8, EEG)).astype(np.float32), 0.2)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_without_eeg_it_is_the_clip_of_the_published_pipeline(model, guidance):
    from diffusers import StableAudioPipeline

    pipeline = StableAudioPipeline(
        model.vae, model.text_encoder, model.projection, model.tokenizer, model.transformer, model.scheduler
    )
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        "slow piano", audio_end_in_s=0.2, num_inference_steps=3, guidance_scale=guidance,
        generator=torch.Generator().manual_seed(7),
    ).audios[0].T.numpy()  # fmt: skip
    ours = make_clip(model, Order(0.2, "slow piano", steps=3, guidance=guidance, seed=7))
    assert ours.shape == (160, 2)
    assert ours.dtype == np.float32
    assert ours.std() > 0.01
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("change", [{}, {"solver_type": "heun"}, {"solver_order": 1, "sigma_schedule": "karras"}])
def test_the_solver_is_that_of_diffusers_without_its_package_for_noise(tmp_path, monkeypatch, change):
    monkeypatch.setitem(sys.modules, "torchsde", ModuleType("torchsde"))  # its noise is given below
    name = "diffusers.schedulers.scheduling_cosine_dpmsolver_multistep"
    for module in (name, "diffusers.schedulers.scheduling_dpmsolver_sde"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    config = COSINE | change
    theirs = importlib.import_module(name).CosineDPMSolverMultistepScheduler.from_config(config)
    (tmp_path / "scheduler_config.json").write_text(json.dumps(config))
    ours = load_scheduler(tmp_path)
    for solver in (ours, theirs):
        solver.set_timesteps(6)
    theirs.noise_sampler, noise = (lambda here, there: noise), torch.zeros(1, 2, 5)
    assert torch.equal(ours.timesteps, theirs.timesteps)
    assert ours.init_noise_sigma == theirs.init_noise_sigma
    chance, twin = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    one = other = 500 * torch.randn(1, 2, 5, generator=torch.Generator().manual_seed(1))
    for level in ours.timesteps:
        noise = torch.randn(1, 2, 5, generator=twin)
        predicted = torch.sin(ours.scale_model_input(one, level))
        assert torch.equal(predicted, torch.sin(theirs.scale_model_input(other, level)))
        one = ours.step(predicted, level, one, generator=chance).prev_sample
        other = theirs.step(predicted, level, other).prev_sample
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_a_clip_follows_seed_eeg_listener_and_nothing_else(model, control):
    def clip(order=ORDER, **lead):
        return make_clip(model, order, Lead(control, **{"course": course(), **lead}))

    first, plain = clip(), make_clip(model, ORDER)
    np.testing.assert_array_equal(clip(), first)
    np.testing.assert_array_equal(clip(scale=0.0), plain)
    others = [
        plain, clip(Order(0.2, "slow piano", 3, 3.0, seed=8)), clip(course=course(1)), clip(listener="ada"),
        clip(listener="bo"), clip(style=np.ones(512, np.float32)), clip(Order(0.2, "bo", 3, 3.0, seed=7)),
    ]  # fmt: skip
    for number, one in enumerate(others):
        assert all(not np.allclose(one, other, atol=1e-4) for other in (first, *others[:number])), number


def test_it_stops_between_two_steps(model):
    watch, steps = Watch(threading.Event(), lambda step, of: (steps.append((step, of)), watch.stop.set())), []
    with pytest.raises(Interrupted):
        make_clip(model, ORDER, watch=watch)
    assert steps == [(1, 3)]


def test_a_controlnet_over_24_blocks_is_saved_and_opened(tmp_path):
    model = load_stable_audio(write_random_stable_audio(tmp_path / "deep", text=False, num_layers=24))
    control = loud(StableAudioControl.over(model.transformer, EEG, model.text_dim, form="pooled"))
    assert (len(model.transformer.transformer_blocks), len(control.copies)) == (24, 12)
    control.save_pretrained(tmp_path / "control")
    again = load_control(tmp_path / "control", model)
    assert again.config.form == "pooled"
    assert again.config.text_dim == 0
    order = Order(0.1, steps=2)
    led = make_clip(model, order, Lead(again, course()))
    np.testing.assert_array_equal(led, make_clip(model, order, Lead(control, course())))
    assert not np.allclose(led, make_clip(model, order), atol=1e-4)
    with pytest.raises(UserError, match=r"has no text encoder, so it follows no words: leave them out\.$"):
        make_clip(model, Order(0.1, "piano"))
    with pytest.raises(UserError, match="knows no listeners"):
        make_clip(model, order, Lead(again, course(), "ada"))


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (Order(0.5), "makes up to 0.2 s, not 0.5"), (Order(float("nan")), "not nan"),
        (Order(0.1, steps=1), "2 to 1000 steps, not 1"), (Order(0.1, guidance=0.5), "between 1 and 100, not at 0.5"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused(model, order, words):
    with pytest.raises(UserError, match=words):
        make_clip(model, order)


def test_eeg_of_another_width_is_refused(model, control):
    with pytest.raises(UserError, match="came to a ControlNet made for steps of 5 numbers"):
        make_clip(model, ORDER, Lead(control, EegCourse(np.zeros((8, 4), np.float32), 0.2)))


def config(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


DIT, VAE, PROJECTION, TEXT = (
    f"{part}/config.json" for part in ("transformer", "vae", "projection_model", "text_encoder")
)
SCHEDULE = "scheduler/scheduler_config.json"
FAULTS = {
    "there is no vae/: it needs transformer": lambda f: shutil.rmtree(f / "vae"),
    "transformer of Stable Audio in .* is a PixArt": lambda f: config(
        f / DIT, _class_name="PixArt"
    ),
    "is a AutoencoderKL, expected AutoencoderOobleck": lambda f: config(
        f / VAE, _class_name="AutoencoderKL"
    ),
    "text encoder in .* is a clap": lambda f: config(f / TEXT, model_type="clap"),
    "tokenizer/ alone": lambda f: shutil.rmtree(f / "text_encoder"),
    "has no tokenizer.json": lambda f: [p.unlink() for p in (f / "tokenizer").iterdir()],
    "no weights as safetensors": lambda f: (f / "vae" / "diffusion_pytorch_model.safetensors").unlink(),
    "is a DDIMScheduler, expected Cosine": lambda f: config(
        f / SCHEDULE, _class_name="DDIMScheduler"
    ),
    "noise levels do not fall": lambda f: config(f / SCHEDULE, sigma_min=900.0),
    "could not be read as Stable Audio's transformer": lambda f: config(
        f / DIT, num_layers=9
    ),
    "has in_channels 6, the VAE's latents 4": lambda f: config(f / DIT, in_channels=6),
    "has cross_attention_input_dim 10, the projection 12": lambda f: config(f / DIT, cross_attention_input_dim=10),
    "has global_states_input_dim 20, twice the projection 24": lambda f: config(f / DIT, global_states_input_dim=20),
    "text encoder in .* has width 8, the projection takes 16": lambda f: config(
        f / TEXT, d_model=8
    ),
    r"could not be read as Stable Audio \(": lambda f: random_transformer(
        num_attention_heads=4, num_key_value_attention_heads=3
    ).save_pretrained(f / "transformer"),
    "makes clips of 1000000 frames": lambda f: config(f / DIT, sample_size=10**6),
    "number of channels of 0": lambda f: config(f / VAE, audio_channels=0),
    "has 1 blocks with heads of 8": lambda f: config(f / DIT, num_layers=1),
}  # fmt: skip


@pytest.mark.parametrize("words", FAULTS)
def test_a_directory_that_does_not_fit_is_one_sentence(folder, tmp_path, words):
    broken = shutil.copytree(folder, tmp_path / "broken")
    FAULTS[words](broken)
    with pytest.raises(UserError, match=words.removeprefix("there is ")) as refused:
        load_stable_audio(broken)
    assert "\n" not in str(refused.value)


NUMBERS = st.integers(-1, 40) | st.floats() | st.none() | st.booleans() | st.text(max_size=3) | st.just([4, 2])


@pytest.mark.soak
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from((DIT, SCHEDULE, VAE, PROJECTION, TEXT)), st.data())
def test_any_configuration_opens_and_makes_a_clip_or_is_one_sentence(folder, tmp_path, path, data):
    broken = shutil.copytree(folder, tmp_path / "fuzz", dirs_exist_ok=True)
    before = json.loads((folder / path).read_text())
    key = data.draw(st.sampled_from(sorted(before)))
    (broken / path).write_text(json.dumps(before | {key: data.draw(NUMBERS)}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries, about odd sizes
        refused, clip = "", np.zeros(1)
        try:
            clip = make_clip(load_stable_audio(broken), Order(0.1, steps=2))
        except UserError as error:
            refused = str(error)
    assert "\n" not in refused
    assert np.isfinite(clip).all()


def test_a_controlnet_that_does_not_fit_is_one_sentence(model, tmp_path):
    def refused(words, base=None, change=None, **more):
        place = tmp_path / str(len(list(tmp_path.iterdir())))
        StableAudioControl.over(base or model.transformer, EEG, **more).save_pretrained(place)
        if change:
            config(place / "config.json", **change)
        with pytest.raises(UserError, match=words) as found:
            load_control(place, model)
        assert "\n" not in str(found.value)

    with pytest.raises(UserError, match="There is no ControlNet in"):
        load_control(tmp_path / "none", model)
    refused("is a LatentControl, expected StableAudioControl", change={"_class_name": "LatentControl"})
    refused("copies 12 blocks, half of the 4 of .* are 2", random_transformer(num_layers=24))
    refused(r"another transformer .*\(heads 4 where it has 2", random_transformer(num_attention_heads=4))
    refused("text encoder of width 24, that of .* has 16", text_dim=24)
    refused("could not be read as ControlNet's", change={"eeg_dim": 7})


def test_the_verbs_check_write_a_controlnet_and_make_a_clip(folder, tmp_path):
    def run(*words):
        done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exit_code == 0, done.output
        return " ".join(done.output.split())

    assert "4 blocks" in (found := run("check", folder))
    assert "A ControlNet over it copies 2 blocks" in found
    assert "copies of 2 of its 4 blocks" in run("control", folder, tmp_path / "control", "--eeg-dim", EEG)
    np.save(tmp_path / "eeg.npy", course().steps)
    found = run("clip", folder, tmp_path / "a.wav", "--seconds", 0.2, "--steps", 2, "--control", tmp_path / "control",
               "--eeg", tmp_path / "eeg.npy", "--listener", "ada")  # fmt: skip
    assert "holds 0.20 s" in found
    assert found.endswith("The ControlNet is untrained and added nothing.")
    run("clip", folder, tmp_path / "b.wav", "--seconds", 0.2, "--steps", 2)
    led, rate = soundfile.read(tmp_path / "a.wav")
    assert (led.shape, rate) == ((160, 2), 800)
    np.testing.assert_array_equal(led, soundfile.read(tmp_path / "b.wav")[0])  # an untrained one adds nothing


def test_another_transformer_is_refused_by_check(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    config(other / "transformer" / "config.json", _class_name="MDT")
    done = CliRunner().invoke(app, ["check", str(other)])
    assert done.exit_code == 2
    assert "is a MDT, and only Stable Audio's (StableAudioDiTModel)" in done.output
    shutil.rmtree(other / "vae")
    config(other / "transformer" / "config.json", _class_name="StableAudioDiTModel")
    assert "has no vae/: it needs transformer" in CliRunner().invoke(app, ["check", str(other)]).output
