"""EEG2Mel's network as a baseline: a small CNN on the image of every electrode's power spectrum.

Layers after Ramirez-Aristizabal and Kello (2022, arXiv:2207.13845). There it regresses a mel spectrogram; here its
last layer leads into the shared space and it learns by the same InfoNCE as everything else, so that only the encoder
differs. There a window has 1 s; here the spectra of the window's seconds are the planes of one image.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bci_music.evaluation.baselines.baseline import Baseline
from bci_music.messages import UserError

FILTERS = (8, 16, 32, 64, 128)
HIDDEN = 128


class EEG2Mel(Baseline):
    """Convolutions over frequency x electrode.

    Parameters
    ----------
    n_channels, sfreq_hz, n_times
        Shape of a window; it has to last 1 s at least. What is left of a second at its end is not used.
    """

    def __init__(self, n_channels: int, sfreq_hz: float, n_times: int, embed_dim: int):
        second = round(sfreq_hz)
        if n_times < second:
            raise UserError(
                f"EEG2Mel looks at whole seconds and a window has {n_times / sfreq_hz:.2f} s: use 1 s or more."
            )
        super().__init__(HIDDEN, embed_dim, "EEG2Mel (CNN on periodograms)")
        self.second, self.n_seconds = second, n_times // second
        image = (self.second // 2 + 1, n_channels)
        self.convolutions, flat = _convolutions(self.n_seconds, image)
        self.dense = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.1),
            nn.Linear(flat, HIDDEN), nn.ReLU(), nn.BatchNorm1d(HIDDEN), nn.Dropout(0.15),
            nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.BatchNorm1d(HIDDEN),
        )  # fmt: skip
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def features(self, x: Tensor, there: Tensor) -> Tensor:
        """Features (B, 128) of windows (B, C, T)."""
        seconds = x[:, :, : self.n_seconds * self.second].unflatten(2, (self.n_seconds, self.second))
        return self.dense(self.convolutions(periodogram(seconds).permute(0, 2, 3, 1)))


def periodogram(x: Tensor) -> Tensor:
    """Power density at unit rate over the last axis, (..., n) to (..., n // 2 + 1).

    ``scipy.signal.periodogram`` with its defaults (mean removed, no taper); a factor for the rate would be undone by
    the first batch norm.
    """
    n = x.shape[-1]
    with torch.autocast(x.device.type, enabled=False):  # no FFT in bfloat16
        spectrum = torch.fft.rfft(x.float() - x.float().mean(-1, keepdim=True), dim=-1)
        power = spectrum.real.square() + spectrum.imag.square()
    weight = torch.full((n // 2 + 1,), 2.0 / n, device=x.device)  # both halves of the spectrum
    weight[0] = 1.0 / n
    if n % 2 == 0:
        weight[-1] = 1.0 / n
    return power * weight


def _convolutions(planes: int, image: tuple[int, int]) -> tuple[nn.Sequential, int]:
    """Five 4x4 convolutions, the last with stride 2, and a pool; also the number of values that come out."""
    layers: list[nn.Module] = [nn.BatchNorm2d(planes)]  # power is small and skewed
    for k, (before, after) in enumerate(zip((planes, *FILTERS), FILTERS, strict=False)):
        last = k == len(FILTERS) - 1
        pad = (1, 1, 1, 1) if last else (1, 2, 1, 2)  # "same" for a kernel of 4
        layers += [nn.ZeroPad2d(pad), nn.Conv2d(before, after, 4, stride=2 if last else 1), nn.ReLU()]
        layers += [nn.BatchNorm2d(after)] if last else [nn.BatchNorm2d(after), nn.Dropout(0.1)]
    layers += [nn.ZeroPad2d(1), nn.MaxPool2d(2), nn.BatchNorm2d(FILTERS[-1])]
    height, width = ((size - 2) // 2 + 1 for size in image)
    return nn.Sequential(*layers), FILTERS[-1] * ((height + 2) // 2) * ((width + 2) // 2)
