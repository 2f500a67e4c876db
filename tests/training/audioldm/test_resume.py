"""Interrupted and continued is the same as never interrupted."""

import pytest
import torch

from bci_music.training.audioldm.parts import load_part
from bci_music.training.audioldm.schedule import run_stage
from bci_music.training.audioldm.stages import Workspace

STAGES = {
    "vae": "vae", "vocoder": "vocoder", "vocoder-fit": "vocoder", "vocoder-adversarial": "vocoder", "unet": "unet",
    "distil": "unet-few", "transformer": "transformer",
}  # fmt: skip

pytestmark = [pytest.mark.timeout(600), pytest.mark.learning]  # 15 s of computing, on a machine that may do much else


def short(config, steps=4):
    def cut(part):
        return part.model_copy(update={"loop": part.loop.model_copy(update={"steps": steps, "checkpoint_every": 3})})

    names = ("vae", "vocoder", "fit", "adversarial", "unet", "distil", "transformer")
    return config.model_copy(update={name: cut(getattr(config, name)) for name in names})


def after(steps):
    calls = iter(range(steps))
    return lambda: next(calls, None) is None


@pytest.fixture(scope="module")
def straight(tmp_path_factory, clips, held, embedder, tiny):
    torch.set_num_threads(1)
    workspace = Workspace(clips, held, tmp_path_factory.mktemp("straight"), embedder, log=lambda text: None)
    weights = {}
    for stage, part in STAGES.items():
        run_stage(stage, workspace, config=short(tiny))
        weights[stage] = load_part(workspace.parts, part).state_dict()
    return weights


def test_all_stages_resume_exactly(straight, workspace, tiny):
    for stage, part in STAGES.items():
        first = run_stage(stage, workspace, config=short(tiny), until=after(2))
        assert (first.done, first.steps) == (2, 4)
        assert first.metrics["held_clips"] > 0
        second = run_stage(stage, workspace, config=short(tiny))
        assert second.done == 4
        found = load_part(workspace.parts, part).state_dict()
        assert all(torch.equal(found[name], value) for name, value in straight[stage].items()), stage


def test_a_step_depends_on_its_number_only(workspace, tiny):
    from bci_music.training.audioldm.stages import make_job

    task = make_job("vocoder", workspace, tiny, None).task
    picture, sound = task.draw(5)
    again, same = task.draw(5)
    other, _ = task.draw(6)
    assert torch.equal(picture, again)
    assert torch.equal(sound, same)
    assert not torch.equal(picture, other)
