"""The sampler: equal to the pipeline where they do the same, and right where it does more."""

import threading
import time
import warnings

import numpy as np
import pytest
import torch

from bci_music.generation.audioldm.loading import write_random_audioldm
from bci_music.generation.audioldm.precision import Speed, Walls
from bci_music.generation.audioldm.sampler import Budget, Continuation, Interrupted, SamplerSettings, load_audioldm
from bci_music.generation.audioldm.solver import Solver
from bci_music.messages import EMBEDDING_DIM, UserError

pytestmark = pytest.mark.learning

FRAMES = 32  # 0.32 s: latents (1, 8, 8, 16)
PRECISE = Speed(dtype="float32")


def unit(seed):
    vector = np.random.default_rng(seed).standard_normal(EMBEDDING_DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return write_random_audioldm(tmp_path_factory.mktemp("audioldm"), seed=1)


@pytest.fixture(scope="module")
def loaded(directory):
    return load_audioldm(directory, device="cpu", speed=PRECISE)


@pytest.fixture
def model(loaded):
    loaded.walls = Walls()
    return loaded


@pytest.fixture
def passes(model):
    """The batch of every pass through the UNet."""
    sizes = []
    hook = model.denoiser.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    yield sizes
    hook.remove()


@pytest.fixture(scope="module")
def pipeline(directory):
    with warnings.catch_warnings():  # the pipeline is deprecated, which is why only its parts are used
        warnings.simplefilter("ignore")
        from diffusers import AudioLDMPipeline
        from transformers import ClapTextConfig, ClapTextModelWithProjection

        model = load_audioldm(directory, device="cpu", speed=Speed(dtype="float32", channels_last=False))
        words = ClapTextModelWithProjection(ClapTextConfig(
            vocab_size=10, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
        ))  # fmt: skip
        pipeline = AudioLDMPipeline(model.vae, words, None, model.denoiser, model.scheduler, model.vocoder)
        pipeline.set_progress_bar_config(disable=True)
        yield pipeline


@pytest.mark.learning
@pytest.mark.parametrize(("scheduler", "settings"), [
    ("DDIMScheduler", {"steps": 3, "guidance": 2.5}),
    ("DDIMScheduler", {"steps": 3, "guidance": 1.0}),
    ("DPMSolverMultistepScheduler", {"steps": 4, "guidance": 2.5, "solver": "dpm++"}),
    ("DPMSolverMultistepScheduler", {"steps": 4, "guidance": 2.5, "solver": "dpm++", "spacing": "karras"}),
    ("DPMSolverMultistepScheduler", {"steps": 4, "guidance": 2.5, "solver": "dpm++", "spacing": "trailing"}),
    ("LCMScheduler", {"steps": 2, "guidance": 1.0, "solver": "lcm"}),
])
@pytest.mark.filterwarnings("ignore:__array__ implementation")  # diffusers' own, in its dpm++
@pytest.mark.parametrize("seconds", [0.32, 0.5])  # the pipeline pads half a second to 52 frames, and cuts the sound
def test_it_equals_the_pipeline_of_diffusers(model, pipeline, scheduler, settings, seconds):
    import diffusers

    settings = SamplerSettings(**settings)
    options = {"karras": {"use_karras_sigmas": True}, "trailing": {"timestep_spacing": "trailing"}, "model": {}}
    config = model.scheduler.config
    pipeline.scheduler = getattr(diffusers, scheduler).from_config(config, **options[settings.spacing])
    expected = pipeline(
        audio_length_in_s=seconds, num_inference_steps=settings.steps, guidance_scale=settings.guidance,
        prompt_embeds=torch.from_numpy(unit(3)[None]), negative_prompt_embeds=torch.zeros(1, EMBEDDING_DIM),
        generator=torch.Generator().manual_seed(7),
    ).audios[0]  # fmt: skip
    frames = -(-round(seconds * 100) // 4) * 4
    latents = model.latents(unit(3), frames, settings=settings, seed=7)
    sound = model.vocode(model.decode(latents))
    assert len(sound) == frames * 160
    np.testing.assert_allclose(sound[: len(expected)], expected, atol=1e-5)


def test_a_sample_is_latents_then_mel_then_sound(model):
    settings = SamplerSettings(steps=2)
    latents = model.latents(unit(1), FRAMES, settings=settings, seed=5)
    assert latents.shape == (1, 8, FRAMES // 4, 16)
    mel = model.decode(latents)
    assert mel.shape == (FRAMES, 64)
    whole = model.sample(unit(1), 0.32, seed=5, settings=settings)
    np.testing.assert_array_equal(whole, model.vocode(mel))
    np.testing.assert_array_equal(whole, model.vocode(mel.numpy()))
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(whole, model.sample(unit(1), 0.32, steps=2, guidance=2.5, seed=5, budget=Budget()))
    assert np.abs(whole - model.sample(unit(1), 0.32, seed=6, settings=settings)).max() > 1e-5


def test_branches_one_after_the_other_say_the_same(model, passes):
    both = model.latents(unit(1), FRAMES, settings=SamplerSettings(steps=2), seed=0)
    apart = model.latents(unit(1), FRAMES, settings=SamplerSettings(steps=2, batched=False), seed=0)
    assert passes == [2, 2, 1, 1, 1, 1]
    assert (apart - both).norm() < 1e-5 * both.norm()


def test_guidance_only_within_its_interval(model, passes):
    settings = SamplerSettings(steps=5, guidance_from=0.7, guidance_until=0.3)  # of 0.8, 0.6, 0.4, 0.2, 0
    model.latents(unit(1), FRAMES, settings=settings, seed=0)
    assert passes == [1, 2, 2, 1, 1]
    none = settings.model_copy(update={"guidance_from": 0.55, "guidance_until": 0.5})
    unguided = model.latents(unit(1), FRAMES, settings=SamplerSettings(steps=5, guidance=1.0), seed=0)
    torch.testing.assert_close(model.latents(unit(1), FRAMES, settings=none, seed=0), unguided)


def test_the_unguided_branch_is_kept_for_some_steps(model, passes):
    kept = SamplerSettings(steps=5, guidance_every=2)
    near = model.latents(unit(1), FRAMES, settings=kept, seed=0)
    assert passes == [2, 1, 2, 1, 2]
    exact = model.latents(unit(1), FRAMES, settings=SamplerSettings(steps=5), seed=0)
    unguided = model.latents(unit(1), FRAMES, settings=SamplerSettings(steps=5, guidance=1), seed=0)
    assert (near - exact).norm() < 0.3 * (unguided - exact).norm()
    assert (near - exact).norm() > 0


@pytest.mark.parametrize("solver", ["ddim", "dpm++", "lcm"])
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_solvers_find_what_a_perfect_model_knows(solver, kind):
    """Predictions that always point to the same clean latents lead there, whatever they are said in."""
    config = {"beta_start": 0.0015, "beta_end": 0.0195, "beta_schedule": "scaled_linear", "clip_sample": False,
              "set_alpha_to_one": False, "steps_offset": 1, "prediction_type": kind}  # fmt: skip
    settings = SamplerSettings(solver=solver, spacing="trailing")
    chance = torch.Generator().manual_seed(0)
    walk = Solver(config, settings, 4, torch.device("cpu"), chance)
    truth, latents = torch.randn(2, 1, 8, 4, 4, generator=chance)
    assert walk.levels == sorted(walk.levels, reverse=True)
    for i in range(4):
        signal, sigma = walk._scales[i]
        noise = (latents - signal * truth) / sigma
        text = {"epsilon": noise, "v_prediction": signal * noise - sigma * truth, "sample": truth}[kind]
        torch.testing.assert_close(walk.clean(text, latents, i), truth, atol=2e-3, rtol=0)
        torch.testing.assert_close(walk.noised(truth, noise, i), latents, atol=1e-4, rtol=0)
        latents = walk.step(text, latents, i)
    assert (latents - truth).abs().max() < 0.2  # ddim ends at the betas' least noise, not at none


def test_more_steps_come_nearer_and_the_second_order_faster(model):
    """Against 60 steps of ddim, which both solvers approach on this smooth random model."""
    def made(steps, solver):
        settings = SamplerSettings(steps=steps, solver=solver, spacing="trailing", guidance=1)
        return model.latents(unit(1), FRAMES, settings=settings, seed=3)

    best = made(60, "ddim")
    off = {(n, s): float((made(n, s) - best).norm() / best.norm()) for n in (4, 8) for s in ("ddim", "dpm++")}
    assert off[8, "ddim"] < off[4, "ddim"]
    assert off[8, "dpm++"] < off[8, "ddim"]


@pytest.mark.parametrize("solver", ["ddim", "dpm++", "lcm"])
def test_a_clip_goes_on_where_the_last_one_ended(model, solver):
    settings = SamplerSettings(steps=4, solver=solver)
    last = model.latents(unit(1), FRAMES, settings=settings, seed=0)
    start = Continuation(last[:, :, -4:], frames=4)
    made = model.latents(unit(2), FRAMES, settings=settings, seed=1, start=start)
    alone = model.latents(unit(2), FRAMES, settings=settings, seed=1)
    torch.testing.assert_close(made[:, :, :4], last[:, :, -4:])
    assert (made[:, :, 4:] - alone[:, :, 4:]).abs().max() > 1e-5  # the rest has heard of it
    loose = model.latents(unit(2), FRAMES, settings=settings, seed=1, start=Continuation(start.latents, 4, 0.5))
    apart = [float((x[:, :, :4] - last[:, :, -4:]).norm()) for x in (made, loose, alone)]
    assert apart[0] < apart[1] < apart[2]


def test_a_beginning_as_long_as_the_clip_is_refused(model):
    with pytest.raises(ValueError, match="longer than the beginning"):
        model.latents(unit(1), FRAMES, seed=0, start=Continuation(torch.zeros(1, 8, 16, 16), frames=16))
    with pytest.raises(ValueError, match="multiple of 4"):
        model.latents(unit(1), FRAMES + 1, seed=0)


def test_steps_follow_the_budget(model, passes):
    settings = SamplerSettings(steps=20, guidance=1)
    assert model.steps_within(0.0, FRAMES, settings) == 20  # nothing was measured yet
    for kind, seconds in (("step of 1", 0.1), ("step of 2", 0.2), ("decode", 0.5), ("vocode", 0.5)):
        for _ in range(9):
            model.walls.note(kind, seconds, FRAMES)
    assert model.steps_within(2.25, FRAMES, settings) == 10
    assert model.steps_within(2.25, FRAMES, SamplerSettings(steps=20)) == 5
    assert model.steps_within(4.5, 2 * FRAMES, settings) == 10
    assert model.steps_within(-1.0, FRAMES, settings) == 1
    assert model.steps_within(99.0, FRAMES, settings) == 20
    model.latents(unit(1), FRAMES, settings=settings, seed=0, budget=Budget(lambda: 1.65))
    assert len(passes) == 4  # chosen before the first step, not cut short
    assert model.decode_s == pytest.approx(1.0)


def test_with_no_time_left_it_ends_with_what_it_has(model, passes):
    left = iter([99.0, 99.0, 99.0, 0.0])  # before the first step, and after each
    made = model.latents(unit(1), FRAMES, settings=SamplerSettings(steps=9), seed=0, budget=Budget(lambda: next(left)))
    assert len(passes) == 3
    whole = model.latents(unit(1), FRAMES, settings=SamplerSettings(steps=9), seed=0)
    noise = torch.randn(made.shape, generator=torch.Generator().manual_seed(0))
    assert (made - whole).norm() < 0.5 * (noise - whole).norm()  # the clean clip as it was foreseen, not a noisy one


def test_stopping_ends_at_the_next_step(model):
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Interrupted):
        model.latents(unit(1), FRAMES, settings=SamplerSettings(steps=200), seed=0, budget=Budget(stop=stop))
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(("wrong", "word"), [
    ({"guidance_from": 0.2, "guidance_until": 0.4}, "guidance_from above"),
    ({"spacing": "karras"}, "dpm"), ({"solver": "heun"}, "solver"), ({"step": 3}, "steps"),
])
def test_settings_that_make_no_sense(wrong, word):
    with pytest.raises(UserError, match=word):
        SamplerSettings.parse(wrong)
