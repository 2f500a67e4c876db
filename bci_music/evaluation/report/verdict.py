"""The numbers in words: what lies above its controls, what does not, and what a leak explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bci_music.evaluation.report import wording
from bci_music.evaluation.report.published import ABLATIONS, ORACLE, OURS, SYSTEMS, expected, missing, slot
from bci_music.evaluation.results import Control, Figure, ResultRow

HEADLINE = "50-way"
SPLITS = ("random", "recording-block", "time-block", "repeat", "recording", "song", "listener")
SIMULATED = (
    "All EEG on this page is simulated and all music is composed. It shows what the method and the judge do with a "
    "signal that was planted; it does not show that a real brain can be read."
)


@dataclass(frozen=True)
class Sentence:
    """One statement of the verdict; `mark` says whether it speaks for the decoder, against it, or neither."""

    mark: Literal["for", "against", "note"]
    text: str


def headline(row: ResultRow) -> Figure | None:
    """Return the figure all rows are compared by: 50-way identification in the shared space, else the row's first."""
    ranked = [f for wanted in (HEADLINE, f"{HEADLINE}-clap") for f in row.figures if slot(f.name) == wanted]
    return (*ranked, *row.figures)[0] if row.figures else None


def comparable(row: ResultRow, main: Figure | None) -> Figure | None:
    """Return the row's figure that stands beside `main`: of the same name, or else nearest to it.

    Under another split there may be music for another k. A row without a space shared with music (linear, audio
    oracle) is taken in the embedder's space.
    """
    if main is None:
        return None
    place = slot(main.name)
    by_name = {f.name: f for f in row.figures}
    by_slot = {slot(f.name): f for f in row.figures} if place else {}
    return by_name.get(main.name) or by_slot.get(place) or by_slot.get(f"{place}-clap")


def main_row(rows: list[ResultRow]) -> ResultRow:
    """Return the row the page is about: the proposed system, else the first of the table."""
    table = [row for row in rows if row.kind == "row"] or rows
    return next((row for row in table if expected(row) is OURS), table[0])


def easy_to_hard(rows: list[ResultRow]) -> list[ResultRow]:
    """Order rows by what their splits keep apart; kinds that are not known come last."""
    order = {kind: place for place, kind in enumerate(SPLITS)}
    return sorted(rows, key=lambda row: order.get(row.split.kind, len(order)))


def beats(figure: Figure, control: Control) -> bool:
    """Whether the figure's whole interval lies on the better side of the control's (of its value without one)."""
    if figure.ci95 is None:
        return False
    low, high = control.ci95 or (control.value, control.value)
    return figure.ci95[0] > high if figure.better == "higher" else figure.ci95[1] < low


def stands(figure: Figure) -> bool:
    """Whether the figure clears all the controls it has, or chance where it has none."""
    if figure.controls:
        return all(beats(figure, control) for control in figure.controls.values())
    return figure.chance is not None and beats(figure, Control(value=figure.chance))


def fingerprint(figure: Figure) -> bool:
    """Whether EEG from before the song already scores above deranged pairs, and above chance: nothing was heard yet."""
    before, deranged = figure.controls.get("before_song"), figure.controls.get("deranged")
    if before is None or before.ci95 is None:
        return False
    chance = Control(value=figure.chance) if figure.chance is not None else None
    rivals = [c for c in (deranged, chance) if c is not None]
    early = figure.model_copy(update={"value": before.value, "ci95": before.ci95})
    return bool(rivals) and all(beats(early, rival) for rival in rivals)


def verdict(rows: list[ResultRow]) -> list[Sentence]:
    """Say in sentences what the rows show, computed from their intervals and controls."""
    ours = main_row(rows)
    said = [_origin(rows)]
    if (figure := headline(ours)) is not None:
        said += [_main(ours, figure), *_others(ours, figure)]
    said += _splits(rows, ours)
    said += _systems(rows, ours)
    said += _ablations(rows, ours)
    return said + _length(ours)


def _origin(rows: list[ResultRow]) -> Sentence:
    simulated = [row.name for row in rows if row.simulated]
    if len(simulated) == len(rows):
        return Sentence("note", SIMULATED)
    if simulated:
        return Sentence("note", f"Simulated EEG: {wording.listed(simulated)}. The other rows rest on recorded EEG.")
    return Sentence("note", f"The EEG is recorded, not simulated: {wording.listed(sorted({r.data for r in rows}))}.")


def _main(row: ResultRow, figure: Figure) -> Sentence:
    chance = f"; chance {wording.number(figure.chance)}" if figure.chance is not None else ""
    start = (
        f"{row.model.title}, {row.split.kind} split: {figure.label}, is {wording.number(figure.value)} "
        f"({_bounds(figure)}, {wording.windows(figure)}{chance})"
    )
    if figure.ci95 is None:
        return Sentence("against", f"{start}. Without an interval nothing can be said about it.")
    if not figure.controls:
        return Sentence("against", f"{start}. It has no control beside it, so it is not judged.")
    won = [name for name, control in figure.controls.items() if beats(figure, control)]
    lost = [name for name in figure.controls if name not in won]
    if not lost:
        return Sentence("for", f"{start}: above {_named(figure, won)}.")
    if won:
        return Sentence("against", f"{start}: above {_named(figure, won)}, but not above {_named(figure, lost)}.")
    return Sentence("against", f"{start}: not above {_named(figure, lost)}, so no evidence.")


def _others(row: ResultRow, main: Figure) -> list[Sentence]:
    rest = [f for f in row.figures if f is not main]
    good = [f"{f.label} ({wording.number(f.value)})" for f in rest if stands(f)]
    poor = [f"{f.label} ({wording.number(f.value)})" for f in rest if not stands(f)]
    said = []
    if good:
        said.append(Sentence("for", f"Also beyond every control they have: {'; '.join(good)}."))
    if poor:
        said.append(Sentence("against", f"Not beyond every control: {'; '.join(poor)}."))
    return said


def _splits(rows: list[ResultRow], ours: ResultRow) -> list[Sentence]:
    said, main = [], headline(ours)
    chosen = easy_to_hard([r for r in rows if r.kind == "split"])
    several = len({row.model.title for row in chosen}) > 1
    for row in chosen:
        figure = comparable(row, main)
        if figure is None:
            continue
        who = f"{row.model.title}: on" if several else "On"
        value = f"{wording.number(figure.value)} ({_bounds(figure)})"
        start = f"{who} the {row.split.kind} split {figure.label}, is {value}"
        if fingerprint(figure):
            before = figure.controls["before_song"]
            said.append(Sentence("against", (
                f"{start}, but EEG from before the song, when nothing was heard yet, reaches "
                f"{wording.number(before.value)} ({wording.interval(before.ci95)}): the recording is recognised, "
                "and that share is no evidence of music in the EEG."
            )))  # fmt: skip
        elif stands(figure):
            said.append(Sentence("for", f"{start}: above {_named(figure, list(figure.controls)) or 'chance'}."))
        else:
            lost = [name for name, control in figure.controls.items() if not beats(figure, control)]
            said.append(Sentence("against", f"{start}: not above {_named(figure, lost) or 'chance'}."))
    return said


def _systems(rows: list[ResultRow], ours: ResultRow) -> list[Sentence]:
    rivals = [r for r in rows if r.kind == "row" and r is not ours and expected(r) is not ORACLE]
    said = []
    if rivals:
        above, level, below = _compared(ours, rivals)
        parts = [f"above {wording.listed(above)}"] if above else []
        parts += [f"not told apart from {wording.listed(level)}"] if level else []
        parts += [f"below {wording.listed(below)}"] if below else []
        if parts:
            text = f"{ours.model.title} against the other decoders, by intervals that do not overlap: "
            said.append(Sentence("for" if above and not (level or below) else "against", text + "; ".join(parts) + "."))
    if absent := missing(rows, SYSTEMS, "row"):
        said.append(Sentence("note", f"Rows that were not run: {wording.listed(absent)}."))
    return said


def _ablations(rows: list[ResultRow], ours: ResultRow) -> list[Sentence]:
    ablations = [r for r in rows if r.kind == "ablation"]
    said = []
    if ablations:
        worse, level, better = _compared(ours, ablations)
        worse, level, better = ([f"“{title}”" for title in titles] for titles in (worse, level, better))
        parts = [f"lower, by intervals that do not overlap: {wording.listed(worse)}"] if worse else []
        parts += [f"not told from the whole system: {wording.listed(level)}"] if level else []
        parts += [f"higher: {wording.listed(better)}"] if better else []
        if parts:
            said.append(Sentence("note", "With a part changed: " + "; ".join(parts) + "."))
    if absent := missing(rows, ABLATIONS, "ablation"):
        said.append(Sentence("note", f"Ablations that were not run: {wording.listed([f'“{a}”' for a in absent])}."))
    return said


def _compared(ours: ResultRow, others: list[ResultRow]) -> tuple[list[str], list[str], list[str]]:
    """Titles of the rows ours lies above, cannot be told from, and lies below, by the headline's intervals."""
    above: list[str] = []
    level: list[str] = []
    below: list[str] = []
    mine = headline(ours)
    for row in others:
        theirs = comparable(row, mine)
        same = next((f for f in ours.figures if theirs is not None and f.name == theirs.name), None)
        if mine is None or same is None or theirs is None or same.ci95 is None or theirs.ci95 is None:
            continue
        title = row.model.title + ("" if same is mine else " (both in the embedder's space)")
        if beats(same, Control(value=theirs.value, ci95=theirs.ci95)):
            above.append(title)
        elif beats(theirs, Control(value=same.value, ci95=same.ci95)):
            below.append(title)
        else:
            level.append(title)
    return above, level, below


def _length(row: ResultRow) -> list[Sentence]:
    training, recipe = row.training, row.training.recipe
    done = training.pretrain_steps + training.align_steps
    whole = recipe.get("pretrain_steps", 0) + recipe.get("align_steps", 0)
    if not done or not whole:
        return []
    return [Sentence("note", (
        f"{row.model.title} learned for {training.pretrain_steps:,} + {training.align_steps:,} steps of "
        f"{training.batch} windows; the recipe has {recipe.get('pretrain_steps', 0):,} + "
        f"{recipe.get('align_steps', 0):,} ({wording.share(done, whole)} of its steps). A short run is not a weak "
        "model."
    ))]  # fmt: skip


def _bounds(figure: Figure) -> str:
    return "no interval" if figure.ci95 is None else f"95 % interval {wording.interval(figure.ci95)}"


def _named(figure: Figure, names: list[str]) -> str:
    return wording.listed([
        f"{wording.control(name)} ({wording.number(figure.controls[name].value)})" for name in names
    ])  # fmt: skip
