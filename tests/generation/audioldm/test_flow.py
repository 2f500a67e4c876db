"""Clips by the transformer: steps, guidance, what a clip begins with, and which denoiser plays."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from random_transformer import write_random_transformer

from bci_music.generation.audioldm.flow import FlowSolver, TransformerConfig, load_transformer
from bci_music.generation.audioldm.loading import denoisers_of, note_of, write_random_audioldm
from bci_music.generation.audioldm.precision import Speed
from bci_music.generation.audioldm.sampler import Budget, Continuation, Variation
from bci_music.generation.audioldm.solver import SamplerSettings
from bci_music.generation.open import GeneratorsConfig, choose_generator, open_generator, open_model
from bci_music.messages import EMBEDDING_DIM, Style, UserError

pytestmark = pytest.mark.learning

FRAMES = 64  # 0.64 s: latents (1, 8, 16, 16)
CPU = torch.device("cpu")


def unit(seed):
    vector = np.random.default_rng(seed).standard_normal(EMBEDDING_DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return write_random_transformer(write_random_audioldm(tmp_path_factory.mktemp("parts"), seed=1), seed=2)


@pytest.fixture(scope="module")
def model(directory):
    return load_transformer(directory, device="cpu", speed=Speed(dtype="float32"))


def test_a_network_that_knows_the_answer_gets_there_by_any_solver():
    clean, noise = torch.randn(2, 1, 8, 8, 16, generator=torch.Generator().manual_seed(3))
    for solver in ("euler", "dpm++"):
        flow = FlowSolver(SamplerSettings(solver=solver), 4, CPU)
        assert flow.levels == [1.0, 0.75, 0.5, 0.25]
        latents = noise
        for i in range(4):
            torch.testing.assert_close(latents, flow.noised(clean, noise, i), atol=1e-5, rtol=0)
            latents = flow.step(clean, latents, i)
        torch.testing.assert_close(latents, clean, atol=1e-5, rtol=0)
    assert flow.first_below(0.6) == 2


def test_the_second_order_is_nearer_to_many_steps():
    """Of one normal distribution of spread 0.3 around 1 what is clean is known at every level, and so is the way."""

    def ends(solver, steps):
        flow, latents = FlowSolver(SamplerSettings(solver=solver), steps, CPU), torch.tensor([-1.0, 0.5, 2.0])
        for i, level in enumerate(flow.levels):
            signal = (1 - level) * 0.09 / ((1 - level) ** 2 * 0.09 + level**2)
            latents = flow.step(1 + signal * (latents - (1 - level)), latents, i)
        return latents

    exact = 1 + 0.3 * torch.tensor([-1.0, 0.5, 2.0])
    errors = {solver: float((ends(solver, 8) - exact).abs().max()) for solver in ("euler", "dpm++")}
    assert errors["dpm++"] < 0.6 * errors["euler"] < 0.1


def test_a_clip_is_the_same_for_its_seed_and_longer_than_it_learned_if_asked(model):
    one = model.latents(unit(1), FRAMES, seed=5)
    assert one.shape == (1, 8, 16, 16)
    assert torch.equal(one, model.latents(unit(1), FRAMES, seed=5))
    assert (one - model.latents(unit(1), FRAMES, seed=6)).abs().max() > 0.1
    assert (one - model.latents(unit(2), FRAMES, seed=5)).abs().max() > 1e-4
    assert model.frame_unit == 8
    assert model.sample(unit(1), 1.3, seed=0, steps=2).shape == (round(1.3 * 100 / 8) * 8 * 160,)
    assert (model.name, model.trained, model.settings.solver) == ("random transformer (not trained)", False, "euler")


@pytest.mark.parametrize("solver", ["euler", "dpm++"])
def test_what_it_begins_with_is_kept_bit_for_bit_and_heard(model, solver):
    tail = model.latents(unit(1), FRAMES, seed=5)[:, :, -5:]
    settings = SamplerSettings(solver=solver, steps=3, guidance=2.0)
    on = model.latents(unit(2), FRAMES, seed=7, settings=settings, start=Continuation(tail, 5))
    assert torch.equal(on[:, :, :5], tail)
    other = model.latents(unit(2), FRAMES, seed=7, settings=settings, start=Continuation(tail + 1.0, 5))
    assert (on - other)[:, :, 5:].abs().max() > 1e-4
    loose = model.latents(unit(2), FRAMES, seed=7, settings=settings, start=Continuation(tail, 5, strength=0.5))
    assert not torch.equal(loose[:, :, :5], tail)
    with pytest.raises(ValueError, match="longer than the beginning"):
        model.latents(unit(2), 16, seed=7, start=Continuation(tail, 5))


def test_guidance_costs_two_rows_and_may_be_kept(model):
    rows = []
    hook = model.denoiser.register_forward_pre_hook(lambda module, args: rows.append(len(args[0])))
    for settings in ({"guidance": 1.0}, {"guidance": 2.0}, {"guidance": 2.0, "guidance_every": 2}, {"batched": False}):
        model.latents(unit(1), FRAMES, seed=5, settings=SamplerSettings(solver="euler", steps=2, **settings))
    hook.remove()
    assert rows == [1, 1] + [2, 2] + [2, 1] + [1] * 4


def test_a_variation_begins_from_its_source_and_a_short_budget_ends_early(model):
    source = model.latents(unit(3), FRAMES, seed=1)
    near, far = (
        model.latents(unit(1), FRAMES, seed=5, variation=Variation(source, strength)) for strength in (0.25, 1.0)
    )
    assert torch.equal(far, model.latents(unit(1), FRAMES, seed=5))
    assert (near - source).square().mean() < 0.5 * (far - source).square().mean()
    steps = []
    model.latents(unit(1), FRAMES, seed=5, budget=Budget(lambda: -1.0), progress=lambda done, of: steps.append(done))
    assert steps == [1]


@pytest.mark.parametrize("wrong", [{"solver": "ddim"}, {"solver": "lcm"}, {"solver": "dpm++", "spacing": "karras"}])
def test_a_solver_it_does_not_know_is_a_sentence(model, wrong):
    with pytest.raises(UserError, match="choose euler or"):
        model.latents(unit(1), FRAMES, seed=0, settings=SamplerSettings(**wrong))


def test_the_unet_does_not_know_euler(directory):
    unet = open_model("audioldm", checkpoint=str(directory), device="cpu")
    with pytest.raises(UserError, match="Only a transformer knows the solver euler"):
        unet.latents(unit(1), FRAMES, seed=0, settings=SamplerSettings(solver="euler"))


def test_the_stage_hears_clip_after_clip(directory):
    config = TransformerConfig(checkpoint=str(directory), device="cpu", overlap_s=0.32, margin_s=0.16, fade_s=0.1)
    generator, state, blocks = config.open(), None, []
    for number in range(3):
        style = Style(unit(number), confidence=1.0, made_s=0.0)
        block, state = generator.generate(style, state, seconds=1.0, deadline=np.inf)
        blocks.append(block)
    assert state.clips_generated == 3
    assert all(np.isfinite(block.samples).all() and len(block.samples) > 20_000 for block in blocks)
    assert "not trained" in blocks[0].spans[0].title


def pack_with(generator):
    library = SimpleNamespace(nearest_song=lambda vector: {})
    return SimpleNamespace(name="demo", generator=generator, open_library=lambda: library)


def test_a_pack_says_which_of_its_denoisers_plays(directory, tmp_path):
    assert denoisers_of(directory) == ["audioldm", "transformer"]
    both = pack_with(directory)
    assert choose_generator(GeneratorsConfig(), both) == "transformer"
    assert choose_generator(GeneratorsConfig(generator="audioldm"), both) == "audioldm"
    assert choose_generator(GeneratorsConfig.parse({"audioldm": {"checkpoint": "mine"}}, ""), both) == "audioldm"
    assert open_generator("transformer", GeneratorsConfig(), both).name == "random transformer (not trained)"
    other = shutil.copytree(directory, tmp_path / "parts")
    note = json.loads((other / "generator.json").read_text())
    (other / "generator.json").write_text(json.dumps(note | {"plays": "audioldm"}))
    assert choose_generator(GeneratorsConfig(), pack_with(other)) == "audioldm"
    assert note_of(other).transformer.name == "random transformer (not trained)"
    assert open_model("auto", pack_with(other), device="cpu").name == "random AudioLDM (not trained)"


def test_the_library_makes_nothing_new():
    with pytest.raises(UserError, match="The library makes no new music: choose audioldm or transformer"):
        open_model("library")
    with pytest.raises(UserError, match="This run brings no transformer"):
        open_model("transformer")
    with pytest.raises(UserError, match="expected one of auto, audioldm, transformer, library"):
        open_model("opera")


@pytest.mark.parametrize(("sizes", "says"), [
    ({"channels": 4}, "has channels 4, expected 8"), ({"columns": 8}, "has columns 8, expected 16"),
    ({"style_dim": 64}, "has style_dim 64, expected 512"),
])  # fmt: skip
def test_parts_that_do_not_fit_are_a_sentence(directory, tmp_path, sizes, says):
    parts = shutil.copytree(directory, tmp_path / "parts")
    shutil.rmtree(parts / "transformer")
    with pytest.raises(UserError, match="has no transformer/"):
        load_transformer(parts)
    write_random_transformer(parts, **sizes)
    with pytest.raises(UserError, match=says):
        load_transformer(parts)


def test_weights_of_another_shape_are_a_sentence(directory, tmp_path):
    parts = shutil.copytree(directory, tmp_path / "parts")
    config = json.loads((parts / "transformer" / "config.json").read_text())
    (parts / "transformer" / "config.json").write_text(json.dumps(config | {"dim": 64}))
    with pytest.raises(UserError, match="transformer"):
        load_transformer(parts)
