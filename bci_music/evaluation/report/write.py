"""Put the report together: one page and one JSON from the results of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml

from bci_music.config import Config
from bci_music.eeg.montage import Montage
from bci_music.evaluation.report import page, sections, wording
from bci_music.evaluation.report.seed_paper import ABLATIONS, SYSTEMS, missing
from bci_music.evaluation.report.verdict import main_result, verdict
from bci_music.evaluation.results import Result
from bci_music.messages import UserError

MAX_BYTES = 3_000_000


class EvaluationReport(Config):
    """What ``report.json`` holds: the verdict in words, what is missing, and all results."""

    RENAMED = {"rows": "results"}

    format: Literal[1] = 1
    simulated: bool
    verdict: tuple[str, ...]
    missing: dict[str, tuple[str, ...]]
    results: tuple[Result, ...]


def write_report(results: Sequence[Result], out_dir: Path, montage: Montage | None = None) -> None:
    """Write ``report.html`` (self-contained, without script) and ``report.json`` into `out_dir`.

    Parameters
    ----------
    results : sequence of Result
        Any number of systems, ablations and splits; lines a complete table has and these lack are named as not run.
    out_dir : Path
        Made if it is not there.
    montage : Montage, optional
        Where the channels of the attention maps sit; default the NMED layout.

    Raises
    ------
    UserError
        When there is no result, or the attention maps do not fit the montage.
    """
    results = list(results)
    if not results:
        raise UserError("There is no result to report: run `bci-music evaluate` or `bci-music ablate` first.")
    lines = verdict(results)
    html = page.render(
        title="Can the decoder be trusted?", subtitle=_subtitle(results), badges=_badges(results), verdict=lines,
        sections=sections.build(results, montage or Montage.nmed()), provenance=[_made(result) for result in results],
    )  # fmt: skip
    if len(html.encode()) > MAX_BYTES:
        raise UserError(
            f"The report would weigh {len(html.encode()) / 1e6:.1f} MB, at most {MAX_BYTES / 1e6:.0f} are meant: "
            "give it fewer results with attention maps, or thin their curves."
        )
    report = EvaluationReport(
        simulated=any(r.simulated for r in results), verdict=tuple(s.text for s in lines), results=tuple(results),
        missing={
            "systems": tuple(missing(results, SYSTEMS, "system")),
            "ablations": tuple(missing(results, ABLATIONS, "ablation")),
        },
    )  # fmt: skip
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, text in (("report.json", report.model_dump_json(indent=1)), ("report.html", html)):
        part = out_dir / f"{name}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(out_dir / name)


def _subtitle(results: Sequence[Result]) -> str:
    main = main_result(list(results))
    parts = [wording.listed(sorted({result.data for result in results})), main.split.describe]
    parts += [f"generator: {main.generator}"] if main.generator else []
    parts += [f"embedder: {main.embedder}"] if main.embedder else []
    return "; ".join(parts) + "."


def _badges(results: Sequence[Result]) -> list[str]:
    if all(result.simulated for result in results):
        return ["▲ simulated EEG, composed music"]
    return ["▲ some results: simulated EEG"] if any(result.simulated for result in results) else []


def _made(result: Result) -> tuple[str, str]:
    """Name of a result and its protocols, split and provenance as YAML."""
    what = {
        "data": result.data, "simulated": result.simulated, "split": result.split.model_dump(mode="json"),
        "initialised": result.model.initialised, "generator": result.generator, "embedder": result.embedder,
        "protocols": {f.label: f.protocol for f in result.metrics},
        "controls": {f.label: {k: c.protocol for k, c in f.controls.items() if c.protocol} for f in result.metrics},
        "not to be had": {f.label: f.missing for f in result.metrics if f.missing},
        "provenance": result.model_dump(mode="json")["provenance"],
    }  # fmt: skip
    lines = {key: value for key, value in what.items() if value not in ({}, "")}
    text = yaml.safe_dump(lines, allow_unicode=True, sort_keys=False, width=110)
    return f"{result.model.title} ({result.kind}, {result.split.kind} split)", text
