"""Look a checkpoint over before anything is allocated: parts, weights, dimensions, each fault in one sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bci_music.files import read_json, shown
from bci_music.messages import EMBEDDING_DIM, UserError
from bci_music.models.checkpoints.manifest import PULLED, Pulled
from bci_music.models.checkpoints.pickled import pickled_only
from bci_music.models.checkpoints.weights import AGAIN, check_folder, check_weights

NEEDED = ("unet", "vae", "vocoder", "scheduler")
STABLE_AUDIO = ("transformer", "vae", "projection_model", "scheduler")
FOR_TEXT = ("text_encoder", "tokenizer")  # not needed where an embedding is the condition
RATE_HZ, MEL_HOP = 16_000, 160


@dataclass(frozen=True)
class Findings:
    """What a checkpoint is, what is wrong with it, and what is worth knowing."""

    kind: Literal["generator", "stable-audio", "clap"]
    folder: Path
    parts: tuple[str, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def inspect_checkpoint(folder: Path) -> Findings:
    """Inspect a directory: its configurations, every number of its weights, and its hashes where they are known.

    Raises
    ------
    UserError
        If it is neither a generator nor a CLAP.
    """
    check_folder(folder)
    parts = tuple(name for name in dict.fromkeys((*NEEDED, *STABLE_AUDIO, *FOR_TEXT)) if (folder / name).is_dir())
    config = _read(folder / "config.json")
    kind: Literal["generator", "stable-audio", "clap"]
    if "transformer" in parts and "unet" not in parts:
        problems, notes = _stable_audio(folder, parts)
        kind = "stable-audio"
    elif parts and config.get("model_type") != "clap":
        problems, notes = _generator(folder, parts)
        kind = "generator"
    elif config.get("model_type") == "clap":
        problems, notes = _clap(folder, config)
        kind = "clap"
    else:
        raise UserError(
            f"{folder} is no checkpoint: expected the folders {', '.join(NEEDED)} of an AudioLDM, or the config.json "
            "of a CLAP."
        )
    return Findings(kind, folder, parts, (*_hashes(folder), *problems), tuple(notes))


def _generator(folder: Path, parts: tuple[str, ...]) -> tuple[list[str], list[str]]:
    problems, notes = [], []
    for name in NEEDED:
        file = "scheduler_config.json" if name == "scheduler" else "config.json"
        if name not in parts:
            problems.append(f"The generator in {folder} has no {name}/: it needs {', '.join(NEEDED)}.")
        elif not (folder / name / file).is_file():
            problems.append(f"{name}/ in {folder} has no {file}: copy it from the checkpoint.")
        elif name != "scheduler":
            problems += _weights(folder, name)
    missing = [name for name in FOR_TEXT if name not in parts]
    if missing:
        notes.append(f"There is no {' and no '.join(missing)}: embeddings lead the music, text prompts cannot.")
    if not (folder / "unconditional.npy").is_file():
        notes.append("There is no unconditional.npy (the embedding of no words): guidance goes away from zeros.")
    if "text_encoder" in parts:
        problems += _weights(folder, "text_encoder")
    return problems + _dimensions(folder), notes


def _stable_audio(folder: Path, parts: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """What is missing or broken; whether the parts fit each other is seen when they are opened."""
    found = _read(folder / "transformer" / "config.json").get("_class_name")
    if found != "StableAudioDiTModel":
        return [
            f"The transformer in {folder} is a {shown(found)}, and only Stable Audio's (StableAudioDiTModel) can be "
            "led by EEG: no other diffusion transformer is supported, QA-MDT's among them."
        ], []
    problems = [
        f"The Stable Audio in {folder} has no {name}/: it needs {', '.join(STABLE_AUDIO)}."
        for name in STABLE_AUDIO if name not in parts
    ]  # fmt: skip
    weighty = [name for name in (*STABLE_AUDIO[:3], "text_encoder") if name in parts]
    problems += [sentence for name in weighty for sentence in _weights(folder, name)]
    missing = [name for name in FOR_TEXT if name not in parts]
    return problems, [f"There is no {' and no '.join(missing)}: it follows no words, and knows no listener."] * bool(
        missing
    )


def _clap(folder: Path, config: dict[str, Any]) -> tuple[list[str], list[str]]:
    problems, notes = _weights(folder, "."), []
    width = config.get("projection_dim", EMBEDDING_DIM)
    if width != EMBEDDING_DIM:
        problems.append(
            f"The CLAP in {folder} embeds to {shown(width)} numbers, expected {EMBEDDING_DIM}: give another one."
        )
    if not any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
        problems.append(f"The CLAP in {folder} has no preprocessor_config.json, which says how it hears: add it.")
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        notes.append("There is no tokenizer: sound can be embedded, text cannot.")
    return problems, notes


def _weights(folder: Path, part: str) -> list[str]:
    """Say what is wrong with the weights of a part: only pickled, none, or no whole safetensors."""
    place = folder / part
    files, what = sorted(place.glob("*.safetensors")), part if part != "." else "the CLAP"
    if not files:
        if any(p.parent == Path(part) for p in pickled_only(folder)):
            return [
                f"{what} in {folder} has its weights pickled only, which can run anything when opened: "
                f"`bci-music models convert {folder} NEW-FOLDER` writes them as safetensors without running them."
            ]
        return [f"{what} in {folder} has no weights (safetensors): copy the checkpoint again."]
    return [sentence for path in files if (sentence := _fault(path))]


def _fault(path: Path) -> str:
    try:
        check_weights(path)
    except UserError as error:
        return str(error)
    return ""


def _dimensions(folder: Path) -> list[str]:
    unet, vae, vocoder, words = (
        _read(folder / name / "config.json") for name in ("unet", "vae", "vocoder", "text_encoder")
    )
    found = []
    width = unet.get("projection_class_embeddings_input_dim")
    if unet and (unet.get("class_embed_type") != "simple_projection" or width != EMBEDDING_DIM):
        found.append(
            f"The UNet in {folder} takes a class of {shown(width)} numbers, expected {EMBEDDING_DIM}: "
            "it is no AudioLDM."
        )
    if unet and vae and not unet.get("in_channels") == unet.get("out_channels") == vae.get("latent_channels"):
        found.append(
            f"The UNet in {folder} has {shown(unet.get('in_channels'))} channels, the VAE "
            f"{shown(vae.get('latent_channels'))}: take both from one checkpoint."
        )
    if vae and not vae.get("in_channels") == vae.get("out_channels") == 1:
        found.append(f"The VAE in {folder} is not one for spectrograms (one channel): take that of an AudioLDM.")
    if vocoder:
        rates = vocoder.get("upsample_rates", [0])
        plain = isinstance(rates, list) and all(isinstance(r, int) for r in rates)
        rate, hop = vocoder.get("sampling_rate"), math.prod(rates) if plain else 0
        if (rate, hop) != (RATE_HZ, MEL_HOP):
            found.append(
                f"The vocoder in {folder} makes {shown(rate)} Hz with hop {hop}, expected {RATE_HZ} Hz with {MEL_HOP}."
            )
    spoken = words.get("projection_dim", EMBEDDING_DIM)
    if words and spoken != EMBEDDING_DIM:
        found.append(f"The text encoder in {folder} embeds to {shown(spoken)} numbers, expected {EMBEDDING_DIM}.")
    return found


def _hashes(folder: Path) -> list[str]:
    if not (folder / PULLED).is_file():
        return []
    try:
        Pulled.read(folder).verify(folder, full=True)
    except UserError as error:
        return [str(error)]
    return []


def _read(path: Path) -> dict[str, Any]:
    """JSON of a part; empty where there is none, which is reported elsewhere."""
    return read_json(path, AGAIN) if path.is_file() else {}
