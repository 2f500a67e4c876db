"""Which panels the page has, from the rows that are there; every caption says its protocol."""

from __future__ import annotations

from collections.abc import Sequence

from bci_music.eeg.montage import Montage
from bci_music.evaluation.report import bars, curves, maps, tables, wording
from bci_music.evaluation.report.bars import Line
from bci_music.evaluation.report.page import Drawing, Section
from bci_music.evaluation.report.published import ABLATIONS, ORACLE, SETTING, SOURCE, SYSTEMS, Expected, expected
from bci_music.evaluation.report.verdict import comparable, easy_to_hard, headline, main_row
from bci_music.evaluation.results import Figure, ResultRow

CELLS = (
    "In a cell: the value (● beyond all its controls, ▲ not); its 95 % interval by bootstrap over recordings; the same "
    "figure for deranged pairs · EEG from before the song · the mean embedding; n independent windows / recordings, "
    "and p by permutation over recordings. A dash: not to be had."
)
MARKS = (
    "Bar: value. Line across its end: 95 % interval by bootstrap over recordings. Circle, triangle, square: the same "
    "figure where there is nothing to find, with its interval."
)


def build(rows: Sequence[ResultRow], montage: Montage) -> list[Section]:
    """Return the panels of the page, from the question of splits to the curves of training."""
    ours = main_row(list(rows))
    made = [
        _splits(rows, ours), _systems(rows, ours), _further(rows, ours), _ablations(rows, ours), _cost(rows, ours),
        _robustness(rows, ours), _attention(rows, ours, montage), _distances(rows, ours), _training(rows, ours),
    ]  # fmt: skip
    return [section for section in made if section is not None]


def _of(rows: Sequence[ResultRow], kind: str) -> list[ResultRow]:
    return [row for row in rows if row.kind == kind]


def _protocol(rows: Sequence[ResultRow], main: Figure | None) -> str:
    """Say on what a drawing of the headline figure rests, and how that figure is made."""
    found = [(row, f) for row in rows if (f := comparable(row, main))]
    kinds = sorted({row.split.kind for row, _ in found})
    origin = "Simulated EEG" if all(row.simulated for row, _ in found) else "EEG, in part simulated"
    origin = origin if any(row.simulated for row, _ in found) else "Recorded EEG"
    n, recordings = (wording.span([getattr(f, key) for _, f in found]) for key in ("n", "n_recordings"))
    splits = f"{wording.listed(kinds)} split{'s' if len(kinds) > 1 else ''}"
    row, figure = next(((row, f) for row, f in found if f is main), found[0])
    made = figure.protocol.replace(f"; {row.split.describe}", "")
    return f"{origin}, {splits}, {n} windows of {recordings} recordings. {_capital(made)}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".")


def _splits(rows: Sequence[ResultRow], ours: ResultRow) -> Section | None:
    chosen = _of(rows, "split")
    if not chosen:
        return None
    if ours.split.kind not in {row.split.kind for row in chosen}:
        chosen = [ours, *chosen]
    chosen = easy_to_hard(chosen)
    main = headline(ours)
    notes = _notes(chosen, main)
    several = len({row.model.title for row in chosen}) > 1
    lines = [
        Line(
            f"{row.split.kind}: {row.model.title}" if several else row.split.kind, comparable(row, main),
            row.split.kind == ours.split.kind and (not several or row.model.title == ours.model.title), note,
        )
        for row, note in zip(chosen, notes, strict=True)
    ]  # fmt: skip
    blocks: list = []
    if any(line.figure for line in lines):
        rests = _protocol([*chosen, ours], main)
        who = "Each decoder" if several else chosen[-1].model.title
        caption = f"{who} trained and judged anew under each split. {MARKS} {rests}"
        blocks.append(Drawing(bars.bars(lines, "splits", "Decoders under each split"), caption))
    blocks.append(tables.split_table(list({row.split.kind: row for row in chosen}.values())))
    return Section("The same decoder, from the easy split to the hard ones", (
        "Where EEG from before the song (triangle) scores above deranged pairs (circle), the decoder recognises the "
        "recording: nothing was heard yet.",
    ), blocks, "splits")  # fmt: skip


def _systems(rows: Sequence[ResultRow], ours: ResultRow) -> Section | None:
    chosen = _of(rows, "row")
    if not chosen:
        return None
    return Section("The systems, one protocol for all", (), [
        *_bars(chosen, ours, SYSTEMS, "systems", "Systems side by side"),
        tables.figures_table(
            chosen, tables.figure_names(chosen, main=True), ours, lines=SYSTEMS, beside=True,
            caption=f"{CELLS} On the right what {SOURCE} printed: {SETTING}.",
        ),
    ], "systems")  # fmt: skip


def _bars(
    chosen: list[ResultRow], ours: ResultRow, lines: tuple[Expected, ...], key: str, title: str, extra: str = ""
) -> list[Drawing]:
    main = headline(ours)
    drawn = [
        Line(row.model.title, comparable(row, main), row is ours, note)
        for row, note in zip(chosen, _notes(chosen, main), strict=True)
    ]  # fmt: skip
    filled = {line.title for row in chosen if (line := expected(row))}
    drawn += [Line(line.title, None) for line in lines if line.title not in filled]
    oracle = [row for row in chosen if expected(row) is ORACLE]
    rest = [line.figure.value for row, line in zip(chosen, drawn, strict=False) if line.figure and row not in oracle]
    limit = 1.5 * max(rest) if oracle and rest else None
    if not any(line.figure for line in drawn):
        return []
    return [Drawing(bars.bars(drawn, key, title, limit), f"{extra}{MARKS} {_protocol(chosen, main)}")]


def _notes(rows: Sequence[ResultRow], main: Figure | None) -> list[str]:
    """Say of every row which figure it is, if they are not all the same (another k, or only the embedder's space)."""
    labels = [figure.label if (figure := comparable(row, main)) else "" for row in rows]
    return labels if len(set(labels) - {""}) > 1 else [""] * len(labels)


def _further(rows: Sequence[ResultRow], ours: ResultRow) -> Section | None:
    chosen = _of(rows, "row")
    names = tables.figure_names(chosen, main=False)
    if not names:
        return None
    played = f" The audio metrics compare what was heard with what this generator plays: {ours.generator}."
    audio = played if ours.generator else ""
    printed = [(line.title, line.figures) for line in SYSTEMS if "ssim" in line.figures]
    said = [f"{t}: SSIM {wording.number(f['ssim'])}, PSNR {wording.number(f['psnr'])} dB" for t, f in printed]
    note = f"{CELLS}{audio} Published, on real EEG: {'; '.join(said)}."
    return Section("Further figures of the same rows", (), [
        tables.figures_table(chosen, names, ours, lines=SYSTEMS, caption=note)
    ], "further")  # fmt: skip


def _ablations(rows: Sequence[ResultRow], ours: ResultRow) -> Section | None:
    chosen = _of(rows, "ablation")
    if not chosen:
        return None
    beside = [ours, *chosen]
    names = tables.figure_names(chosen, main=True) or [f.name for f in chosen[0].figures[:4]]
    table = tables.figures_table(chosen, names, ours, lines=ABLATIONS, beside=True,
                                 caption=f"{CELLS} On the right what {SOURCE} printed: {SETTING}.")  # fmt: skip
    return Section("What each part is worth", (), [
        *_bars(beside, ours, ABLATIONS, "ablations", "The system and its ablations",
               "The whole system first, then with one part changed each. "),
        table,
    ], "ablations")  # fmt: skip


def _cost(rows: Sequence[ResultRow], ours: ResultRow) -> Section | None:
    chosen = _of(rows, "row") + _of(rows, "ablation")
    if not chosen:
        return None
    return Section("How long they learned, and what they cost", (), [tables.cost_table(chosen, ours)], "cost")


def _robustness(rows: Sequence[ResultRow], ours: ResultRow) -> Section | None:
    chosen = _first(ours, [row for row in rows if row.robustness and row.kind != "split"])
    if not chosen:
        return None
    points = [point for row in chosen for curve in row.robustness.values() for point in curve]
    ks, ns = (sorted({int(point[key]) for point in points if key in point}) for key in ("k", "n"))
    label = f"{'/'.join(map(str, ks))}-way identification" if ks else "identification"
    drawing = curves.robustness(chosen, label, "robustness", "Accuracy against electrodes lost")
    n = f", {wording.listed([str(n) for n in ns])} windows" if ns else ""
    caption = (
        f"{label} when electrodes are lost at test time, drawn at random in every recording; "
        f"what is lost at one share is lost at all larger ones. Band: 95 % interval by recording. Dashed: deranged "
        f"pairs. {_origin(chosen[0])}{n}."
    )
    return Section("When electrodes fail", (), [Drawing(drawing, caption)], "robustness")


def _attention(rows: Sequence[ResultRow], ours: ResultRow, montage: Montage) -> Section | None:
    chosen = _first(ours, [row for row in rows if row.song_attention])
    if not chosen:
        return None
    row = chosen[0]
    values = [v for shares in row.song_attention.values() for v in shares]
    drawing = maps.scalp_maps(row.song_attention, montage, "attention", "Attention per song, not brain activity")
    caption = (
        f"{row.model.title}: attention, not brain activity. Share of the model's attention on each electrode, mean "
        f"over the test windows of a song; one scale for all, from {min(values):.4f} (clear) to "
        f"{max(values):.4f} (solid); evenly spread it would be {1 / len(montage.names):.4f}. {_origin(row)}. Nose up."
    )
    title = "What the model weighs (attention, not brain activity)"
    return Section(title, (), [Drawing(drawing, caption)], "attention")


def _distances(rows: Sequence[ResultRow], ours: ResultRow) -> Section | None:
    chosen = _first(ours, [row for row in rows if len(row.song_distances.get("songs", ())) > 2])
    if not chosen:
        return None
    row = chosen[0]
    found, n = row.song_distances, len(row.song_distances["songs"])
    where = f" in the {found['space']} space" if "space" in found else ""
    caption = (
        f"{row.model.title}: one minus the cosine of the centroids of every two songs{where}, from clear (alike) to "
        f"solid; range in the title. {_origin(row)}."
    )
    if "correlation" in found and "p" in found:
        caption += (
            f" Rank correlation of the two over {n * (n - 1) // 2} pairs of {n} songs "
            f"{wording.number(found['correlation'])}, {wording.p_value(found['p'])} by permuting songs (Mantel's test)."
        )
    drawing = maps.matrices(row.song_distances, "distances", "Dissimilarity of songs in EEG and in music")
    return Section("Are songs that sound alike decoded alike?", (), [Drawing(drawing, caption)], "distances")


def _training(rows: Sequence[ResultRow], ours: ResultRow) -> Section | None:
    chosen = _first(ours, [row for row in rows if any(row.training.curves.values()) and row.kind != "split"])
    if not chosen:
        return None
    drawing, left = curves.training(chosen, "training", "Training curves")
    more = f" Not drawn, in report.json: {wording.listed(left)}." if left else ""
    caption = f"Training curves, thinned, one run each. {_origin(ours)}.{more}"
    return Section("How training went", (), [Drawing(drawing, caption)], "training")


def _first(ours: ResultRow, rows: list[ResultRow]) -> list[ResultRow]:
    """Return the rows with ours in front."""
    return sorted(rows, key=lambda row: row is not ours)


def _origin(row: ResultRow) -> str:
    return f"{'Simulated' if row.simulated else 'Recorded'} EEG, {row.split.kind} split, seed {row.split.seed}"
