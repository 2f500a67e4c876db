"""The table of results as Markdown, for docs/results."""

from __future__ import annotations

from collections.abc import Sequence

from bci_music.evaluation.report import wording
from bci_music.evaluation.report.published import ABLATIONS, SETTING, SOURCE, SYSTEMS, expected, published
from bci_music.evaluation.report.tables import figure_names, labels, not_to_be_had
from bci_music.evaluation.report.verdict import headline
from bci_music.evaluation.results import Figure, ResultRow

KINDS = {"row": ("Systems", SYSTEMS), "ablation": ("Ablations", ABLATIONS), "split": ("Splits", ())}


def markdown_table(rows: Sequence[ResultRow]) -> str:
    """Return the rows as Markdown tables: one per kind of row, each cell with interval, controls and n.

    What a complete table would have and was not run is named under it.
    """
    parts = []
    for kind, (title, lines) in KINDS.items():
        chosen = [row for row in rows if row.kind == kind]
        if not chosen:
            continue
        filled = {line.title for row in chosen if (line := expected(row))}
        absent = [line.title for line in lines if line.title not in filled]
        parts += [f"### {title}", _origin(chosen), _table(chosen), *_protocols(chosen)]
        if lacking := not_to_be_had(chosen, [f.name for row in chosen for f in row.figures]).strip():
            parts.append(lacking)
        if absent:
            parts.append(f"Not run: {wording.listed(absent)}.")
    return "\n\n".join(parts) + "\n"


def _origin(rows: Sequence[ResultRow]) -> str:
    said = wording.listed(sorted({row.data for row in rows}))
    simulated = "**Simulated EEG.** " if any(row.simulated for row in rows) else ""
    return (
        f"{simulated}{said}. A cell: value [95 % interval by recording]; controls: deranged pairs / EEG from before "
        f"the song / mean embedding; n windows / recordings. *Published* is {SOURCE}: {SETTING}."
    )


def _table(rows: Sequence[ResultRow]) -> str:
    names = figure_names(rows, main=True) + figure_names(rows, main=False)
    head = ["", "split", *labels(rows, names), "published 50-way", "parameters", "windows/s",
            "steps (pretrain + align)", "minutes"]  # fmt: skip
    lines = [head, ["---"] * len(head)]
    for row in rows:
        by_name = {f.name: f for f in row.figures}
        was = published(row, "50-way") if row.kind != "split" else None
        speed = row.model.windows_per_s
        lines.append([
            f"{row.model.title} ({row.model.initialised})", row.split.kind, *(_cell(by_name.get(n)) for n in names),
            "–" if was is None else wording.number(was), wording.count(row.model.parameters),
            "–" if speed is None else wording.number(speed), _steps(row), f"{row.minutes:.1f}",
        ])  # fmt: skip
    return "\n".join("| " + " | ".join(_plain(cell) for cell in line) + " |" for line in lines)


def _steps(row: ResultRow) -> str:
    training, recipe = row.training, row.training.recipe
    return (
        f"{training.pretrain_steps:,} + {training.align_steps:,} "
        f"(recipe {wording.count(recipe.get('pretrain_steps', 0))} + {wording.count(recipe.get('align_steps', 0))})"
    )


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "–"
    between = "no interval" if figure.ci95 is None else f"[{', '.join(wording.number(v) for v in figure.ci95)}]"
    controls = " / ".join(
        wording.number(figure.controls[name].value) if name in figure.controls else "–" for name in wording.CONTROLS
    )
    for name in figure.controls.keys() - wording.CONTROLS.keys():
        controls += f" / {wording.control(name)} {wording.number(figure.controls[name].value)}"
    p = "" if figure.p is None else f"; {wording.p_value(figure.p)}"
    return f"**{wording.number(figure.value)}** {between}; {controls}; {figure.n:,} / {figure.n_recordings}{p}"


def _protocols(rows: Sequence[ResultRow]) -> list[str]:
    """One line per figure that says how it was made, as the first row has it."""
    first: dict[str, Figure] = {}
    for row in rows:
        for figure in row.figures:
            first.setdefault(figure.name, figure)
    main = headline(rows[0])
    ordered = sorted(first.values(), key=lambda f: main is None or f.name != main.name)
    return ["\n".join(f"- *{f.label}*: {f.protocol}" for f in ordered)]


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
