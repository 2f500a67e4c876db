"""The schedulers of Stable Audio's directories, built from what lies there.

Stable Audio Open names diffusers' `CosineDPMSolverMultistepScheduler`, which cannot be imported without the package
torchsde: that draws a path of noise that does not depend on how many steps are made. Over the steps of one clip its
increments are independent standard normal noise, so `CosineSolver` draws them as such; all else of it is diffusers'.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from diffusers import EDMDPMSolverMultistepScheduler
from torch import Tensor

from bci_music.files import opening, read_json, shown
from bci_music.messages import UserError

FILE = "scheduler_config.json"
COSINE, EDM = "CosineDPMSolverMultistepScheduler", "EDMDPMSolverMultistepScheduler"
_COSINE_DEFAULTS = {  # of the class that is named, where the file leaves something out
    "sigma_min": 0.3, "sigma_max": 500.0, "sigma_data": 1.0, "sigma_schedule": "exponential",
    "prediction_type": "v_prediction",
}  # fmt: skip
_ADVICE = "give the scheduler of a Stable Audio checkpoint"


class CosineSolver(EDMDPMSolverMultistepScheduler):
    """The stochastic second-order solver with Stable Audio's name for a noise level: the angle of noise to signal."""

    def precondition_noise(self, sigma: float | Tensor) -> Tensor:
        """Noise levels as the transformer takes them: 0 for none, 1 for nothing but noise."""
        return torch.as_tensor(sigma).atan() / math.pi * 2


def load_scheduler(folder: Path) -> Any:
    """Build the scheduler that a directory names.

    Raises
    ------
    UserError
        If it is none of Stable Audio's, or its noise levels are none.
    """
    path = folder / FILE
    given = read_json(path, _ADVICE)
    name = given.pop("_class_name", None)
    if name not in (COSINE, EDM):
        raise UserError(f"The scheduler in {shown(folder)} is a {shown(name)}, expected {COSINE} or {EDM}: {_ADVICE}.")
    kept = {key: value for key, value in given.items() if not key.startswith("_")}
    with opening(path, name, _ADVICE):
        if name == COSINE:
            made: Any = CosineSolver.from_config(_COSINE_DEFAULTS | kept | {"algorithm_type": "sde-dpmsolver++"})
        else:
            made = EDMDPMSolverMultistepScheduler.from_config(kept)
        if made.config.prediction_type not in ("epsilon", "v_prediction") or made.config.solver_order not in (1, 2):
            raise ValueError("its prediction_type or solver_order is not known")
        made.set_timesteps(2)
        levels = made.sigmas
        if not bool(levels.isfinite().all()) or not bool(levels[:2].min() > 0) or bool((levels.diff() > 0).any()):
            raise ValueError("its noise levels do not fall from sigma_max to sigma_min")
    return made
