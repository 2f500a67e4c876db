"""The parts of the stages: caches, spectra, discriminators."""

import numpy as np
import pytest
import torch

from bci_music.config import shipped
from bci_music.messages import UserError
from bci_music.models.log_mel import log_mel, log_mel_torch
from bci_music.training.audioldm.batches import pieces, places, sounds
from bci_music.training.audioldm.cache import cached_rows
from bci_music.training.audioldm.diffusion import UnetConfig, new_unet
from bci_music.training.audioldm.discriminator import AdversarialPair, AdversarialTask, DiscriminatorConfig
from bci_music.training.audioldm.parts import BUDGET
from bci_music.training.audioldm.stages import MusicModelsConfig, current_stage
from bci_music.training.audioldm.vae import VaeConfig, new_vae
from bci_music.training.audioldm.vocoder import (
    EDGE,
    VocoderConfig,
    VocoderTask,
    distances,
    log_magnitudes,
    log_spectral_distance,
    magnitude_loss,
    new_vocoder,
)
from bci_music.training.loop import LoopConfig


def test_rows_are_made_once_and_go_on_where_they_stopped(tmp_path):
    made = []

    def rows(first, stop, limit=99):
        if stop > limit:
            raise KeyboardInterrupt
        made.append((first, stop))
        return np.arange(first, stop, dtype=np.float32)[:, None] * [1, 2]

    path = tmp_path / "rows.npy"
    with pytest.raises(KeyboardInterrupt):
        cached_rows(path, 10, lambda a, b: rows(a, b, 8), key="one", chunk=4)
    found = cached_rows(path, 10, rows, key="one", chunk=4)
    assert made == [(0, 4), (4, 8), (8, 10)]
    np.testing.assert_array_equal(found, np.arange(10)[:, None] * [1, 2])
    cached_rows(path, 10, rows, key="two", chunk=10)
    assert made[-1] == (0, 10)
    with pytest.raises(UserError, match="empty"):
        cached_rows(path, 0, rows, key="one")


def test_pieces_of_picture_and_sound_belong_together(clips):
    where = places(24, 64, 32, seed=1, step=3, batch=6)
    assert where == places(24, 64, 32, seed=1, step=3, batch=6)
    assert len(set(where)) > 1
    picture, sound = pieces(clips.mel, where, 32, "cpu"), sounds(clips.sound, where, 32, "cpu")
    for i in range(6):
        inner = log_mel(sound[i].numpy())[4:-4]  # at the edges the neighbours are missing
        np.testing.assert_allclose(picture[i, 4:-4], inner, atol=0.1)
    with pytest.raises(ValueError, match="do not fit"):
        places(24, 64, 65, seed=1, step=3, batch=6)


def test_spectral_distances():
    chance = torch.Generator().manual_seed(0)
    true = 0.1 * torch.randn(2, 8000, generator=chance)
    zero = torch.zeros(2)
    assert all(torch.allclose(d, zero) for d in (*distances(true, true), log_spectral_distance(true, true)))
    convergence, logs = distances(2 * true, true)
    assert torch.allclose(convergence, torch.ones(2), atol=1e-3)
    assert torch.allclose(logs, torch.full((2,), np.log(2)), atol=1e-3)
    assert torch.allclose(log_spectral_distance(2 * true, true), torch.full((2,), 6.02), atol=0.01)


def test_the_loss_of_magnitudes_is_their_distance_where_something_is_heard():
    chance = torch.Generator().manual_seed(0)
    sound = 0.1 * torch.randn(2, 30 * 160, generator=chance)
    true = log_magnitudes(sound)
    assert true.shape == (2, 30, 513)
    assert float(magnitude_loss(true, true)[0]) < 2e-3
    other, silent = true + np.log(2.0), true.clone()
    assert float(magnitude_loss(other, true)[1]["log_spectral_db"]) == pytest.approx(6.02, abs=0.01)
    silent[:, 15:] = np.log(1e-5)
    other = silent.clone()
    other[:, 15:] += 3.0  # where nothing is heard
    assert float(magnitude_loss(other, silent)[0]) < 2e-3


@pytest.mark.learning
def test_the_vocoder_learns_where_in_a_band_the_lines_lie(clips):
    """Tones of one scale, as music has them: on clips that it never saw it is nearer than its start."""

    def scale(n, seed):
        rng, t = np.random.default_rng(seed), np.arange(64 * 160) / 16_000
        rows = []
        for _ in range(n):
            pitches = 220.0 * 2.0 ** (rng.choice(48, 6) / 12)
            tones = sum(np.sin(2 * np.pi * hz * t + rng.uniform(0, 6)) for hz in pitches)
            rows.append((0.05 * tones + 0.0005 * rng.standard_normal(t.size)) * 32767)
        sound = np.stack(rows).astype(np.int16)
        return type(clips)(sound, np.stack([log_mel(row / 32768) for row in sound]).astype(np.float16))

    learn, held = scale(48, 0), scale(8, 1)
    loop = LoopConfig(steps=120, lr=5e-3, warmup=5, ema=0.9, bf16=False, weight_decay=0.0)
    torch.manual_seed(0)
    config = VocoderConfig(dim=48, depth=1, frames=32, batch=8, held=8, loop=loop)
    vocoder = new_vocoder(config, learn.mel)
    task = VocoderTask(vocoder, learn, held, config)
    before = task.evaluate(vocoder.eval())["magnitude_db"]
    moving = torch.optim.Adam(vocoder.parameters(), lr=loop.lr)
    for at in range(loop.steps):
        loss, _ = task.step(vocoder, at)
        moving.zero_grad()
        loss.backward()
        moving.step()
    after = task.evaluate(vocoder.eval())
    assert after["magnitude_db"] < 0.87 * before  # of which noise alone is some 5.6 dB
    assert after["convergence"] < 0.7


def test_a_vocoder_that_is_fitted_still_reads_true_spectrograms(clips):
    shifted = clips.mel + np.float16(100)
    task = VocoderTask(None, clips, clips, VocoderConfig(frames=32, batch=32), mel=shifted)
    pictures, sound = task.draw(0)
    true = log_mel_torch(sound)[:, EDGE:-EDGE]
    others = (pictures[:, EDGE:-EDGE] - true).mean((1, 2)) > 50
    assert 8 <= others.sum() <= 24
    off = (pictures - 100 * others[:, None, None])[:, EDGE:-EDGE] - true
    assert off.abs().mean() < 0.1  # each with the sound it belongs to


def test_discriminators_and_vocoder_move_their_own_weights_only(clips, held):
    torch.manual_seed(0)
    config = VocoderConfig(dim=8, depth=1, frames=32, batch=2)
    discriminators = DiscriminatorConfig(channels=4, parts=2, spectra=0.0, features=0.0)
    adversarial = AdversarialPair(new_vocoder(config, clips.mel), discriminators)
    torch.nn.init.normal_(adversarial.vocoder.last.weight, std=0.1)
    inner = VocoderTask(adversarial.vocoder, clips, held, config)
    loss, _ = AdversarialTask(adversarial, inner, discriminators).step(adversarial, 0)
    loss.backward()
    found = {name: p.grad.clone() for name, p in adversarial.named_parameters() if p.grad is not None}
    adversarial.zero_grad()
    picture, sound = inner.draw(0)
    made, true = adversarial.vocoder.log_magnitude(picture)[:, EDGE:-EDGE], log_magnitudes(sound)[:, EDGE:-EDGE]
    discriminating = sum((1 - t[-1]).square().mean() for t in adversarial.discriminators(true))
    discriminating = discriminating + sum(f[-1].square().mean() for f in adversarial.discriminators(made.detach()))
    discriminating.backward()
    wanted = {name: p.grad.clone() for name, p in adversarial.discriminators.named_parameters()}
    adversarial.zero_grad()
    sum((1 - f[-1]).square().mean() for f in adversarial.discriminators(made)).backward()
    for name, gradient in wanted.items():
        assert torch.allclose(found[f"discriminators.{name}"], gradient, rtol=1e-3, atol=1e-6), name
    for name, p in adversarial.vocoder.named_parameters():
        assert torch.allclose(found[f"vocoder.{name}"], p.grad, rtol=1e-3, atol=1e-6), name


def test_the_sizes_that_ship_are_within_the_budget(clips):
    conditions = np.random.default_rng(0).standard_normal((8, 512)).astype(np.float32)
    sizes = {
        "unet": new_unet(UnetConfig(), conditions), "vae": new_vae(VaeConfig(), clips.mel),
        "vocoder": new_vocoder(VocoderConfig(), clips.mel),
    }  # fmt: skip
    for name, module in sizes.items():
        assert 0.5 * BUDGET[name] < sum(p.numel() for p in module.parameters()) <= BUDGET[name], name


def test_the_gpu_preset_changes_batches_but_no_sizes():
    ours, theirs = MusicModelsConfig(), MusicModelsConfig.load(shipped("configs/music-models-gpu.yaml"))
    assert theirs.unet.batch > ours.unet.batch
    assert theirs.unet.channels == ours.unet.channels
    assert theirs.vocoder.dim == theirs.fit.dim == theirs.adversarial.dim == ours.vocoder.dim
    assert theirs.vae.channels == ours.vae.channels
    assert (theirs.fit, theirs.adversarial, theirs.distil) == (ours.fit, ours.adversarial, ours.distil)


def test_an_untrained_denoiser_sees_conditions_at_full_size(clips):
    rng = np.random.default_rng(0)
    cone = 5 + rng.standard_normal((64, 512))
    cone = (cone / np.linalg.norm(cone, axis=1, keepdims=True)).astype(np.float32)
    unet = new_unet(UnetConfig(channels=(8, 16), attention=(False, True), heads=2, groups=4), cone)
    seen = unet.class_embedding(torch.from_numpy(cone))
    assert 0.3 < float(seen.std(0).mean().detach()) < 3


def test_names_of_the_version_before_are_read_with_a_note(caplog, monkeypatch):
    monkeypatch.setattr("bci_music.config._noted", set())
    old = MusicModelsConfig.model_validate({"judges": {"channels": 8}, "contest": {"seed": 5}})
    assert (old.discriminators.channels, old.adversarial.seed) == (8, 5)
    assert current_stage("vocoder-contest") == "vocoder-adversarial"
    assert "'contest' is now called 'adversarial'" in caplog.text
    assert "'vocoder-contest' is now called 'vocoder-adversarial'" in caplog.text
