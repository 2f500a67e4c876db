"""What the UNet predicts, led by the condition away from none, with as few passes as the settings allow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bci_music.generation.solver import SamplerSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class Guide:
    """Predictions of one clip.

    Parameters
    ----------
    predict : callable
        ``predict(latents (b, C, k, M), time, condition (b, 512))``: the UNet.
    unconditional, condition : (1, 512) tensors
    settings : SamplerSettings
    """

    def __init__(
        self, predict: Callable[[Tensor, Tensor, Tensor], Tensor], unconditional: Tensor, condition: Tensor,
        settings: SamplerSettings,
    ):
        import torch

        self._predict, self._free, self._led, self._settings = predict, unconditional, condition, settings
        self._both = torch.cat([unconditional, condition])
        self._apart: Tensor | None = None  # led minus free when last computed: it changes slowly from step to step
        self._since = 0

    def branches(self, level: float) -> int:
        """How many branches, 1 or 2, the next prediction at this noise level computes."""
        if not self._settings.guides_at(level):
            return 1
        return 2 if self._apart is None or self._since >= self._settings.guidance_every else 1

    def __call__(self, latents: Tensor, time: Tensor, level: float) -> Tensor:
        """Predict at a noise level: float32, like `latents`."""
        import torch

        if not self._settings.guides_at(level):
            return self._predict(latents, time, self._led)
        if self.branches(level) == 2 or self._apart is None:
            if self._settings.batched:
                free, led = self._predict(torch.cat([latents, latents]), time, self._both).chunk(2)
            else:
                free, led = self._predict(latents, time, self._free), self._predict(latents, time, self._led)
            self._apart, self._since = led - free, 1
            return free + self._settings.guidance * self._apart
        self._since += 1
        return self._predict(latents, time, self._led) + (self._settings.guidance - 1) * self._apart
