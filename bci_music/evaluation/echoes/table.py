"""The table of reconstructions as Markdown for people and as records for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bci_music.evaluation.echoes.evaluate import Evaluation
from bci_music.evaluation.echoes.figures import EARLIER, LATER, RowFigures, SoundMetric
from bci_music.evaluation.echoes.rows import SPLITS, TITLES
from bci_music.evaluation.report import wording
from bci_music.files import write_whole
from bci_music.metrics.metric import Metric

PARTS = {
    "The segment's spectrum": (
        "spectrum-rank", "spectrum-top1", "spectrum-top3", "spectrum-r", "spectrum-other-song", "spectrum-same-song",
    ),
    "Timing": ("flux-r", "envelope-r", "pattern-r", "onset-f-50", "onset-f-100", "onset-f-200"),
    "Pictures and vectors of the sound": ("ssim", "psnr", "clap", "fad"),
}  # fmt: skip
# Echoes of the Brain (IEEE TMM 2025): 30 segments of 10 songs of NMED-T, its published reconstructions, measured with
# the same 64-band mean spectrum; intervals over songs.
PUBLISHED = {
    "listener": {"spectrum-rank": "5.0", "spectrum-top3": ".47", "spectrum-r": ".819",
                 "spectrum-other-song": "+.195 [.151, .246]", "spectrum-same-song": "+.127 [.064, .195]",
                 "envelope-r": ".040", "pattern-r": ".020"},
    "time-block": {"spectrum-rank": "3.9", "spectrum-top3": ".50", "spectrum-r": ".835",
                   "spectrum-other-song": "+.185 [.153, .217]", "spectrum-same-song": "+.137 [.076, .198]",
                   "envelope-r": ".016", "pattern-r": ".011"},
}  # fmt: skip
_SIMULATED = (
    "**The EEG is simulated**: the figures show what is found of what was planted, not that a brain can be read."
)
BOTH = ("spectrum-rank", "spectrum-other-song", "flux-r", "onset-f-100")  # of the comparison of splits


def markdown(evaluation: Evaluation) -> str:
    """Write everything as Markdown, from the second heading on."""
    lines = [
        "Each cell: value [95 % interval over songs and listeners], then *m* the mismatched control (music of other "
        "songs) and, where there is one, *b* the before-song control (EEG from before the music).",
        "",
    ]
    if evaluation.simulated:
        lines += [_SIMULATED, ""]
    found = sentences(evaluation)
    if found:
        lines += ["## What the numbers say", "", *(f"- {sentence}" for sentence in found), ""]
    for split in evaluation.splits:
        lines += _split(evaluation, split)
    lines += _both(evaluation)
    lines += _made(evaluation)
    return "\n".join(lines).rstrip() + "\n"


def sentences(evaluation: Evaluation) -> list[str]:
    """Whether the segment is identified and its timing followed, split by split, from the intervals alone."""
    lines = []
    for split in evaluation.splits:
        rows = {row.row: row for row in evaluation.of_split(split)}
        for key in (EARLIER, LATER):
            rank = rows[key].metrics.get("spectrum-rank") if key in rows else None
            if rank is not None and rank.chance is not None and "mismatched" in rank.controls:
                wrong = rank.controls["mismatched"]
                ends = "apart, the own one better" if rank.apart() else "not apart"
                lines.append(
                    f"{rows[key].title}, {split} split: rank {wording.number(rank.value)} of "
                    f"{2 * rank.chance:.0f} by mean spectrum (95 % {wording.interval(rank.ci95)}), music of other "
                    f"songs {wording.number(wrong.value)} ({wording.interval(wrong.ci95)}): the intervals are {ends}."
                )
        lines += [d.sentence() for d in evaluation.differences if d.split == split]
        flux = rows["ridge-onset"].metrics.get("flux-r") if "ridge-onset" in rows else None
        if flux is not None:
            lines.append(
                f"{rows['ridge-onset'].title}, {flux.label}, {split} split: {wording.number(flux.value)} (95 % "
                f"{wording.interval(flux.ci95)})."
            )
    return lines


def records(evaluation: Evaluation) -> list[dict[str, Any]]:
    """One flat mapping for every figure, as in the lab's table; also for every one that is missing, and why."""
    made: list[dict[str, Any]] = []
    for row in evaluation.rows:
        about = {"row": row.row, "title": row.title, "split": row.split}
        costs = {name: row.costs.get(name) for name in ("steps", "minutes", "parameters")}
        more = {"made_by": row.made_by, "simulated": row.simulated, "lag_s": row.lag_s}
        for name, metric in row.metrics.items():
            curve = {"lag_curve": row.curves[name].as_json()} if name in row.curves else {}
            made.append(about | _record(metric) | costs | more | curve)
        made += [about | {"metric": name, "value": None, "missing": why} for name, why in row.missing.items()]
    made += [
        {"row": f"{d.later} - {d.earlier}", "title": d.title, "split": d.split} | _record(d.metric)
        for d in evaluation.differences
    ]
    return made + [
        {"row": key, "title": TITLES[key], "split": split, "metric": None, "value": None, "missing": "not run"}
        for split, keys in evaluation.not_run.items() for key in keys
    ]  # fmt: skip


def _record(metric: SoundMetric) -> dict[str, Any]:
    return {
        "metric": metric.name, "value": metric.value, "ci95": metric.ci95, "chance": metric.chance,
        "better": metric.better,
        "controls": {name: {"value": c.value, "ci95": c.ci95} for name, c in metric.controls.items()},
        "n": metric.n, "n_songs": metric.n_songs, "n_listeners": metric.n_listeners,
    }  # fmt: skip


def _split(evaluation: Evaluation, split: str) -> list[str]:
    rows = evaluation.of_split(split)
    lines = [f"## {_named(split)}", ""]
    for heading, names in PARTS.items():
        lines += [f"### {heading}", "", *_part(rows, names, PUBLISHED.get(split, {})), ""]
    if evaluation.not_run.get(split):
        lines += [f"Not run: {wording.listed([TITLES[key] for key in evaluation.not_run[split]])}.", ""]
    return lines


def _part(rows: Sequence[RowFigures], names: Sequence[str], published: dict[str, str]) -> list[str]:
    labels = {name: m.label for row in rows for name in names if (m := row.metrics.get(name)) is not None}
    shown = [name for name in names if name in labels]
    if not shown:
        whys = sorted({row.missing[name] for row in rows for name in names if name in row.missing})
        return [f"None: {'; '.join(whys)}."]
    chances = {name: {row.metrics[name].chance for row in rows if name in row.metrics} for name in shown}
    lines = [
        "| row | n (songs, listeners) | " + " | ".join(_head(labels[name], chances[name]) for name in shown) + " |",
        "|---|---|" + "---|" * len(shown),
    ]
    for row in rows:
        own = [row.metrics[name] for name in shown if name in row.metrics]
        if own:
            n = f"{own[0].n:,} ({own[0].n_songs}, {own[0].n_listeners})"
            lines.append(f"| {row.title} | {n} | " + " | ".join(_cell(row.metrics.get(name)) for name in shown) + " |")
    if set(published) & set(shown):
        cells = " | ".join(published.get(name, "") for name in shown)
        lines.append(f"| *published reconstructions, real EEG, other music* | 30 (10, ?) | {cells} |")
    return lines


def _head(label: str, chances: set[float | None]) -> str:
    known = sorted(chance for chance in chances if chance is not None)
    if not known:
        return label
    ends = [wording.number(known[0]), wording.number(known[-1])]
    return f"{label} (chance {' to '.join(dict.fromkeys(ends))})"


def _cell(metric: Metric | None) -> str:
    if metric is None:
        return "—"
    ends = "" if metric.ci95 is None else f" [{wording.number(metric.ci95[0])}, {wording.number(metric.ci95[1])}]"
    controls = [
        f"*{letter}* {wording.number(metric.controls[name].value)}"
        for letter, name in (("m", "mismatched"), ("b", "before_song")) if name in metric.controls
    ]  # fmt: skip
    return f"**{wording.number(metric.value)}**{ends}" + (f"; {', '.join(controls)}" if controls else "")


def _both(evaluation: Evaluation) -> list[str]:
    """Subject-dependent beside subject-independent, for the rows that have both."""
    splits = [split for split in SPLITS if split in evaluation.splits]
    if len(splits) < 2:
        return []
    found = {split: {row.row: row for row in evaluation.of_split(split)} for split in splits}
    keys = [key for key in found[splits[0]] if key in found[splits[1]]]
    names = [n for n in BOTH if any(n in found[s][key].metrics for s in splits for key in keys)]
    if not names:
        return []
    labels = {n: next(found[s][k].metrics[n].label for s in splits for k in keys if n in found[s][k].metrics)
              for n in names}  # fmt: skip
    lines = ["## Subject-dependent beside subject-independent", "", "| row | | " + " | ".join(labels.values()) + " |"]
    lines.append("|---|---|" + "---|" * len(names))
    for key in keys:
        for split in splits:
            cells = " | ".join(_cell(found[split][key].metrics.get(name)) for name in names)
            lines.append(f"| {found[split][key].title} | {SPLITS[split]} | {cells} |")
    return [*lines, ""]


def _made(evaluation: Evaluation) -> list[str]:
    """How the sounds of each row were made, as far as it says so."""
    lines = []
    for row in evaluation.rows:
        units = (("steps", "steps"), ("minutes", "min of training"), ("parameters", "parameters"))
        costs = [f"{row.costs[name]:,.4g} {unit}" for name, unit in units if name in row.costs]
        about = "; ".join([*([row.made_by] if row.made_by else []), *costs])
        lines += [f"- {row.title}, {row.split} split: {about}."] if about else []
    return ["## How the rows were made", "", *lines, ""] if lines else []


def _named(split: str) -> str:
    return f"{SPLITS[split].capitalize()}: {split} split" if split in SPLITS else f"{split.capitalize()} split"


def write_evaluation(evaluation: Evaluation, out: Path) -> list[Path]:
    """Write ``echoes.md`` and ``echoes.json``, each whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(record, ensure_ascii=False) for record in records(evaluation))
    page = f"# Music reconstructed from EEG\n\n{markdown(evaluation)}"
    texts = {"echoes.md": page, "echoes.json": f"[\n{lines}\n]\n"}
    for name, text in texts.items():
        write_whole(out / name, partial(Path.write_text, data=text, encoding="utf-8"))
    return [out / name for name in texts]
