"""The numbers in words: what lies above its controls, what does not, and what a leak explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bci_music.evaluation.report import wording
from bci_music.evaluation.report.seed_paper import ABLATIONS, ORACLE, OURS, SYSTEMS, expected, missing, slot
from bci_music.evaluation.results import Result
from bci_music.metrics.metric import Control, Metric

HEADLINE = "50-way"
SPLITS = ("random", "recording-block", "time-block", "repeat", "recording", "song", "listener")
SIMULATED = (
    "All EEG on this page is simulated and all music is composed. It shows what method and evaluation do with a "
    "signal that was planted; it does not show that a real brain can be read."
)


@dataclass(frozen=True)
class Sentence:
    """One statement of the verdict; `mark` says whether it speaks for the decoder, against it, or neither."""

    mark: Literal["for", "against", "note"]
    text: str


def headline(result: Result) -> Metric | None:
    """Return the metric all results are compared by: 50-way identification in the shared space, else its first."""
    ranked = [f for wanted in (HEADLINE, f"{HEADLINE}-clap") for f in result.metrics if slot(f.name) == wanted]
    return (*ranked, *result.metrics)[0] if result.metrics else None


def comparable(result: Result, main: Metric | None) -> Metric | None:
    """Return the result's metric that stands beside `main`: of the same name, or else nearest to it.

    Under another split there may be music for another k. A result without a space shared with music (linear, audio
    oracle) is taken in the embedder's space.
    """
    if main is None:
        return None
    place = slot(main.name)
    by_name = {f.name: f for f in result.metrics}
    by_slot = {slot(f.name): f for f in result.metrics} if place else {}
    return by_name.get(main.name) or by_slot.get(place) or by_slot.get(f"{place}-clap")


def main_result(results: list[Result]) -> Result:
    """Return the result the page is about: the proposed system, else the first of the table."""
    table = [result for result in results if result.kind == "system"] or results
    return next((result for result in table if expected(result) is OURS), table[0])


def easy_to_hard(results: list[Result]) -> list[Result]:
    """Order results by what their splits keep apart; kinds that are not known come last."""
    order = {kind: place for place, kind in enumerate(SPLITS)}
    return sorted(results, key=lambda result: order.get(result.split.kind, len(order)))


def beats(metric: Metric, control: Control) -> bool:
    """Whether the metric's whole interval lies on the better side of the control's (of its value without one)."""
    if metric.ci95 is None:
        return False
    low, high = control.ci95 or (control.value, control.value)
    return metric.ci95[0] > high if metric.better == "higher" else metric.ci95[1] < low


def stands(metric: Metric) -> bool:
    """Whether the metric clears all the controls it has, or chance where it has none."""
    if metric.controls:
        return all(beats(metric, control) for control in metric.controls.values())
    return metric.chance is not None and beats(metric, Control(value=metric.chance))


def fingerprint(metric: Metric) -> bool:
    """Whether EEG from before the song, when nothing was heard yet, scores above mismatched pairs and chance."""
    before, mismatched = metric.controls.get("before_song"), metric.controls.get("mismatched")
    if before is None or before.ci95 is None:
        return False
    chance = Control(value=metric.chance) if metric.chance is not None else None
    rivals = [c for c in (mismatched, chance) if c is not None]
    early = metric.model_copy(update={"value": before.value, "ci95": before.ci95})
    return bool(rivals) and all(beats(early, rival) for rival in rivals)


def verdict(results: list[Result]) -> list[Sentence]:
    """Say in sentences what the results show, computed from their intervals and controls."""
    ours = main_result(results)
    lines = [_origin(results)]
    if (metric := headline(ours)) is not None:
        lines += [_main(ours, metric), *_others(ours, metric)]
    lines += _splits(results, ours)
    lines += _systems(results, ours)
    lines += _ablations(results, ours)
    return lines + _length(ours)


def _origin(results: list[Result]) -> Sentence:
    simulated = [result.name for result in results if result.simulated]
    if len(simulated) == len(results):
        return Sentence("note", SIMULATED)
    if simulated:
        return Sentence("note", f"Simulated EEG: {wording.listed(simulated)}. The other results rest on recorded EEG.")
    return Sentence("note", f"The EEG is recorded, not simulated: {wording.listed(sorted({r.data for r in results}))}.")


def _main(result: Result, metric: Metric) -> Sentence:
    chance = f"; chance {wording.number(metric.chance)}" if metric.chance is not None else ""
    start = (
        f"{result.model.title}, {result.split.kind} split: {metric.label}, is {wording.number(metric.value)} "
        f"({_bounds(metric)}, {wording.windows(metric)}{chance})"
    )
    if metric.ci95 is None:
        return Sentence("against", f"{start}. Without an interval nothing can be said about it.")
    if not metric.controls:
        return Sentence("against", f"{start}. It has no control beside it, so it says nothing.")
    won = [name for name, control in metric.controls.items() if beats(metric, control)]
    lost = [name for name in metric.controls if name not in won]
    if not lost:
        return Sentence("for", f"{start}: above {_named(metric, won)}.")
    if won:
        return Sentence("against", f"{start}: above {_named(metric, won)}, but not above {_named(metric, lost)}.")
    return Sentence("against", f"{start}: not above {_named(metric, lost)}, so no evidence.")


def _others(result: Result, main: Metric) -> list[Sentence]:
    rest = [f for f in result.metrics if f is not main]
    good = [f"{f.label} ({wording.number(f.value)})" for f in rest if stands(f)]
    poor = [f"{f.label} ({wording.number(f.value)})" for f in rest if not stands(f)]
    lines = []
    if good:
        lines.append(Sentence("for", f"Also beyond every control they have: {'; '.join(good)}."))
    if poor:
        lines.append(Sentence("against", f"Not beyond every control: {'; '.join(poor)}."))
    return lines


def _splits(results: list[Result], ours: Result) -> list[Sentence]:
    lines, main = [], headline(ours)
    chosen = easy_to_hard([r for r in results if r.kind == "split"])
    several = len({result.model.title for result in chosen}) > 1
    for result in chosen:
        metric = comparable(result, main)
        if metric is None:
            continue
        who = f"{result.model.title}: on" if several else "On"
        value = f"{wording.number(metric.value)} ({_bounds(metric)})"
        start = f"{who} the {result.split.kind} split {metric.label}, is {value}"
        if fingerprint(metric):
            before = metric.controls["before_song"]
            lines.append(Sentence("against", (
                f"{start}, but EEG from before the song, when nothing was heard yet, reaches "
                f"{wording.number(before.value)} ({wording.interval(before.ci95)}): the recording is recognised, "
                "and that share is no evidence of music in the EEG."
            )))  # fmt: skip
        elif stands(metric):
            lines.append(Sentence("for", f"{start}: above {_named(metric, list(metric.controls)) or 'chance'}."))
        else:
            lost = [name for name, control in metric.controls.items() if not beats(metric, control)]
            lines.append(Sentence("against", f"{start}: not above {_named(metric, lost) or 'chance'}."))
    return lines


def _systems(results: list[Result], ours: Result) -> list[Sentence]:
    rivals = [r for r in results if r.kind == "system" and r is not ours and expected(r) is not ORACLE]
    lines = []
    if rivals:
        above, level, below = _compared(ours, rivals)
        parts = [f"above {wording.listed(above)}"] if above else []
        parts += [f"not told apart from {wording.listed(level)}"] if level else []
        parts += [f"below {wording.listed(below)}"] if below else []
        if parts:
            text = f"{ours.model.title} against the other decoders, by intervals that do not overlap: "
            text += "; ".join(parts) + "."
            lines.append(Sentence("for" if above and not (level or below) else "against", text))
    if absent := missing(results, SYSTEMS, "system"):
        lines.append(Sentence("note", f"Rows that were not run: {wording.listed(absent)}."))
    return lines


def _ablations(results: list[Result], ours: Result) -> list[Sentence]:
    ablations = [r for r in results if r.kind == "ablation"]
    lines = []
    if ablations:
        worse, level, better = _compared(ours, ablations)
        worse, level, better = ([f"“{title}”" for title in titles] for titles in (worse, level, better))
        parts = [f"lower, by intervals that do not overlap: {wording.listed(worse)}"] if worse else []
        parts += [f"not told from the whole system: {wording.listed(level)}"] if level else []
        parts += [f"higher: {wording.listed(better)}"] if better else []
        if parts:
            lines.append(Sentence("note", "With a part changed: " + "; ".join(parts) + "."))
    if absent := missing(results, ABLATIONS, "ablation"):
        lines.append(Sentence("note", f"Ablations that were not run: {wording.listed([f'“{a}”' for a in absent])}."))
    return lines


def _compared(ours: Result, others: list[Result]) -> tuple[list[str], list[str], list[str]]:
    """Titles of the results ours lies above, cannot be told from, and lies below, by the headline's intervals."""
    above: list[str] = []
    level: list[str] = []
    below: list[str] = []
    mine = headline(ours)
    for result in others:
        theirs = comparable(result, mine)
        same = next((f for f in ours.metrics if theirs is not None and f.name == theirs.name), None)
        if mine is None or same is None or theirs is None or same.ci95 is None or theirs.ci95 is None:
            continue
        title = result.model.title + ("" if same is mine else " (both in the embedder's space)")
        if beats(same, Control(value=theirs.value, ci95=theirs.ci95)):
            above.append(title)
        elif beats(theirs, Control(value=same.value, ci95=same.ci95)):
            below.append(title)
        else:
            level.append(title)
    return above, level, below


def _length(result: Result) -> list[Sentence]:
    training, recipe = result.training, result.training.recipe
    done = training.pretrain_steps + training.align_steps
    whole = recipe.get("pretrain_steps", 0) + recipe.get("align_steps", 0)
    if not done or not whole:
        return []
    return [Sentence("note", (
        f"{result.model.title} learned for {training.pretrain_steps:,} + {training.align_steps:,} steps of "
        f"{training.batch} windows; the recipe has {recipe.get('pretrain_steps', 0):,} + "
        f"{recipe.get('align_steps', 0):,} ({wording.share(done, whole)} of its steps). A short run is not a weak "
        "model."
    ))]  # fmt: skip


def _bounds(metric: Metric) -> str:
    return "no interval" if metric.ci95 is None else f"95 % interval {wording.interval(metric.ci95)}"


def _named(metric: Metric, names: list[str]) -> str:
    return wording.listed([
        f"{wording.control(name)} ({wording.number(metric.controls[name].value)})" for name in names
    ])  # fmt: skip
