"""Clips by the second way: the latent transformer led by a ControlNet that EEG speaks to step by step."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config
from bci_music.files import opening, read_json, shown
from bci_music.generation.audioldm.flow import TransformerLdm, load_transformer
from bci_music.generation.audioldm.precision import Speed
from bci_music.generation.audioldm.sampler import AudioLdm, Continuation, Guide
from bci_music.generation.audioldm.solver import SamplerSettings
from bci_music.messages import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from bci_music.generation.audioldm.latent_control import LatentControl

CONTROL = "control"  # folder of a ControlNet, beside that of its base
CONTROL_NOTE = "control.json"  # ours, in that folder: see `ControlNote`
FRAME_S = 0.04  # a latent frame


class ControlNote(Config):
    """What a ControlNet's folder says of it."""

    trained: bool = False
    name: str = ""
    control_scale: float = Field(1.0, ge=0, description="of all that it adds to the transformer's stream")
    decoder: str = Field("", description="SHA-256 of the weights of the decoder whose EEG steps it learned from")


@dataclass(frozen=True, eq=False)
class EegCourse:
    """What EEG says over a stretch of time.

    Parameters
    ----------
    steps : (S, E) float32
        Evenly spaced over `seconds`.
    seconds : float
    listener : int
        Row of the ControlNet's table; -1: unknown, nothing is made for one listener.
    """

    steps: NDArray[np.float32]
    seconds: float
    listener: int = -1

    def tokens(self, n_tokens: int, token_s: float, end_s: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """EEG at the moments of tokens (n_tokens, E), and where there is any (n_tokens,).

        Parameters
        ----------
        token_s : float
            Length of a token.
        end_s : float
            Where in the tokens' time the EEG ends; what lies before its beginning or behind its end has none.
        """
        at = (np.arange(n_tokens) + 0.5) * token_s - (end_s - self.seconds)
        centres = (np.arange(len(self.steps)) + 0.5) * self.seconds / len(self.steps)
        there = (at > 0) & (at < self.seconds)
        place = np.interp(at, centres, np.arange(len(centres)))
        low = np.minimum(place.astype(np.int64), max(len(centres) - 2, 0))
        share = (place - low)[:, None].astype(np.float32)
        high = np.minimum(low + 1, len(centres) - 1)
        found = (1 - share) * self.steps[low] + share * self.steps[high]
        return (found * there[:, None]).astype(np.float32), there.astype(np.float32)


class EchoesLdm(TransformerLdm):
    """A latent transformer with its ControlNet; without EEG it is the transformer alone."""

    control: LatentControl
    control_scale: float = 1.0
    _course: EegCourse | None = None
    _end_s: float = 0.0

    def led_by(self, course: EegCourse | None, end_s: float = 0.0) -> Self:
        """The same model with EEG that leads the next clips, from their beginning to `end_s` in them."""
        if course is not None and course.steps.shape[1:] != (self.control.config.eeg_dim,):
            raise UserError(
                f"EEG steps of {course.steps.shape[1:]} numbers came to a ControlNet that was made for "
                f"{self.control.config.eeg_dim}: use it with the decoder it was trained with."
            )
        other = copy.copy(self)
        other._course, other._end_s = course, end_s
        return other

    def guide(self, vector: NDArray[np.float32], settings: SamplerSettings, start: Continuation | None) -> Guide:
        """Predictions for one clip; guidance takes away style and EEG together."""
        import torch

        from bci_music.generation.audioldm.latent_control import Controlled

        if self._course is None:
            return super().guide(vector, settings, start)
        base, control = self.denoiser, self.control
        network = Controlled(base, control)
        patch, size = base.config.patch, len(base.style_mean)
        tail = start.latents.to(self.device, base.dtype) if start else None
        cached: dict[int, tuple[Tensor, Tensor]] = {}
        course, end_s = self._course, self._end_s

        def asked(n_tokens: int) -> tuple[Tensor, Tensor]:
            if n_tokens not in cached:
                found = course.tokens(n_tokens, patch * FRAME_S, end_s)
                eeg, there = (torch.from_numpy(part).to(self.device, base.dtype)[None] for part in found)
                cached[n_tokens] = (eeg, there)
            return cached[n_tokens]

        def predict(latents: Tensor, level: Tensor, condition: Tensor) -> Tensor:
            latents = latents.to(base.dtype)
            style, heard = condition[:, :size], condition[:, size:]  # the last number: whether this row hears the EEG
            known = is_known = None
            if start and tail is not None and float(level) > 1 - start.strength - 1e-6:
                known, is_known = torch.zeros_like(latents), latents.new_zeros(len(latents), latents.shape[2])
                known[:, :, : start.frames], is_known[:, : start.frames] = tail, 1.0
            eeg, there = asked(latents.shape[2] // patch)
            listener = torch.full((len(latents),), course.listener, device=self.device)
            listener = torch.where(heard[:, 0] > 0, listener, -1)
            return network(
                latents, level.expand(len(latents)), style, known, is_known, eeg.expand(len(latents), -1, -1),
                there * heard, listener, scale=self.control_scale,
            ).float()

        given = torch.from_numpy(np.append(vector, np.float32(1.0))[None]).to(self.device, base.dtype)
        without = torch.cat([base.style_mean, base.style_mean.new_zeros(1)])[None].to(given)
        return Guide(predict, without, given, settings)


def load_echoes(
    where: str | Path, *, revision: str | None = None, device: str | None = None, speed: Speed | None = None
) -> EchoesLdm:
    """Load the transformer of a directory with its ControlNet; as `load_audioldm`."""
    plain = load_transformer(where, revision=revision, device=device, speed=speed)
    return with_control(plain, load_control(Path(where) / CONTROL))


def with_control(plain: AudioLdm, control: LatentControl) -> EchoesLdm:
    """The model `plain`, a latent transformer's, with a ControlNet over it."""
    from bci_music.generation.audioldm.loading import quiet_loading

    base = plain.denoiser.config
    if (base.dim, base.style_dim) != (control.config.dim, control.config.style_dim):
        raise UserError(
            f"The ControlNet is made for a transformer of width {control.config.dim}, this one has {base.dim}: "
            "train it over this transformer."
        )
    model = EchoesLdm.__new__(EchoesLdm)
    model.__dict__.update(plain.__dict__)
    with quiet_loading():  # which warns of a cast
        model.control = control.to(plain.device, plain.denoiser.dtype).eval().requires_grad_(False)
    return model


def load_control(directory: Path) -> Any:
    """Load a ControlNet that `save_control` wrote, in float32."""
    from bci_music.generation.audioldm.latent_control import LatentControl
    from bci_music.generation.audioldm.loading import quiet_loading

    if not (directory / "config.json").is_file():
        raise UserError(
            f"There is no ControlNet in {shown(directory)}: make one with `bci-music pack build --way echoes`."
        )
    with opening(directory, "ControlNet", "build it again"), quiet_loading():
        return LatentControl.from_pretrained(directory, use_safetensors=True).float()


def control_note(directory: Path) -> ControlNote:
    """What a ControlNet's folder says of it; defaults, not trained among them, where it says nothing."""
    path = directory / CONTROL_NOTE
    if not path.is_file():
        return ControlNote()
    return ControlNote.parse(read_json(path, "give an object with trained and decoder"), str(path))


def save_control(control: LatentControl, directory: Path, note: ControlNote) -> None:
    """Write a ControlNet in half precision, with its note."""
    from bci_music.generation.audioldm.loading import forget_place, quiet_loading

    with quiet_loading():
        copy.deepcopy(control).half().save_pretrained(directory)
    forget_place(directory / "config.json")
    for path in directory.glob("*.safetensors"):
        path.chmod(0o644)  # safetensors makes files that only their owner reads
    (directory / CONTROL_NOTE).write_text(note.model_dump_json(indent=1) + "\n", encoding="utf-8")
