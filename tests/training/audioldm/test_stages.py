"""Every stage learns, on tiny models, and what they write is a generator that plays."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from bci_music.generation.audioldm.flow import load_transformer
from bci_music.generation.audioldm.sampler import load_audioldm
from bci_music.messages import UserError
from bci_music.training.audioldm.distil import DistilConfig
from bci_music.training.audioldm.flow import LEVELS
from bci_music.training.audioldm.parts import FEW_NOTE, assemble, check_budget, load_part
from bci_music.training.audioldm.schedule import describe, run_schedule, run_stage
from bci_music.training.audioldm.stages import SHARES, Workspace
from bci_music.training.audioldm.vae import encode

pytestmark = [pytest.mark.timeout(600), pytest.mark.learning]  # 20 s of computing, on a machine that may do much else


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory, clips, held, embedder, tiny):
    torch.set_num_threads(1)
    found = {}
    workspace = Workspace(clips, held, tmp_path_factory.mktemp("models"), embedder, log=lambda text: None)
    for stage in ("vae", "vocoder", "vocoder-fit", "unet", "distil", "transformer"):
        found[stage] = run_stage(stage, workspace, config=tiny)
    return workspace, found


def test_the_autoencoder_beats_the_mean_picture(outcomes):
    metrics = outcomes[1]["vae"].metrics
    assert metrics["mel_l1_db"] < 0.8 * metrics["mean_picture_db"]
    assert metrics["held_clips"] == 8


def test_latents_have_mean_0_and_spread_1_in_every_channel(outcomes, clips):
    vae = load_part(outcomes[0].parts, "vae").eval()
    z = encode(vae, torch.from_numpy(clips.mel.astype(np.float32)))
    assert torch.allclose(z.mean((0, 2, 3)), torch.zeros(8), atol=0.05)
    assert torch.allclose(z.std((0, 2, 3)), torch.ones(8), atol=0.05)
    assert vae.config.scaling_factor == pytest.approx(1.0, abs=0.05)


def test_the_vocoder_sounds_as_it_was_told(outcomes):
    """There is nothing to learn of tones that may lie anywhere; see test_pieces for what it does learn."""
    learned = outcomes[1]["vocoder"].metrics
    assert learned["convergence"] < 0.7 * learned["silence_convergence"]
    assert learned["magnitude_db"] < 9.0


def test_the_denoiser_beats_predicting_nothing_and_hears_its_condition(outcomes):
    metrics = outcomes[1]["unet"].metrics
    assert max(metrics["error_300"], metrics["error_500"], metrics["error_700"]) < 0.85
    assert metrics["own"] < metrics["another"]


def test_the_transformer_beats_the_filter_it_begins_as(outcomes):
    begins = np.mean([1 / ((1 - level) ** 2 + level**2) for level in LEVELS])
    assert outcomes[1]["transformer"].metrics["own"] < 0.97 * begins


def test_the_student_is_nearer_to_its_teacher_than_fewer_steps_are(outcomes):
    metrics = outcomes[1]["distil"].metrics
    assert metrics["from_teacher"] < metrics["undistilled"]


def test_the_guidance_alone_goes_into_a_student(outcomes, tiny, tmp_path):
    workspace = replace(outcomes[0], out=tmp_path / "models")
    shutil.copytree(outcomes[0].parts, workspace.parts)
    loop = tiny.distil.loop.model_copy(update={"steps": 40})
    one = DistilConfig(steps=4, inner=1, guidance=3.0, loop=loop)
    metrics = run_stage("distil", workspace, config=tiny.model_copy(update={"distil": one})).metrics
    assert metrics["from_teacher"] < 0.7 * metrics["undistilled"]  # than the teacher's without guidance
    assert json.loads((workspace.parts / FEW_NOTE).read_text()) == {"solver": "dpm++", "steps": 5, "guidance": 1.0}
    assert json.loads((outcomes[0].parts / FEW_NOTE).read_text()) == {"solver": "ddim", "steps": 2, "guidance": 1.0}


@pytest.mark.parametrize(("few", "settings"), [
    (False, {"solver": "dpm++", "steps": 3, "guidance": 2.0}), (True, {"solver": "ddim", "steps": 2, "guidance": 1.0}),
])  # fmt: skip
def test_the_parts_make_a_generator(outcomes, tmp_path, clips, few, settings):
    workspace, _ = outcomes
    out = assemble(workspace.parts, tmp_path / "generator", name="tiny", settings=settings, few=few)
    model = load_audioldm(out, device="cpu")
    assert (model.trained, model.name) == (True, "tiny")
    assert model.settings.steps == settings["steps"]
    assert model.scheduler.config.prediction_type == "v_prediction"
    np.testing.assert_allclose(np.linalg.norm(model.unconditional), 1.0, atol=0.05)
    sound = model.sample(workspace.embedder.embed(clips.sound[0] / 32768, 16_000), 0.64, seed=1)
    assert sound.shape == (64 * 160,)
    assert 1e-4 < np.abs(sound).max() <= 1
    assert json.loads((out / "credits.json").read_text())[0]["licence"] == "CC-BY-4.0"
    assert all(count < 100_000 for count in check_budget(out).values())
    assert {p.suffix for p in out.rglob("*") if p.is_file()} <= {".json", ".npy", ".safetensors"}


def test_a_generator_of_both_is_put_together_and_opened_again(outcomes, tmp_path, clips):
    parts = outcomes[0]
    out = assemble(
        parts.parts, tmp_path / "generator", name="tiny", settings={"solver": "dpm++", "steps": 3},
        flow={"name": "tiny transformer", "solver": "euler", "steps": 2, "guidance": 1.5}, plays="transformer",
    )  # fmt: skip
    note = json.loads((out / "generator.json").read_text())
    assert (note["plays"], note["transformer"]["steps"], note["steps"]) == ("transformer", 2, 3)
    model = load_transformer(out, device="cpu")
    assert (model.name, model.settings.guidance, model.trained) == ("tiny transformer", 1.5, True)
    saved = load_part(parts.parts, "transformer")
    for name, value in model.denoiser.state_dict().items():
        assert torch.equal(value, saved.state_dict()[name])
    vector = parts.embedder.embed(clips.sound[0] / 32768, 16_000)
    assert np.abs(model.sample(vector, 0.64, seed=1)).max() > 1e-4
    assert {p.suffix for p in out.rglob("*") if p.is_file()} <= {".json", ".npy", ".safetensors"}


def test_a_stage_that_ended_is_not_run_again_but_for_another_round(outcomes, tiny):
    workspace, found = outcomes
    assert run_stage("vae", workspace, config=tiny).metrics == found["vae"].metrics
    before = load_part(workspace.parts, "vocoder").state_dict()
    gentle = tiny.vocoder.loop.model_copy(update={"steps": 1, "lr": 1e-9})
    config = tiny.model_copy(update={"vocoder": tiny.vocoder.model_copy(update={"loop": gentle})})
    outcome = run_stage("vocoder", workspace, config=config, again=True)
    assert outcome.directory.name == "vocoder-2"
    for name, value in load_part(workspace.parts, "vocoder").state_dict().items():
        assert torch.allclose(value, before[name], atol=2e-3), name


def test_words_name_what_was_measured_on_how_many(outcomes):
    reported = describe("vae", outcomes[1]["vae"])
    assert reported.startswith("vae: 60 of 60 steps; on 8 held-out clips mel_l1_db ")


def test_wrong_orders_are_one_sentence(workspace, tiny):
    with pytest.raises(UserError, match="no stage 'opera'"):
        run_stage("opera", workspace, config=tiny)
    with pytest.raises(UserError, match="no vae in"):
        run_stage("unet", workspace, config=tiny)
    with pytest.raises(UserError, match="leave --again away"):
        run_stage("vae", workspace, config=tiny, again=True)


def test_denoisers_side_by_side_have_one_embedder(outcomes, tiny, tmp_path):
    class Other:
        sha = "another"

    parts = outcomes[0]
    workspace = replace(parts, out=tmp_path / "models", embedder=Other())
    shutil.copytree(parts.parts, workspace.parts)
    for stage in ("transformer", "unet"):
        with pytest.raises(UserError, match="learned from vectors of another embedder"):
            run_stage(stage, workspace, config=tiny)


def test_the_schedule_shares_the_minutes(workspace, tiny):
    reported = []
    run_schedule(workspace, 0.02, config=tiny, tell=lambda stage, outcome: reported.append((stage, outcome)))
    assert [stage for stage, _ in reported] == list(SHARES)
    for _, outcome in reported:
        plan = json.loads((outcome.directory / "plan.json").read_text())
        assert outcome.steps == plan["steps"] >= 10
        assert plan["seconds_per_step"] > 0
