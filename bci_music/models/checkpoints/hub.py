"""The Hugging Face hub: what a repository holds at a commit, and fetching it, resumed where it broke off."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from bci_music.messages import UserError

Report = Callable[[str, int, int], None]  # file, bytes here, of how many


@dataclass(frozen=True)
class HubFile:
    """A file as the hub lists it; `sha256` of large files, `git_sha1` of all."""

    path: str
    bytes: int
    git_sha1: str
    sha256: str | None

    def matches(self, path: Path) -> bool:
        """Whether a fetched file is the one that was listed."""
        if path.stat().st_size != self.bytes:
            return False
        with path.open("rb") as handle:
            if self.sha256 is not None:
                return hashlib.file_digest(handle, "sha256").hexdigest() == self.sha256
            header = hashlib.sha1(f"blob {self.bytes}\0".encode(), usedforsecurity=False)
            header.update(handle.read())
            return header.hexdigest() == self.git_sha1


@dataclass(frozen=True)
class Listing:
    """A repository at a commit."""

    name: str
    revision: str
    declared_licence: str
    files: tuple[HubFile, ...]

    def chosen(self) -> tuple[HubFile, ...]:
        """What is fetched: safetensors, JSON and text; pickled weights only where a part has no safetensors.

        Where the parts lie in folders (model_index.json), weights beside these belong to none.
        """
        safe = {_folder(f.path) for f in self.files if f.path.endswith(".safetensors")}
        in_folders = any(f.path == "model_index.json" for f in self.files)
        return tuple(
            f for f in self.files
            if _wanted(f.path, safe)
            and not (in_folders and not _folder(f.path) and f.path.endswith((".safetensors", ".bin")))
        )  # fmt: skip


def offline() -> bool:
    """Whether the user keeps this program off the network."""
    switches = [os.environ.get(name, "").upper() for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")]
    return any(word in ("1", "ON", "YES", "TRUE") for word in switches)


def list_checkpoint(name: str, revision: str | None) -> Listing:
    """Ask the hub what `name` holds at a commit (or a branch; by default the newest).

    Raises
    ------
    UserError
        If it is not there, or the hub is out of reach.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    with _listed(name):
        api = HfApi(endpoint=_endpoint())
        info = api.model_info(name, revision=revision)
        tree = [e for e in api.list_repo_tree(name, revision=info.sha, recursive=True) if isinstance(e, RepoFile)]
    card: Any = info.card_data
    files = tuple(HubFile(f.path, f.size, f.blob_id, f.lfs.sha256 if f.lfs else None) for f in tree)
    return Listing(name, str(info.sha), str((card or {}).get("license") or ""), files)


def fetch_file(listing: Listing, file: HubFile, folder: Path, report: Report) -> Path:
    """Fetch one file into `folder`, from where an earlier attempt broke off; checked against the listing.

    The hub's own downloader starts every file from the beginning, so what has come is kept here, as ``FILE.part``.

    Raises
    ------
    UserError
        If the hub is out of reach, or what came is not what was listed.
    """
    path = folder / file.path
    if path.is_file() and file.matches(path):
        return path
    part = path.with_name(path.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(2):
        with _listed(listing.name):
            _stream(listing, file, part, report)
        if file.matches(part):
            part.replace(path)
            return path
        part.unlink()  # perhaps the piece that came earlier was damaged: once more from the beginning
    raise UserError(
        f"{file.path} of {listing.name} came with another content than the hub lists (its hash is another): it was "
        "deleted; try again later, and from another network if it stays so."
    )


def _stream(listing: Listing, file: HubFile, part: Path, report: Report) -> None:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    class Bar:
        """What the client takes for its progress bar: hands the count on."""

        def __init__(self, *args: Any, initial: int = 0, **options: Any):
            self.here = int(initial or 0)
            self.update(0)

        def update(self, n: float | None = 1) -> None:
            self.here += int(n or 0)
            report(file.path, self.here, file.bytes)

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *args: object) -> None:
            """Nothing to close."""

    here = part.stat().st_size if part.is_file() else 0
    if here > file.bytes:
        part.unlink()
        here = 0
    url = hf_hub_url(listing.name, file.path, revision=listing.revision, endpoint=_endpoint())
    with part.open("ab") as handle:
        http_get(
            url, handle, resume_size=here, headers=build_hf_headers(), expected_size=file.bytes,
            displayed_filename=file.path, tqdm_class=cast(Any, Bar),
        )  # fmt: skip


@contextmanager
def _listed(name: str) -> Iterator[None]:
    """Turn what the hub's client raises into a sentence."""
    from huggingface_hub import errors

    http_error: Any = errors.HfHubHTTPError.__bases__[0]  # of whichever HTTP library this version of the client uses
    try:
        yield
    except errors.GatedRepoError as error:
        raise UserError(f"{name} asks for an account: accept its terms on its page, then `hf auth login`.") from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"{name} has no such revision on the hub: leave --revision out for the pinned one.") from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(f"The hub has no {name}: check the name (owner/name).") from error
    except (errors.HfHubHTTPError, http_error, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"{name} could not be fetched ({reason}): go online and pull again; what is here already is kept."
        ) from error


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _wanted(path: str, safe: set[str]) -> bool:
    name = path.rpartition("/")[2]
    if path.count("/") > 1 or name.startswith("."):
        return False
    if name.endswith(".bin"):
        return name in ("pytorch_model.bin", "diffusion_pytorch_model.bin") and _folder(path) not in safe
    if name.endswith(".safetensors"):  # no variants (fp16, ema) beside the weights themselves
        return name in ("model.safetensors", "diffusion_pytorch_model.safetensors") or "-of-" in name
    return name.endswith((".json", ".txt"))
