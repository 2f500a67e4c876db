"""Training of the ControlNet over a frozen transformer: what is clean, said with the help of EEG.

The base already says what is clean from style and from what went before. The music vector that it is given is the true
one or the one predicted from the EEG, by turns, since live there is only the second; now and then there is none, or no
EEG, or neither, so that each can be left out later and guidance has something to compare with.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from bci_music.config import Config
from bci_music.messages import UserError
from bci_music.training.audioldm.batches import Figures, spread_evenly
from bci_music.training.audioldm.flow import LEVELS, direction_errors
from bci_music.training.echoes.pairs import EegMusicPairs
from bci_music.training.loop import Loop, LoopConfig
from bci_music.training.sampling import own_samples, rng_of

if TYPE_CHECKING:
    from bci_music.generation.audioldm.latent_control import Controlled, LatentControl
    from bci_music.generation.audioldm.latent_transformer import LatentTransformer


class ControlConfig(Config):
    """Form, losses and schedule of the ControlNet."""

    form: Literal["sequence", "pooled"] = Field("sequence", description="EEG token by token, or its mean on all tokens")
    kind: Literal["copies", "adapters"] = Field("copies", description="copied blocks, or small adapters after the own")
    copied: int | None = Field(None, ge=1, description="blocks that are copied; null: the first half")
    adapter_dim: int = Field(768, ge=1)
    listeners: bool = Field(True, description="learn a vector of each listener; absent ones are unknown")
    true_style: float = Field(0.5, ge=0, le=1, description="share of rows with the true music vector in training")
    drop_style: float = Field(0.2, ge=0, le=1, description="share of rows without a music vector")
    drop_eeg: float = Field(0.1, ge=0, le=1, description="share of rows without EEG")
    drop_both: float = Field(0.05, ge=0, le=1, description="share of rows with neither")
    drop_listener: float = Field(0.5, ge=0, le=1, description="share of rows whose listener is not known")
    known: float = Field(0.5, ge=0, le=1, description="share of rows that begin with known latents")
    level_mean: float = Field(0.7, description="noise levels are drawn as the logistic of a normal with this mean")
    level_spread: float = Field(1.2, gt=0)
    batch: int = Field(16, ge=1)
    loop: LoopConfig = LoopConfig(
        steps=6000, lr=5e-4, warmup=100, weight_decay=0.01, ema=0.998, bf16=True, watch_every=1000
    )
    held: int = Field(48, ge=2)
    seed: int = 0


def new_control(base: LatentTransformer, pairs: EegMusicPairs, config: ControlConfig) -> LatentControl:
    """Make an untrained ControlNet that sees EEG like that of `pairs` with mean 0 and spread 1."""
    from bci_music.generation.audioldm.latent_control import N_LISTENERS, LatentControl

    if config.listeners and pairs.listener.max(initial=-1) >= N_LISTENERS:
        raise UserError(
            f"There are {pairs.listener.max() + 1} listeners, more than the {N_LISTENERS} vectors for them: leave them "
            "unknown (listeners: false)."
        )
    torch.manual_seed(config.seed)
    control = LatentControl.over(
        base, pairs.eeg.shape[2], config.copied, form=config.form, kind=config.kind, adapter_dim=config.adapter_dim
    )
    some = pairs.eeg[spread_evenly(len(pairs), 1000)].astype(np.float32)
    spread = some.std((0, 1))
    control.eeg_mean.copy_(torch.from_numpy(some.mean((0, 1))))
    control.eeg_scale.copy_(torch.from_numpy(np.maximum(spread, 0.1 * float(spread.mean()) + 1e-6)))
    return control


class ControlTask:
    """Learn to say what latents are without noise, from EEG.

    Parameters
    ----------
    base : LatentTransformer
        Is frozen.
    """

    def __init__(
        self, module: LatentControl, base: LatentTransformer, pairs: EegMusicPairs, held: EegMusicPairs,
        config: ControlConfig, device: str = "cpu",
    ):
        self.module, self.config, self._device = module, config, device
        self._base, self._pairs, self._held = base.to(device).eval(), pairs, held
        self._frames = pairs.latents.shape[2] // base.config.patch * base.config.patch
        self._tokens = self._frames // base.config.patch

    def step(self, module: Any, at: int) -> tuple[Tensor, Figures]:
        """Squared error of the direction from what is found clean to the noise, over frames that are not known."""
        c, rows, rng = self.config, [], []
        for sample in own_samples(c.batch):
            rng.append(rng_of(c.seed + 3, at, sample))
            rows.append(int(rng[-1].integers(len(self._pairs))))
        pairs = self._pairs.of(np.array(rows))
        style, eeg_there, listener, level, known = (np.stack(part) for part in zip(*(
            self._draw(chance, pairs, row) for row, chance in enumerate(rng)
        ), strict=True))  # fmt: skip
        clean = self._latents(pairs)
        errors = self._errors(
            self._network(module), clean, torch.randn_like(clean), self._float(level), self._float(known), pairs,
            self._float(style), self._float(eeg_there), torch.from_numpy(listener).to(self._device),
        )  # fmt: skip
        return errors.mean(), {}

    @torch.no_grad()
    def evaluate(self, module: Any) -> Figures:
        """Error on held-out windows with their own EEG, with another's, in reverse time, and without any.

        The music vector is the predicted one of the window itself in all four; no listener is known.
        """
        chosen = spread_evenly(len(self._held), self.config.held)
        network, pairs = self._network(module), self._held.of(chosen)
        clean = self._latents(pairs)
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(7)).to(self._device)
        unknown = torch.full((len(pairs),), -1, device=self._device)
        style, known = self._float(pairs.predicted), torch.zeros(len(pairs), self._frames, device=self._device)
        own = pairs.eeg
        forms = {
            "own": own, "another": np.roll(own, len(own) // 2, 0), "reversed": own[:, ::-1],
            "without": np.zeros_like(own),
        }  # fmt: skip
        figures: Figures = {}
        for name, eeg in forms.items():
            there = torch.full((len(pairs),), float(name != "without"), device=self._device)
            errors = [
                self._errors(
                    network, clean, noise, torch.full((len(pairs),), level, device=self._device), known, pairs, style,
                    there, unknown, eeg,
                ).mean()
                for level in LEVELS
            ]  # fmt: skip
            figures[name] = float(torch.stack(errors).mean())
        return figures | {"held_clips": len(pairs)}

    def _draw(
        self, rng: np.random.Generator, pairs: EegMusicPairs, row: int
    ) -> tuple[np.ndarray, float, int, float, np.ndarray]:
        """Music vector, whether there is EEG, listener, noise level and known frames of one row."""
        c = self.config
        style = pairs.style[row] if rng.random() < c.true_style else pairs.predicted[row]
        fate = rng.random()
        no_style = fate < c.drop_both + c.drop_style
        no_eeg = fate < c.drop_both or c.drop_both + c.drop_style <= fate < c.drop_both + c.drop_style + c.drop_eeg
        if no_style:
            style = self._base.style_mean.cpu().numpy()
        listener = int(pairs.listener[row]) if c.listeners and rng.random() >= c.drop_listener else -1
        level = 1 / (1 + np.exp(-rng.normal(c.level_mean, c.level_spread)))
        known = np.zeros(self._frames, np.float32)
        if rng.random() < c.known:
            known[: int(rng.integers(1, 3 * self._frames // 4 + 1))] = 1.0
        return style, float(not no_eeg), listener, level, known

    def _errors(
        self, network: Controlled, clean: Tensor, noise: Tensor, level: Tensor, known: Tensor, pairs: EegMusicPairs,
        style: Tensor, there: Tensor, listener: Tensor, eeg: np.ndarray | None = None,
    ) -> Tensor:
        share = level[:, None, None, None]
        found = network(
            (1 - share) * clean + share * noise, level, style, clean, known,
            self._per_token(pairs.eeg if eeg is None else eeg), there[:, None].expand(-1, self._tokens), listener,
        )  # fmt: skip
        return direction_errors(found, clean, level, known)

    def _network(self, module: LatentControl) -> Controlled:
        from bci_music.generation.audioldm.latent_control import Controlled

        return Controlled(self._base, module)

    def _latents(self, pairs: EegMusicPairs) -> Tensor:
        return self._float(pairs.latents[:, :, : self._frames])

    def _per_token(self, eeg: np.ndarray) -> Tensor:
        """EEG (B, steps, E) at the moments of the tokens (B, tokens, E); as `EegCourse.tokens` does for one window."""
        steps = self._float(np.ascontiguousarray(eeg)).transpose(1, 2)
        return functional.interpolate(steps, size=self._tokens, mode="linear", align_corners=False).transpose(1, 2)

    def _float(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.float32)).to(self._device)


def train_control(
    base: LatentTransformer, pairs: EegMusicPairs, held: EegMusicPairs, config: ControlConfig, directory: Path, *,
    device: str = "cpu", until: Callable[[], bool] | None = None,
    report: Callable[[int, dict[str, float]], None] | None = None,
) -> LatentControl:
    """Train a ControlNet, or go on where `directory` stopped, and return its average over the steps."""
    task = ControlTask(new_control(base, pairs, config), base, pairs, held, config, device)
    loop = Loop(task.module, task.step, config.loop, directory, device=device, watch=task.evaluate, report=report)
    loop.resume()
    return loop.run(until) if until is not None else loop.run()
