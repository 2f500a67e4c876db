"""The model pack: everything one decoder needs, as one directory that is verified before any of it is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import yaml
from pydantic import Field, model_validator

from bci_music.config import Config
from bci_music.eeg.chain import SignalConfig
from bci_music.messages import UserError
from bci_music.metrics.metric import Metric
from bci_music.models.library import INDEX, MusicLibrary
from bci_music.models.sizes import AnyEncoderConfig, EncoderConfig, HeadConfig

MANIFEST = "pack.yaml"
ENCODER_FILE = "encoder.safetensors"
ADAPTER_FILE = "adapter.safetensors"
SHIPPED = Path(__file__).resolve().parents[1] / "packs"


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
    name: str
    version: str
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
        directory = _find(name_or_dir)
        manifest = PackManifest.load(directory / MANIFEST)
        _verify(directory, manifest)
        whole = {ENCODER_FILE, ADAPTER_FILE} <= set(manifest.files)  # its base then only says where it comes from
        return cls(directory, manifest, None if whole else _open_base(directory, manifest.base))

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

    def library(self) -> MusicLibrary:
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
    for directory in (Path(name_or_dir), SHIPPED / str(name_or_dir)):
        if (directory / MANIFEST).is_file():
            return directory
    known = sorted(p.parent.name for p in SHIPPED.glob(f"*/{MANIFEST}"))
    raise UserError(
        f"There is no pack {str(name_or_dir)!r}: give a directory that holds a {MANIFEST}, "
        f"or one of the packs that ship ({', '.join(known) or 'none'})."
    )


def _listing(directory: Path) -> list[str]:
    files = (p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file() or p.is_symlink())
    return sorted(name for name in files if name != MANIFEST)


def _verify(directory: Path, manifest: PackManifest) -> None:
    """Compare names and sizes first, contents last; nothing is allocated from a wrong file."""
    there, listed = set(_listing(directory)), manifest.files
    for name in listed:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise UserError(f"Pack {directory} lists {name!r}, which lies outside it: do not use this pack.")
    if missing := sorted(set(listed) - there):
        raise UserError(f"Pack {directory} lacks {_some(missing)}: copy the pack again or rebuild it.")
    if extra := sorted(there - set(listed)):
        raise UserError(f"Pack {directory} holds {_some(extra)}, which {MANIFEST} does not list: remove or rebuild.")
    _verify_contents(directory, listed)


def _verify_contents(directory: Path, listed: Mapping[str, FileEntry]) -> None:
    for name, entry in listed.items():
        size = (directory / name).stat().st_size
        if size != entry.bytes:
            raise UserError(f"{name} in pack {directory} has {size} bytes, expected {entry.bytes}: copy it again.")
    for name, entry in listed.items():
        if file_sha256(directory / name) != entry.sha256:
            raise UserError(f"{name} in pack {directory} was changed (its hash is another): copy the pack again.")


def _open_base(directory: Path, base: str | None) -> Pack | None:
    """Open the pack an overlay stands on: ``name@hash`` with the start of the hash of its pack.yaml."""
    if base is None:
        return None
    name, _, wanted = base.partition("@")
    beside = directory.parent / name
    pack = Pack.open(beside if (beside / MANIFEST).is_file() else name)
    found = file_sha256(pack.directory / MANIFEST)
    if not wanted or not found.startswith(wanted):
        raise UserError(
            f"Pack {directory} stands on {base}, but {name} here is {found[:12]}: get the pack it was made on."
        )
    return pack


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
