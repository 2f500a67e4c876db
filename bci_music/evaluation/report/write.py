"""Put the report together: one page and one JSON from the rows of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml

from bci_music.config import Config
from bci_music.eeg.montage import Montage
from bci_music.evaluation.report import page, sections, wording
from bci_music.evaluation.report.published import ABLATIONS, SYSTEMS, missing
from bci_music.evaluation.report.verdict import main_row, verdict
from bci_music.evaluation.results import ResultRow
from bci_music.messages import UserError

MAX_BYTES = 3_000_000


class Report(Config):
    """What ``report.json`` holds: the verdict in words, what is missing, and all rows."""

    format: Literal[1] = 1
    simulated: bool
    verdict: tuple[str, ...]
    missing: dict[str, tuple[str, ...]]
    rows: tuple[ResultRow, ...]


def write_report(rows: Sequence[ResultRow], out_dir: Path, montage: Montage | None = None) -> None:
    """Write ``report.html`` (self-contained, without script) and ``report.json`` into `out_dir`.

    Parameters
    ----------
    rows : sequence of ResultRow
        Any number of systems, ablations and splits; lines a complete table has and these lack are named as not run.
    out_dir : Path
        Made if it is not there.
    montage : Montage, optional
        Where the channels of the attention maps sit; default the NMED layout.

    Raises
    ------
    UserError
        When there is no row, or the attention maps do not fit the montage.
    """
    rows = list(rows)
    if not rows:
        raise UserError("There is no result to report: run `bci-music evaluate` or `bci-music ablate` first.")
    said = verdict(rows)
    html = page.render(
        title="Can the decoder be trusted?", subtitle=_subtitle(rows), badges=_badges(rows), verdict=said,
        sections=sections.build(rows, montage or Montage.nmed()), provenance=[_made(row) for row in rows],
    )  # fmt: skip
    if len(html.encode()) > MAX_BYTES:
        raise UserError(
            f"The report would weigh {len(html.encode()) / 1e6:.1f} MB, at most {MAX_BYTES / 1e6:.0f} are meant: "
            "give it fewer rows with attention maps, or thin their curves."
        )
    report = Report(
        simulated=any(row.simulated for row in rows), verdict=tuple(s.text for s in said), rows=tuple(rows),
        missing={
            "systems": tuple(missing(rows, SYSTEMS, "row")), "ablations": tuple(missing(rows, ABLATIONS, "ablation")),
        },
    )  # fmt: skip
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, text in (("report.json", report.model_dump_json(indent=1)), ("report.html", html)):
        part = out_dir / f"{name}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(out_dir / name)


def _subtitle(rows: Sequence[ResultRow]) -> str:
    main = main_row(list(rows))
    parts = [wording.listed(sorted({row.data for row in rows})), main.split.describe]
    parts += [f"generator: {main.generator}"] if main.generator else []
    parts += [f"embedder: {main.embedder}"] if main.embedder else []
    return "; ".join(parts) + "."


def _badges(rows: Sequence[ResultRow]) -> list[str]:
    if all(row.simulated for row in rows):
        return ["▲ simulated EEG, composed music"]
    return ["▲ some rows: simulated EEG"] if any(row.simulated for row in rows) else []


def _made(row: ResultRow) -> tuple[str, str]:
    """Name of a row and its protocols, split and provenance as YAML."""
    what = {
        "data": row.data, "simulated": row.simulated, "split": row.split.model_dump(mode="json"),
        "initialised": row.model.initialised, "generator": row.generator, "embedder": row.embedder,
        "protocols": {f.label: f.protocol for f in row.figures},
        "controls": {f.label: {k: c.protocol for k, c in f.controls.items() if c.protocol} for f in row.figures},
        "not to be had": {f.label: f.missing for f in row.figures if f.missing},
        "provenance": row.model_dump(mode="json")["provenance"],
    }  # fmt: skip
    said = {key: value for key, value in what.items() if value not in ({}, "")}
    text = yaml.safe_dump(said, allow_unicode=True, sort_keys=False, width=110)
    return f"{row.model.title} ({row.kind}, {row.split.kind} split)", text
