"""What a run was: saved beside it before it begins, so that a figure can be traced back."""

from __future__ import annotations

import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from bci_music.config import Config, read_yaml
from bci_music.messages import UserError
from bci_music.models import parallel
from bci_music.training.demo_pack import git_sha
from bci_music.training.prepared import Prepared

CONFIG, PROVENANCE = "config.yaml", "provenance.json"


def provenance(prepared: Prepared, seed: int) -> dict[str, Any]:
    """Where data and program come from."""
    import torch

    return {
        "data": describe_data(prepared), "simulated": prepared.simulated, "data_hash": prepared.data_hash,
        "normalise": prepared.normalise, "git_sha": git_sha(), "seed": seed, "python": sys.version.split()[0],
        "packages": {name: version(name) for name in ("torch", "numpy", "scipy", "accelerate")},
        "machine": platform.machine(), "threads": torch.get_num_threads(), "processes": parallel.world(),
    }  # fmt: skip


def describe_data(prepared: Prepared) -> str:
    """Say what the data is, simulated data first of all."""
    names = {"nmed-t": "NMED-T", "nmed-h": "NMED-H", "musin-g": "MUSIN-G", "sessions": "own sessions"}
    kind = " + ".join(names.get(part, part) for part in prepared.kind.split("+"))
    hours = f"{prepared.seconds / 3600:.2g} h"
    if prepared.simulated:
        return f"simulated {kind} (composed music heard by simulated listeners, {hours}; nobody was recorded)"
    return f"{kind} ({hours})"


def same_data(run: Path, prepared: Prepared) -> None:
    """Raise `UserError` unless a run learned from this study: on another one, test windows may have been trained on."""
    if _told(run)["data_hash"] != prepared.data_hash:
        raise UserError(f"{run} did not learn from {prepared.directory}: give the prepared study it was trained on.")


def same_sides(run: Path, config: Config, prepared: Prepared) -> None:
    """Raise `UserError` where a run learned from this study under another split, so from windows to be tested."""
    kept = {"split", "splitting", "window_s"}
    ours, theirs = config.model_dump(mode="json", include=kept), read_yaml(run / CONFIG)
    if _told(run)["data_hash"] == prepared.data_hash and ours != {name: theirs.get(name) for name in ours}:
        raise UserError(
            f"{run} learned under another split ({theirs.get('split')}, {theirs.get('window_s')} s windows), so maybe "
            "from what is to be tested: pretrain again under this one, or give the --split it has."
        )


def _told(run: Path) -> dict[str, Any]:
    try:
        return {"data_hash": ""} | json.loads((run / PROVENANCE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{run / PROVENANCE} cannot be read ({error}): train the run again.") from error


def save_run(directory: Path, config: Config, prepared: Prepared, seed: int) -> None:
    """Write the resolved configuration and the provenance; only the first process does."""
    if parallel.rank():
        return
    directory.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    (directory / CONFIG).write_text(text, encoding="utf-8")
    (directory / PROVENANCE).write_text(json.dumps(provenance(prepared, seed), indent=1), encoding="utf-8")
