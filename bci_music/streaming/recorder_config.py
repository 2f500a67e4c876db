"""The LSL configuration of the recorder's process.

LabRecorder brings its own liblsl (1.17.7). With ``ResolveScope = machine`` that version sees only one of the local
streams; told that this machine is a peer of its own, it asks every port and finds all of them.
"""

from __future__ import annotations

import configparser
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"
_VARIABLE = "LSLAPICFG"


def with_loopback(text: str) -> str:
    """Return the configuration `text` with this machine among the known peers."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes=(";", "#"))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    if not parser.has_section("lab"):
        parser.add_section("lab")
    peers = [p.strip() for p in parser.get("lab", "KnownPeers", fallback="").strip("{} ").split(",") if p.strip()]
    if LOOPBACK not in peers and "localhost" not in peers:
        peers.append(LOOPBACK)
    parser.set("lab", "KnownPeers", "{" + ", ".join(peers) + "}")
    out = io.StringIO()
    parser.write(out)
    return out.getvalue()


def current_config() -> str:
    """Return the LSL configuration that a process started here would read, "" for none."""
    named = os.environ.get(_VARIABLE)
    places = [Path(named)] if named else []
    places += [Path("lsl_api.cfg"), Path.home() / "lsl_api" / "lsl_api.cfg", Path("/etc/lsl_api/lsl_api.cfg")]
    found = next((p for p in places if p.is_file()), None)
    return found.read_text(encoding="utf-8", errors="replace") if found else ""


@contextmanager
def child_config() -> Iterator[None]:
    """Let processes started inside read a configuration of their own; ours was read when liblsl was loaded."""
    before = os.environ.get(_VARIABLE)
    with tempfile.TemporaryDirectory(prefix="bci-music-lsl-") as folder:
        path = Path(folder, "lsl_api.cfg")
        path.write_text(with_loopback(current_config()), encoding="utf-8")
        os.environ[_VARIABLE] = str(path)
        try:
            yield
        finally:
            if before is None:
                del os.environ[_VARIABLE]
            else:
                os.environ[_VARIABLE] = before
