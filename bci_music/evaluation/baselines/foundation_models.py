"""LaBraM, CBraMod and EEGPT as baselines: braindecode's encoders, fed as in pretraining, pooled, one head.

All weights are tuned by the alignment. With published weights the input is scaled to what they know (µV / 100, or mV);
from random weights it stays z-scored, because then small numbers only make the start slower.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bci_music.eeg import electrodes
from bci_music.eeg.montage import Montage, map_channels
from bci_music.evaluation.baselines.baseline import Baseline, pooled
from bci_music.evaluation.baselines.foundation import (
    ASSUMED_SD_UV,
    as_float,
    build_model,
    fill,
    hub_weights,
    model_class,
)
from bci_music.messages import UserError


class Resample(nn.Module):
    """Windows (..., n_times) at one rate to (..., n_out) at another.

    scipy's polyphase filter, applied once to unit impulses and kept as a matrix. Beyond the edges the line between the
    first and last sample goes on, so that a window's ends make no steps.
    """

    def __init__(self, n_times: int, sfreq_hz: float, to_hz: float):
        super().__init__()
        from scipy.signal import resample_poly

        ratio = Fraction(to_hz / sfreq_hz).limit_denominator(1000)
        up, down = ratio.numerator, ratio.denominator
        impulses = np.eye(n_times)
        matrix = impulses if up == down else resample_poly(impulses, up, down, axis=0, padtype="line").T
        self.n_out = matrix.shape[1]
        self.matrix: Tensor
        self.register_buffer("matrix", torch.from_numpy(np.ascontiguousarray(matrix, np.float32)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Resample in float32."""
        with torch.autocast(x.device.type, enabled=False):
            return x.float() @ self.matrix


def named_electrodes(montage: Montage, known: Sequence[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Electrodes of a montage that stand where a model knows a name.

    Parameters
    ----------
    known : sequence of str
        Names of the model. Bipolar pairs, old names of a place that has a new one and names that the 10-05 system does
        not hold are left out.

    Returns
    -------
    channels : (n,) int64
        Ascending indices into the montage.
    names : tuple of str
        The model's name for each: the nearest one, as a whole one-to-one assignment, at most 20 mm away.

    Raises
    ------
    UserError
        If fewer than 8 electrodes get a name.
    """
    plain = [name for name in known if _is_plain(name)]
    try:
        source = map_channels(plain, montage).source_index
    except UserError as error:
        raise UserError(
            f"Fewer than 8 electrodes of the montage {montage.name!r} stand where the model knows a name: use a "
            "montage of the whole head, or a baseline without electrode names (eeg2mel, cbramod, eegpt)."
        ) from error
    channels = np.flatnonzero(source >= 0)
    return channels, tuple(plain[k] for k in source[channels])


def _is_plain(name: str) -> bool:
    return electrodes.clean_label(name) == name.upper() and electrodes.known(name, ("standard",)) is not None


class FoundationModel(Baseline):
    """An encoder of braindecode at its own rate.

    Parameters
    ----------
    pretrained : str
        Name of published weights on the hub (or a directory that holds them); empty for random weights.
    """

    library_name: str
    rate_hz: float
    patch: int  # samples; a window is cut to whole patches
    unit_uv: float  # what 1.0 means in pretraining
    hub: str
    model: nn.Module

    def __init__(self, n_features: int, embed_dim: int, title: str, *, sfreq_hz: float, n_times: int):
        super().__init__(n_features, embed_dim, title)
        self.resample = Resample(n_times, sfreq_hz, self.rate_hz)
        self.n_patches = self.resample.n_out // self.patch
        if self.n_patches < 1:
            raise UserError(
                f"{self.library_name} cuts EEG into patches of {self.patch / self.rate_hz:g} s and a window has "
                f"{n_times / sfreq_hz:g} s: use longer windows."
            )
        self.n_times = self.n_patches * self.patch
        self.input_scale = 1.0

    def load(self, pretrained: str) -> None:
        """Fill in published weights and scale the input as they expect it."""
        weights, where = hub_weights(pretrained)
        fill(self.model, weights, where)
        self.initialised, self.input_scale = where, ASSUMED_SD_UV / self.unit_uv

    def prepared(self, x: Tensor) -> Tensor:
        """Windows (B, C, T) at the model's rate, whole patches, in its unit."""
        return self.input_scale * self.resample(x)[:, :, : self.n_times]


class LaBraM(FoundationModel):
    """LaBraM: 1 s patches of every electrode as tokens; an electrode is known by its name.

    Electrodes without a name of their own within 20 mm are left out.
    """

    library_name, rate_hz, patch, unit_uv, hub = "Labram", 200.0, 200, 100.0, "braindecode/labram-pretrained"

    def __init__(self, montage: Montage, sfreq_hz: float, n_times: int, embed_dim: int, pretrained: str = ""):
        from_library = model_class(self.library_name)
        super().__init__(200, embed_dim, "LaBraM", sfreq_hz=sfreq_hz, n_times=n_times)
        channels, names = named_electrodes(montage, _known_names(from_library))
        self.names = list(names)
        self.channels: Tensor
        self.register_buffer("channels", torch.from_numpy(channels.astype(np.int64)), persistent=False)
        self.model = build_model(self.library_name, n_chans=len(names), n_times=self.n_times, sfreq=self.rate_hz)
        self.tokens_per_window = len(names) * self.n_patches + 1
        if pretrained:
            self.load(pretrained)

    def features(self, x: Tensor, there: Tensor) -> Tensor:
        """Mean of the patch tokens, (B, 200)."""
        out = self.model(self.prepared(x[:, self.channels]), return_features=True, ch_names=self.names)
        tokens = as_float(out["features"]).unflatten(1, (len(self.names), self.n_patches))
        return pooled(tokens, there[:, self.channels])


class CBraMod(FoundationModel):
    """CBraMod: 1 s patches of every channel; attention across channels and along time by turns. Takes any channels."""

    library_name, rate_hz, patch, unit_uv, hub = "CBraMod", 200.0, 200, 100.0, "braindecode/cbramod-pretrained"

    def __init__(self, montage: Montage, sfreq_hz: float, n_times: int, embed_dim: int, pretrained: str = ""):
        model_class(self.library_name)
        super().__init__(200, embed_dim, "CBraMod", sfreq_hz=sfreq_hz, n_times=n_times)
        n_channels = len(montage.names)
        self.model = build_model(self.library_name, n_chans=n_channels, n_times=self.n_times, sfreq=self.rate_hz)
        self.tokens_per_window = n_channels * self.n_patches
        if pretrained:
            self.load(pretrained)

    def features(self, x: Tensor, there: Tensor) -> Tensor:
        """Mean of the patch tokens, (B, 200)."""
        out = self.model(self.prepared(x), return_features=True)
        return pooled(as_float(out["features"]), there)


class EEGPT(FoundationModel):
    """EEGPT: a learned map of the channels onto 19 electrodes it knows, then 0.25 s patches every 0.125 s.

    As its authors do for other nets. Four summary tokens of every patch time, averaged over time.
    """

    library_name, rate_hz, patch, unit_uv, hub = "EEGPT", 256.0, 64, 1000.0, "braindecode/eegpt-pretrained"

    def __init__(self, montage: Montage, sfreq_hz: float, n_times: int, embed_dim: int, pretrained: str = ""):
        model_class(self.library_name)
        super().__init__(4 * 512, embed_dim, "EEGPT", sfreq_hz=sfreq_hz, n_times=n_times)
        self.model = build_model(
            self.library_name, n_chans=len(montage.names), n_times=self.n_times, sfreq=self.rate_hz,
            return_encoder_output=True,
        )  # fmt: skip
        self.tokens_per_window = cast(int, self.model.n_patches) * (19 + 4)
        if pretrained:
            self.load(pretrained)

    def features(self, x: Tensor, there: Tensor) -> Tensor:
        """Summary tokens beside each other, mean over time, (B, 2048)."""
        out = self.model(self.prepared(x), return_features=True)
        return as_float(out["features"]).mean(1)


def _known_names(labram: type) -> list[str]:
    """The names LaBraM has embeddings for, from the module of its class."""
    import sys

    return list(sys.modules[labram.__module__].LABRAM_CHANNEL_ORDER)
