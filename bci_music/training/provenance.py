"""What a run was: saved beside it before it begins, so that a figure can be traced back."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Collection
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from bci_music.config import Config, read_yaml
from bci_music.messages import UserError
from bci_music.models import parallel
from bci_music.training.lab.prepared import Prepared, file_hash, write_text

CONFIG, PROVENANCE = "config.yaml", "provenance.json"
ENCODER, ALIGNER = "encoder.safetensors", "aligner.safetensors"
# Packages that a figure depends on.
DECIDES = ("models", "training", "packing", "simulate", "compose", "eeg", "timing", "data")
LEARNED = (ENCODER, ALIGNER, "checkpoint.pt", "mean-tokens/checkpoint.pt")


def provenance(prepared: Prepared, seed: int) -> dict[str, Any]:
    """Where data and program come from."""
    import torch

    return {
        "data": describe_data(prepared), "simulated": prepared.simulated, "data_hash": prepared.data_hash,
        "snr_db": prepared.config.snr_db, "normalise": prepared.normalise, "git_sha": git_sha(), "seed": seed,
        "python": sys.version.split()[0],
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
    if _notes(run)["data_hash"] != prepared.data_hash:
        raise UserError(f"{run} did not learn from {prepared.directory}: give the prepared study it was trained on.")


def same_sides(run: Path, config: Config, prepared: Prepared) -> None:
    """Raise `UserError` where a run learned from this study under another split, so from windows to be tested."""
    kept = {"split", "splitting", "window_s"}
    ours, theirs = config.model_dump(mode="json", include=kept), read_yaml(run / CONFIG)
    if _notes(run)["data_hash"] == prepared.data_hash and ours != {name: theirs.get(name) for name in ours}:
        raise UserError(
            f"{run} learned under another split ({theirs.get('split')}, {theirs.get('window_s')} s windows), so maybe "
            "from what is to be tested: pretrain again under this one, or give the --split it has."
        )


def same_run(run: Path, config: Config, prepared: Prepared, parts: Collection[str] | None, **more: Any) -> None:
    """Raise `UserError` if a folder holds what was learned from other data, another split or other settings.

    Going on there would learn from what the new split tests, or give an old run a new name.

    Parameters
    ----------
    parts : collection of str, optional
        Settings that count; by default all but the title, the time limit and the adapter, which comes after.
    **more
        What else the provenance has to say, if it tells it, e.g. which encoder the run began with.
    """
    if not any((run / name).exists() for name in LEARNED) or not (run / CONFIG).is_file():
        return
    theirs, notes = type(config).load(run / CONFIG).model_dump(mode="json"), _notes(run)
    ours = config.model_dump(mode="json")
    kept = parts or ours.keys() - {"title", "minutes", "adapt"}
    odd = [name for name in ours if name in kept and ours[name] != theirs[name]]
    odd += [name.replace("_", " ") for name, value in more.items() if notes.get(name, value) != value]
    if notes["data_hash"] != prepared.data_hash:
        odd.insert(0, "the study")
    if odd:
        raise UserError(
            f"{run} holds a run that differs in {', '.join(odd)}: give it what it began with, start again "
            "with --restart, or choose another folder with --out."
        )


def pretraining_of(run: Path) -> dict[str, Any]:
    """Settings a pretraining was made with, for those of the alignment that begins with it."""
    if not (run / ENCODER).is_file():
        raise UserError(f"There is no {run / ENCODER}: make it with `bci-music pretrain`.")
    values = read_yaml(run / CONFIG)
    closed_form = values.get("closed_form", values.get("backward"))  # as runs of the version before call it
    return {"closed_form": closed_form, "pretrain": values.get("pretrain")}


def pretrained_by(run: Path) -> dict[str, Any]:
    """What an alignment's provenance tells of the pretraining it began with: its encoder, its study, its program."""
    notes = _notes(run)
    encoder = file_hash(run / ENCODER)
    return {"encoder_sha256": encoder, "data_hash": notes["data_hash"], "git_sha": notes.get("git_sha")}


def began_with(run: Path) -> dict[str, Any] | None:
    """`pretrained_by` as it was when an alignment began, None where it began without; empty where it does not tell."""
    return _notes(run).get("pretrained", {})


def _notes(run: Path) -> dict[str, Any]:
    try:
        return {"data_hash": ""} | json.loads((run / PROVENANCE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{run / PROVENANCE} cannot be read ({error}): train the run again.") from error


def save_run(directory: Path, config: Config, prepared: Prepared, seed: int, **more: Any) -> None:
    """Write the resolved configuration and the provenance, with what `more` there is to it; the first process does."""
    if parallel.rank():
        return
    directory.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text(directory / CONFIG, text)  # whole at any time: other processes may be reading what was there
    write_text(directory / PROVENANCE, json.dumps(provenance(prepared, seed) | more, indent=1))


def git_sha() -> str:
    """Commit of the program's source, with "+changes" where the tree differs; empty outside a repository."""
    here = Path(__file__).resolve().parents[1]  # what decides the outcome lies below it

    def git(*words: str) -> Any:
        return subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, check=False)

    try:
        head = git("rev-parse", "HEAD")
    except OSError:
        return ""
    if head.returncode:
        return ""
    changed = git("status", "--porcelain", "--", *DECIDES).stdout.strip()
    return head.stdout.strip()[:12] + ("+changes" if changed else "")
