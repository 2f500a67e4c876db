"""AudioLDM's parts, put together by hand: denoise latents towards an embedding, decode them, make sound of them.

The parts are the classes of diffusers and transformers. Their ready-made pipeline is deprecated, and it can neither
stop, nor hurry, nor go on where the last clip ended.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bci_music.generation.audioldm.loading import MEL_HOP, SOUND_RATE_HZ, Parts, load_parts
from bci_music.generation.audioldm.precision import Speed, Walls, prepare, settle
from bci_music.generation.audioldm.solver import SamplerSettings, Solver, Steps
from bci_music.models.device import choose_device

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import Tensor


class Guide:
    """Predictions of one clip by classifier-free guidance: the unconditional one, moved towards the conditional.

    Parameters
    ----------
    predict : callable
        ``predict(latents (b, C, k, M), time, condition (b, 512))``: the denoiser.
    unconditional, condition : (1, 512) tensors
    settings : SamplerSettings
    """

    def __init__(
        self, predict: Callable[[Tensor, Tensor, Tensor], Tensor], unconditional: Tensor, condition: Tensor,
        settings: SamplerSettings,
    ):
        import torch

        self._predict, self._settings = predict, settings
        self._unconditional, self._conditional = unconditional, condition
        self._both = torch.cat([unconditional, condition])
        self._difference: Tensor | None = None  # of both when last computed: it changes slowly
        self._since = 0

    def branches(self, level: float) -> int:
        """How many branches, 1 or 2, the next prediction at this noise level computes."""
        if not self._settings.guides_at(level):
            return 1
        return 2 if self._difference is None or self._since >= self._settings.guidance_every else 1

    def __call__(self, latents: Tensor, time: Tensor, level: float) -> Tensor:
        """Predict at a noise level: float32, like `latents`."""
        import torch

        if not self._settings.guides_at(level):
            return self._predict(latents, time, self._conditional)
        if self.branches(level) == 2 or self._difference is None:
            if self._settings.batched:
                unconditional, conditional = self._predict(torch.cat([latents, latents]), time, self._both).chunk(2)
            else:
                unconditional = self._predict(latents, time, self._unconditional)
                conditional = self._predict(latents, time, self._conditional)
            self._difference, self._since = conditional - unconditional, 1
            return unconditional + self._settings.guidance * self._difference
        self._since += 1
        return self._predict(latents, time, self._conditional) + (self._settings.guidance - 1) * self._difference


class Interrupted(Exception):
    """Sampling was asked to end."""


@dataclass(frozen=True)
class Budget:
    """How long a clip may take: sampling makes fewer steps, or ends early with what it has, as `left_s` asks."""

    left_s: Callable[[], float] = lambda: float("inf")
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, eq=False)
class Continuation:
    """The clean end of the last clip's latents, (1, C, k, M), with which a new clip begins.

    `frames` is k. `strength` is the share of the noise levels, from the top, at which these frames are held: with 1
    the new clip begins with them exactly, with less they may change where only details are left to decide.
    """

    latents: Tensor
    frames: int
    strength: float = 1.0


@dataclass(frozen=True, eq=False)
class Variation:
    """Clean latents (1, C, K, M), as long as the clip, that it varies.

    `strength` in (0, 1] is the noise level they are brought to before the first step: with 1 nothing of them is left.
    """

    latents: Tensor
    strength: float


class AudioLdm:
    """An AudioLDM on a device.

    Parameters
    ----------
    parts : Parts
    device : torch.device

    Attributes
    ----------
    settings : SamplerSettings
        What the model was made for.
    notes : tuple of str
        What was asked of `Speed` and cannot be had here.
    """

    def __init__(self, parts: Parts, device: torch.device, notes: tuple[str, ...] = ()):
        self.device, self.notes = device, notes
        self.denoiser, self.scheduler = parts.denoiser, parts.scheduler
        self.vae, self.vocoder = parts.vae, parts.vocoder
        self.unconditional, self.settings = parts.unconditional, parts.settings
        self.trained, self.name = parts.trained, parts.name
        self.mel_bins = int(self.vocoder.config.model_in_dim)
        self.downsample = 2 ** (len(self.vae.config.block_out_channels) - 1)
        self.walls = Walls()

    @property
    def frame_unit(self) -> int:
        """Spectrogram frames come in multiples of this, so that the UNet can halve its latents."""
        return self.downsample * 2 ** (len(self.denoiser.config.block_out_channels) - 1)

    @property
    def latent_channels(self) -> int:
        """Of the latents."""
        return int(self.denoiser.config.in_channels)

    @property
    def step_s(self) -> float:
        """Seconds a guided step takes with clips as long as the newest one; 0 before the first."""
        return self._step_s(2, self.walls.frames)

    @property
    def decode_s(self) -> float:
        """Seconds all takes that comes after the steps; 0 before the first clip."""
        return self.walls.expect("decode", self.walls.frames) + self.walls.expect("vocode", self.walls.frames)

    def frames(self, seconds: float) -> int:
        """Spectrogram frames of a clip of about `seconds`."""
        return max(1, round(seconds * SOUND_RATE_HZ / MEL_HOP / self.frame_unit)) * self.frame_unit

    def sample(
        self, vector: NDArray[np.float32], seconds: float, *, steps: int | None = None, guidance: float | None = None,
        seed: int, budget: Budget | None = None, settings: SamplerSettings | None = None,
        start: Continuation | None = None,
    ) -> NDArray[np.float32]:
        """Make a clip, (n,) float32 at 16 kHz: `latents`, `decode` and `vocode`.

        Parameters
        ----------
        vector : (512,) float32
            Unit vector, the condition.
        steps, guidance
            In place of those in `settings`.
        seed : int
            Of the noise the clip is made from.
        """
        given = {name: value for name, value in (("steps", steps), ("guidance", guidance)) if value is not None}
        settings = (settings or self.settings).model_copy(update=given)
        latents = self.latents(vector, self.frames(seconds), settings=settings, seed=seed, budget=budget, start=start)
        return self.vocode(self.decode(latents))

    def latents(
        self, vector: NDArray[np.float32], frames: int, *, settings: SamplerSettings | None = None, seed: int,
        budget: Budget | None = None, start: Continuation | None = None, variation: Variation | None = None,
        progress: Callable[[int, int], None] = lambda done, of: None,
    ) -> Tensor:
        """Denoise latents towards `vector`: (1, C, frames / downsample, mel_bins / downsample) float32 on the device.

        Fewer steps are made when, by what steps took so far, the budget does not last for all of them. `progress` is
        called after each step with how many of how many were made. A `variation` takes as many steps, from its level.
        """
        import torch

        settings, budget = settings or self.settings, budget or Budget()
        if frames % self.downsample or (start and start.frames * self.downsample >= frames):
            raise ValueError(f"{frames} frames: expected a multiple of {self.downsample}, longer than the beginning")
        self.walls.frames = frames
        chance = torch.Generator().manual_seed(seed)
        shape = (1, self.latent_channels, frames // self.downsample, self.mel_bins // self.downsample)
        noise = torch.randn(shape, generator=chance).to(self.device)
        steps = self.steps_within(budget.left_s(), frames, settings)
        from_level = variation.strength if variation else 1.0
        solver = self.solver(settings, math.ceil(steps / from_level), chance)
        first = solver.first_below(from_level)
        with torch.inference_mode():
            latents = solver.noised(variation.latents.to(noise), noise, first) if variation else noise
            guide = self.guide(vector, settings, start)
            return self._denoise(latents, noise, guide, solver, first, budget, start, progress)

    def encode(self, sound: NDArray[np.float32]) -> Tensor:
        """Latents (1, C, k, M) on the device of sound (n,) at 16 kHz; what fills no latent frame is left out."""
        import torch

        from bci_music.models.log_mel import log_mel_torch

        frames = len(sound) // (MEL_HOP * self.downsample) * self.downsample
        with torch.inference_mode():
            mel = log_mel_torch(torch.from_numpy(np.ascontiguousarray(sound, np.float32))[None])[:, :frames]
            spread = self.vae.encode(mel[:, None].to(self.device, self.vae.dtype)).latent_dist
            return spread.mode().float() * self.vae.config.scaling_factor

    def decode(self, latents: Tensor) -> Tensor:
        """Turn latents (1, C, k, M) into a log mel spectrogram (frames, mel_bins) on the device."""
        import torch

        began = time.perf_counter()
        with torch.inference_mode():
            scaled = (latents / self.vae.config.scaling_factor).to(self.device, self.vae.dtype)
            mel = self.vae.decode(scaled).sample[0, 0]
        settle(self.device)
        self.walls.note("decode", time.perf_counter() - began, len(mel))
        return mel

    def vocode(self, mel: Tensor) -> NDArray[np.float32]:
        """Turn a log mel spectrogram (frames, mel_bins) into sound, (n,) float32 at 16 kHz."""
        import torch

        began = time.perf_counter()
        with torch.inference_mode():
            sound = self.vocoder(torch.as_tensor(mel).to(self.device, self.vocoder.dtype)[None])
            sound = sound.reshape(-1)[: len(mel) * MEL_HOP].float().cpu().numpy()  # AudioLDM's makes 32 samples more
        self.walls.note("vocode", time.perf_counter() - began, len(mel))
        if not np.isfinite(sound).all():
            raise ValueError("the model gave sound that is not finite")
        return sound

    def steps_within(self, left_s: float, frames: int, settings: SamplerSettings) -> int:
        """Steps, at most the settings', that leave time to decode; before anything was measured all of them."""
        each = (self._step_s(2, frames) if settings.guidance > 1 else self._step_s(1, frames)) or 0.0
        if not each or left_s == float("inf"):
            return settings.steps
        return int(np.clip((left_s - 1.2 * self._after_s(frames)) / each, 1, settings.steps))

    def solver(self, settings: SamplerSettings, steps: int, chance: torch.Generator) -> Steps:
        """Steps of one clip, `chance` for those that add noise on the way."""
        return Solver(self.scheduler.config, settings, steps, self.device, chance)

    def guide(self, vector: NDArray[np.float32], settings: SamplerSettings, start: Continuation | None) -> Guide:
        """Predictions for one clip; what it begins with need not be known to the denoiser, which is shown it noised."""
        import torch

        def predict(latents: Tensor, time: Tensor, condition: Tensor) -> Tensor:
            latents = latents.to(self.denoiser.dtype)
            return self.denoiser(latents, time, encoder_hidden_states=None, class_labels=condition).sample.float()

        both = torch.from_numpy(np.stack([self.unconditional, vector])).to(self.device, self.denoiser.dtype)
        return Guide(predict, both[:1], both[1:], settings)

    def _denoise(
        self, latents: Tensor, noise: Tensor, guide: Guide, solver: Steps, first: int, budget: Budget,
        start: Continuation | None, progress: Callable[[int, int], None],
    ) -> Tensor:
        tail = start.latents.to(noise) if start else None
        for i, level in enumerate(solver.levels):
            if i < first:
                continue
            if budget.stop.is_set():
                raise Interrupted
            began = time.perf_counter()
            if start and tail is not None and _held(start, i, len(solver.levels)):
                latents = _begin_with(solver.noised(tail, noise[:, :, : start.frames], i), latents)
            branches = guide.branches(level)
            prediction = guide(latents, solver.times[i], level)
            before, latents = latents, solver.step(prediction, latents, i)
            settle(self.device)
            self.walls.note(f"step of {branches}", time.perf_counter() - began, self.walls.frames)
            progress(i + 1 - first, len(solver.levels) - first)
            if budget.left_s() < self._step_s(branches, self.walls.frames) + 1.2 * self._after_s(self.walls.frames):
                latents = solver.clean(prediction, before, i)
                break
        if start and tail is not None and start.strength >= 1:
            latents = _begin_with(tail, latents)
        return latents

    def _step_s(self, branches: int, frames: int) -> float:
        """Seconds of a step; where only the other kind was measured, two branches count as twice one."""
        other = self.walls.expect(f"step of {3 - branches}", frames) * branches / (3 - branches)
        return self.walls.expect(f"step of {branches}", frames) or other

    def _after_s(self, frames: int) -> float:
        return self.walls.expect("decode", frames) + self.walls.expect("vocode", frames)


def load_audioldm(
    where: str | Path, *, revision: str | None = None, device: str | None = None, speed: Speed | None = None
) -> AudioLdm:
    """Load an AudioLDM from a directory, or by the name of a checkpoint that was fetched with `bci-music models pull`.

    Weights are read as safetensors only, and nothing is fetched. `speed` says in which form it computes.
    """
    import torch

    place = choose_device(device or ("cuda" if torch.cuda.is_available() else "cpu")).torch
    parts = load_parts(where, revision=revision)
    return AudioLdm(parts, place, prepare(parts, place, speed or Speed()))


def _held(start: Continuation, step: int, steps: int) -> bool:
    return step < start.strength * steps


def _begin_with(head: Tensor, latents: Tensor) -> Tensor:
    import torch

    return torch.cat([head, latents[:, :, head.shape[2] :]], dim=2)
