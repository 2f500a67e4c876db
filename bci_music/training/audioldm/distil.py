"""Less work for a clip: a student learns to go in one unguided step where its guided teacher goes in one or several.

With one (Meng et al., On Distillation of Guided Diffusion Models, 2023) every solver and any number of steps remain
possible, at half the work; with several (Salimans and Ho, Progressive Distillation, 2022) there are fewer steps, too.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from bci_music.config import Config
from bci_music.training.audioldm.batches import Figures
from bci_music.training.audioldm.diffusion import UnetTask, new_scheduler
from bci_music.training.loop import LoopConfig
from bci_music.training.sampling import own_samples, rng_of


class DistilConfig(Config):
    """What the student shall do: `steps` DDIM steps, each as `inner` guided ones of the teacher."""

    steps: int = Field(50, ge=1, le=50)
    inner: int = Field(1, ge=1)
    guidance: float = Field(2.5, gt=1)
    loop: LoopConfig = LoopConfig(
        steps=500, lr=2e-4, warmup=30, weight_decay=0.0, ema=0.99, bf16=False, watch_every=500
    )

    @property
    def sampler(self) -> dict[str, Any]:
        """Sampler settings for the student: its guidance is inside it, and so are its steps if it learned several."""
        if self.inner == 1:
            return {"solver": "dpm++", "steps": 5, "guidance": 1.0}
        return {"solver": "ddim", "steps": self.steps, "guidance": 1.0}


class DistilTask:
    """Distillation with the guidance inside.

    Parameters
    ----------
    module : UNet2DConditionModel
        The trained one: teacher, and what the student begins as.
    inner : UnetTask
        Draws latents and conditions, and evaluates.
    """

    def __init__(self, module: Any, inner: UnetTask, config: DistilConfig, device: str = "cpu"):
        self.module, self._inner, self._config, self._device = module, inner, config, device
        self._teacher = copy.deepcopy(module).to(device).eval().requires_grad_(False)
        settings = inner.config
        if settings.prediction != "v_prediction":
            raise ValueError("only a model that predicts velocity can be distilled: pure noise says nothing else")
        self._batch, self._seed = settings.batch, settings.seed + 100
        powers = new_scheduler(settings).alphas_cumprod
        self._powers = torch.cat([powers, torch.ones(1)]).to(device)  # the last is read at -1: no noise
        total, fine = len(powers), config.steps * config.inner
        self._times = [round(total - k * total / fine) - 1 for k in range(fine + 1)]  # trailing, -1 at the end
        self._unconditional = torch.from_numpy(inner.unconditional).to(device)

    def step(self, module: Any, at: int) -> tuple[Tensor, Figures]:
        """Squared error of the clean latents the student's step must point to."""
        c = self._config
        clean, condition = self._inner.draw(at)
        rows = [int(rng_of(self._seed, at, s).integers(c.steps)) for s in own_samples(self._batch)]
        first = np.array(rows) * c.inner
        noise = torch.randn(clean.shape, device=self._device)
        start = self._at(first)
        signal, sigma = self._scales(start)
        noisy = signal * clean + sigma * noise
        with torch.no_grad():
            wanted = self._guided(noisy, first, condition)
        velocity = self._predict(module, noisy, start, condition)
        found = signal * noisy - sigma * velocity
        power = self._powers[start]
        weight = (power / (1 - power)).clamp(1.0, 5.0)  # truncated SNR: pure noise counts, too
        error = functional.mse_loss(found, wanted, reduction="none").mean((1, 2, 3))
        return (weight * error).mean(), {"clean_error": float(error.detach().mean())}

    def evaluate(self, module: Any) -> Figures:
        """Distance of held-out clips made in `steps` from the teacher's in ``steps * inner``, from the same noise.

        `undistilled` is the distance of the teacher's own clips in `steps` steps: guided, or where the student saves
        nothing but the guidance, unguided.
        """
        with torch.no_grad():
            clean, condition = self._inner.held(self._batch)
            noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1)).to(self._device)
            c, fine = self._config, self._config.inner
            target = self._walk(self._teacher, noise, condition, 1, c.guidance)
            few = self._walk(self._teacher, noise, condition, fine, c.guidance if fine > 1 else 1.0)
            made = self._walk(module, noise, condition, fine, 1.0)
            own = functional.mse_loss(made, target).item()
        return {
            "from_teacher": own, "undistilled": functional.mse_loss(few, target).item(), "held_clips": len(clean),
        }

    def _guided(self, noisy: Tensor, first: np.ndarray, condition: Tensor) -> Tensor:
        """Clean latents to which one step must point, so that it ends where the teacher's steps end."""
        c, x = self._config, noisy
        for k in range(c.inner):
            x = self._move(self._teacher, x, self._at(first + k), self._at(first + k + 1), condition, c.guidance)
        (a, s), (b, r) = self._scales(self._at(first)), self._scales(self._at(first + c.inner))
        return (x - r / s * noisy) / (b - r / s * a)

    def _walk(self, model: Any, noise: Tensor, condition: Tensor, stride: int, guidance: float) -> Tensor:
        x, rows = noise, len(noise)
        for k in range(0, len(self._times) - 1, stride):
            here, there = (self._at(np.full(rows, j)) for j in (k, k + stride))
            x = self._move(model, x, here, there, condition, guidance)
        return x

    def _move(
        self, model: Any, x: Tensor, here: Tensor, there: Tensor, condition: Tensor, guidance: float
    ) -> Tensor:
        """One DDIM step."""
        velocity = self._predict(model, x, here, condition)
        if guidance > 1:
            unconditional = self._predict(model, x, here, self._unconditional.expand_as(condition))
            velocity = unconditional + guidance * (velocity - unconditional)
        (a, s), (b, r) = self._scales(here), self._scales(there)
        return b * (a * x - s * velocity) + r * (s * x + a * velocity)

    def _predict(self, model: Any, x: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        return model(x, time, encoder_hidden_states=None, class_labels=condition).sample.float()

    def _at(self, index: np.ndarray) -> Tensor:
        return torch.tensor([self._times[i] for i in index], device=self._device)

    def _scales(self, time: Tensor) -> tuple[Tensor, Tensor]:
        power = self._powers[time][:, None, None, None]
        return power.sqrt(), (1 - power).sqrt()
