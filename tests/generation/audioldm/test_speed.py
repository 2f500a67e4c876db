"""The form a model computes in, what it takes, and clips that are decoded beside the next one."""


import numpy as np
import pytest
import torch

from bci_music.generation.audioldm import precision as speed_module
from bci_music.generation.audioldm.loading import write_random_audioldm
from bci_music.generation.audioldm.precision import Speed, Walls, fastest_dtype, missing_compiler
from bci_music.generation.audioldm.sampler import load_audioldm
from bci_music.messages import EMBEDDING_DIM

CPU = torch.device("cpu")
VECTOR = np.full(EMBEDDING_DIM, EMBEDDING_DIM**-0.5, np.float32)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return write_random_audioldm(tmp_path_factory.mktemp("audioldm"), seed=1)


@pytest.fixture(scope="module")
def model(directory):
    return load_audioldm(directory, device="cpu", speed=Speed(dtype="float32"))


def test_walls_are_running_medians_per_frame():
    walls = Walls(keep=3)
    assert walls.expect("step", 100) == 0
    for seconds in (9.0, 1.0, 2.0, 3.0):  # the first, which pays for what the libraries set up, is forgotten
        walls.note("step", seconds, 100)
    assert walls.expect("step", 100) == 2.0
    assert walls.expect("step", 50) == 1.0
    assert walls.expect("other", 50) == 0


def test_bfloat16_only_where_the_processor_multiplies_it_and_only_if_faster(model, monkeypatch):
    monkeypatch.setattr(speed_module, "native_bf16", lambda kind: False)
    assert fastest_dtype(model.denoiser, CPU) == "float32"
    monkeypatch.setattr(speed_module, "native_bf16", lambda kind: True)
    for bf16_s, expected in ((0.5, "bfloat16"), (2.0, "float32")):
        took = {"float32": 1.0, "bfloat16": bf16_s}
        monkeypatch.setattr(speed_module, "_block_s", lambda block, dtype, took=took: took[dtype])
        assert fastest_dtype(model.denoiser, CPU) == expected


def test_a_block_of_the_unet_can_be_timed_without_changing_it(model):
    block = model.denoiser.mid_block.resnets[0]
    before = block.conv1.weight.clone()
    assert speed_module._block_s(block, "float32") > 0
    torch.testing.assert_close(block.conv1.weight, before, rtol=0, atol=0)


def test_in_half_precision_the_vocoder_stays_exact_and_the_sound_is_near(directory, model):
    half = load_audioldm(directory, device="cpu", speed=Speed(dtype="bfloat16"))
    assert (half.denoiser.dtype, half.vae.dtype, half.vocoder.dtype) == (torch.bfloat16, torch.bfloat16, torch.float32)
    exact, rough = (m.latents(VECTOR, 32, seed=0, settings=m.settings.model_copy(update={"steps": 2}))
                    for m in (model, half))
    assert rough.dtype == torch.float32  # steps add up; only the network is rough
    assert (rough - exact).norm() < 0.05 * exact.norm()
    assert half.vocode(half.decode(rough)).shape == (32 * 160,)


def test_without_a_compiler_it_says_so_and_runs(directory, monkeypatch):
    monkeypatch.setattr(speed_module.shutil, "which", lambda name: None)
    assert missing_compiler(CPU) == "there is no C++ compiler"
    model = load_audioldm(directory, device="cpu", speed=Speed(dtype="float32", compile=True))
    assert [note for note in model.notes if "no C++ compiler" in note]
    assert len(model.sample(VECTOR, 0.32, steps=1, seed=0)) == 32 * 160
