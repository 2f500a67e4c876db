"""EEG2Mel, the resampling and the names: what needs no optional library."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import periodogram as scipy_periodogram
from torch.nn import functional

from bci_music.eeg.montage import Montage
from bci_music.evaluation.baselines.baseline import parameters, pooled
from bci_music.evaluation.baselines.build import build_baseline
from bci_music.evaluation.baselines.eeg2mel import periodogram
from bci_music.evaluation.baselines.foundation import hub_weights, model_class
from bci_music.evaluation.baselines.foundation_models import Resample, named_electrodes
from bci_music.messages import UserError
from bci_music.training.eeg.align import info_nce


def part_of_net(n):
    nmed = Montage.nmed()
    some = np.linspace(0, 124, n).round().astype(int)
    return Montage("part", tuple(nmed.names[i] for i in some), nmed.positions_m[some])


@pytest.fixture
def one_thread():
    """Small convolutions on two threads wait for each other longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def eeg2mel(one_thread):
    torch.manual_seed(0)
    return build_baseline("eeg2mel", part_of_net(16), sfreq_hz=125.0, n_times=270, embed_dim=24)


def test_periodogram_is_scipys_but_for_the_rate():
    for n in (125, 128):
        x = np.random.default_rng(n).standard_normal((3, n)).astype(np.float32) + 1.0
        wanted = scipy_periodogram(x, fs=1.0)[1]
        np.testing.assert_allclose(periodogram(torch.from_numpy(x)).numpy(), wanted, rtol=1e-3, atol=1e-5)


def test_eeg2mel_gives_unit_vectors_and_every_weight_learns(eeg2mel):
    x = torch.randn(4, 16, 270)
    with torch.autocast("cpu", torch.bfloat16):
        out, attention = eeg2mel.infer(x, torch.ones(4, 16, dtype=torch.bool))
    assert out.shape == (4, 24)
    assert attention is None
    torch.testing.assert_close(out.norm(dim=1), torch.ones(4))
    eeg2mel.embed(x)[:, :5].square().sum().backward()
    assert [name for name, p in eeg2mel.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []
    assert parameters(eeg2mel) == sum(p.numel() for p in eeg2mel.parameters())


def test_a_channel_that_is_not_there_has_no_influence(eeg2mel):
    eeg2mel.eval()
    x, used = torch.randn(3, 16, 270), torch.ones(3, 16, dtype=torch.bool)
    used[:, [2, 9]] = False
    other = x.clone()
    other[:, 2], other[:, 9] = float("nan"), 1e6
    torch.testing.assert_close(eeg2mel.embed(x, used), eeg2mel.embed(other, used), rtol=0, atol=0)
    keep = used.nonzero()[:, 1].reshape(3, 14)
    torch.testing.assert_close(eeg2mel.embed(x, keep=keep), eeg2mel.embed(other, used), rtol=0, atol=0)
    assert not torch.allclose(eeg2mel.embed(x), eeg2mel.embed(x, used))


def test_what_is_saved_gives_the_same_vectors(eeg2mel):
    x, used = torch.randn(2, 16, 270), torch.ones(2, 16, dtype=torch.bool)
    eeg2mel.train().embed(x)  # moves the batch norms
    twin = build_baseline("eeg2mel", part_of_net(16), sfreq_hz=125.0, n_times=270, embed_dim=24)
    twin.load_state_dict(eeg2mel.state_dict())
    torch.testing.assert_close(twin.eval().infer(x, used)[0], eeg2mel.eval().infer(x, used)[0])


def found_after_training(shuffled):
    """Eight rhythms, two on every channel; the share of unseen windows found among them."""
    torch.manual_seed(1)
    rng = np.random.default_rng(0)
    model = build_baseline("eeg2mel", part_of_net(4), sfreq_hz=32.0, n_times=32, embed_dim=16)
    music = functional.normalize(torch.randn(8, 16), dim=1)
    hz, channel = np.repeat([3.0, 9.0], 4), np.tile(np.arange(4), 2)

    def windows(labels):
        phase = rng.uniform(0, 2 * np.pi, (len(labels), 1))
        x = 0.7 * rng.standard_normal((len(labels), 4, 32))
        rhythm = 2 * np.sin(2 * np.pi * hz[labels, None] * np.arange(32) / 32 + phase)
        x[np.arange(len(labels)), channel[labels]] += rhythm
        return torch.from_numpy(x.astype(np.float32))

    optimiser = torch.optim.AdamW(model.parameters(), 2e-3)
    for _ in range(20):
        labels = rng.integers(0, 8, 32)
        paired = torch.from_numpy(rng.permutation(labels) if shuffled else labels)
        eeg = functional.normalize(model.embed(windows(labels)), dim=1)
        loss = info_nce(eeg, music[paired], torch.tensor(10.0), paired[:, None] == paired[None])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    labels = rng.integers(0, 8, 200)
    with torch.no_grad():
        out, _ = model.infer(windows(labels), torch.ones(200, 4, dtype=torch.bool))
    return float(((out @ music.T).argmax(1).numpy() == labels).mean())


@pytest.mark.learning
def test_eeg2mel_finds_planted_rhythms_and_nothing_in_shuffled_ones(one_thread):
    assert found_after_training(shuffled=False) > 0.5
    assert found_after_training(shuffled=True) < 0.3


@pytest.mark.parametrize(("to_hz", "n_out"), [(200.0, 800), (256.0, 1024), (125.0, 500)])
def test_resampling_keeps_a_rhythm(to_hz, n_out):
    resample = Resample(500, 125.0, to_hz)
    x = torch.sin(2 * torch.pi * 7.0 * torch.arange(500) / 125.0).requires_grad_()
    out = resample(x[None])[0]
    wanted = torch.sin(2 * torch.pi * 7.0 * torch.arange(n_out) / to_hz)
    assert out.shape == (n_out,)
    inside = slice(n_out // 20, -n_out // 20)
    assert float((out - wanted).detach()[inside].abs().max()) < 0.01
    out.sum().backward()
    assert x.grad.abs().sum() > 0
    assert list(resample.state_dict()) == []


def test_standard_names_stand_for_themselves_and_a_net_gets_the_nearest():
    standard = Montage.load("standard1010")
    known = ["T3", "FP1-F7", "CFC1", "QQ", *[n.upper() for n in standard.names]]
    channels, names = named_electrodes(standard, known)
    assert [standard.names[c].upper() for c in channels] == list(names)

    nmed = Montage.nmed()
    channels, names = named_electrodes(nmed, known)
    assert len(set(names)) == len(names) == len(channels) > 40
    places = {n.upper(): p for n, p in zip(standard.names, standard.positions_m, strict=True)}
    metres = [np.linalg.norm(nmed.positions_m[c] - places[n]) for c, n in zip(channels, names, strict=True)]
    assert max(metres) <= 0.0201
    assert dict(zip(names, channels, strict=True))["CZ"] == 124


def test_pooling_leaves_absent_channels_out():
    tokens = torch.arange(24.0).reshape(2, 3, 2, 2)
    there = torch.tensor([[True, False, True], [False, False, False]])
    torch.testing.assert_close(pooled(tokens, there)[0], tokens[0, [0, 2]].mean((0, 1)))
    assert pooled(tokens, there)[1].abs().sum() == 0


@pytest.mark.parametrize(("name", "arguments", "words"), [
    ("labran", {}, "did you mean 'labram'"),
    ("eeg2mel", {"n_times": 100}, "1 s or more"),
    ("eeg2mel", {"pretrained": True}, "random weights"),
])
def test_what_cannot_be_built_is_stated(name, arguments, words):
    with pytest.raises(UserError, match=words):
        build_baseline(name, part_of_net(16), **{"sfreq_hz": 125.0, "n_times": 500, "embed_dim": 8} | arguments)


def test_an_electrode_cap_without_names_is_refused():
    few = Montage("strip", ("E1", "E2", "E3"), Montage.nmed().positions_m[:3])
    with pytest.raises(UserError, match="Fewer than 8 electrodes of the montage 'strip'"):
        named_electrodes(few, ["FP1", "FP2"])


def test_a_missing_library_and_an_unreachable_hub_name_the_next_step(monkeypatch):
    import huggingface_hub

    def unreachable(*_):
        raise huggingface_hub.errors.LocalEntryNotFoundError("no network")

    monkeypatch.setitem(__import__("sys").modules, "braindecode", None)
    with pytest.raises(UserError, match=r"not installed: run `sh tools/install-foundation\.sh \.venv`"):
        model_class("Labram")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    with pytest.raises(UserError, match=r"could not be fetched.*start from random weights"):
        hub_weights("someone/something")


def test_the_installer_wants_an_environment_with_torch(tmp_path):
    script = Path(__file__).resolve().parents[3] / "tools" / "install-foundation.sh"
    done = subprocess.run(["sh", script, tmp_path / "none"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "There is no torch in" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
