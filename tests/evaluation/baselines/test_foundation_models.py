"""LaBraM, CBraMod and EEGPT through braindecode: skipped where it is not installed."""

import importlib.util
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bci_music.eeg.montage import Montage
from bci_music.evaluation.baselines.baseline import parameters
from bci_music.evaluation.baselines.build import build_baseline
from bci_music.messages import UserError

NAMES = ("labram", "cbramod", "eegpt")
N_CHANNELS = 20


@pytest.fixture(scope="module", autouse=True)
def _library():
    if importlib.util.find_spec("braindecode") is None:
        pytest.skip("braindecode is not installed: sh tools/install-foundation.sh .venv")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small layers on two threads wait for each other longer than they compute
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def montage():
    nmed = Montage.nmed()
    some = np.linspace(0, 124, N_CHANNELS).round().astype(int)
    return Montage("part", tuple(nmed.names[i] for i in some), nmed.positions_m[some])


@pytest.fixture(scope="module")
def models(montage):
    torch.manual_seed(0)
    return {name: build_baseline(name, montage, sfreq_hz=125.0, n_times=250, embed_dim=16) for name in NAMES}


@pytest.mark.parametrize(("name", "millions", "tokens"), [
    ("labram", (5.5, 6.2), None), ("cbramod", (4.0, 5.1), 2 * N_CHANNELS), ("eegpt", (25.0, 26.5), 15 * 23),
])
def test_sizes_are_the_published_ones(models, name, millions, tokens):
    model = models[name]
    assert millions[0] < parameters(model) / 1e6 < millions[1]
    assert model.initialised == "random"
    assert model.tokens_per_window == (2 * len(model.names) + 1 if tokens is None else tokens)


@pytest.mark.parametrize("name", NAMES)
def test_unit_vectors_come_out_and_every_weight_learns(models, name):
    model, x = models[name], torch.randn(2, N_CHANNELS, 250)
    with torch.autocast("cpu", torch.bfloat16):
        model.embed(x)[:, :7].square().sum().backward()
    learns = {key for key, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert {key for key, p in model.named_parameters() if p.requires_grad} - learns == set()
    model.zero_grad()
    with torch.inference_mode():
        out, attention = model.infer(x, torch.ones(2, N_CHANNELS, dtype=torch.bool))
    assert out.shape == (2, 16)
    assert attention is None
    torch.testing.assert_close(out.norm(dim=1), torch.ones(2))


@pytest.mark.parametrize("name", NAMES)
def test_a_channel_that_is_not_there_has_no_influence(models, name):
    model = models[name].eval()
    x, used = torch.randn(2, N_CHANNELS, 250), torch.ones(2, N_CHANNELS, dtype=torch.bool)
    used[:, [4, 11]] = False
    other = x.clone()
    other[:, 4], other[:, 11] = float("nan"), 1e6
    keep = used.nonzero()[:, 1].reshape(2, -1)
    with torch.inference_mode():
        torch.testing.assert_close(model.embed(x, used), model.embed(other, used), rtol=0, atol=0)
        torch.testing.assert_close(model.embed(other, keep=keep), model.embed(x, used), rtol=0, atol=0)
        assert not torch.allclose(model.embed(x), model.embed(x, used), atol=1e-4)
        moved = x.clone()
        moved[:, 8] = x[:, 8].roll(60, dims=1)
        assert not torch.equal(model.embed(moved, used), model.embed(x, used))


@pytest.mark.parametrize("name", NAMES)
def test_published_weights_fill_a_model_for_other_windows(models, montage, name, tmp_path):
    """What the hub holds was made for longer windows: the embeddings of the first time slots are taken."""
    longer = build_baseline(name, montage, sfreq_hz=125.0, n_times=625, embed_dim=16)
    with torch.no_grad():
        for p in longer.model.parameters():
            p.add_(0.01)
    published = {key: t.contiguous() for key, t in longer.model.state_dict().items()}
    other_montage = {"final_layer.weight": torch.zeros(4, 200), "chans_id": torch.zeros(1, 7, dtype=torch.long)}
    save_file(published | other_montage, tmp_path / "model.safetensors")
    model = build_baseline(name, montage, sfreq_hz=125.0, n_times=250, embed_dim=16, pretrained=str(tmp_path))
    assert model.initialised == f"hub {tmp_path}@local"
    assert model.input_scale == {"labram": 0.2, "cbramod": 0.2, "eegpt": 0.02}[name]
    for key, got in model.model.state_dict().items():
        if key.startswith("chan_proj."):
            continue  # the published map belongs to other electrodes
        first = published[key][:, : got.shape[1]] if key == "temporal_embedding" else published[key]
        torch.testing.assert_close(got, first, rtol=0, atol=0)


def test_weights_of_another_kind_are_refused(montage, tmp_path):
    with pytest.raises(UserError, match=r"holds no model\.safetensors"):
        build_baseline("cbramod", montage, sfreq_hz=125.0, n_times=250, embed_dim=16, pretrained=str(tmp_path))
    save_file({"something": torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="do not fit the model"):
        build_baseline("cbramod", montage, sfreq_hz=125.0, n_times=250, embed_dim=16, pretrained=str(tmp_path))


def test_windows_have_to_hold_a_patch(montage):
    with pytest.raises(UserError, match=r"patches of 1 s and a window has 0\.8 s"):
        build_baseline("labram", montage, sfreq_hz=125.0, n_times=100, embed_dim=16)


def test_torchaudio_beside_this_torch_breaks_nothing():
    """Its compiled part, if it fits another build of torch only, would take transformers down with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torchaudio
        from transformers import SpeechT5HifiGan
    assert torchaudio.functional.lowpass_biquad(torch.ones(8), 100, 10.0).shape == (8,)
    assert SpeechT5HifiGan.__name__
