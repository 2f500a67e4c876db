"""The way from noise to latents: settings of the sampler, and diffusers' solvers on the model's own noise levels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from bci_music.config import Config
from bci_music.messages import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

DDIM, DPM, FEW_STEP, EULER = "ddim", "dpm++", "lcm", "euler"


class SamplerSettings(Config):
    """How latents are denoised. A noise level is a share: 1 is nothing but noise, 0 is clean."""

    solver: Literal["ddim", "dpm++", "lcm", "euler"] = Field(
        "ddim", description="ddim: as AudioLDM's pipeline; dpm++: second order, good from 5 to 20 steps; "
        "lcm: 1 to 4 steps, only for a model that was consistency-tuned; euler: only for a transformer",
    )  # fmt: skip
    steps: int = Field(10, ge=1, le=200, description="denoising steps where there is time for them")
    spacing: Literal["model", "trailing", "karras"] = Field(
        "model", description="where the steps lie: as the model's scheduler has them, evenly down from pure noise, "
        "or (dpm++ only) closer together the less noise is left",
    )  # fmt: skip
    guidance: float = Field(2.5, ge=1, description="how strongly the embedding leads; 1: half the work")
    guidance_from: float = Field(1.0, ge=0, le=1, description="guided from this noise level down")
    guidance_until: float = Field(0.0, ge=0, le=1, description="to this one; half the work outside")
    guidance_every: int = Field(
        1, ge=1, description="the unguided branch is computed at every so many guided steps, and what it says is kept"
    )
    batched: bool = Field(True, description="both branches in one pass, or one after the other (less memory)")

    @model_validator(mode="after")
    def _fit(self) -> SamplerSettings:
        if self.guidance_from < self.guidance_until:
            raise ValueError("guidance begins at more noise than it ends: give guidance_from above guidance_until")
        if self.spacing == "karras" and self.solver != DPM:
            raise ValueError("only dpm++ knows the karras spacing: choose model or trailing")
        return self

    def guides_at(self, level: float) -> bool:
        """Whether the unguided branch counts at a noise level."""
        return self.guidance > 1 and self.guidance_until <= level <= self.guidance_from


class Steps(ABC):
    """Steps of one clip: their times and noise levels, and what follows from a prediction."""

    times: Tensor
    levels: list[float]

    def first_below(self, level: float) -> int:
        """Number of the first step that starts from no more noise than `level`; the last one where none does."""
        return next((i for i, own in enumerate(self.levels) if own <= level + 1e-6), len(self.levels) - 1)

    @abstractmethod
    def noised(self, clean: Tensor, noise: Tensor, step: int) -> Tensor:
        """Give clean latents the noise level that step number `step` starts from."""

    @abstractmethod
    def clean(self, prediction: Tensor, latents: Tensor, step: int) -> Tensor:
        """What the latents would be without noise, according to a prediction at step number `step`."""

    @abstractmethod
    def step(self, prediction: Tensor, latents: Tensor, step: int) -> Tensor:
        """Latents at the noise level that follows step number `step`."""


class Solver(Steps):
    """Steps as diffusers' solvers make them.

    Parameters
    ----------
    config : mapping
        Of the model's scheduler: betas and what the model predicts.
    settings : SamplerSettings
    steps : int
        How many of them; the settings' or fewer.
    device : torch.device
    noise : torch.Generator
        For the solver that adds noise between steps.
    """

    def __init__(
        self, config: Mapping[str, Any], settings: SamplerSettings, steps: int, device: torch.device,
        noise: torch.Generator,
    ):
        self._scheduler = make_scheduler(config, settings)
        self._scheduler.set_timesteps(steps, device=device)
        self._more = {"generator": noise} if settings.solver == FEW_STEP else {}
        self.times = self._scheduler.timesteps
        self.levels = [float(t) / self._scheduler.config.num_train_timesteps for t in self.times.tolist()]
        self._scales = [self._scale(i) for i in range(len(self.levels))]

    def noised(self, clean: Tensor, noise: Tensor, step: int) -> Tensor:
        """Give clean latents the noise level that step number `step` starts from."""
        signal, sigma = self._scales[step]
        return signal * clean + sigma * noise

    def clean(self, prediction: Tensor, latents: Tensor, step: int) -> Tensor:
        """What the latents would be without noise, according to a prediction at step number `step`."""
        signal, sigma = self._scales[step]
        kind = self._scheduler.config.prediction_type
        if kind == "v_prediction":
            return signal * latents - sigma * prediction
        return prediction if kind == "sample" else (latents - sigma * prediction) / signal

    def step(self, prediction: Tensor, latents: Tensor, step: int) -> Tensor:
        """Latents at the noise level that follows step number `step`."""
        return self._scheduler.step(prediction, self.times[step], latents, **self._more).prev_sample

    def _scale(self, step: int) -> tuple[float, float]:
        """Shares of signal and noise before a step; their squares add up to one."""
        if hasattr(self._scheduler, "sigmas"):
            ratio = float(self._scheduler.sigmas[step])
            signal = (1 + ratio**2) ** -0.5
            return signal, ratio * signal
        power = float(self._scheduler.alphas_cumprod[int(self.times[step])])
        return power**0.5, (1 - power) ** 0.5


def make_scheduler(config: Mapping[str, Any], settings: SamplerSettings) -> Any:
    """Diffusers' scheduler for a solver, on the betas and the kind of prediction in `config`."""
    if settings.solver == EULER:
        raise UserError("Only a transformer knows the solver euler: choose ddim, dpm++ or lcm.")
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, LCMScheduler

    spacing = {} if settings.spacing != "trailing" else {"timestep_spacing": "trailing"}
    if settings.solver == DPM:
        scheduler = DPMSolverMultistepScheduler.from_config(
            config, algorithm_type="dpmsolver++", solver_order=2, lower_order_final=True,
            use_karras_sigmas=settings.spacing == "karras", **spacing,
        )  # fmt: skip
        scheduler.alphas_cumprod = scheduler.alphas_cumprod.numpy()  # it is made one there anyway, with a warning
        return scheduler
    return (LCMScheduler if settings.solver == FEW_STEP else DDIMScheduler).from_config(config, **spacing)
