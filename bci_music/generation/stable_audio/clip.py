"""A clip from a directory of Stable Audio's shape, by the program's own loop: led by EEG, and stopped between steps.

Without a ControlNet it is the clip of diffusers' `StableAudioPipeline`: the same latents, noise and guidance.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bci_music.files import shown
from bci_music.generation.audioldm.echoes import EegCourse
from bci_music.generation.audioldm.sampler import Interrupted
from bci_music.generation.stable_audio.loading import StableAudio
from bci_music.messages import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from bci_music.generation.stable_audio.control import StableAudioControl

LONGEST_TEXT = 128  # tokens that Stable Audio Open looks at: as many, all silent, where there is no text encoder
_MOST_TEXT, _MOST_STEPS = 1024, 1000


@dataclass(frozen=True)
class Order:
    """What is asked for.

    Parameters
    ----------
    seconds : float
        Length; the beginning of the one length that a directory makes.
    words : str
        A description, for the text encoder.
    steps : int
    guidance : float
        How far words and EEG lead away from what the transformer makes without both; 1: not at all.
    seed : int
    """

    seconds: float
    words: str = ""
    steps: int = 100
    guidance: float = 7.0
    seed: int = 0

    def check(self, model: StableAudio) -> None:
        """Refuse what the model cannot make."""
        if not 1 / model.rate_hz <= self.seconds <= model.longest_s:
            raise UserError(f"{model.name} makes up to {model.longest_s:.1f} s, not {self.seconds:g}: ask for less.")
        if not 2 <= self.steps <= _MOST_STEPS:
            raise UserError(f"A clip takes 2 to {_MOST_STEPS} steps, not {self.steps}: ask for another number.")
        if not 1 <= self.guidance <= 100:
            raise UserError(f"Guidance lies between 1 and 100, not at {self.guidance:g}: ask for another.")
        if self.words and model.text_encoder is None:
            raise UserError(f"{model.name} has no text encoder, so it follows no words: leave them out.")


@dataclass(frozen=True, eq=False)
class Lead:
    """EEG that leads a clip.

    Parameters
    ----------
    control : StableAudioControl
    course : EegCourse
        From the clip's beginning on; its row of a table of listeners is not looked at.
    listener : str
        The listener's name, for the text encoder; empty for an unknown one.
    style : (512,) float32, optional
        Music vector, predicted from EEG.
    scale : float
        Of all that the ControlNet adds.
    """

    control: StableAudioControl
    course: EegCourse
    listener: str = ""
    style: NDArray[np.float32] | None = None
    scale: float = 1.0

    def condition(self, model: StableAudio) -> Tensor:
        """What the ControlNet is asked, (1, frames, dim)."""
        import torch

        wanted = self.control.config.eeg_dim
        if self.course.steps.ndim != 2 or not len(self.course.steps) or self.course.steps.shape[1] != wanted:
            raise UserError(
                f"EEG steps of shape {self.course.steps.shape} came to a ControlNet made for steps of {wanted} "
                "numbers: give those of the decoder it was trained with."
            )
        if self.listener and not self.control.config.text_dim:
            raise UserError(
                "This ControlNet knows no listeners, for it was made without a text encoder: leave the listener out."
            )
        frames = int(model.transformer.config.sample_size)
        eeg, there = self.course.tokens(frames, model.frame_s, self.course.seconds)
        style = None if self.style is None else torch.from_numpy(self.style)[None]
        known = listener_vector(model, self.listener) if self.listener else None
        return self.control.condition(torch.from_numpy(eeg)[None], torch.from_numpy(there)[None], style, known)


@dataclass(frozen=True)
class Watch:
    """Somebody who follows the steps, and may stop them."""

    stop: threading.Event = field(default_factory=threading.Event)
    report: Callable[[int, int], None] = lambda step, of: None


def make_clip(
    model: StableAudio, order: Order, lead: Lead | None = None, watch: Watch | None = None
) -> NDArray[np.float32]:
    """Make a clip, (n, channels) at the model's rate; the same order gives the same samples.

    Raises
    ------
    UserError
        If the model cannot make it, or makes no finite sound of it.
    Interrupted
        If it was stopped.
    """
    import torch
    from diffusers.models.embeddings import get_1d_rotary_pos_embed
    from diffusers.utils.torch_utils import randn_tensor

    from bci_music.generation.stable_audio.control import denoise

    order.check(model)
    watch, config = watch or Watch(), model.transformer.config
    scheduler = type(model.scheduler).from_config(model.scheduler.config)
    scheduler.set_timesteps(order.steps)
    chance = torch.Generator().manual_seed(order.seed)
    with torch.inference_mode():
        words, length = _asked(model, order)
        guided = order.guidance > 1
        if guided:
            words, length = torch.cat([torch.zeros_like(words), words]), torch.cat([length, length])
        condition = lead.condition(model) if lead else None
        control, scale = (lead.control, lead.scale) if lead else (None, 1.0)
        n = int(config.sample_size)
        angles = get_1d_rotary_pos_embed(
            config.attention_head_dim // 2, n + 1, use_real=True, repeat_interleave_real=False
        )
        latents = randn_tensor((1, config.in_channels, n), generator=chance) * scheduler.init_noise_sigma
        for number, level in enumerate(scheduler.timesteps):
            if watch.stop.is_set():
                raise Interrupted
            noisy = scheduler.scale_model_input(torch.cat([latents] * (1 + guided)), level)
            found = denoise(
                model.transformer, noisy, level[None], words, length, angles, control, condition, scale
            )  # fmt: skip
            if guided:
                without, given = found.chunk(2)
                found = without + order.guidance * (given - without)
            latents = scheduler.step(found, level, latents, generator=chance).prev_sample
            watch.report(number + 1, order.steps)
        sound = model.vae.decode(latents).sample[0].T
    if not bool(sound.isfinite().all()):
        raise UserError(f"{model.name} made no finite sound: its weights or its ControlNet are broken; take others.")
    return np.ascontiguousarray(sound[: int(order.seconds * model.rate_hz)].numpy(), dtype=np.float32)


def listener_vector(model: StableAudio, listener: str) -> Tensor:
    """What the text encoder says of a listener's name: the mean of its words, (1, text_dim)."""
    hidden, there = _encoded(model, listener)
    return (hidden * there).sum(1) / there.sum(1).clamp_min(1.0)


def _asked(model: StableAudio, order: Order) -> tuple[Tensor, Tensor]:
    """Words and length as the transformer looks at them: (1, W + 2, dim), (1, 1, 2 * dim)."""
    import torch

    ends = [torch.tensor([value]) for value in (0.0, float(order.seconds))]
    made = model.projection(start_seconds=ends[0], end_seconds=ends[1])
    bounds = [made.seconds_start_hidden_states, made.seconds_end_hidden_states]
    if model.text_encoder is None:
        words = torch.zeros(1, LONGEST_TEXT, model.projection.config.conditioning_dim)
    else:
        hidden, there = _encoded(model, order.words)
        words = model.projection(text_hidden_states=hidden).text_hidden_states * there
    return torch.cat([words, *bounds], 1), torch.cat(bounds, 2)


def _encoded(model: StableAudio, text: str) -> tuple[Tensor, Tensor]:
    """The text encoder's words (1, W, text_dim), and where there are any (1, W, 1)."""
    longest = min(int(model.tokenizer.model_max_length), _MOST_TEXT)
    found = model.tokenizer(
        text, padding="max_length", max_length=longest, truncation=True, return_tensors="pt"
    )
    if int(found.input_ids.max()) >= model.text_encoder.config.vocab_size:
        raise UserError(f"The tokenizer in {shown(model.name)} has more words than its text encoder: take both from "
                        "one checkpoint.")  # fmt: skip
    hidden = model.text_encoder(found.input_ids, attention_mask=found.attention_mask)[0]
    return hidden, found.attention_mask[:, :, None].to(hidden.dtype)
