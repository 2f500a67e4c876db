"""`bci-music models pull`: fetch a checkpoint once, compare every byte, and never go online for it again."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from bci_music.messages import Log, UserError
from bci_music.models.checkpoints.catalogue import hub_name, known
from bci_music.models.checkpoints.hub import HubFile, Listing, Report, fetch_file, list_checkpoint, offline
from bci_music.models.checkpoints.licences import Ask, accept_licence, licence_of
from bci_music.models.checkpoints.manifest import PULLED, Lock, Locked, Pulled, checked, stored
from bci_music.models.checkpoints.pickled import convert_weights, converted_name
from bci_music.models.checkpoints.store import folder_of, pulled_revision, user_lock
from bci_music.models.checkpoints.towers import write_unconditional
from bci_music.models.pack import FileEntry, file_sha256


@dataclass(frozen=True)
class Pull:
    """What is here now; `fetched` bytes came over the network, `converted` files were pickled."""

    folder: Path
    pulled: Pulled
    fetched: int
    converted: tuple[str, ...]


def pull(
    name: str,
    *,
    revision: str | None = None,
    lock: Path | None = None,
    accept: bool = False,
    ask: Ask | None = None,
    report: Report = lambda file, here, of: None,
    log: Log = lambda text: None,
) -> Pull:
    """Fetch a checkpoint, or see that it is here and unchanged.

    Parameters
    ----------
    name : str
        Alias of the catalogue or name on the hub.
    revision : str, optional
        Commit or branch; by default that of the lock, else the catalogue's, else the newest.
    lock : Path, optional
        A shared lock: what it holds for this checkpoint must be met; what it lacks is written into it.
    accept, ask
        Whether the licence is accepted, or who is asked.

    Raises
    ------
    UserError
        If the licence is not accepted, the hub is out of reach, or a file is not what lock or catalogue say.
    """
    name = hub_name(name)
    expected = _expected(name, revision, lock)
    commit = expected.revision if expected else revision or _pinned(name)
    here = pulled_revision(name, commit) if commit or revision is None else None
    if here is not None:
        done = _still_whole(name, here, expected)
        if done is not None:
            accept_licence(name, done.pulled.licence, accepted=accept, ask=ask, show=log)
            _note(done.pulled, lock)
            return done
        log(f"what is here of {name} is not whole or was changed: the files concerned are fetched again")
    if offline():
        raise UserError(f"{name} is not here and HF_HUB_OFFLINE is set: unset it for the first pull.")
    log(f"asking the hub what {name} holds")
    listing = list_checkpoint(name, commit)
    _compare(listing, expected)
    accept_licence(name, listing.declared_licence, accepted=accept, ask=ask, show=log)
    done = _fetch(listing, expected, report, log)
    _note(done.pulled, lock)
    return done


def _pinned(name: str) -> str | None:
    entry = known(name)
    return entry.revision or None if entry else None


def _expected(name: str, revision: str | None, lock: Path | None) -> Locked | None:
    """What the checkpoint must be: the shared lock's entry, else the user's, unless another revision is wanted."""
    if lock is not None and (entry := Lock.read(lock).checkpoints.get(name)) is not None:
        if revision not in (None, entry.revision):
            raise UserError(f"{lock} holds {name} at {entry.revision[:12]}, not at {revision}: leave --revision out.")
        return entry
    entry = Lock.read(user_lock()).checkpoints.get(name)
    return entry if entry is not None and revision in (None, entry.revision) else None


def _still_whole(name: str, commit: str, expected: Locked | None) -> Pull | None:
    """Return what is here if nothing of it is missing or changed, every byte being compared."""
    folder = folder_of(name, commit)
    pulled = Pulled.read(folder)
    try:
        pulled.verify(folder, full=True)
    except UserError:
        return None
    if expected is not None:
        _same_files(name, {rel: entry.sha256 for rel, entry in pulled.source.items()}, expected)
    return Pull(folder, pulled, 0, ())


def _compare(listing: Listing, expected: Locked | None) -> None:
    """Refuse before anything large is fetched."""
    if expected is not None:
        if listing.revision != expected.revision:
            raise UserError(f"{listing.name} is at {listing.revision[:12]}, the lock has {expected.revision[:12]}.")
        _same_files(listing.name, {f.path: f.sha256 for f in listing.chosen() if f.sha256}, expected)
    if not any(f.path.endswith((".safetensors", ".bin")) for f in listing.chosen()):
        raise UserError(f"{listing.name} holds no weights this program reads (safetensors or a single .bin a part).")


def _same_files(name: str, hashes: dict[str, str], expected: Locked) -> None:
    for rel, sha256 in hashes.items():
        if rel in expected.files and expected.files[rel].sha256 != sha256:
            raise UserError(f"{rel} of {name} has another hash than the lock: do not use it before you know why.")


def _fetch(listing: Listing, expected: Locked | None, report: Report, log: Log) -> Pull:
    folder = folder_of(listing.name, listing.revision)
    folder.mkdir(parents=True, exist_ok=True)
    files = listing.chosen()
    for file in files:
        checked(file.path)
    _check_space(folder, files)
    kept = _converted_before(folder, files)
    (folder / PULLED).unlink(missing_ok=True)
    source: dict[str, FileEntry] = {}
    converted = []
    for file in files:
        if file.path in kept:
            source[file.path] = kept[file.path]
            continue
        path = fetch_file(listing, file, folder, report)
        source[file.path] = FileEntry(sha256=file_sha256(path), bytes=file.bytes)
        _as_agreed(listing, file.path, source[file.path].sha256, expected)
        if path.suffix == ".bin":
            log(f"writing {file.path} as safetensors (nothing in it is run)")
            convert_weights(path)
            path.unlink()
            converted.append(converted_name(file.path))
    present = [converted_name(rel) if rel.endswith(".bin") else rel for rel in source]
    if (made := write_unconditional(folder)) is not None:
        present.append(made)
    pulled = Pulled(
        name=listing.name, revision=listing.revision, licence=licence_of(listing.name, listing.declared_licence),
        source=source, files=stored(folder, present),
    )  # fmt: skip
    pulled.write(folder)
    return Pull(folder, pulled, sum(e.bytes for rel, e in source.items() if rel not in kept), tuple(converted))


def _converted_before(folder: Path, files: tuple[HubFile, ...]) -> dict[str, FileEntry]:
    """Pickled weights of an earlier pull that lie here as whole safetensors: they need not be fetched again."""
    if not (folder / PULLED).is_file():
        return {}
    earlier, found = Pulled.read(folder), {}
    for rel in (f.path for f in files if f.path.endswith(".bin") and f.path in earlier.source):
        made = converted_name(rel)
        entry = earlier.files.get(made)
        if entry and (folder / made).is_file() and file_sha256(folder / made) == entry.sha256:
            found[rel] = earlier.source[rel]
    return found


def _as_agreed(listing: Listing, rel: str, sha256: str, expected: Locked | None) -> None:
    """Delete and refuse a file that is not what the lock, or the catalogue for this commit, says."""
    entry = known(listing.name)
    pinned = entry.sha256.get(rel, sha256) if entry and entry.revision == listing.revision else sha256
    locked = expected.files[rel].sha256 if expected and rel in expected.files else sha256
    if sha256 in (pinned, locked) and pinned == locked:
        return
    (folder_of(listing.name, listing.revision) / rel).unlink()
    wanted_by = "the lock says" if locked != sha256 else f"public records name for {listing.revision[:12]}"
    raise UserError(
        f"{rel} of {listing.name} is not the file {wanted_by} (its hash is another): it was deleted; do not use it "
        "before you know why."
    )


def _check_space(folder: Path, files: tuple[HubFile, ...]) -> None:
    wanted = sum(f.bytes for f in files if not (folder / f.path).is_file())
    largest = max((f.bytes for f in files if f.path.endswith(".bin")), default=0)  # beside its converted form
    free = shutil.disk_usage(folder).free
    if wanted + largest > free:
        raise UserError(
            f"{(wanted + largest) / 1e9:.1f} GB are needed in {folder}, {free / 1e9:.1f} GB are free: free some space, "
            "or set BCI_MUSIC_CACHE to a larger disk."
        )


def _note(pulled: Pulled, lock: Path | None) -> None:
    """Write the checkpoint into the user's lock, and into a shared one that lacks it."""
    own = Lock.read(user_lock())
    own.with_pulled(pulled).write(user_lock())
    if lock is not None and pulled.name not in (shared := Lock.read(lock)).checkpoints:
        shared.with_pulled(pulled).write(lock)
