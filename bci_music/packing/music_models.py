"""The music models of a pack: generator, embedder, and a card that names the music they learned from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bci_music.files import refuse_filled
from bci_music.generation.audioldm.loading import NOTE, TRANSFORMER, VOCODER, DenoiserNote, note_of
from bci_music.messages import UserError
from bci_music.models.embedder import FrameEmbedder, load_embedder
from bci_music.models.pack import GeneratorPart, Pack, file_sha256
from bci_music.training.audioldm.parts import CREDITS, EMBEDDER, FEW, FEW_NOTE, assemble, check_budget

CARD = "CARD.md"
NAME = "small AudioLDM of composed music"
SETTINGS = {"solver": "dpm++", "steps": 6, "guidance": 2.5, "guidance_every": 2}
FLOW = {"name": "small latent transformer of composed music", "solver": "dpm++", "steps": 8, "guidance": 3.0}


@dataclass(frozen=True)
class MusicModels:
    """Trained parts and the embedder that leads them.

    Attributes
    ----------
    settings : mapping
        How the sampler uses them by default.
    folder : Path, optional
        Where the embedder was read from.
    """

    parts: Path
    embedder: FrameEmbedder
    few: bool = False
    settings: Mapping[str, Any] = field(default_factory=lambda: SETTINGS)
    folder: Path | None = None

    @classmethod
    def open(cls, parts: Path, embedder: Path, settings: Mapping[str, Any] | None = None) -> MusicModels:
        """Open what the stages wrote; the distilled UNet is taken where there is one."""
        loaded = load_embedder(embedder)
        note = parts / EMBEDDER
        leads = json.loads(note.read_text(encoding="utf-8"))["sha"] if note.is_file() else ""
        if leads != loaded.sha:
            raise UserError(
                f"The denoiser in {parts} learned from vectors of another embedder than {embedder}: give the one it "
                "was trained with, or train the unet stage again."
            )
        few = (parts / FEW).is_dir()
        return cls(parts, loaded, few, settings or (_few_settings(parts) if few else SETTINGS), embedder)

    def write_embedder(self, pack: Path) -> None:
        """Write ``embedder/`` into a pack's folder, in the format it was stored in (half precision)."""
        pulled = getattr(self.embedder, "origin", None) is not None  # its name is enough
        if self.folder is None or pulled or not self.folder.is_dir():
            self.embedder.save(pack / "embedder")
        else:
            shutil.copytree(self.folder, pack / "embedder", dirs_exist_ok=True)

    def write(self, pack: Path) -> GeneratorPart:
        """Write ``generator/`` and the card into a pack's folder."""
        out = assemble(self.parts, pack / "generator", name=NAME, settings=self.settings, few=self.few, flow=FLOW)
        credits = json.loads((out / CREDITS).read_text(encoding="utf-8")) if (out / CREDITS).is_file() else []
        part = GeneratorPart(
            name=NAME, embedder=self.embedder.sha, parameters=check_budget(out), credits=tuple(credits)
        )
        (pack / CARD).write_text(card(part, out), encoding="utf-8")
        return part


@dataclass(frozen=True)
class PackMusic:
    """The music models that another pack ships, file by file."""

    pack: Pack
    embedder: FrameEmbedder

    @classmethod
    def of(cls, pack: Pack) -> PackMusic:
        """Open them; raises `UserError` where the pack has none."""
        if pack.generator is None or pack.embedder is None or pack.manifest.generator is None:
            raise UserError(f"Pack {pack.name} ships no music models: choose another --music-of, or none.")
        return cls(pack, load_embedder(pack.embedder))

    def write_embedder(self, out: Path) -> None:
        """Copy ``embedder/`` into a pack's folder."""
        assert self.pack.embedder is not None
        shutil.copytree(self.pack.embedder, out / "embedder", dirs_exist_ok=True)

    def write(self, out: Path) -> GeneratorPart:
        """Copy ``generator/`` and the card into a pack's folder."""
        assert self.pack.generator is not None
        assert self.pack.manifest.generator is not None
        shutil.copytree(self.pack.generator, out / "generator", dirs_exist_ok=True)
        shutil.copyfile(self.pack.file(CARD), out / CARD)
        return self.pack.manifest.generator


def replace_vocoder(pack: Pack, parts: Path, out: Path) -> Pack:
    """Write a pack that is this one with the vocoder of `parts`; decoder, denoiser and autoencoder stay as they are.

    Raises
    ------
    UserError
        If the pack ships no music models, there is no vocoder in `parts`, or `out` is not empty.
    """
    return _with_part(pack, parts, VOCODER, out)


def replace_transformer(pack: Pack, parts: Path, out: Path, *, plays: bool = False) -> Pack:
    """Write a pack that is this one with the transformer of `parts`, beside the UNet it has.

    Parameters
    ----------
    plays : bool
        It plays by default; else what plays by default stays.

    Raises
    ------
    UserError
        As `replace_vocoder`, or if another embedder or autoencoder led its training than those of the pack.
    """
    leads, note = pack.manifest.spaces.generator, parts / EMBEDDER
    if note.is_file() and json.loads(note.read_text(encoding="utf-8"))["sha"] != leads:
        raise UserError(
            f"The transformer in {parts} learned from vectors of another embedder than that of {pack.name}: train it "
            "with --clap and the embedder of the pack."
        )
    if pack.generator is not None and (parts / "vae").is_dir() and _weights(parts) != _weights(pack.generator):
        raise UserError(
            f"The transformer in {parts} learned from latents of another autoencoder than that of {pack.name}: "
            "copy the pack's generator/vae to the parts, and train it again."
        )
    return _with_part(pack, parts, TRANSFORMER, out, plays=plays)


def _weights(parts: Path) -> list[str]:
    return [file_sha256(path) for path in sorted((parts / "vae").glob("*.safetensors"))]


def _with_part(pack: Pack, parts: Path, name: str, out: Path, *, plays: bool = False) -> Pack:
    made = pack.manifest.generator
    if pack.generator is None or made is None:
        raise UserError(f"Pack {pack.name} ships no music models: build one with `bci-music pack build --generator`.")
    if not (parts / name).is_dir():
        raise UserError(f"There is no {name} in {parts}: train it first (`bci-music pack train {name}`).")
    refuse_filled(out)
    shutil.copytree(pack.directory, out, dirs_exist_ok=True)
    folder = out / "generator"
    shutil.rmtree(folder / name, ignore_errors=True)
    shutil.copytree(parts / name, folder / name)
    note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    if name == TRANSFORMER:
        note |= {TRANSFORMER: {"trained": made.trained, **FLOW}}
        note |= {"plays": TRANSFORMER} if plays else {}
        (folder / NOTE).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    tracks = json.loads((parts / CREDITS).read_text(encoding="utf-8")) if (parts / CREDITS).is_file() else []
    new = tuple(track for track in tracks if track not in made.credits)
    credits = made.credits + new
    if new:
        (folder / CREDITS).write_text(json.dumps(credits, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part = made.model_copy(update={"parameters": check_budget(folder), "credits": credits})
    (out / CARD).write_text(card(part, folder), encoding="utf-8")
    return Pack.write(out, pack.manifest.model_copy(update={"generator": part}))


def _few_settings(parts: Path) -> dict[str, Any]:
    note = parts / FEW_NOTE
    if not note.is_file():
        raise UserError(f"{parts} has a distilled UNet and no {FEW_NOTE}, which says how it samples: distil it again.")
    return dict(json.loads(note.read_text(encoding="utf-8")))


def card(part: GeneratorPart, generator: Path) -> str:
    """What the music models in a folder are and whose music is in them, as Markdown."""
    sizes = "\n".join(f"| {name} | {count:,} |" for name, count in part.parameters.items())
    note = note_of(generator)
    text = _settings(note) + (f"; the transformer for: {_settings(note.transformer)}" if note.transformer else "")
    lines = [
        f"# {part.name[0].upper()}{part.name[1:]}", "",
        "Trained from scratch on music that this program composes from seeds"
        + (" and on the real tracks below." if part.credits else "; no real music."),
        "The classes are those of AudioLDM (diffusers, transformers); no weights of others are in it.", "",
        "| part | parameters |", "|---|---|", sizes, "", f"Made for: {text}.", "",
    ]  # fmt: skip
    if part.credits:
        lines += ["## Real music learned from", "", *(_credit(track) for track in part.credits), ""]
    return "\n".join(lines)


def _settings(note: DenoiserNote) -> str:
    given = note.model_dump(include=set(DenoiserNote.model_fields) - {"trained", "name"}, exclude_none=True)
    return ", ".join(f"{name} {value}" for name, value in given.items())


def _credit(track: Mapping[str, Any]) -> str:
    """One track with everything that is known of it, in its own words."""
    return "- " + ", ".join(f"{key}: {value}" for key, value in track.items() if value)
