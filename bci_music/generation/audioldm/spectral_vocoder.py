"""A vocoder that cannot buzz: a network gives magnitudes, phases follow from them.

HiFi-GAN makes sound by raising the frame rate step by step, and what differs from frame to frame leaves a comb of lines
at multiples of 100 Hz. Here a small network at frame rate (ConvNeXt blocks, after Vocos, arXiv 2306.00814) spreads the
64 mel bands over 513 frequencies; phases begin with the frequency of the nearest peak, summed over time (single pass
spectrogram inversion, Beauregard et al., DAFx 2015), and a few rounds of the fast Griffin-Lim algorithm (Perraudin et
al., WASPAA 2013) make neighbouring frames agree.
"""

from __future__ import annotations

import math

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

from bci_music.models.log_mel import BANDS, FLOOR, HOP, N_FFT, RATE_HZ, mel_filters

MOMENTUM = 0.99
LOUDEST = 12.0  # logarithm of a magnitude: full scale makes about 6


class SpectralVocoder(ModelMixin, ConfigMixin):
    """Log mel spectrograms (`models.log_mel`) to sound.

    Parameters
    ----------
    dim, depth, kernel, expansion : int
        Width and number of the blocks, frames a block sees, width of its hidden layer by that of the block.
    iterations : int
        Rounds of Griffin-Lim.
    """

    @register_to_config
    def __init__(
        self, dim: int = 256, depth: int = 6, kernel: int = 7, expansion: int = 3, iterations: int = 8,
        model_in_dim: int = BANDS, sampling_rate: int = RATE_HZ, hop: int = HOP,
    ):
        super().__init__()
        if (model_in_dim, sampling_rate, hop) != (BANDS, RATE_HZ, HOP):
            raise ValueError(f"spectrograms have {BANDS} bands of {RATE_HZ} Hz sound with hop {HOP}")
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(BANDS))
        self.register_buffer("scale", torch.ones(BANDS))
        self.first = nn.Conv1d(BANDS, dim, kernel, padding=kernel // 2)
        self.blocks = nn.ModuleList(FrameBlock(dim, kernel, expansion) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.last = nn.Linear(dim, N_FFT // 2 + 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self._filters: Tensor
        self._spread: Tensor
        self._window: Tensor
        with torch.device("cpu"):  # constants, also where weights are made on no device to be loaded later
            filters = torch.from_numpy(mel_filters().copy())
            self.register_buffer("_filters", filters, persistent=False)  # (513, 64)
            self.register_buffer("_spread", _spread(filters), persistent=False)  # (64, 513)
            self.register_buffer("_window", torch.hann_window(N_FFT), persistent=False)

    def forward(self, mel: Tensor) -> Tensor:
        """Sound (B, frames * 160), float32, of spectrograms (B, frames, 64)."""
        return self.sound(self.log_magnitude(mel))

    def log_magnitude(self, mel: Tensor) -> Tensor:
        """Natural logarithms (B, frames, 513) of magnitudes whose bands are those of mel (B, frames, 64)."""
        steps = self.first(((mel - self.mean) / self.scale).transpose(1, 2))
        for block in self.blocks:
            steps = block(steps)
        detail = self.last(self.norm(steps.transpose(1, 2))).float()
        mel, filters, spread = mel.float(), self._filters.float(), self._spread.float()
        guess = (mel - filters.sum(0).clamp_min(1e-9).log()) @ spread + detail
        bands = (guess.clamp(max=LOUDEST).exp() @ filters).clamp_min(FLOOR).log()
        return guess + (mel.clamp_min(math.log(FLOOR)) - bands) @ spread

    def sound(self, log_magnitude: Tensor) -> Tensor:
        """Sound (B, frames * 160) of log magnitudes (B, frames, 513)."""
        magnitude = log_magnitude.float().clamp(max=LOUDEST).exp().transpose(1, 2)
        spectrum = torch.polar(magnitude, peak_phases(magnitude))
        before = torch.zeros_like(spectrum)
        for _ in range(self.config.iterations):
            again = self._spectrum(self._inverse(spectrum))
            ahead = again - MOMENTUM / (1.0 + MOMENTUM) * before
            before, spectrum = again, magnitude * ahead / ahead.abs().clamp_min(1e-12)
        return self._inverse(spectrum)

    def _spectrum(self, sound: Tensor) -> Tensor:
        found = torch.stft(sound, N_FFT, HOP, window=self._window.float(), return_complex=True)
        return found[..., : sound.shape[-1] // HOP]

    def _inverse(self, spectrum: Tensor) -> Tensor:
        length = spectrum.shape[-1] * HOP
        return torch.istft(spectrum, N_FFT, HOP, window=self._window.float(), length=length)


class FrameBlock(nn.Module):
    """A ConvNeXt block over frames: (B, dim, frames) to the same shape."""

    def __init__(self, dim: int, kernel: int, expansion: int):
        super().__init__()
        self.along = nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=dim)
        self.norm = nn.LayerNorm(dim)
        self.wide = nn.Linear(dim, expansion * dim)
        self.back = nn.Linear(expansion * dim, dim)
        self.size = nn.Parameter(torch.full((dim,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        """Add what the block makes of its input."""
        made = self.norm(self.along(x).transpose(1, 2))
        return x + (self.size * self.back(functional.gelu(self.wide(made)))).transpose(1, 2)


def peak_phases(magnitude: Tensor) -> Tensor:
    """Phases (B, 513, frames) for magnitudes of that shape.

    Every bin turns with the frequency of its nearest peak, which a parabola through the logarithms of three bins gives.
    """
    n_bins = magnitude.shape[1]
    level = magnitude.clamp_min(1e-7).log()
    below = functional.pad(level[:, :-1], (0, 0, 1, 0), value=-1e9)
    above = functional.pad(level[:, 1:], (0, 0, 0, 1), value=-1e9)
    peak = (level >= below) & (level > above)
    curve = (below - 2.0 * level + above).clamp(max=-1e-6)
    bins = torch.arange(n_bins, device=magnitude.device, dtype=level.dtype)[None, :, None]
    exact = bins + (0.5 * (below - above) / curve).clamp(-0.5, 0.5)
    last = torch.where(peak, bins, torch.full_like(level, -1e4)).cummax(1).values
    following = torch.where(peak, bins, torch.full_like(level, 1e4)).flip(1).cummin(1).values.flip(1)
    nearest = torch.where(bins - last <= following - bins, last, following).clamp(0, n_bins - 1).long()
    turn = exact.gather(1, nearest) * (HOP / N_FFT)
    return 2.0 * math.pi * (turn.cumsum(2) % 1.0)


def _spread(filters: Tensor) -> Tensor:
    """Weights (64, 513) that carry values of bands to frequencies, linearly between the bands' centres."""
    centres = filters.argmax(0).double()
    bins = torch.arange(len(filters), dtype=torch.double)
    upper = torch.searchsorted(centres, bins).clamp(1, len(centres) - 1)
    low, high = centres[upper - 1], centres[upper]
    share = ((bins - low) / (high - low).clamp_min(1e-9)).clamp(0.0, 1.0)
    spread = torch.zeros(filters.shape[1], len(filters), dtype=torch.double)
    spread.scatter_(0, (upper - 1)[None], (1.0 - share)[None])
    return spread.scatter_add_(0, upper[None], share[None]).float()
