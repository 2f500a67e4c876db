"""Which panels the page has, from the results that are there; every caption says its protocol."""

from __future__ import annotations

from collections.abc import Sequence

from bci_music.eeg.montage import Montage
from bci_music.evaluation.report import bars, curves, maps, tables, wording
from bci_music.evaluation.report.bars import Line
from bci_music.evaluation.report.page import Drawing, Section
from bci_music.evaluation.report.seed_paper import ABLATIONS, ORACLE, SETTING, SOURCE, SYSTEMS, Expected, expected
from bci_music.evaluation.report.verdict import comparable, easy_to_hard, headline, main_result
from bci_music.evaluation.results import Result
from bci_music.metrics.metric import Metric

CELLS = (
    "In a cell: the value (● beyond all its controls, ▲ not); its 95 % interval by bootstrap over recordings; the same "
    "metric for mismatched pairs · EEG from before the song · the mean embedding; n independent windows / recordings, "
    "and p by permutation over recordings. A dash: not to be had."
)
MARKS = (
    "Bar: value. Line across its end: 95 % interval by bootstrap over recordings. Circle, triangle, square: the same "
    "metric where there is nothing to find, with its interval."
)


def build(results: Sequence[Result], montage: Montage) -> list[Section]:
    """Return the panels of the page, from the question of splits to the curves of training."""
    ours = main_result(list(results))
    made = [
        _splits(results, ours), _systems(results, ours), _further(results, ours), _ablations(results, ours),
        _cost(results, ours), _robustness(results, ours), _attention(results, ours, montage),
        _distances(results, ours), _training(results, ours),
    ]  # fmt: skip
    return [section for section in made if section is not None]


def _of(results: Sequence[Result], kind: str) -> list[Result]:
    return [result for result in results if result.kind == kind]


def _protocol(results: Sequence[Result], main: Metric | None) -> str:
    """Say on what a drawing of the headline metric rests, and how that metric is made."""
    found = [(result, f) for result in results if (f := comparable(result, main))]
    kinds = sorted({result.split.kind for result, _ in found})
    origin = "Simulated EEG" if all(result.simulated for result, _ in found) else "EEG, in part simulated"
    origin = origin if any(result.simulated for result, _ in found) else "Recorded EEG"
    n, recordings = (wording.span([getattr(f, key) for _, f in found]) for key in ("n", "n_recordings"))
    splits = f"{wording.listed(kinds)} split{'s' if len(kinds) > 1 else ''}"
    result, metric = next(((result, f) for result, f in found if f is main), found[0])
    made = metric.protocol.replace(f"; {result.split.describe}", "")
    return f"{origin}, {splits}, {n} windows of {recordings} recordings. {_capital(made)}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".")


def _splits(results: Sequence[Result], ours: Result) -> Section | None:
    chosen = _of(results, "split")
    if not chosen:
        return None
    if ours.split.kind not in {result.split.kind for result in chosen}:
        chosen = [ours, *chosen]
    chosen = easy_to_hard(chosen)
    main = headline(ours)
    notes = _notes(chosen, main)
    several = len({result.model.title for result in chosen}) > 1
    lines = [
        Line(
            f"{result.split.kind}: {result.model.title}" if several else result.split.kind, comparable(result, main),
            result.split.kind == ours.split.kind and (not several or result.model.title == ours.model.title), note,
        )
        for result, note in zip(chosen, notes, strict=True)
    ]  # fmt: skip
    blocks: list = []
    if any(line.metric for line in lines):
        rests = _protocol([*chosen, ours], main)
        who = "Each decoder" if several else chosen[-1].model.title
        caption = f"{who} trained and evaluated again under each split. {MARKS} {rests}"
        blocks.append(Drawing(bars.bars(lines, "splits", "Decoders under each split"), caption))
    blocks.append(tables.split_table(list({result.split.kind: result for result in chosen}.values())))
    return Section("The same decoder, from the easy split to the hard ones", (
        "Where EEG from before the song (triangle) scores above mismatched pairs (circle), the decoder recognises the "
        "recording: nothing was heard yet.",
    ), blocks, "splits")  # fmt: skip


def _systems(results: Sequence[Result], ours: Result) -> Section | None:
    chosen = _of(results, "system")
    if not chosen:
        return None
    return Section("The systems, one protocol for all", (), [
        *_bars(chosen, ours, SYSTEMS, "systems", "Systems side by side"),
        tables.metrics_table(
            chosen, tables.metric_names(chosen, main=True), ours, lines=SYSTEMS, beside=True,
            caption=f"{CELLS} On the right what {SOURCE} printed: {SETTING}.",
        ),
    ], "systems")  # fmt: skip


def _bars(
    chosen: list[Result], ours: Result, lines: tuple[Expected, ...], key: str, title: str, extra: str = ""
) -> list[Drawing]:
    main = headline(ours)
    drawn = [
        Line(result.model.title, comparable(result, main), result is ours, note)
        for result, note in zip(chosen, _notes(chosen, main), strict=True)
    ]  # fmt: skip
    filled = {line.title for result in chosen if (line := expected(result))}
    drawn += [Line(line.title, None) for line in lines if line.title not in filled]
    oracle = [result for result in chosen if expected(result) is ORACLE]
    both = zip(chosen, drawn, strict=False)
    rest = [line.metric.value for result, line in both if line.metric and result not in oracle]
    limit = 1.5 * max(rest) if oracle and rest else None
    if not any(line.metric for line in drawn):
        return []
    return [Drawing(bars.bars(drawn, key, title, limit), f"{extra}{MARKS} {_protocol(chosen, main)}")]


def _notes(results: Sequence[Result], main: Metric | None) -> list[str]:
    """Which metric every result is drawn by, if not all the same (another k, or only the embedder's space)."""
    labels = [metric.label if (metric := comparable(result, main)) else "" for result in results]
    return labels if len(set(labels) - {""}) > 1 else [""] * len(labels)


def _further(results: Sequence[Result], ours: Result) -> Section | None:
    chosen = _of(results, "system")
    names = tables.metric_names(chosen, main=False)
    if not names:
        return None
    played = f" The audio metrics compare what was heard with what this generator plays: {ours.generator}."
    audio = played if ours.generator else ""
    printed = [(line.title, line.metrics) for line in SYSTEMS if "ssim" in line.metrics]
    sentences = [f"{t}: SSIM {wording.number(f['ssim'])}, PSNR {wording.number(f['psnr'])} dB" for t, f in printed]
    note = f"{CELLS}{audio} Published, on real EEG: {'; '.join(sentences)}."
    return Section("Further metrics of the same results", (), [
        tables.metrics_table(chosen, names, ours, lines=SYSTEMS, caption=note)
    ], "further")  # fmt: skip


def _ablations(results: Sequence[Result], ours: Result) -> Section | None:
    chosen = _of(results, "ablation")
    if not chosen:
        return None
    beside = [ours, *chosen]
    names = tables.metric_names(chosen, main=True) or [f.name for f in chosen[0].metrics[:4]]
    table = tables.metrics_table(chosen, names, ours, lines=ABLATIONS, beside=True,
                                 caption=f"{CELLS} On the right what {SOURCE} printed: {SETTING}.")  # fmt: skip
    return Section("What each part is worth", (), [
        *_bars(beside, ours, ABLATIONS, "ablations", "The system and its ablations",
               "The whole system first, then with one part changed each. "),
        table,
    ], "ablations")  # fmt: skip


def _cost(results: Sequence[Result], ours: Result) -> Section | None:
    chosen = _of(results, "system") + _of(results, "ablation")
    if not chosen:
        return None
    return Section("How long they learned, and what they cost", (), [tables.cost_table(chosen, ours)], "cost")


def _robustness(results: Sequence[Result], ours: Result) -> Section | None:
    chosen = _first(ours, [result for result in results if result.robustness and result.kind != "split"])
    if not chosen:
        return None
    points = [point for result in chosen for curve in result.robustness.values() for point in curve]
    ks, ns = (sorted({int(point[key]) for point in points if key in point}) for key in ("k", "n"))
    label = f"{'/'.join(map(str, ks))}-way identification" if ks else "identification"
    drawing = curves.robustness(chosen, label, "robustness", "Accuracy against electrodes lost")
    n = f", {wording.listed([str(n) for n in ns])} windows" if ns else ""
    caption = (
        f"{label} when electrodes are lost at test time, drawn at random in every recording; "
        f"what is lost at one share is lost at all larger ones. Band: 95 % interval by recording. Dashed: mismatched "
        f"pairs. {_origin(chosen[0])}{n}."
    )
    return Section("When electrodes fail", (), [Drawing(drawing, caption)], "robustness")


WEIGHED = {
    "attention": "share of the model's attention on each electrode",
    "contribution": "each electrode's share of what the model gathers, attention times the size of what it lets "
                    "through",
    "gradient": "gradient times input of the similarity to the music heard",
    "deletion": "similarity to the music heard that is lost without the electrode",
}


def _attention(results: Sequence[Result], ours: Result, montage: Montage) -> Section | None:
    chosen = _first(ours, [result for result in results if result.song_attention])
    if not chosen:
        return None
    result = chosen[0]
    values = [v for shares in result.song_attention.values() for v in shares]
    drawing = maps.scalp_maps(result.song_attention, montage, "attention", "Weight by song, not brain activity")
    what = WEIGHED[_map_given(result)]
    caption = (
        f"{result.model.title}: what it weighs, not brain activity. {_capital(what)}, mean "
        f"over the test windows of a song; one scale for all, from {min(values):.4f} (clear) to "
        f"{max(values):.4f} (solid); evenly spread it would be {1 / len(montage.names):.4f}. "
        f"{_origin(result)}. Nose up."
    )
    title = "What the model weighs (not brain activity)"
    return Section(title, (), [Drawing(drawing, caption), *_removals(result)], "attention")


def _map_given(result: Result) -> str:
    """What the decoder says that it weighs: the first map tested, or what its kind of encoder gives."""
    encoder = result.provenance.get("config", {}).get("encoder", {})
    given = "contribution" if encoder.get("kind") == "latent-queries" else "attention"
    return next(iter(result.electrode_maps), given)


def _removals(result: Result) -> list[Drawing]:
    """Draw for each map what it costs to remove the electrodes that it weighs most."""
    drawn = []
    for test in result.removal:
        n, cost = test.removed, test.cost
        lines = [
            Line("all electrodes", test.whole), Line(f"{n} least weighed removed", test.least),
            Line(f"{n} at random removed", test.random), Line(f"{n} most weighed removed", test.most, True),
        ]  # fmt: skip
        caption = (
            f"{result.model.title}: removing the {n} electrodes of most weight ({WEIGHED[test.map]}; chosen on the "
            f"other half of the recordings) costs {wording.number(cost.value)} ({wording.interval(cost.ci95)}) more "
            f"than removing {n} at random (mean over {test.draws} draws). Intervals by bootstrap over recordings. "
            f"{_origin(result)}, {cost.n} windows of {cost.n_recordings} recordings."
        )
        drawn.append(Drawing(bars.bars(lines, f"removal-{test.map}", f"Electrodes removed by {test.map}"), caption))
    return drawn


def _distances(results: Sequence[Result], ours: Result) -> Section | None:
    chosen = _first(ours, [result for result in results if len(result.song_distances.get("songs", ())) > 2])
    if not chosen:
        return None
    result = chosen[0]
    found, n = result.song_distances, len(result.song_distances["songs"])
    where = f" in the {found['space']} space" if "space" in found else ""
    caption = (
        f"{result.model.title}: one minus the cosine of the centroids of every two songs{where}, from clear (alike) to "
        f"solid; range in the title. {_origin(result)}."
    )
    if "correlation" in found and "p" in found:
        caption += (
            f" Rank correlation of the two over {n * (n - 1) // 2} pairs of {n} songs "
            f"{wording.number(found['correlation'])}, {wording.p_value(found['p'])} by permuting songs (Mantel's test)."
        )
    drawing = maps.matrices(result.song_distances, "distances", "Dissimilarity of songs in EEG and in music")
    return Section("Are songs that sound alike decoded alike?", (), [Drawing(drawing, caption)], "distances")


def _training(results: Sequence[Result], ours: Result) -> Section | None:
    chosen = _first(ours, [r for r in results if any(r.training.curves.values()) and r.kind != "split"])
    if not chosen:
        return None
    drawing, left = curves.training(chosen, "training", "Training curves")
    more = f" Not drawn, in report.json: {wording.listed(left)}." if left else ""
    caption = f"Training curves, thinned, one run each. {_origin(ours)}.{more}"
    return Section("How training went", (), [Drawing(drawing, caption)], "training")


def _first(ours: Result, results: list[Result]) -> list[Result]:
    """Return the results with ours in front."""
    return sorted(results, key=lambda result: result is not ours)


def _origin(result: Result) -> str:
    return f"{'Simulated' if result.simulated else 'Recorded'} EEG, {result.split.kind} split, seed {result.split.seed}"
