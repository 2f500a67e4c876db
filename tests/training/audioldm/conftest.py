from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from band_embedder import embedder

from bci_music.models.log_mel import RATE_HZ, log_mel
from bci_music.training.audioldm.diffusion import UnetConfig
from bci_music.training.audioldm.discriminator import DiscriminatorConfig
from bci_music.training.audioldm.distil import DistilConfig
from bci_music.training.audioldm.flow import FlowConfig
from bci_music.training.audioldm.stages import MusicModelsConfig, Workspace
from bci_music.training.audioldm.vae import VaeConfig
from bci_music.training.audioldm.vocoder import VocoderConfig
from bci_music.training.loop import LoopConfig

FRAMES = 64  # 0.64 s


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass
class Clips:
    """Low chords or high ones, with a beat: two styles."""

    sound: np.ndarray
    mel: np.ndarray
    credits: list = field(default_factory=list)


def make_clips(n, seed):
    rng = np.random.default_rng(seed)
    t = np.arange(FRAMES * 160) / RATE_HZ
    sounds = []
    for i in range(n):
        low = 200.0 if i % 2 else 1500.0
        tones = sum(np.sin(2 * np.pi * low * r * t + rng.uniform(0, 6)) for r in rng.uniform(1, 2, 3))
        beat = np.exp(-6 * ((t + rng.uniform(0, 0.3)) % 0.3))
        sounds.append((0.1 * tones * beat + 0.002 * rng.standard_normal(t.size)) * 32767)
    sound = np.clip(np.stack(sounds), -32768, 32767).astype(np.int16)
    mel = np.stack([log_mel(row / 32768) for row in sound]).astype(np.float16)
    return Clips(sound, mel, [{"title": "a song", "artist": "somebody", "licence": "CC-BY-4.0"}])


@pytest.fixture(scope="session")
def clips():
    return make_clips(24, 0)


@pytest.fixture(scope="session")
def held():
    return make_clips(8, 1)


def schedule(steps, lr, **more):
    return LoopConfig(
        steps=steps, lr=lr, warmup=5, ema=0.9, bf16=False, weight_decay=0.0, watch_every=10**6, checkpoint_every=10**6,
        **more,
    )  # fmt: skip


@pytest.fixture(scope="session")
def tiny():
    vocoder = {"dim": 16, "depth": 1, "frames": 32, "batch": 4, "held": 4}
    return MusicModelsConfig(
        vae=VaeConfig(channels=(4, 8, 8), groups=4, frames=32, batch=4, held=8, loop=schedule(60, 1e-2)),
        vocoder=VocoderConfig(**vocoder, loop=schedule(80, 5e-3, clip=10.0)),
        fit=VocoderConfig(**vocoder, seed=1, loop=schedule(4, 1e-3, clip=10.0)),
        adversarial=VocoderConfig(**vocoder, seed=2, loop=schedule(3, 1e-3, clip=1e3)),
        discriminators=DiscriminatorConfig(channels=4, parts=2),
        unet=UnetConfig(
            channels=(8, 16), attention=(False, True), heads=2, groups=4, frames=16, batch=8, held=8,
            loop=schedule(60, 1e-2),
        ),
        distil=DistilConfig(steps=2, inner=2, guidance=1.5, loop=schedule(20, 2e-3)),
        transformer=FlowConfig(dim=16, depth=2, heads=2, frames=(8, 16), batch=8, held=8, loop=schedule(60, 1e-2)),
    )  # fmt: skip


@pytest.fixture
def workspace(tmp_path, clips, held, embedder):
    return Workspace(clips, held, tmp_path / "models", embedder, log=lambda text: None)
