"""How far sound is from sound, by spectra of several resolutions: loss of the vocoder, and its figures."""

from __future__ import annotations

import torch
from torch import Tensor

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
