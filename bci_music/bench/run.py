"""The benchmarks as commands: each measures, and prints a table for people or JSON for programs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.status import Status
from rich.table import Table


def run_live(runs: int, pack: str, *, as_json: bool) -> None:
    """Measure the live path under load."""
    from bci_music.bench.live import measure_live, targets

    with Console(stderr=True).status("measuring") as status:
        found = measure_live(runs, pack, status.update)
    if as_json:
        _print_json(found)
    else:
        _show_targets("bench live", targets(found))


def run_window(seconds: float, *, as_json: bool) -> None:
    """Measure drawing alone."""
    from bci_music.bench.window import measure_drawing, targets

    with Console(stderr=True).status("measuring"):
        found = measure_drawing(seconds)
    if as_json:
        _print_json(found)
    else:
        _show_targets("bench window", targets(found))


def run_signal(runs: int, *, as_json: bool) -> None:
    """Measure the signal path beside MNE and SciPy."""
    from bci_music.bench.signal import measure_signal, targets

    with Console(stderr=True).status("measuring") as status:
        found = measure_signal(runs, status.update)
    if as_json:
        _print_json(found)
    else:
        _show_targets("bench signal", targets(found))


def run_rejoin(runs: int, *, as_json: bool) -> None:
    """Measure how soon a killed stream is back."""
    from bci_music.bench.ingest import rejoin, rejoin_targets

    with Console(stderr=True).status("killing and starting streams"):
        found = rejoin(runs)
    if as_json:
        _print_json(found)
    else:
        _show_targets("bench rejoin", rejoin_targets(found))


def run_lab(seconds: float, batch: int | None, runs: int, device: str | None, *, as_json: bool) -> None:
    """Measure the encoder beside its peers."""
    from bci_music.bench.encoder import bench_lab, targets

    with Console(stderr=True).status("measuring") as status:
        found = bench_lab(seconds, batch=batch, runs=runs, device=device, log=status.update)
    if as_json:
        _print_json(found)
        return
    _show_lab(found)
    _show_targets("bench lab", targets(found))


def run_sound(
    seconds: float, runs: int, sizes: tuple[str, ...], many: bool, pack: str, device: str | None, *, as_json: bool
) -> None:
    """Measure how long a clip takes."""
    from bci_music.models.device import sleep_while_waiting

    sleep_while_waiting()
    from bci_music.bench.generator import bench_sound, targets
    from bci_music.models.pack import Pack

    with Console(stderr=True).status("measuring") as status:
        found = bench_sound(
            seconds, runs=runs, device=device, sizes=sizes, many=many or None, generator=Pack.open(pack).generator,
            log=status.update,
        )  # fmt: skip
    if as_json:
        _print_json(found)
        return
    _show_sound(found)
    _show_targets("bench sound", targets(found))


def run_splices(
    pack: str, generator: str, checkpoint: str | None, number: int, clip_s: float, wav: Path | None, *, as_json: bool
) -> bool:
    """Measure whether the splices of generated clips can be heard; returns whether they cannot."""
    from bci_music.models.device import sleep_while_waiting

    sleep_while_waiting()
    from bci_music.bench.splices import SplicesConfig, measure_splices

    with Console(stderr=True).status(f"making {number + 1} clips"):
        found = measure_splices(pack, generator, checkpoint, SplicesConfig(splices=number, clip_s=clip_s), wav)
    if as_json:
        _print_json(found)
    else:
        _show_splices(found)
    return bool(found["passes"])


def run_latency(pack: str, generators: list[str], changes: int, eeg: bool, *, as_json: bool) -> None:
    """Measure how soon a change of style, or of what is heard, is heard in the sound: of those named, or of all."""
    from bci_music.models.device import sleep_while_waiting

    sleep_while_waiting()
    from bci_music.bench.latency import LatencyConfig, measure_latency
    from bci_music.generation.audioldm.loading import denoisers_of
    from bci_music.models.pack import Pack

    brought = Pack.open(pack).generator
    generators = generators or ["library", *(denoisers_of(brought) if brought else [])]
    console, found = Console(stderr=True), []
    for generator in generators:
        with console.status(f"{generator} plays") as status:

            def show(share: float, name: str = generator, status: Status = status) -> None:
                status.update(f"{name} plays: {share:.0%}")

            found.append(measure_latency(pack, generator, LatencyConfig(changes=changes), eeg=eeg, progress=show))
    if as_json:
        _print_json({"latency": found})
    else:
        _show_latency(found)


def _show_latency(found: list[dict[str, Any]]) -> None:
    table = Table(title=f"from {found[0]['changed']} to ear, seconds", title_justify="left")
    for column in ("generator", "heard", "p50", "p95", "least", "most", "made in", "silent"):
        table.add_column(column)
    for row in found:
        seconds = ["–" if row[k] is None else f"{row[k]:.2f}" for k in ("p50_s", "p95_s", "least_s", "most_s")]
        rtf = "–" if row["rtf"] is None else f"{row['rtf']:.2f} s/s"
        table.add_row(row["generator"], f"{row['heard']} of {row['changes']}", *seconds, rtf, f"{row['silent_s']:.2f}")
    console = Console()
    console.print(table)
    console.print(found[0]["protocol"], highlight=False)


def _print_json(found: dict[str, Any]) -> None:
    json.dump(found, sys.stdout, indent=2, default=float)
    sys.stdout.write("\n")


def _show_lab(found: dict[str, Any]) -> None:
    given, peak = found["input"], found["peak_tflops"]
    title = f"windows/s: {given['channels']} channels, {given['seconds']:g} s, {given['batch']} at a time"
    modes = list(next(iter(found["models"].values()))["windows_per_s"])
    table = Table(title=title, title_justify="left")
    for column in ("model", "parameters", "tokens", *modes):
        table.add_column(column)
    for name, model in found["models"].items():
        shares = model.get("share_of_peak", {})
        cells = [f"{model['windows_per_s'][m]:.3g}" + (f" ({shares[m]:.2f})" if m in shares else "") for m in modes]
        table.add_row(name, f"{model['parameters'] / 1e6:.1f} M", str(model["tokens"]), *cells)
    console = Console()
    console.print(table)
    console.print(
        "In brackets the share of the matrix peak, the best product's median turn here: "
        + ", ".join(f"{value:.3g} TFLOP/s in {name}" for name, value in peak.items())
        + f" ({found['machine']['device']}).", highlight=False,
    )  # fmt: skip
    for title, why in (found["missing"] | found["left_out"]).items():
        console.print(f"{title}: {why}", highlight=False)


def _show_sound(found: dict[str, Any]) -> None:
    title = f"a clip of {found['input']['seconds']:g} s on {found['machine']['device']}"
    table = Table(title=title, title_justify="left")
    for column in ("model", "made by", "steps", "seconds", "of real time", "one step", "decode", "vocode"):
        table.add_column(column)
    rows = [(f"AudioLDM-{size}", *row) for size, one in found["sizes"].items() for row in one["entrants"].items()]
    rows += [(row["name"], "ours, its own settings", row) for row in found["pack"].values()]
    for model, maker, row in rows:
        parts = [f"{row[part]:.3g}" if part in row else "" for part in ("step_s", "decode_s", "vocode_s")]
        seconds = f"{row['seconds']:.3g}" + (" (estimated)" if row["estimated"] else "")
        table.add_row(model, maker, str(row["settings"]["steps"]), seconds, f"{row['rtf']:.2f}", *parts)
    Console().print(table)


def _show_splices(found: dict[str, Any]) -> None:
    title = f"bench splices: {found['splices']} splices, {found['excerpts']} excerpts of {found['excerpt_s']:.2f} s"
    table = Table(title=title, title_justify="left")
    for column in ("dB", "at splices", "inside", "95 % at splices", "95 % inside", "p", ""):
        table.add_column(column)
    for name, label in (("flux", "largest spectral flux"), ("dip", "energy dip")):
        row = found[name]
        values = [row[k] for k in ("splice_mean_db", "inside_mean_db", "splice_p95_db", "inside_p95_db")]
        table.add_row(label, *(f"{v:.2f}" for v in values), f"{row['p']:.3f}", "ok" if row["passes"] else "audible")
    Console().print(table)
    trained = "" if found["trained"] else " (not trained)"
    Console().print(f"{found['generator']}{trained}. Target: p > 0.05 and 95 % within 1 dB.", highlight=False)


def _show_targets(title: str, rows: list[dict[str, Any]]) -> None:
    table = Table(title=title, title_justify="left")
    for column in ("what", "here", "target", ""):
        table.add_column(column)
    for row in rows:
        met = "[green]met[/green]" if row["met"] else "[red]not met[/red]"
        table.add_row(row["what"], row["here"], row["target"], met)
    Console().print(table)
