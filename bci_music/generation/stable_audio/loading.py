"""Directories shaped like Stable Audio Open 1.0, and ControlNets over them: opened whole, or refused in one sentence.

Files only: safetensors, nothing fetched, nothing run that a checkpoint brings along.
"""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bci_music.files import opening, read_json, shown
from bci_music.generation.audioldm.loading import load_part, quiet_loading
from bci_music.messages import UserError
from bci_music.models.checkpoints.inspect import FOR_TEXT, STABLE_AUDIO
from bci_music.models.checkpoints.store import find_checkpoint
from bci_music.models.checkpoints.weights import AGAIN
from bci_music.models.pretrained import load_tokenizer

if TYPE_CHECKING:
    from bci_music.generation.stable_audio.control import StableAudioControl

WHOSE = "Stable Audio"
MOST_FRAMES = 2**14  # of a clip; Stable Audio Open has 1024


@dataclass(frozen=True, eq=False)
class StableAudio:
    """The parts of a directory, float32 on the processor, ready to be used but not to be trained.

    Attributes
    ----------
    transformer, vae, projection : diffusers' StableAudioDiTModel, AutoencoderOobleck, StableAudioProjectionModel
    scheduler : diffusers' scheduler, as the directory names it
    text_encoder, tokenizer : transformers' T5EncoderModel and its tokenizer
        None where the directory has none: words and listeners cannot be given.
    name : str
    """

    transformer: Any
    vae: Any
    projection: Any
    scheduler: Any
    text_encoder: Any
    tokenizer: Any
    name: str

    @property
    def rate_hz(self) -> int:
        """Of the sound."""
        return int(self.vae.config.sampling_rate)

    @property
    def frame_s(self) -> float:
        """Length of a latent frame."""
        return float(self.vae.hop_length / self.rate_hz)

    @property
    def longest_s(self) -> float:
        """Length of the clips it makes; shorter ones are their beginning."""
        return float(min(self.transformer.config.sample_size * self.frame_s, self.projection.config.max_value))

    @property
    def text_dim(self) -> int:
        """Width of the text encoder; 0 without one."""
        return int(self.text_encoder.config.d_model) if self.text_encoder is not None else 0

    @property
    def parameters(self) -> int:
        """Weights of all parts."""
        networks = (self.transformer, self.vae, self.projection, self.text_encoder)
        return sum(p.numel() for network in networks if network is not None for p in network.parameters())


def load_stable_audio(where: str | Path) -> StableAudio:
    """Load the parts from a directory, or by the name of a checkpoint that was fetched.

    Raises
    ------
    UserError
        One sentence for what is missing, of another class, or does not fit the rest.
    """
    import torch
    from transformers import T5EncoderModel

    from bci_music.generation.stable_audio.solver import load_scheduler

    folder = find_checkpoint(where)
    _check_folder(folder)
    classes = _classes()
    _check_fit({name: _config(kind, folder / name) for name, kind in classes.items()}, folder)
    scheduler, text_encoder, tokenizer = load_scheduler(folder / "scheduler"), None, None
    weights = {"torch_dtype": torch.float32}
    with quiet_loading(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*weight_norm", FutureWarning)  # diffusers' autoencoder uses the older one
        if (folder / "text_encoder").is_dir():
            tokenizer = load_tokenizer(folder / "tokenizer")
            text_encoder = load_part(T5EncoderModel, folder, "text_encoder", {"dtype": torch.float32}, WHOSE)
        transformer, vae, projection = (
            load_part(kind, folder, name, weights, WHOSE) for name, kind in classes.items()
        )  # fmt: skip
    model = StableAudio(transformer, vae, projection, scheduler, text_encoder, tokenizer, str(where))
    for network in (transformer, vae, projection, text_encoder):
        if network is not None:
            network.eval().requires_grad_(False)
    with opening(folder, WHOSE, AGAIN):
        _try(model)
    return model


def load_control(folder: Path, model: StableAudio) -> StableAudioControl:
    """Load a ControlNet that was written with `save_pretrained`, for the transformer of `model`.

    Raises
    ------
    UserError
        If there is none, or it was made for another transformer or text encoder.
    """
    import torch

    from bci_music.generation.stable_audio.control import StableAudioControl, shape_of

    folder = folder.expanduser().resolve()
    advice = f"write one with `bci-music models control {model.name} FOLDER`"
    if not (folder / "config.json").is_file():
        raise UserError(f"There is no ControlNet in {shown(folder)}: {advice}.")
    _check_class(folder, "StableAudioControl", "ControlNet", advice)
    with quiet_loading():
        options = {"torch_dtype": torch.float32}
        control: StableAudioControl = load_part(StableAudioControl, folder.parent, folder.name, options, "ControlNet")
    wanted, c = shape_of(model.transformer), control.config
    if c.copied != wanted["copied"]:
        raise UserError(
            f"The ControlNet in {shown(folder)} copies {c.copied} blocks, half of the "
            f"{model.transformer.config.num_layers} of {model.name} are {wanted['copied']}: {advice}."
        )
    if other := [f"{key} {c[key]} where it has {value}" for key, value in wanted.items() if c[key] != value]:
        raise UserError(
            f"The ControlNet in {shown(folder)} is made for another transformer than that of {model.name} "
            f"({', '.join(other)}): {advice}."
        )
    if c.text_dim not in (0, model.text_dim):
        raise UserError(
            f"The ControlNet in {shown(folder)} knows listeners by a text encoder of width {c.text_dim}, that of "
            f"{model.name} has {model.text_dim}: {advice}."
        )
    return control.eval()


def _classes() -> dict[str, Any]:
    """Diffusers' classes of the parts."""
    from diffusers import AutoencoderOobleck, StableAudioDiTModel
    from diffusers.pipelines.stable_audio import StableAudioProjectionModel

    return {
        "transformer": StableAudioDiTModel, "vae": AutoencoderOobleck, "projection_model": StableAudioProjectionModel
    }  # fmt: skip


def _check_folder(folder: Path) -> None:
    """Refuse what is not there before anything is loaded."""
    for name in STABLE_AUDIO:
        if not (folder / name).is_dir():
            raise UserError(f"The Stable Audio in {folder} has no {name}/: it needs {', '.join(STABLE_AUDIO)}.")
    here = [name for name in FOR_TEXT if (folder / name).is_dir()]
    if len(here) == 1:
        raise UserError(f"The Stable Audio in {folder} has {here[0]}/ alone: text_encoder/ and tokenizer/ go together.")
    if here:
        kind = read_json(folder / "text_encoder" / "config.json", AGAIN).get("model_type")
        if kind != "t5":
            raise UserError(f"The text encoder in {folder} is a {shown(kind)}, expected a t5: {AGAIN}.")
        if not (folder / "tokenizer" / "tokenizer.json").is_file():
            raise UserError(f"The tokenizer in {folder} has no tokenizer.json: {AGAIN}.")
    for name in (*STABLE_AUDIO[:3], *here[:1]):
        if not list((folder / name).glob("*.safetensors")):
            raise UserError(f"{folder / name} has no weights as safetensors: convert them, other formats are not read.")


def _try(model: StableAudio) -> None:
    """Run every network on one frame, so that sizes which contradict each other are found before a clip is begun."""
    import torch

    from bci_music.generation.stable_audio.control import denoise

    c, width = model.transformer.config, model.projection.config.conditioning_dim
    with torch.inference_mode():
        if model.text_encoder is not None:
            spoken = model.text_encoder(torch.zeros(1, 1, dtype=torch.int64))[0]
            model.projection(text_hidden_states=spoken)
        model.projection(start_seconds=torch.zeros(1), end_seconds=torch.ones(1))
        turned = (torch.ones(2, c.attention_head_dim // 2), torch.zeros(2, c.attention_head_dim // 2))
        frame = torch.zeros(1, c.in_channels, 1)
        frame = denoise(
            model.transformer, frame, torch.ones(1), torch.zeros(1, 1, width), torch.zeros(1, 1, 2 * width), turned
        )
        found = tuple(model.vae.decode(frame).sample.shape)
    if found != (1, model.vae.config.audio_channels, model.vae.hop_length):
        raise ValueError(f"a frame becomes sound of shape {found}")


def _config(kind: Any, folder: Path) -> dict[str, Any]:
    """Configuration of a part, with the defaults of its class; refused where it is of another class."""
    _check_class(folder, kind.__name__, f"{folder.name} of Stable Audio", AGAIN)
    parameters = inspect.signature(kind.__init__).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    return defaults | read_json(folder / "config.json", AGAIN)


def _check_class(folder: Path, kind: str, what: str, advice: str) -> None:
    found = read_json(folder / "config.json", advice).get("_class_name")
    if found != kind:
        raise UserError(f"The {what} in {shown(folder)} is a {shown(found)}, expected {kind}: {advice}.")


def _check_fit(configs: dict[str, dict[str, Any]], folder: Path) -> None:
    """Refuse parts that do not belong together, by their configurations: weights take long."""
    with opening(folder, WHOSE, AGAIN):
        transformer, vae, projection = configs.values()
        width = projection["conditioning_dim"]
        latents = ("the VAE's latents", vae["decoder_input_channels"])
        for key, (other, wanted) in {
            "in_channels": latents, "out_channels": latents, "cross_attention_input_dim": ("the projection", width),
            "global_states_input_dim": ("twice the projection", 2 * width),
        }.items():  # fmt: skip
            if transformer[key] != wanted:
                raise UserError(
                    f"The transformer in {folder} has {key} {shown(transformer[key])}, {other} {shown(wanted)}: give "
                    "parts of one checkpoint."
                )
        if (folder / "text_encoder").is_dir():
            spoken = read_json(folder / "text_encoder" / "config.json", AGAIN).get("d_model", 512)
            if spoken != projection["text_encoder_dim"]:
                raise UserError(
                    f"The text encoder in {folder} has width {shown(spoken)}, the projection takes "
                    f"{shown(projection['text_encoder_dim'])}: give parts of one checkpoint."
                )
        blocks, head = transformer["num_layers"], transformer["attention_head_dim"]
        if blocks < 2 or head % 4:
            raise UserError(
                f"The transformer in {folder} has {blocks} blocks with heads of {head}: expected 2 blocks or more, "
                "half of them to be copied, and heads of a multiple of 4."
            )
        longest = projection["max_value"] - projection["min_value"]
        if transformer["sample_size"] > MOST_FRAMES:
            raise UserError(
                f"The transformer in {folder} makes clips of {shown(transformer['sample_size'])} frames, expected at "
                f"most {MOST_FRAMES:,}: {AGAIN}."
            )
        if min(transformer["sample_size"], vae["sampling_rate"], vae["audio_channels"], longest) <= 0:
            raise UserError(f"A part in {folder} names a length, rate or number of channels of 0: {AGAIN}.")
