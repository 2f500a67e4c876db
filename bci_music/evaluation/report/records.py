"""The table for programs: one record for every figure, and what rows with several training seeds come to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bci_music.evaluation.report import wording
from bci_music.evaluation.report.verdict import headline
from bci_music.evaluation.results import Result

_TRACE = ("git_sha", "data", "simulated", "data_hash", "normalise", "python", "machine", "threads")


def records(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return one flat mapping for every metric of every result.

    ``row`` is the system, ``name`` the row of the table it stands in (system, condition, seed); ``minutes`` are those
    of training, ``controls`` have value and interval, ``n`` counts independent windows.
    """
    made = []
    for result in results:
        training, model = result.training, result.model
        about = {
            "row": result.row or result.name, "name": result.name, "title": model.title, "kind": result.kind,
            "split": result.split.kind, "snr_db": result.provenance.get("snr_db"),
            "seed": result.provenance.get("seed"),
        }  # fmt: skip
        cost = {
            "steps": training.pretrain_steps + training.align_steps,
            "minutes": round(training.pretrain_minutes + training.align_minutes, 2), "batch": training.batch,
            "parameters": model.parameters, "windows_per_s": model.windows_per_s, "initialised": model.initialised,
            "provenance": {key: result.provenance[key] for key in _TRACE if key in result.provenance},
        }  # fmt: skip
        for metric in result.metrics:
            controls = {
                name: {"value": control.value, "ci95": control.ci95} for name, control in metric.controls.items()
            }
            made.append(about | {
                "metric": metric.name, "value": metric.value, "ci95": metric.ci95, "chance": metric.chance,
                "p": metric.p, "better": metric.better, "controls": controls, "n": metric.n,
                "n_recordings": metric.n_recordings,
            } | cost)  # fmt: skip
    return made


def write_records(results: Sequence[Result], path: Path) -> None:
    """Write `records` as JSON, one record a line."""
    lines = ",\n".join(json.dumps(record, ensure_ascii=False) for record in records(results))
    part = path.with_suffix(".part")
    part.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    part.replace(path)


def seeds_table(results: Sequence[Result]) -> str:
    """Rows that were trained with several seeds, as Markdown: mean, spread and each; empty if there are none."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        name = result.name.rsplit("-seed", 1)[0] if result.kind == "seed" else result.name
        groups.setdefault((result.row or result.name, name), []).append(result)
    lines = []
    for several in groups.values():
        main = headline(several[0])
        if len(several) < 2 or main is None:
            continue
        found = [(r, f) for r in several for f in r.metrics if f.name == main.name]
        values = np.array([f.value for _, f in found])
        each = "; ".join(
            f"{wording.number(f.value)} {wording.interval(f.ci95)} ({r.provenance.get('seed')}, "
            f"{r.training.pretrain_steps + r.training.align_steps:,} steps)" for r, f in found
        )  # fmt: skip
        lines.append(
            f"| {several[0].model.title} | {several[0].split.kind} | {main.label} | "
            f"**{wording.number(values.mean())}** | {wording.number(values.std(ddof=1))} | {each} |"
        )
    if not lines:
        return ""
    head = "| | split | metric | mean over training seeds | SD | each, with its interval by recording (seed, steps) |"
    return "\n".join(["### Training seeds", "", head, "|" + " --- |" * 6, *lines]) + "\n"
