"""The vocoder: a network learns the magnitudes that belong to mel bands; see `SpectralVocoder`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from bci_music.config import Config
from bci_music.metrics.comb import EXCERPT_S, comb_db
from bci_music.models.log_mel import FLOOR, HOP, N_FFT, RATE_HZ, log_mel_torch
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
    from bci_music.generation.audioldm.spectral_vocoder import SpectralVocoder


RESOLUTIONS = (256, 512, 1024, 2048)  # samples per window; hop a quarter
_FLOOR = 1e-5
DECIBEL = 20 / float(np.log(10))  # of one unit of a natural logarithm of magnitude


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

    REMOVED: ClassVar = dict.fromkeys(("channels", "kernels", "dilations", "mel"))

    dim: int = Field(256, ge=8)
    depth: int = Field(6, ge=1)
    kernel: int = Field(7, ge=1)
    expansion: int = Field(3, ge=1)
    iterations: int = Field(4, ge=0, description="rounds of Griffin-Lim; 8 take half as long again for 0.2 dB")
    frames: int = Field(72, ge=16)
    batch: int = Field(16, ge=1)
    loop: LoopConfig = LoopConfig(
        steps=8000, lr=1e-3, warmup=100, weight_decay=0.01, clip=1.0, ema=0.995, bf16=False, watch_every=2000
    )
    held: int = Field(32, ge=1)
    seed: int = 0


def new_vocoder(config: VocoderConfig, mel: NDArray[np.float16]) -> SpectralVocoder:
    """Make an untrained vocoder that sees each band of the music of `mel` with mean 0 and spread 1.

    It sounds already: what it has to learn is how a band's sound is spread over its frequencies.
    """
    from bci_music.generation.audioldm.spectral_vocoder import SpectralVocoder

    vocoder = SpectralVocoder(config.dim, config.depth, config.kernel, config.expansion, config.iterations)
    mean, std = moments(mel, (0, 1))
    vocoder.mean.copy_(torch.from_numpy(mean))
    vocoder.scale.copy_(torch.from_numpy(std))
    return vocoder


class VocoderTask:
    """Learn to turn spectrograms into sound.

    Parameters
    ----------
    mel : (n, frames, 64), optional
        What the vocoder reads beside the clips' true spectrograms, e.g. those that come back from the autoencoder: each
        piece is of one or the other with the same probability, so that what it knew of true ones is not forgotten.
    """

    def __init__(
        self, module: Any, clips: Clips, held: Clips, config: VocoderConfig, device: str = "cpu", *,
        mel: NDArray[np.float16] | None = None, held_mel: NDArray[np.float16] | None = None,
    ):
        self.module, self._clips, self._held, self._config, self._device = module, clips, held, config, device
        self._kinds = (clips.mel,) if mel is None else (clips.mel, mel)
        self._held_mel = held.mel if held_mel is None else held_mel

    def step(self, module: Any, at: int) -> tuple[Tensor, Figures]:
        """Distance of the log magnitudes of pieces."""
        picture, true = self.draw(at)
        return magnitude_loss(module.log_magnitude(picture), log_magnitudes(true))

    def draw(self, at: int) -> tuple[Tensor, Tensor]:
        """Spectrograms (B, frames, 64) and sounds (B, frames * 160) of step `at`."""
        c = self._config
        n, frames = self._clips.mel.shape[:2]
        drawn = places(n * len(self._kinds), frames, c.frames, seed=c.seed, step=at, batch=c.batch)
        where = [(row % n, first) for row, first in drawn]
        cut = [pieces(self._kinds[row // n], [place], c.frames, self._device)
               for (row, _), place in zip(drawn, where, strict=True)]
        return torch.cat(cut), sounds(self._clips.sound, where, c.frames, self._device)

    @torch.no_grad()
    def evaluate(self, module: Any) -> Figures:
        """Distances of held-out clips, whole ones, those of silence, and how much of a comb they have."""
        rows: list[Tensor] = []
        combs: list[float] = []
        for i in spread_evenly(len(self._held_mel), self._config.held):
            true = torch.from_numpy(self._held.sound[i].astype(np.float32) / np.float32(FULL_SCALE))[None]
            true = true.to(self._device)
            picture = torch.from_numpy(self._held_mel[i].astype(np.float32))[None].to(self._device)
            made = module(picture)[:, : true.shape[1]].float()
            convergence, logs = distances(made, true)
            silence, _ = distances(torch.zeros_like(true), true)
            mel = (log_mel_torch(made) - log_mel_torch(true)).abs().mean((1, 2))
            off = magnitude_loss(module.log_magnitude(picture), log_magnitudes(true))[0][None] * DECIBEL
            rows.append(torch.stack([convergence, logs, log_spectral_distance(made, true), mel, silence, off])[:, 0])
            if made.shape[1] >= EXCERPT_S * RATE_HZ:
                combs += comb_db(made[0].cpu().numpy(), RATE_HZ).tolist()
        metrics = torch.stack(rows).mean(0).tolist()
        names = ("convergence", "log_stft", "log_spectral_db", "mel_l1", "silence_convergence", "magnitude_db")
        found = dict(zip(names, metrics, strict=True)) | {"held_clips": len(rows)}
        return found | ({"comb_db": float(np.median(combs)), "comb_most_db": max(combs)} if combs else {})


EDGE = N_FFT // 2 // HOP + 1  # frames at the ends of a piece that lack its neighbours
HEARD_DB = 60.0  # below the loudest frame


def log_magnitudes(sound: Tensor) -> Tensor:
    """Natural logarithms (B, frames, 513) of the magnitudes of sound (B, frames * 160), frames as in `log_mel`."""
    window = torch.hann_window(N_FFT, device=sound.device)
    found = torch.stft(sound.float(), N_FFT, HOP, window=window, pad_mode="reflect", return_complex=True)
    power = found.real.square() + found.imag.square()
    return 0.5 * power[..., : sound.shape[1] // HOP].clamp_min(FLOOR**2).log().transpose(1, 2)


def magnitude_loss(made: Tensor, true: Tensor) -> tuple[Tensor, Figures]:
    """Root mean square distance over frequency of log magnitudes (B, frames, 513), mean over the frames heard."""
    with torch.autocast(made.device.type, enabled=False):
        made, true = (x.float()[:, EDGE:-EDGE] for x in (made, true))
        level = true.exp().square().mean(2).log()
        heard = (level >= level.amax(1, keepdim=True) - HEARD_DB / DECIBEL * 2.0).float()
        distance = ((made - true).square().mean(2) + 1e-6).sqrt()
        loss = (distance * heard).sum() / heard.sum()
    return loss, {"log_spectral_db": float(loss.detach()) * DECIBEL}
