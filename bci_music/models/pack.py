"""The model pack: everything one decoder needs, as one directory that is verified before any of it is loaded."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self

import yaml
from pydantic import Field, model_validator

from bci_music.config import Config
from bci_music.eeg.chain import SignalConfig
from bci_music.eeg.montage import Montage, shipped_montages
from bci_music.files import opening, plain_file, shown
from bci_music.messages import UserError
from bci_music.metrics.metric import Metric
from bci_music.models.library import INDEX, MusicLibrary
from bci_music.models.sizes import AnyEncoderConfig, EncoderConfig, HeadConfig

MANIFEST = "pack.yaml"
ENCODER_FILE = "encoder.safetensors"
ADAPTER_FILE = "adapter.safetensors"
SHIPPED = Path(__file__).resolve().parents[1] / "packs"
_MOST_FILES, _MOST_BYTES, _LONGEST_NAME = 20_000, 2**36, 100


class FileEntry(Config):
    """What a file must be."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class Provenance(Config):
    """Where the weights come from. `recordings` are the hashes of the recordings they were trained on."""

    kind: Literal["real", "simulated"]
    data: str
    seeds: dict[str, int | list[int]] = {}
    git_sha: str = ""
    config: dict[str, Any] = {}
    trained_seconds: dict[str, list[tuple[float, float]]] = {}
    recordings: dict[str, str] = {}


class ConfidenceFit(Config):
    """Confidence as a logistic of standardised features; without weights nothing is claimed."""

    features: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()
    bias: float = 0.0
    auroc: float | None = None
    n: int = 0
    protocol: str = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len({len(self.features), len(self.mean), len(self.scale), len(self.weights)}) > 1:
            raise ValueError("features, mean, scale and weights have to be of one length")
        if any(value <= 0 for value in self.scale):
            raise ValueError("a scale has to be above zero")
        return self


class DecoderConfig(Config):
    """The network and how it is run."""

    @model_validator(mode="before")
    @classmethod
    def _read_packs_of_the_version_before(cls, values: Any) -> Any:
        """Read keys of older packs under their new names without a note: nobody writes a pack.yaml by hand."""
        parts: dict[str, type[Config]] = {"encoder": EncoderConfig, "head": HeadConfig}
        if not isinstance(values, dict):
            return values
        return values | {
            name: {part.RENAMED.get(key, key): value for key, value in values[name].items()}
            for name, part in parts.items() if isinstance(values.get(name), dict)
        }

    encoder: AnyEncoderConfig = EncoderConfig()
    head: HeadConfig = HeadConfig()
    bf16: bool = False
    min_channels: int = Field(8, ge=1)


class Spaces(Config):
    """Which embedder (by hash) gave the targets of the shared space, and which the generator's space."""

    targets: str = ""
    generator: str = ""


class GeneratorPart(Config):
    """The music model in `generator/`: whose vectors lead it, its size, and the real music it learned from."""

    name: str
    trained: bool = True
    embedder: str = ""
    parameters: dict[str, int] = {}
    credits: tuple[dict[str, Any], ...] = ()


class PackManifest(Config):
    """`pack.yaml`."""

    format: Literal[1] = 1
    name: str = Field(min_length=1, max_length=_LONGEST_NAME)
    version: str = Field(max_length=_LONGEST_NAME)
    licence: str
    provenance: Provenance
    montage: str
    reference: str
    signal: SignalConfig
    normalise: Literal["causal", "whole-recording"] = "causal"  # the latter looks ahead: never decoded live
    decoder: DecoderConfig
    metrics: tuple[Metric, ...] = ()
    confidence: ConfidenceFit = ConfidenceFit()
    spaces: Spaces = Spaces()
    generator: GeneratorPart | None = None
    base: str | None = None
    files: dict[str, FileEntry] = {}

    @model_validator(mode="before")
    @classmethod
    def _read_calibration(cls, values: Any) -> Any:
        """Read packs whose confidence is called calibration; no note, for the pack that ships is one."""
        if isinstance(values, dict) and "calibration" in values and "confidence" not in values:
            return {"confidence" if key == "calibration" else key: value for key, value in values.items()}
        return values

    @property
    def simulated(self) -> bool:
        """Whether the decoder was trained on simulated EEG."""
        return self.provenance.kind == "simulated"


class Pack:
    """An opened, verified pack."""

    def __init__(self, directory: Path, manifest: PackManifest, base: Pack | None = None):
        self.directory = directory
        self.manifest = manifest
        self.base = base

    @classmethod
    def open(cls, name_or_dir: str | Path) -> Pack:
        """Open a shipped pack by name or any pack by directory; sizes and hashes are checked here.

        Raises
        ------
        UserError
            If it is not there, or a file is missing, extra, or not what the manifest says.
        """
        return cls._open(_find(name_or_dir), ())

    @classmethod
    def _open(cls, directory: Path, overlays: tuple[Path, ...]) -> Pack:
        """Open a pack that the packs `overlays` stand on."""
        with opening(directory, "a pack", "copy the pack again or rebuild it"):
            if (directory / MANIFEST).is_symlink():
                raise UserError(f"{MANIFEST} in pack {shown(directory)} is a link: put the file itself there.")
            manifest = PackManifest.load(directory / MANIFEST)
            _verify(directory, manifest)
            whole = {ENCODER_FILE, ADAPTER_FILE} <= set(manifest.files)  # its base then only says where it comes from
            if whole or manifest.base is None:
                return cls(directory, manifest)
            overlays = (*overlays, directory.resolve())
            return cls(directory, manifest, cls._open(_find_base(directory, manifest.base, overlays), overlays))

    @classmethod
    def write(cls, directory: str | Path, manifest: PackManifest) -> Pack:
        """Write `pack.yaml` for the files that lie in `directory`, hashing them all, and open the result."""
        directory = Path(directory)
        files = {
            name: FileEntry(sha256=file_sha256(directory / name), bytes=(directory / name).stat().st_size)
            for name in _listing(directory)
        }
        values = manifest.model_copy(update={"files": files}).model_dump(mode="json")
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110)
        (directory / MANIFEST).write_text(text, encoding="utf-8")
        return cls.open(directory)

    @property
    def name(self) -> str:
        """Name and version, for people."""
        return f"{self.manifest.name} {self.manifest.version}"

    @property
    def sha256(self) -> str:
        """Hash of the manifest, which holds those of all files."""
        return file_sha256(self.directory / MANIFEST)

    def for_live(self) -> Pack:
        """Return the pack if windows can be made for it as EEG comes in.

        Raises
        ------
        UserError
            If its decoder was trained on EEG scaled over whole recordings.
        """
        if self.manifest.normalise != "causal":
            raise UserError(
                f"Pack {self.name} was trained on EEG scaled over the {self.manifest.normalise.replace('-', ' ')}, "
                "which is only known when the recording is over: live and replay need a pack of a study prepared with "
                "--normalise causal."
            )
        return self

    def has(self, rel: str) -> bool:
        """Whether the pack (or its base) holds file `rel`."""
        return rel in self.manifest.files or (self.base is not None and self.base.has(rel))

    @property
    def montage(self) -> Montage:
        """The electrode layout it was trained on: one that ships, or a file of the pack."""
        name = self.manifest.montage
        if name in self.manifest.files:
            return Montage.load(self.directory / name)
        if name not in ("nmed", *shipped_montages()):
            raise UserError(
                f"The montage of pack {self.name}, {shown(name)}, neither ships with this program nor lies in the "
                "pack: build the pack again."
            )
        return Montage.shipped(name)

    @property
    def generator(self) -> Path | None:
        """Folder of the music model that comes with the pack or its base, if one does."""
        if self.manifest.generator is not None and any(name.startswith("generator/") for name in self.manifest.files):
            return self.directory / "generator"
        return self.base.generator if self.base is not None else None

    @property
    def embedder(self) -> Path | None:
        """Folder of the embedder (`load_embedder` opens it) that comes with the pack or its base, if one does."""
        if any(name.startswith("embedder/") for name in self.manifest.files):
            return self.directory / "embedder"
        return self.base.embedder if self.base is not None else None

    def open_library(self) -> MusicLibrary:
        """Songs and clips that come with the pack or its base; the clips are read when they are played."""
        return MusicLibrary.load(self.file(f"library/{INDEX}").parent)

    def file(self, rel: str) -> Path:
        """Path of file `rel`, a file of the base pack where this one is an overlay without it."""
        if rel in self.manifest.files:
            return self.directory / rel
        if self.base is not None:
            return self.base.file(rel)
        raise UserError(f"Pack {self.name} has no {rel}: it cannot be used for this; rebuild it or take another pack.")


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _find(name_or_dir: str | Path) -> Path:
    with opening(name_or_dir, "a pack", f"give a directory that holds a {MANIFEST}"):
        for directory in (Path(name_or_dir), SHIPPED / str(name_or_dir)):
            if (directory / MANIFEST).is_file():
                return directory
    raise _no_pack(name_or_dir)


def _no_pack(name: object) -> UserError:
    known = sorted(p.parent.name for p in SHIPPED.glob(f"*/{MANIFEST}"))
    return UserError(
        f"There is no pack {shown(name)!r}: give a directory that holds a {MANIFEST}, "
        f"or one of the packs that ship ({', '.join(known) or 'none'})."
    )


def _listing(directory: Path) -> list[str]:
    """All files but the manifest; links are refused, since they may lead anywhere, and so is what is no file."""
    found = []
    for place, folders, names in os.walk(directory):
        for name in (*folders, *names):
            path = Path(place) / name
            if path.is_symlink():
                raise UserError(
                    f"{shown(path.relative_to(directory).as_posix())} in pack {shown(directory)} is a link: "
                    "put the file itself there."
                )
        found += [plain_file(Path(place) / name, _MOST_BYTES).relative_to(directory).as_posix() for name in names]
        if len(found) > _MOST_FILES:
            raise UserError(f"Pack {shown(directory)} has more than {_MOST_FILES:,} files: give another directory.")
    return sorted(name for name in found if name != MANIFEST)


def _verify(directory: Path, manifest: PackManifest) -> None:
    """Compare names and sizes first, contents last; nothing is allocated from a wrong file."""
    where, listed = shown(directory), manifest.files
    for name in listed:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise UserError(f"Pack {where} lists {shown(name)!r}, which lies outside it: do not use this pack.")
    there = set(_listing(directory))
    if missing := sorted(set(listed) - there):
        raise UserError(f"Pack {where} lacks {_some(missing)}: copy the pack again or rebuild it.")
    if extra := sorted(there - set(listed)):
        raise UserError(f"Pack {where} holds {_some(extra)}, which {MANIFEST} does not list: remove or rebuild.")
    _verify_contents(directory, listed)


def _verify_contents(directory: Path, listed: Mapping[str, FileEntry]) -> None:
    where = shown(directory)
    for name, entry in listed.items():
        size = (directory / name).stat().st_size
        if size != entry.bytes:
            raise UserError(f"{shown(name)} in pack {where} has {size} bytes, expected {entry.bytes}: copy it again.")
    for name, entry in listed.items():
        if file_sha256(directory / name) != entry.sha256:
            raise UserError(
                f"{shown(name)} in pack {where} was changed (its hash is another): copy the pack again."
            )


def _find_base(directory: Path, base: str, overlays: tuple[Path, ...]) -> Path:
    """Find the pack an overlay stands on: ``name@hash`` with the start of the hash of its pack.yaml."""
    name, _, wanted = base.partition("@")
    if not re.fullmatch(r"\w[\w.-]*", name) or len(name) > _LONGEST_NAME:
        raise UserError(f"Pack {shown(directory)} stands on {shown(base)}, which is no name of a pack: rebuild it.")
    places = (directory.resolve().parent / name, SHIPPED / name)
    found = next((place for place in places if (place / MANIFEST).is_file()), None)
    if found is None:
        raise _no_pack(name)
    if found.resolve() in overlays:
        raise UserError(f"Pack {shown(directory)} stands on itself ({shown(base)}): rebuild it.")
    sha = file_sha256(plain_file(found / MANIFEST))
    if not wanted or not sha.startswith(wanted):
        raise UserError(
            f"Pack {shown(directory)} stands on {shown(base)}, but {name} here is {sha[:12]}: "
            "get the pack it was made on."
        )
    return found


def _some(names: list[str]) -> str:
    return shown(", ".join(names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
