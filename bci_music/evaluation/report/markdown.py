"""The table of results as Markdown, for docs/results."""

from __future__ import annotations

from collections.abc import Sequence

from bci_music.evaluation.report import wording
from bci_music.evaluation.report.seed_paper import ABLATIONS, SETTING, SOURCE, SYSTEMS, expected, published
from bci_music.evaluation.report.tables import labels, metric_names, not_to_be_had
from bci_music.evaluation.report.verdict import headline
from bci_music.evaluation.results import Result
from bci_music.metrics.metric import Metric

KINDS = {"system": ("Systems", SYSTEMS), "ablation": ("Ablations", ABLATIONS), "split": ("Splits", ())}


def markdown_table(results: Sequence[Result]) -> str:
    """Return the results as Markdown tables: one per kind of result, each cell with interval, controls and n.

    What a complete table would have and was not run is named under it.
    """
    parts = []
    for kind, (title, lines) in KINDS.items():
        chosen = [result for result in results if result.kind == kind]
        if not chosen:
            continue
        filled = {line.title for result in chosen if (line := expected(result))}
        absent = [line.title for line in lines if line.title not in filled]
        parts += [f"### {title}", _origin(chosen), _table(chosen), *_protocols(chosen)]
        if lacking := not_to_be_had(chosen, [f.name for result in chosen for f in result.metrics]).strip():
            parts.append(lacking)
        if absent:
            parts.append(f"Not run: {wording.listed(absent)}.")
    return "\n\n".join(parts) + "\n"


def _origin(results: Sequence[Result]) -> str:
    sentences = wording.listed(sorted({result.data for result in results}))
    simulated = "**Simulated EEG.** " if any(result.simulated for result in results) else ""
    return (
        f"{simulated}{sentences}. A cell: value [95 % interval by recording]; controls: mismatched pairs / EEG from "
        f"before the song / mean embedding; n windows / recordings. *Published* is {SOURCE}: {SETTING}."
    )


def _table(results: Sequence[Result]) -> str:
    names = metric_names(results, main=True) + metric_names(results, main=False)
    head = ["", "split", *labels(results, names), "published 50-way", "parameters", "windows/s",
            "steps (pretrain + align)", "minutes"]  # fmt: skip
    lines = [head, ["---"] * len(head)]
    for result in results:
        by_name = {f.name: f for f in result.metrics}
        was = published(result, "50-way") if result.kind != "split" else None
        speed = result.model.windows_per_s
        lines.append([
            f"{result.model.title} ({result.model.initialised})", result.split.kind,
            *(_cell(by_name.get(n)) for n in names),
            "–" if was is None else wording.number(was), wording.count(result.model.parameters),
            "–" if speed is None else wording.number(speed), _steps(result), f"{result.minutes:.1f}",
        ])  # fmt: skip
    return "\n".join("| " + " | ".join(_plain(cell) for cell in line) + " |" for line in lines)


def _steps(result: Result) -> str:
    training, recipe = result.training, result.training.recipe
    return (
        f"{training.pretrain_steps:,} + {training.align_steps:,} "
        f"(recipe {wording.count(recipe.get('pretrain_steps', 0))} + {wording.count(recipe.get('align_steps', 0))})"
    )


def _cell(metric: Metric | None) -> str:
    if metric is None:
        return "–"
    between = "no interval" if metric.ci95 is None else f"[{', '.join(wording.number(v) for v in metric.ci95)}]"
    controls = " / ".join(
        wording.number(metric.controls[name].value) if name in metric.controls else "–" for name in wording.CONTROLS
    )
    for name in metric.controls.keys() - wording.CONTROLS.keys():
        controls += f" / {wording.control(name)} {wording.number(metric.controls[name].value)}"
    p = "" if metric.p is None else f"; {wording.p_value(metric.p)}"
    return f"**{wording.number(metric.value)}** {between}; {controls}; {metric.n:,} / {metric.n_recordings}{p}"


def _protocols(results: Sequence[Result]) -> list[str]:
    """One line per metric that says how it was made, as the first result has it."""
    first: dict[str, Metric] = {}
    for result in results:
        for metric in result.metrics:
            first.setdefault(metric.name, metric)
    main = headline(results[0])
    ordered = sorted(first.values(), key=lambda f: main is None or f.name != main.name)
    return ["\n".join(f"- *{f.label}*: {f.protocol}" for f in ordered)]


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
