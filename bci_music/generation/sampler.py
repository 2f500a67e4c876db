"""AudioLDM's parts, put together by hand: denoise latents towards an embedding, decode them to a spectrogram, to sound.

The parts are the classes of diffusers and transformers, loaded one by one: neither tokenizer nor text encoder is
needed, since the condition is a vector, and the ready-made pipeline is deprecated.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import EMBEDDING_DIM, UserError

if TYPE_CHECKING:
    import torch

SOUND_RATE_HZ = 16_000
MEL_HOP = 160  # samples of sound per frame of the spectrogram
PARTS = ("unet", "vae", "vocoder", "scheduler")
NOTE = "generator.json"  # ours, beside the parts: {"trained": bool, "name": str}
UNCONDITIONAL = "unconditional.npy"  # ours, optional: (512,) condition of the unguided branch, else zeros


class Interrupted(Exception):
    """Sampling was asked to end."""


@dataclass(frozen=True)
class Budget:
    """How long a clip may take: sampling ends early, with what it has, when `left_s` says so."""

    left_s: Callable[[], float]
    stop: threading.Event


class AudioLdm:
    """The four parts on a device.

    Parameters
    ----------
    unet, vae, vocoder, scheduler
        `UNet2DConditionModel`, `AutoencoderKL`, `SpeechT5HifiGan` and a diffusers scheduler.
    unconditional : (512,) array
    device : torch.device
    trained : bool
    name : str
    """

    def __init__(
        self, unet: Any, vae: Any, vocoder: Any, scheduler: Any, *, unconditional: NDArray[np.float32],
        device: torch.device, trained: bool, name: str,
    ):
        self.unet, self.vae, self.vocoder, self.scheduler = unet, vae, vocoder, scheduler
        self.unconditional, self.device = unconditional, device
        self.trained, self.name = trained, name
        self.mel_bins = int(vocoder.config.model_in_dim)
        self.shrink = 2 ** (len(vae.config.block_out_channels) - 1)
        self.step_s = 0.0  # measured: wall time of one denoising step, and of all that comes after the steps
        self.decode_s = 0.0

    @property
    def frame_unit(self) -> int:
        """Spectrogram frames come in multiples of this, so that the UNet can halve its latents."""
        return self.shrink * 2 ** (len(self.unet.config.block_out_channels) - 1)

    def frames(self, seconds: float) -> int:
        """Spectrogram frames of a clip of about `seconds`."""
        return max(1, round(seconds * SOUND_RATE_HZ / MEL_HOP / self.frame_unit)) * self.frame_unit

    def sample(
        self, vector: NDArray[np.float32], seconds: float, *, steps: int, guidance: float, seed: int, budget: Budget
    ) -> NDArray[np.float32]:
        """Make a clip, (n,) float32 at 16 kHz.

        Parameters
        ----------
        vector : (512,) float32
            Unit vector, the condition.
        steps : int
            Denoising steps; fewer are made when the budget runs out.
        guidance : float
            1 follows the condition, more exaggerates it against the unconditional branch.
        seed : int
            Of the noise the clip is made from.
        """
        import torch

        with torch.inference_mode():
            latents = self._denoise(vector, self.frames(seconds), steps, guidance, seed, budget)
            began = time.perf_counter()
            mel = self.vae.decode(latents / self.vae.config.scaling_factor).sample
            sound = self.vocoder(mel.squeeze(1)).squeeze(0).float().cpu().numpy()
            self.decode_s = time.perf_counter() - began
        if not np.isfinite(sound).all():
            raise ValueError("the model gave sound that is not finite")
        return sound

    def _denoise(
        self, vector: NDArray[np.float32], frames: int, steps: int, guidance: float, seed: int, budget: Budget
    ) -> torch.Tensor:
        import torch

        dtype = self.unet.dtype
        condition = torch.from_numpy(np.stack([self.unconditional, vector])).to(self.device, dtype)
        shape = (1, self.unet.config.in_channels, frames // self.shrink, self.mel_bins // self.shrink)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        latents = noise.to(self.device, dtype) * self.scheduler.init_noise_sigma
        self.scheduler.set_timesteps(steps, device=self.device)
        for step in self.scheduler.timesteps:
            if budget.stop.is_set():
                raise Interrupted
            began = time.perf_counter()
            both = self.scheduler.scale_model_input(torch.cat([latents, latents]), step)
            free, led = self.unet(both, step, encoder_hidden_states=None, class_labels=condition).sample.chunk(2)
            made = self.scheduler.step(free + guidance * (led - free), step, latents)
            latents = made.prev_sample
            self.step_s = time.perf_counter() - began
            if budget.left_s() < self.step_s + 1.2 * self.decode_s:
                return made.pred_original_sample if hasattr(made, "pred_original_sample") else latents
        return latents


def load_audioldm(where: str | Path, *, revision: str | None = None, device: str | None = None) -> AudioLdm:
    """Load the parts from a directory, or by the name of a checkpoint on the Hugging Face hub.

    Files already here are used first. Weights are read as safetensors only.
    """
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import SpeechT5HifiGan

    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    dtype = torch.float16 if place.type == "cuda" else torch.float32
    folder = Path(where).expanduser()
    if folder.is_dir():
        _check_parts(folder)
    elif folder.is_absolute() or str(where).startswith(".") or str(where).count("/") != 1:
        raise UserError(f"There is no AudioLDM at {where}: give a directory with {', '.join(PARTS)}, or a hub name.")

    def part(loader: Any, name: str, **options: Any) -> Any:
        return _load_part(loader, where, name, folder.is_dir(), {"revision": revision, **options})

    weights = {"use_safetensors": True, "torch_dtype": dtype}
    with quiet_loading():
        unet = part(UNet2DConditionModel, "unet", **weights)
        vae = part(AutoencoderKL, "vae", **weights)
        vocoder = part(SpeechT5HifiGan, "vocoder", use_safetensors=True, dtype=dtype)
        scheduler = part(DDIMScheduler, "scheduler")
    _check_fit(unet, vae, vocoder, where)
    note = json.loads((folder / NOTE).read_text(encoding="utf-8")) if (folder / NOTE).is_file() else {}
    free = np.zeros(EMBEDDING_DIM, np.float32)
    if (folder / UNCONDITIONAL).is_file():
        free = np.load(folder / UNCONDITIONAL, allow_pickle=False).astype(np.float32).reshape(EMBEDDING_DIM)
    for model in (unet, vae, vocoder):
        model.to(place).eval().requires_grad_(False)
    return AudioLdm(
        unet, vae, vocoder, scheduler, unconditional=free, device=place, trained=bool(note.get("trained", True)),
        name=str(note.get("name", f"AudioLDM {where}")),
    )


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Keep the loader's progress bar off the terminal: three small files need none."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _check_parts(folder: Path) -> None:
    for name in PARTS:
        if not (folder / name).is_dir():
            raise UserError(f"The AudioLDM in {folder} has no {name}/: it needs {', '.join(PARTS)}.")
        if name != "scheduler" and not list((folder / name).glob("*.safetensors")):
            raise UserError(f"{folder / name} has no weights as safetensors: convert them, other formats are not read.")


def _load_part(loader: Any, where: str | Path, name: str, is_directory: bool, options: dict[str, Any]) -> Any:
    """Load one part: from what is on this machine, else, for a hub name, from the hub."""
    tries = (True,) if is_directory else (True, False)
    error: Exception | None = None
    for local in tries:
        try:
            return loader.from_pretrained(where, subfolder=name, local_files_only=local, **options)
        except (OSError, ValueError, RuntimeError) as problem:
            error = problem
    reason = " ".join(str(error).split())[:200]
    raise UserError(
        f"AudioLDM's {name} could not be loaded from {where} ({reason}): give a complete directory, or go online."
    ) from error


def _check_fit(unet: Any, vae: Any, vocoder: Any, where: str | Path) -> None:
    """Refuse parts that do not belong together, in one sentence."""
    width = unet.config.projection_class_embeddings_input_dim
    if unet.config.class_embed_type != "simple_projection" or width != EMBEDDING_DIM:
        raise UserError(f"The UNet in {where} takes no 512-d embedding as its class: give an AudioLDM checkpoint.")
    if unet.config.in_channels != vae.config.latent_channels:
        raise UserError(f"UNet and VAE in {where} have latents of different depth: give parts of one checkpoint.")
    if vocoder.config.sampling_rate != SOUND_RATE_HZ or int(np.prod(vocoder.config.upsample_rates)) != MEL_HOP:
        raise UserError(f"The vocoder in {where} is not one for 16 kHz with hop 160: give AudioLDM's vocoder.")
