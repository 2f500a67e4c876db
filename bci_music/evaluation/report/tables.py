"""The tables of the report as plain values: what stands in each cell, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bci_music.evaluation.report import wording
from bci_music.evaluation.report.seed_paper import PRINTED, SLOTS, Expected, expected, published, slot
from bci_music.evaluation.report.verdict import stands
from bci_music.evaluation.results import Result
from bci_music.metrics.metric import Metric


@dataclass(frozen=True)
class Cell:
    """A value, what is written small beneath it, and whether it stands (None: nothing is claimed)."""

    text: str
    small: tuple[str, ...] = ()
    stands: bool | None = None


@dataclass(frozen=True)
class Line:
    """One line of a table; without cells it was not run."""

    title: str
    note: str
    cells: tuple[Cell, ...]
    chosen: bool = False


@dataclass(frozen=True)
class Table:
    """Columns in groups, lines, and the protocol in words.

    `groups` are (title, number of columns) from left to right, after the column of titles.
    """

    groups: tuple[tuple[str, int], ...]
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    caption: str


def metric_cell(metric: Metric | None) -> Cell:
    """Value, interval, controls in the order of `wording.CONTROLS`, n and p of one metric."""
    if metric is None:
        return Cell("–")
    controls = [metric.controls.get(name) for name in wording.CONTROLS]
    written = ["–" if control is None else wording.number(control.value) for control in controls]
    written += [
        f"{wording.control(name)} {wording.number(control.value)}"
        for name, control in metric.controls.items() if name not in wording.CONTROLS
    ]  # fmt: skip
    counts = f"{wording.count(metric.n)} / {metric.n_recordings}"
    return Cell(wording.number(metric.value), (
        wording.interval(metric.ci95),
        " · ".join(written),
        counts if metric.p is None else f"{counts}, {wording.p_value(metric.p)}",
    ), stands(metric))  # fmt: skip


def metric_names(results: Sequence[Result], *, main: bool) -> list[str]:
    """Names of the metrics that belong in the main table, in its order, or of the further ones, as they come."""
    names = dict.fromkeys(f.name for result in results for f in result.metrics)
    if not main:
        return [name for name in names if slot(name) is None]
    return sorted((name for name in names if slot(name)), key=lambda name: SLOTS.index(str(slot(name))))


def not_to_be_had(results: Sequence[Result], names: Sequence[str]) -> str:
    """Say what is missing beside the metrics named, and why, each reason once; empty if nothing is."""
    words = wording.CONTROLS | {
        "p": "p", "ci95": "an interval", "fad": "Fréchet audio distance", "genre": "genre agreement",
    }  # fmt: skip
    reasons: dict[str, list[str]] = {}
    for result in results:
        for metric in (f for f in result.metrics if f.name in names):
            for what, why in metric.missing.items():
                whats = reasons.setdefault(why, [])
                whats += [sentences] if (sentences := words.get(what, what)) not in whats else []
    if not reasons:
        return ""
    return " Not to be had: " + "; ".join(f"{wording.listed(whats)} ({why})" for why, whats in reasons.items()) + "."


def labels(results: Sequence[Result], names: Sequence[str]) -> tuple[str, ...]:
    """Labels of metrics, with an arrow where lower is better."""
    by_name = {f.name: f for result in reversed(results) for f in result.metrics}
    return tuple(by_name[n].label + (" (lower is better)" if by_name[n].better == "lower" else "") for n in names)


def metrics_table(
    results: Sequence[Result], names: Sequence[str], ours: Result, *,
    lines: Sequence[Expected] = (), beside: bool = False, caption: str = "",
) -> Table:
    """Rows against metrics, what was published beside them under a heading of its own.

    Parameters
    ----------
    results : sequence of Result
    names : sequence of str
        Keys of the metrics that become columns.
    ours : Result
        The result to set off.
    lines : sequence of Expected
        What a complete table has; those that no result fills are named as not run.
    beside : bool
        Add the article's metrics.
    """  # fmt: skip
    printed = [key for key in PRINTED if any(key in line.metrics for line in lines)] if beside else []
    groups = [(_setting(results), len(names))]
    if printed:
        groups.append(("published: real EEG, random split, another generator", len(printed)))
    mixed = len({r.split.kind for r in results}) > 1
    made = [_line(r, names, printed, r is ours, mixed=mixed) for r in results]
    filled = {line.title for result in results if (line := expected(result))}
    made += [
        Line(line.title, "not run", tuple(Cell("not run") for _ in names)
             + tuple(_printed(line.metrics.get(key)) for key in printed))
        for line in lines if line.title not in filled
    ]  # fmt: skip
    columns = (*labels(results, names), *(PRINTED[key] for key in printed))
    return Table(tuple(groups), columns, tuple(made), caption + not_to_be_had(results, names))


def _line(result: Result, names: Sequence[str], printed: Sequence[str], chosen: bool, *, mixed: bool) -> Line:
    by_name = {f.name: f for f in result.metrics}
    cells = [metric_cell(by_name.get(name)) for name in names] + [_printed(published(result, key)) for key in printed]
    notes = [_start(result)] + ([f"{result.split.kind} split"] if mixed else [])
    return Line(result.model.title, ", ".join(notes), tuple(cells), chosen)


def _start(result: Result) -> str:
    return f"weights at start: {result.model.initialised}"


def _printed(value: float | None) -> Cell:
    return Cell("–" if value is None else wording.number(value))


def _setting(results: Sequence[Result]) -> str:
    kinds = sorted({result.split.kind for result in results})
    eeg = {True: "simulated EEG", False: "recorded EEG"}
    return f"here: {wording.listed(sorted({eeg[r.simulated] for r in results}))}, {wording.listed(kinds)} split"


def cost_table(results: Sequence[Result], ours: Result) -> Table:
    """Size, speed and length of training of every result, beside the recipe."""
    columns = ("parameters", "tokens a window", "windows/s", "pretrain steps", "min", "align steps", "min", "batch",
               "training and evaluation, min")  # fmt: skip
    groups = (("model", 3), ("pretraining", 2), ("alignment", 3), ("", 1))
    lines = [Line(result.model.title, _start(result), _cost(result), result is ours) for result in results]
    return Table(groups, columns, tuple(lines), (
        "Steps and minutes beside the recipe's (small print: share of the recipe's steps), so that nobody mistakes a "
        "short run for a weak model. windows/s: encoder forward on the machine of this run."
    ))  # fmt: skip


def _cost(result: Result) -> tuple[Cell, ...]:
    model, training = result.model, result.training

    def steps(name: str) -> Cell:
        done, recipe = getattr(training, name), training.recipe.get(name, 0)
        small = (f"{wording.share(done, recipe)} of {wording.count(recipe)}",) if recipe and done else ()
        return Cell(f"{done:,}" if done else "none", small)

    recipe_batch = training.recipe.get("batch")
    return (
        Cell(wording.count(model.parameters)),
        Cell("–" if model.tokens_per_window is None else f"{model.tokens_per_window:,}"),
        Cell("–" if model.windows_per_s is None else wording.number(model.windows_per_s)),
        steps("pretrain_steps"), Cell(f"{training.pretrain_minutes:.1f}" if training.pretrain_steps else "–"),
        steps("align_steps"), Cell(f"{training.align_minutes:.1f}" if training.align_steps else "–"),
        Cell(f"{training.batch}", (f"of {recipe_batch}",) if recipe_batch else ()) if training.batch else Cell("–"),
        Cell(f"{result.minutes:.1f}"),
    )  # fmt: skip


def split_table(results: Sequence[Result]) -> Table:
    """How each split kept training and test apart, and what both sides still share."""
    names = list(dict.fromkeys(name for result in results for name in result.split.shared))
    lines = [
        Line(result.split.kind, _apart(result.split.describe), (
            Cell(f"{result.split.n_train:,}"), Cell(f"{result.split.n_test:,}"), Cell(f"{result.split.n_recordings}"),
            *(Cell(f"{result.split.shared[name]:,}" if name in result.split.shared else "–") for name in names),
            Cell(f"{result.split.seed}"),
        )) for result in results
    ]  # fmt: skip
    shared = (("", 1), ("on both sides", len(names)), ("", 1)) if names else (("", 2),)
    columns = ("training", "test", "test recordings", *(n.replace("_", " ") for n in names), "seed")
    return Table((("windows", 2), *shared), columns, tuple(lines), (
        "What lies on both sides of a split may be remembered instead of decoded: the same song-seconds heard by other "
        "listeners, or the same recording with its own fingerprint."
    ))  # fmt: skip


def _apart(describe: str) -> str:
    """Return what a split keeps apart; its numbers stand in columns of their own."""
    return describe.partition("kept apart: ")[2] or describe
