"""`overview.png`: a run in one picture: signals, attention, what was decoded against what was heard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bci_music.engine.chance import bets_words

if TYPE_CHECKING:
    from bci_music.engine.engine import Engine
    from bci_music.status import TimelineSpan

GROUND, PANEL, LINE, TEXT, MUTED = "#0e1116", "#151a21", "#27303a", "#e8ecf1", "#8a95a3"
ACCENT, WARM, BAD = "#4cc9b0", "#f2b260", "#ef6a5b"
REGIONS = {"front": "#5aa9e6", "left": "#4cc9b0", "centre": "#9ccf6e", "right": "#c9b458", "back": "#a394f5"}
LANES = ("heard", "decoded", "played")


def load_drawing() -> None:
    """Load the library that draws, before a run: at its end that would take longer than the drawing."""
    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401

    _fonts()


def draw_overview(engine: Engine, report: dict[str, Any], now: float, path: Path, *, traces: bool = True) -> None:
    """Draw the run's overview to `path` (PNG, 1600 x 900); without `traces` the raw signals are left out."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 9), dpi=100, facecolor=GROUND)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        2,
        3,
        height_ratios=(1.35, 1),
        width_ratios=(1.5, 1, 0.95),
        left=0.04,
        right=0.98,
        top=0.9,
        bottom=0.07,
        hspace=0.28,
        wspace=0.12,
    )
    figure.text(0.04, 0.945, "bci-music", color=TEXT, fontsize=20, weight="bold")
    figure.text(0.155, 0.947, _subtitle(report), color=MUTED, fontsize=12)
    if words := engine.warning:
        figure.text(0.04, 0.918, words, color=WARM, fontsize=11)
    with rc_context({"font.family": _fonts()}):
        _signals(figure.add_subplot(grid[0, 0]), engine, traces)
        _attention(figure.add_subplot(grid[0, 1]), engine)
        _evidence(figure.add_subplot(grid[0, 2]), report)
        _timeline(figure.add_subplot(grid[1, :]), engine, now)
        figure.savefig(path, facecolor=GROUND)


def _fonts() -> list[str]:
    """Inter where it is installed; matplotlib would complain of a missing font."""
    from matplotlib.font_manager import fontManager

    return [name for name in ("Inter", "DejaVu Sans") if name in fontManager.get_font_names()]


def _subtitle(report: dict[str, Any]) -> str:
    stream, pack = report["stream"], report["pack"] or {}
    kind = "simulated EEG" if stream["simulated"] else "EEG"
    if not stream["name"]:
        return "no stream was found"
    return (
        f"{kind} from {stream['name']}, {stream['channels']} channels at {stream['sfreq_hz']:g} Hz  ·  "
        f"pack {pack.get('name')} (trained on {pack.get('provenance')} EEG)  ·  "
        f"{report['windows_decoded']} windows decoded"
    )


def _panel(axes: Any, title: str) -> None:
    axes.set_facecolor(PANEL)
    axes.set_title(title, color=MUTED, fontsize=11, loc="left", pad=8)
    axes.tick_params(colors=MUTED, labelsize=9, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _signals(axes: Any, engine: Engine, shown: bool, seconds: float = 10.0) -> None:
    """Last seconds of all electrodes, in rows by region."""
    if not shown:
        _panel(axes, "Signals")
        axes.set_axis_off()
        text = "raw signals are kept with --consent only"
        axes.text(0.5, 0.5, text, color=MUTED, ha="center", transform=axes.transAxes)
        return
    cursor, info, chain = engine.trace_cursor(), engine.info, engine.decode.chain
    _panel(axes, f"Signals  ·  last {seconds:g} s, each electrode over its own spread")
    axes.set_yticks([])
    if cursor is None or info is None or chain is None or chain.montage is None or chain.channels is None:
        return
    n = int(seconds * info.sfreq_hz)
    cursor.jump(max(0, cursor.position - n))
    piece = cursor.pull(n)
    regions = np.array(chain.montage.regions())
    row = 0
    for region, colour in REGIONS.items():
        first = row
        for channel in np.flatnonzero((regions == region) & (chain.channels.source_index >= 0)):
            x = piece.samples[:, chain.channels.source_index[channel]].astype(float)
            spread = 1.4826 * np.nanmedian(np.abs(x - np.nanmedian(x))) or 1.0
            axes.plot(
                piece.times - piece.times[-1],
                row - np.clip((x - np.nanmedian(x)) / (1.5 * spread), -5, 5),
                color=colour,
                lw=0.4,
                alpha=0.9,
            )
            row += 1
        axes.text(-seconds - 0.1, (first + row) / 2, region, color=MUTED, fontsize=9, ha="right", va="center")
    axes.set_xlim(-seconds, 0)
    axes.set_ylim(row + 1, -2)


def _attention(axes: Any, engine: Engine) -> None:
    """Mean attention over the run on the scalp."""
    _panel(axes, "What the model weighs (not brain activity)")
    axes.set_axis_off()
    chain = engine.decode.chain
    embeddings = engine.history.embeddings() if engine.history else []
    if not embeddings or chain is None or chain.montage is None:
        axes.text(0.5, 0.5, "nothing was decoded", color=MUTED, ha="center", transform=axes.transAxes)
        return
    from bci_music.eeg.topomap import TopoMap

    rows = np.array([e.attention for e in embeddings])
    seen = np.isfinite(rows).any(0)
    mean = np.full(rows.shape[1], np.nan)
    mean[seen] = np.nanmean(rows[:, seen], axis=0)
    topomap = TopoMap(chain.montage, good=seen, resolution=128)
    image = topomap.image(mean[seen].astype(np.float32))
    xy = chain.montage.positions_2d()
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("attention", [PANEL, "#1f5d57", ACCENT, "#ffffff"])
    axes.imshow(image, extent=topomap.extent, origin="lower", cmap=colours, interpolation="bilinear")
    axes.plot(*xy.T, ".", color="#0b0e12", ms=2)
    angle = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(angle), np.sin(angle), color=TEXT, lw=1)
    axes.plot([-0.1, 0, 0.1], [0.995, 1.1, 0.995], color=TEXT, lw=1)
    axes.set_aspect("equal")


def _evidence(axes: Any, report: dict[str, Any]) -> None:
    """Write in words how far the run is above chance and how the sound fared."""
    _panel(axes, "Is it above chance?")
    axes.set_axis_off()
    y = 0.9
    for text, colour, size in _words(report):
        axes.text(0.0, y, text, color=colour, fontsize=size, transform=axes.transAxes, va="top", wrap=True)
        y -= 0.075 + size / 190


def _words(report: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Sentences with colour and size."""
    found, follow, chance = report["identification"], report["played_agreement"], report["chance"]
    lines: list[tuple[str, str, int]] = []
    if chance is not None:
        lines += _chance_words(chance)
    lines += _sham_words(report)
    if found is not None:
        expected = found["n"] * found["chance"]
        low, high = (100 * x for x in found["ci95"])
        rate = 100 * found["shuffled_top1"]
        shuffled = "too few to shuffle" if rate != rate else f"shuffled {rate:.0f} %"
        lines += [
            (f"{found['hits']} of {found['n']} windows found the song, chance {expected:.1f}", TEXT, 12),
            (f"95 % interval {low:.0f} to {high:.0f} %, {shuffled}, p = {found['p']:.3f}", MUTED, 10),
        ]
    if follow is not None:
        share, shifted = 100 * follow["share"], 100 * follow["shifted_share"]
        made = report["clips_generated"]
        words = "the sound was made for what was heard" if made else "what is heard plays"
        beside = f"shifted {shifted:.0f} %" if np.isfinite(shifted) else "too short to shift"
        lines.append((f"{words} {share:.0f} % of the time, {beside}", TEXT, 11 if made else 12))
    if report.get("audio_seconds") is not None:
        seconds, gone = report["audio_seconds"], report["underruns"]
        lines.append((f"{seconds:.0f} s of sound, {gone} underruns, {report['crossfades']} crossfades", TEXT, 12))
        if late := {step: n for step, n in report["late_steps"].items() if n}:
            lines.append((f"late clips bridged: {', '.join(f'{step} {n}' for step, n in late.items())}", WARM, 10))
    return lines


def _chance_words(chance: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Yes or not shown, the evidence, and how often that would be said wrongly."""
    if not chance["method"]:
        return [(chance["why"], MUTED, 12)]
    yes = chance["shown"]
    alarms, runs = chance["measured"]
    return [
        ("yes" if yes else "not shown", ACCENT if yes else WARM, 30),
        (f"evidence {chance['highest']:.3g} after {bets_words(chance)}, "
         f"yes at {1 / chance['alarm_rate']:.0f}", TEXT, 12),
        (f"wrong in at most {100 * chance['alarm_rate']:.0f} % of runs, on sham {alarms} of {runs}", MUTED, 10),
    ]


def _sham_words(report: dict[str, Any]) -> list[tuple[str, str, int]]:
    """When the music followed EEG from another time, and what blind trials were."""
    lines = []
    for span in report["sham"]:
        began, ended = max(span["start_s"], 0.0), span["stop_s"]
        kind = "blind trial: " if span["mode"] == "blind" else ""
        was = "SHAM" if span["sham"] else "the brain"
        lines.append((f"{kind}{was}, {began:.0f} to {ended:.0f} s", WARM if span["sham"] else TEXT, 11))
    if bets := (report["chance"] or {}).get("on_sham"):
        after = bets_words({**report["chance"], "n": bets["n"]})
        lines.append((f"on sham: evidence {bets['highest']:.3g} after {after}", MUTED, 10))
    return lines[-3:]


def _timeline(axes: Any, engine: Engine, now: float) -> None:
    """Three lanes: heard, decoded, played."""
    _panel(axes, "Timeline  ·  does what is heard steer what plays?")
    began = engine.first_sample_s or engine.started_s
    spans = engine.timeline(began, now)
    colours = _song_colours(spans)
    for span in spans:
        lane = LANES.index(span.lane)
        width = span.stop_s - span.start_s
        axes.barh(
            lane,
            width,
            left=span.start_s - began,
            height=0.62,
            color=colours.get(span.kind, LINE),
            alpha=0.35 + 0.6 * float(np.clip(span.strength, 0, 1)),
            edgecolor=GROUND,
            linewidth=1.0,
        )
        if width > 0.0075 * (now - began) * len(span.label):  # else the words would run into the next bar
            axes.text(span.start_s - began + 0.3, lane, span.label, color=TEXT, fontsize=8, va="center", clip_on=True)
    axes.set_yticks(range(3), LANES)
    axes.set_ylim(2.6, -0.6)
    axes.set_xlim(0, now - began)
    axes.set_xlabel("seconds since the first sample", color=MUTED, fontsize=9)


def _song_colours(spans: tuple[TimelineSpan, ...]) -> dict[str, Any]:
    """One calm colour per song, the same in all lanes; neighbours in time are far apart in hue."""
    from colorsys import hls_to_rgb

    songs = list(dict.fromkeys(s.kind for s in spans if s.kind and s.kind != "waiting"))
    return {song: hls_to_rgb((0.47 + 0.382 * i) % 1.0, 0.40, 0.38) for i, song in enumerate(songs)}
