"""A licence is shown and accepted before weights are first used; what was accepted is remembered."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bci_music.messages import UserError
from bci_music.models.checkpoints.catalogue import Checkpoint, known
from bci_music.models.checkpoints.manifest import write_json
from bci_music.models.checkpoints.store import cache_dir

Ask = Callable[[str], bool]  # a question to the person at the terminal


def licence_of(name: str, declared: str = "") -> str:
    """Name of the licence: the catalogue's, else what the hub declares."""
    entry = known(name)
    return entry.licence if entry else declared or "unknown"


def licence_text(name: str, declared: str = "") -> str:
    """Return what is shown before the first use."""
    entry = known(name)
    if entry is None:
        return (
            f"{name} is not one of the checkpoints this program knows. Its card declares the licence "
            f"{declared or '(none)'}; read it at https://huggingface.co/{name} before using the weights."
        )
    text = f"{entry.name} ({entry.purpose})\nLicence: {entry.licence}. {entry.terms}\nRead its card at {entry.page}."
    if declared and not _same(declared, entry):
        text += f"\nBeware: the card on the hub now declares {declared}."
    return text


def accept_licence(
    name: str,
    declared: str = "",
    *,
    accepted: bool = False,
    ask: Ask | None = None,
    show: Callable[[str], None] = lambda text: None,
) -> None:
    """See to it that the licence of `name` is accepted, once for all.

    Parameters
    ----------
    declared : str
        What the hub declares.
    accepted : bool
        Accepted by an option.
    ask : callable, optional
        Asks a person who has seen the text; without one, nobody is asked.
    show : callable
        Shows the text.

    Raises
    ------
    UserError
        If it is not accepted.
    """
    licence = licence_of(name, declared)
    if licence in _remembered().get(name, {}):
        return
    show(licence_text(name, declared))
    if not accepted and (ask is None or not ask("Do you accept this licence?")):
        raise UserError(
            f"The licence of {name} ({licence}) was not accepted: read https://huggingface.co/{name} and pull with "
            "--accept-licence."
        )
    known_before = _remembered()
    known_before.setdefault(name, {})[licence] = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(_path(), known_before)


def _path() -> Path:
    return cache_dir() / "licences.json"


def _remembered() -> dict[str, dict[str, str]]:
    """What was accepted and when; nothing where the note cannot be read, so that it is asked again."""
    try:
        values = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _same(declared: str, entry: Checkpoint) -> bool:
    """Whether the hub's tag (``cc-by-nc-sa-4.0``) and the catalogue's name mean one licence."""
    return declared.lower().replace(" ", "-") == entry.licence.lower().replace(" ", "-")
