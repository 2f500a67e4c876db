"""Clips by the latent transformer: from noise straight to what it says is clean, in a few steps (rectified flow).

Autoencoder, vocoder and everything around them are AudioLDM's; only what makes latents of noise is another network.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bci_music.generation.audioldm.generator import AudioLdmConfig
from bci_music.generation.audioldm.loading import TRANSFORMER, load_parts, note_of
from bci_music.generation.audioldm.precision import Speed, prepare
from bci_music.generation.audioldm.sampler import AudioLdm, Continuation, Guide
from bci_music.generation.audioldm.solver import DPM, EULER, SamplerSettings, Steps
from bci_music.messages import UserError
from bci_music.models.device import choose_device

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bci_music.models.pack import Pack


class TransformerConfig(AudioLdmConfig):
    """As for `audioldm`, with the latent transformer in place of the UNet: the settings are the same."""

    CALLED: ClassVar = ("transformer", "the folder of one as sound.transformer.checkpoint in the configuration")

    def available(self, pack: Pack | None) -> bool:
        """Whether a checkpoint is given, or the pack brings a transformer and plays it by default."""
        return self.checkpoint is not None or (
            pack is not None and pack.generator is not None and note_of(pack.generator).plays == TRANSFORMER
        )

    def _load(self, where: str | Path) -> AudioLdm:
        return load_transformer(where, revision=self.revision, device=self.device, speed=self.speed)


class FlowSolver(Steps):
    """Evenly spaced steps from noise level 1 to 0 for a network that says what is clean.

    Parameters
    ----------
    settings : SamplerSettings
        `euler`, or `dpm++`: the second order from the last two answers (Lu et al., arXiv 2211.01095).
    steps : int
    device : torch.device
    """

    def __init__(self, settings: SamplerSettings, steps: int, device: torch.device):
        import torch

        if settings.solver not in (EULER, DPM) or settings.spacing == "karras":
            raise UserError(
                f"The transformer has no solver {settings.solver} with {settings.spacing} spacing: choose euler or "
                "dpm++, evenly spaced (model or trailing)."
            )
        self._second = settings.solver == DPM
        self._ends = np.linspace(1.0, 0.0, steps + 1).tolist()
        self.levels = self._ends[:-1]
        self.times = torch.tensor(self.levels, device=device)
        self._last: Tensor | None = None

    def noised(self, clean: Tensor, noise: Tensor, step: int) -> Tensor:
        """Give clean latents the noise level that step number `step` starts from."""
        level = self.levels[step]
        return (1 - level) * clean + level * noise

    def clean(self, prediction: Tensor, latents: Tensor, step: int) -> Tensor:
        """What the latents would be without noise: what the network said."""
        return prediction

    def step(self, prediction: Tensor, latents: Tensor, step: int) -> Tensor:
        """Latents at the noise level that follows step number `step`."""
        here, there = self._ends[step], self._ends[step + 1]
        aim = prediction
        if self._second and self._last is not None and there > 0:
            ratio = (_detail(here) - _detail(self._ends[step - 1])) / (_detail(there) - _detail(here))
            aim = prediction + (prediction - self._last) / (2 * ratio)
        self._last = prediction
        return there / here * latents + (1 - there / here) * aim


def _detail(level: float) -> float:
    """Half the logarithm of signal to noise; at pure noise that of one part in a hundred."""
    return float(np.log(max(1 - level, 0.01) / level))


class TransformerLdm(AudioLdm):
    """A latent transformer on a device, with the autoencoder and vocoder of an AudioLDM."""

    @property
    def frame_unit(self) -> int:
        """Spectrogram frames come in multiples of this, so that latents come in whole tokens."""
        return int(self.downsample * self.denoiser.config.patch)

    @property
    def latent_channels(self) -> int:
        """Of the latents."""
        return int(self.denoiser.config.channels)

    def solver(self, settings: SamplerSettings, steps: int, chance: torch.Generator) -> FlowSolver:
        """Steps of one clip."""
        return FlowSolver(settings, steps, self.device)

    def guide(self, vector: NDArray[np.float32], settings: SamplerSettings, start: Continuation | None) -> Guide:
        """Predictions for one clip; the denoiser knows what it begins with, for as long as that is held."""
        import torch

        network = self.denoiser
        tail = start.latents.to(self.device, network.dtype) if start else None

        def predict(latents: Tensor, level: Tensor, condition: Tensor) -> Tensor:
            latents = latents.to(network.dtype)
            more: dict[str, Tensor] = {}
            if start and tail is not None and float(level) > 1 - start.strength - 1e-6:
                known, is_known = torch.zeros_like(latents), latents.new_zeros(len(latents), latents.shape[2])
                known[:, :, : start.frames], is_known[:, : start.frames] = tail, 1.0
                more = {"known": known, "is_known": is_known}
            return network(latents, level.expand(len(latents)), condition, **more).float()

        given = torch.from_numpy(vector[None]).to(self.device, network.dtype)
        return Guide(predict, network.style_mean[None].to(given), given, settings)


def load_transformer(
    where: str | Path, *, revision: str | None = None, device: str | None = None, speed: Speed | None = None
) -> TransformerLdm:
    """Load the transformer of a directory, with its autoencoder and vocoder; as `load_audioldm`."""
    import torch

    place = choose_device(device or ("cuda" if torch.cuda.is_available() else "cpu")).torch
    parts: Any = load_parts(where, revision=revision, denoiser=TRANSFORMER)
    return TransformerLdm(parts, place, prepare(parts, place, speed or Speed()))
