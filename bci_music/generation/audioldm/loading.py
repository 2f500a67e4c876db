"""AudioLDM's parts from disk or hub: loaded one by one, as safetensors only, and refused when they do not fit.

A small model of the same classes with random weights can be written too, for tests and for machines without a
checkpoint. What it sounds like says nothing about any style; it is marked as not trained everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config
from bci_music.files import opening, read_array, read_json
from bci_music.generation.audioldm.solver import SamplerSettings
from bci_music.messages import EMBEDDING_DIM, UserError
from bci_music.models.checkpoints.weights import check_model
from bci_music.models.pretrained import check_size, quiet_transformers

SOUND_RATE_HZ = 16_000
MEL_HOP = 160  # samples of sound per frame of the spectrogram
UNET, TRANSFORMER, VOCODER = "unet", "transformer", "vocoder"
PARTS = (UNET, "vae", VOCODER, "scheduler")
AUDIOLDM = "audioldm"  # the word for the UNet where generators are chosen; that for the transformer is its own
PLAIN_FLOW = {"solver": "euler", "steps": 8, "guidance": 2.0}  # for a transformer of which nothing is noted
NOTE = "generator.json"  # ours, beside the parts: see `Note`
UNCONDITIONAL = "unconditional.npy"  # ours, optional: (512,) condition of the unguided branch, else zeros


class DenoiserNote(Config):
    """What a directory says of one of its denoisers, and the settings it was made for."""

    trained: bool = True
    name: str = ""
    solver: str | None = Field(None, description="these seven: defaults of the sampler with this model")
    steps: int | None = None
    spacing: str | None = None
    guidance: float | None = None
    guidance_from: float | None = None
    guidance_until: float | None = None
    guidance_every: int | None = None

    def settings(self, where: str) -> SamplerSettings:
        """Sampler settings with what the note gives."""
        given = self.model_dump(include=set(DenoiserNote.model_fields) - {"trained", "name"}, exclude_none=True)
        return SamplerSettings.parse(given, where)


class Note(DenoiserNote):
    """What a directory says of its model: of the UNet, of the transformer where it has one, and which of both plays."""

    transformer: DenoiserNote | None = None
    plays: Literal["audioldm", "transformer"] = Field("audioldm", description="the denoiser that `auto` takes")


@dataclass(frozen=True)
class Parts:
    """A denoiser, an `AutoencoderKL`, a vocoder, a diffusers scheduler, and what their note says.

    The denoiser is a `UNet2DConditionModel`, or a `LatentTransformer`, which needs no scheduler. The vocoder is a
    `SpeechT5HifiGan`, as published checkpoints have it, or a `SpectralVocoder`.
    """

    denoiser: Any
    vae: Any
    vocoder: Any
    scheduler: Any
    unconditional: NDArray[np.float32]
    trained: bool
    name: str
    settings: SamplerSettings


def load_parts(where: str | Path, *, revision: str | None = None, denoiser: str = UNET) -> Parts:
    """Load the parts from a directory, or by the name of a checkpoint that was fetched (`bci-music models pull`).

    Neither tokenizer nor text encoder is needed: the condition is a vector. Networks come as float32 on the
    processor, ready to be used but not to be trained. `denoiser` is `UNET` or `TRANSFORMER`.
    """
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler

    folder = _folder(where, revision)
    _check_parts(folder, PARTS if denoiser == UNET else (denoiser, *PARTS[1:3]))
    note, unconditional = note_of(folder), _read_unconditional(folder / UNCONDITIONAL)
    own = note if denoiser == UNET else note.transformer or DenoiserNote(**PLAIN_FLOW)
    weights = {"torch_dtype": torch.float32}
    with quiet_loading():
        network = load_part(denoiser_class(denoiser), folder, denoiser, weights)
        vae = load_part(AutoencoderKL, folder, "vae", weights)
        loader, options = vocoder_loader(folder / VOCODER)
        vocoder = load_part(loader, folder, VOCODER, options)
        scheduler = load_part(DDIMScheduler, folder, "scheduler", {}) if denoiser == UNET else None
    _check_fit(network, vae, vocoder, where)
    for model in (network, vae, vocoder):
        model.eval().requires_grad_(False)
    return Parts(
        network, vae, vocoder, scheduler, unconditional, own.trained,
        own.name or f"{'AudioLDM' if denoiser == UNET else 'transformer'} {where}", own.settings(str(folder / NOTE)),
    )  # fmt: skip


def denoiser_class(name: str) -> Any:
    """Class of a denoiser: `UNET` or `TRANSFORMER`."""
    if name == TRANSFORMER:
        from bci_music.generation.audioldm.latent_transformer import LatentTransformer

        return LatentTransformer
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel


def vocoder_loader(folder: Path) -> tuple[Any, dict[str, Any]]:
    """Class of the vocoder in a folder, by its config.json, and the options its `from_pretrained` takes."""
    import torch

    config = read_json(folder / "config.json", "give a complete directory")
    if config.get("_class_name") == "SpectralVocoder":
        from bci_music.generation.audioldm.spectral_vocoder import SpectralVocoder

        return SpectralVocoder, {"torch_dtype": torch.float32}
    from transformers import SpeechT5HifiGan

    return SpeechT5HifiGan, {"dtype": torch.float32}


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Keep the loaders' progress bars and their reports of weights off the terminal; what is wrong we say."""
    from diffusers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with quiet_transformers():
            yield
    finally:
        logging.set_verbosity(level)


def note_of(folder: Path) -> Note:
    """What a directory of parts says of itself; defaults where it says nothing."""
    path = Path(folder) / NOTE
    if not path.is_file():
        return Note()
    return Note.parse(read_json(path, "give an object with trained and name"), str(path))


def forget_place(path: Path) -> None:
    """Take out of a part's configuration where it was read from, which is nobody's business."""
    config = json.loads(path.read_text(encoding="utf-8"))
    if config.pop("_name_or_path", None) is not None:
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def denoisers_of(folder: Path) -> list[str]:
    """Which of `AUDIOLDM` and `TRANSFORMER` a directory of parts holds."""
    return [word for word, part in ((AUDIOLDM, UNET), (TRANSFORMER, TRANSFORMER)) if (folder / part).is_dir()]


def _read_unconditional(path: Path) -> NDArray[np.float32]:
    if not path.is_file():
        return np.zeros(EMBEDDING_DIM, np.float32)
    return read_array(path, (EMBEDDING_DIM,), "write it again")


def _folder(where: str | Path, revision: str | None) -> Path:
    """Directory of the parts: the one given, or that of a checkpoint which was fetched."""
    from bci_music.models.checkpoints.store import find_checkpoint

    folder = Path(where).expanduser()
    if not folder.is_dir() and (folder.is_absolute() or str(where).startswith(".") or str(where).count("/") > 1):
        raise UserError(f"There is no AudioLDM at {where}: give a directory with {', '.join(PARTS)}, or a hub name.")
    return find_checkpoint(where, revision)


def _check_parts(folder: Path, needed: tuple[str, ...]) -> None:
    for name in needed:
        if not (folder / name).is_dir():
            raise UserError(f"The AudioLDM in {folder} has no {name}/: it needs {', '.join(needed)}.")
        if name != "scheduler" and not list((folder / name).glob("*.safetensors")):
            raise UserError(f"{folder / name} has no weights as safetensors: convert them, other formats are not read.")


def load_part(loader: Any, folder: Path, name: str, options: dict[str, Any], whose: str = "AudioLDM") -> Any:
    """Load one part of a directory with `loader.from_pretrained`: whole and finite, or one sentence."""
    advice = "give a complete directory, or fetch the checkpoint again with `bci-music models pull`"
    with opening(folder / name, f"{whose}'s {name}", advice):
        if name == "scheduler":
            return loader.from_pretrained(folder, subfolder=name, local_files_only=True)
        check_size(loader, folder / name)
        part, found = loader.from_pretrained(
            folder, subfolder=name, local_files_only=True, use_safetensors=True, output_loading_info=True, **options
        )
        if missing := sorted(found["missing_keys"]):
            raise ValueError(f"it lacks {len(missing)} weights, among them {missing[0]}")
    check_model(part, folder / name)
    return part


def _check_fit(denoiser: Any, vae: Any, vocoder: Any, where: str | Path) -> None:
    """Refuse parts that do not belong together, in one sentence."""
    downsample = 2 ** (len(vae.config.block_out_channels) - 1)
    if hasattr(denoiser, "through"):
        sizes = {"channels": vae.config.latent_channels, "columns": vocoder.config.model_in_dim // downsample}
        for name, wanted in (sizes | {"style_dim": EMBEDDING_DIM}).items():
            if denoiser.config[name] != wanted:
                raise UserError(
                    f"The transformer in {where} has {name} {denoiser.config[name]}, expected {wanted}: give parts of "
                    "one checkpoint."
                )
    else:
        width = denoiser.config.projection_class_embeddings_input_dim
        if denoiser.config.class_embed_type != "simple_projection" or width != EMBEDDING_DIM:
            raise UserError(f"The UNet in {where} takes no 512-d embedding as its class: give an AudioLDM checkpoint.")
        if denoiser.config.in_channels != vae.config.latent_channels:
            raise UserError(f"UNet and VAE in {where} have latents of different depth: give parts of one checkpoint.")
    if vae.config.out_channels != 1 or vocoder.config.model_in_dim % downsample:
        raise UserError(f"The VAE in {where} does not make the vocoder's spectrogram: give parts of one checkpoint.")
    hop = vocoder.config.get("hop") if hasattr(vocoder.config, "get") else int(np.prod(vocoder.config.upsample_rates))
    if (vocoder.config.sampling_rate, hop) != (SOUND_RATE_HZ, MEL_HOP):
        raise UserError(f"The vocoder in {where} is not one for 16 kHz with hop 160: give AudioLDM's vocoder.")


NAME = "random AudioLDM (not trained)"


def write_random_audioldm(directory: str | Path, seed: int = 0) -> Path:
    """Write UNet, VAE, vocoder and scheduler with random weights (about 1 M parameters) into `directory`."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=32, in_channels=8, out_channels=8, block_out_channels=(16, 32, 32), layers_per_block=1,
            norm_num_groups=8, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=8,
            cross_attention_dim=(None, 32, 32), class_embed_type="simple_projection", class_embeddings_concat=True,
            projection_class_embeddings_input_dim=EMBEDDING_DIM,
        )
        vae = AutoencoderKL(
            in_channels=1, out_channels=1, latent_channels=8, block_out_channels=(16, 16, 32), norm_num_groups=8,
            down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3, sample_size=64,
        )
        vocoder = SpeechT5HifiGan(SpeechT5HifiGanConfig(
            model_in_dim=64, sampling_rate=16_000, upsample_initial_channel=64, upsample_rates=[5, 4, 2, 2, 2],
            upsample_kernel_sizes=[15, 8, 4, 4, 4], resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1, 3]],
            normalize_before=False, initializer_range=0.12,  # loud enough to hear that the latents matter
        ))
    scheduler = DDIMScheduler(
        beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False
    )
    parts: dict[str, Any] = {"unet": unet, "vae": vae, "vocoder": vocoder, "scheduler": scheduler}
    with quiet_loading():
        for name, part in parts.items():
            part.save_pretrained(directory / name)
    (directory / NOTE).write_text(json.dumps({"trained": False, "name": NAME}), encoding="utf-8")
    return directory
