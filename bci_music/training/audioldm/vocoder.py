"""The vocoder: AudioLDM's class (a HiFi-GAN), small, trained on spectra of several resolutions."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bci_music.config import Config
from bci_music.models.log_mel import BANDS, RATE_HZ, log_mel_torch
from bci_music.training.audioldm.batches import (
    FULL_SCALE,
    Clips,
    Figures,
    moments,
    pieces,
    places,
    sounds,
    spread_evenly,
)
from bci_music.training.loop import LoopConfig

if TYPE_CHECKING:
    from transformers import SpeechT5HifiGan


RESOLUTIONS = (256, 512, 1024, 2048)  # samples per window; hop a quarter
_FLOOR = 1e-5


def magnitudes(sound: Tensor, size: int) -> Tensor:
    """(B, size // 2 + 1, frames) magnitudes of (B, n) sound."""
    window = torch.hann_window(size, device=sound.device)
    spectrum = torch.stft(sound.float(), size, size // 4, window=window, return_complex=True)
    return (spectrum.real.square() + spectrum.imag.square()).clamp_min(_FLOOR**2).sqrt()


def distances(made: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """Spectral convergence, and mean absolute difference of log magnitudes, averaged over the resolutions.

    Parameters
    ----------
    made, true : (B, n)

    Returns
    -------
    tuple of (B,)
    """
    convergence, logs = [], []
    for size in RESOLUTIONS:
        ours, theirs = magnitudes(made, size), magnitudes(true, size)
        norm = theirs.flatten(1).norm(dim=1).clamp_min(1e-3)
        convergence.append((ours - theirs).flatten(1).norm(dim=1) / norm)
        logs.append((ours.log() - theirs.log()).abs().mean((1, 2)))
    return torch.stack(convergence).mean(0), torch.stack(logs).mean(0)


def log_spectral_distance(made: Tensor, true: Tensor, size: int = 1024) -> Tensor:
    """(B,) root mean square difference of the spectra in dB over frequency, averaged over time.

    Only frames within 60 dB of the loudest count: what lies below is not heard.
    """
    ours, theirs = magnitudes(made, size), magnitudes(true, size)
    difference = 20 * (ours.log10() - theirs.log10())
    per_frame = difference.square().mean(1).sqrt()
    loud = theirs.square().mean(1)
    heard = (loud >= 1e-6 * loud.amax(1, keepdim=True)).float()
    return (per_frame * heard).sum(1) / heard.sum(1)


class VocoderConfig(Config):
    """Size, loss and schedule."""

    channels: int = Field(192, ge=32, multiple_of=32)
    kernels: tuple[int, ...] = (3, 7)
    dilations: tuple[int, ...] = (1, 3)
    frames: int = Field(64, ge=8)
    batch: int = Field(8, ge=1)
    mel: float = Field(1.0, ge=0, description="weight of the log-mel difference")
    loop: LoopConfig = LoopConfig(
        steps=4000, lr=1e-3, warmup=100, weight_decay=0.0, clip=10.0, ema=0.995, bf16=False, watch_every=1000
    )
    held: int = Field(32, ge=1)
    seed: int = 0


def new_vocoder(config: VocoderConfig, mel: NDArray[np.float16]) -> SpeechT5HifiGan:
    """Make an untrained vocoder that sees each band of the music of `mel` with mean 0 and spread 1."""
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    vocoder = SpeechT5HifiGan(SpeechT5HifiGanConfig(
        model_in_dim=BANDS, sampling_rate=RATE_HZ, upsample_initial_channel=config.channels,
        upsample_rates=[5, 4, 2, 2, 2], upsample_kernel_sizes=[15, 8, 4, 4, 4],
        resblock_kernel_sizes=list(config.kernels),
        resblock_dilation_sizes=[list(config.dilations)] * len(config.kernels), normalize_before=True,
    ))  # fmt: skip
    for layer in vocoder.modules():
        if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
            layer.reset_parameters()  # the class begins with weights near 0, which costs hundreds of steps
    mean, std = moments(mel, (0, 1))
    vocoder.mean.copy_(torch.from_numpy(mean))
    vocoder.scale.copy_(torch.from_numpy(std))
    return vocoder


def with_weight_norm(vocoder: SpeechT5HifiGan) -> SpeechT5HifiGan:
    """Split weights into direction and length, as the class does for its training."""
    vocoder.apply_weight_norm()
    return vocoder


def without_weight_norm(vocoder: SpeechT5HifiGan) -> SpeechT5HifiGan:
    """Return a copy with plain weights, as checkpoints hold them. (The class's own way back knows older norms only.)"""
    plain = copy.deepcopy(vocoder)
    for layer in list(plain.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight")
    return plain


class VocoderTask:
    """Learn to turn spectrograms into sound.

    Parameters
    ----------
    mel : (n, frames, 64), optional
        What the vocoder reads instead of the clips' true spectrograms, e.g. those that come back from the autoencoder.
    """

    def __init__(
        self, module: Any, clips: Clips, held: Clips, config: VocoderConfig, device: str = "cpu", *,
        mel: NDArray[np.float16] | None = None, held_mel: NDArray[np.float16] | None = None,
    ):
        self.module, self._clips, self._held, self._config, self._device = module, clips, held, config, device
        self._mel = clips.mel if mel is None else mel
        self._held_mel = held.mel if held_mel is None else held_mel

    def step(self, module: Any, at: int) -> tuple[Tensor, Figures]:
        """Spectral difference of pieces."""
        picture, true = self.draw(at)
        return spectral_loss(module(picture), true, self._config.mel)

    def draw(self, at: int) -> tuple[Tensor, Tensor]:
        """Spectrograms (B, frames, 64) and sounds (B, frames * 160) of step `at`."""
        c = self._config
        where = places(len(self._mel), self._mel.shape[1], c.frames, seed=c.seed, step=at, batch=c.batch)
        picture = pieces(self._mel, where, c.frames, self._device)
        return picture, sounds(self._clips.sound, where, c.frames, self._device)

    @torch.no_grad()
    def evaluate(self, module: Any) -> Figures:
        """Distances of held-out clips, whole ones, and those of silence."""
        rows: list[Tensor] = []
        for i in spread_evenly(len(self._held_mel), self._config.held):
            true = torch.from_numpy(self._held.sound[i].astype(np.float32) / np.float32(FULL_SCALE))[None]
            true = true.to(self._device)
            picture = torch.from_numpy(self._held_mel[i].astype(np.float32))[None].to(self._device)
            made = module(picture)[:, : true.shape[1]]
            convergence, logs = distances(made, true)
            silence, _ = distances(torch.zeros_like(true), true)
            mel = (log_mel_torch(made) - log_mel_torch(true)).abs().mean((1, 2))
            rows.append(torch.stack([convergence, logs, log_spectral_distance(made, true), mel, silence])[:, 0])
        metrics = torch.stack(rows).mean(0).tolist()
        names = ("convergence", "log_stft", "log_spectral_db", "mel_l1", "silence_convergence")
        return dict(zip(names, metrics, strict=True)) | {"held_clips": len(rows)}


def spectral_loss(made: Tensor, true: Tensor, mel: float) -> tuple[Tensor, Figures]:
    """Convergence plus log difference plus weighted log-mel difference."""
    with torch.autocast(made.device.type, enabled=False):  # spectra need all digits
        made = made.float()
        convergence, logs = (d.mean() for d in distances(made, true))
        bands = (log_mel_torch(made) - log_mel_torch(true)).abs().mean()
        loss = convergence + logs + mel * bands
    return loss, {"convergence": float(convergence.detach()), "log_stft": float(logs.detach()),
                  "mel_l1": float(bands.detach())}  # fmt: skip
