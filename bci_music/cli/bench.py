"""`bci-music bench`: what the live path and the lab cost, beside their peers, in medians of alternating runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bci_music.cli import bench_joints

app = typer.Typer(no_args_is_help=True, help="Measure speed on this machine, beside peers.")


app.command("joints")(bench_joints.joints)


@app.callback()
def root() -> None:
    """Root of the benchmarks."""


@app.command()
def live(
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Alternating runs; medians are shown.")] = 5,
    pack: Annotated[str, typer.Option("--pack", help="Pack that decodes meanwhile.")] = "demo",
) -> None:
    """Ingest beside mne-lsl's StreamLSL, data age after a stall, decoding and drawing while sound plays.

    Takes about six minutes with five runs; let nothing else run meanwhile.
    """
    import sys

    from rich.console import Console

    from bci_music.bench.live import measure_live, targets

    console = Console(stderr=True)
    with console.status("measuring") as status:
        found = measure_live(runs, pack, status.update)
    if json:
        import json as json_module

        json_module.dump(found, sys.stdout, indent=2, default=float)
        sys.stdout.write("\n")
        return
    _show("bench live", targets(found))


@app.command()
def lab(
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    seconds: Annotated[float, typer.Option("--seconds", help="Length of a window, whole seconds.")] = 1.0,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Windows at a time.")] = None,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Alternating runs; medians are shown.")] = 5,
    device: Annotated[str | None, typer.Option("--device", help="cuda, mps or cpu; the fastest there is.")] = None,
) -> None:
    """Encoder forward and training beside braindecode's CBraMod and LaBraM, and beside the machine's matrix peak.

    Takes some three minutes on two cores; let nothing else run meanwhile.
    """
    import sys

    from rich.console import Console

    from bci_music.bench.encoder import bench_lab, targets

    with Console(stderr=True).status("measuring") as status:
        found = bench_lab(seconds, batch=batch, runs=runs, device=device, log=status.update)
    if json:
        import json as json_module

        json_module.dump(found, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    _show_lab(found)
    _show("bench lab", targets(found))


@app.command()
def sound(
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    seconds: Annotated[float, typer.Option("--seconds", min=0.64, help="Length of a clip.")] = 10.24,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Alternating runs; medians are shown.")] = 3,
    size: Annotated[list[str] | None, typer.Option("--size", help="s or m; repeatable.  \\[default: both]")] = None,
    many: Annotated[bool, typer.Option("--many", help="On a processor too: run the pipeline's 100 steps.")] = False,
    pack: Annotated[str, typer.Option("--pack", help="Pack whose generator is measured too.")] = "demo",
    device: Annotated[str | None, typer.Option("--device", help="cuda, mps or cpu; the fastest there is.")] = None,
) -> None:
    """Seconds per clip at AudioLDM's published sizes (random weights), beside diffusers' own pipeline.

    Takes some ten minutes and 8 GB on two cores, a minute on a GPU; let nothing else run meanwhile.
    """
    import sys

    from rich.console import Console

    from bci_music.models.device import sleep_while_waiting

    sleep_while_waiting()
    from bci_music.bench.generator import bench_sound, targets
    from bci_music.models.pack import Pack

    with Console(stderr=True).status("measuring") as status:
        found = bench_sound(
            seconds, runs=runs, device=device, sizes=tuple(size or ("s", "m")), many=many or None,
            generator=Pack.open(pack).generator, log=status.update,
        )  # fmt: skip
    if json:
        import json as json_module

        json_module.dump(found, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    _show_sound(found)
    _show("bench sound", targets(found))


def _show_lab(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

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
    from rich.console import Console
    from rich.table import Table

    title = f"a clip of {found['input']['seconds']:g} s on {found['machine']['device']}"
    table = Table(title=title, title_justify="left")
    for column in ("model", "made by", "steps", "seconds", "of real time", "one step", "decode", "vocode"):
        table.add_column(column)
    rows = [(f"AudioLDM-{size}", *row) for size, told in found["sizes"].items() for row in told["entrants"].items()]
    if found["pack"] is not None:
        rows.append((found["pack"]["name"], "ours, its own settings", found["pack"]))
    for model, maker, row in rows:
        parts = [f"{row[part]:.3g}" if part in row else "" for part in ("step_s", "decode_s", "vocode_s")]
        seconds = f"{row['seconds']:.3g}" + (" (reckoned)" if row["reckoned"] else "")
        table.add_row(model, maker, str(row["settings"]["steps"]), seconds, f"{row['rtf']:.2f}", *parts)
    Console().print(table)


def _show(title: str, rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in ("what", "here", "target", ""):
        table.add_column(column)
    for row in rows:
        met = "[green]met[/green]" if row["met"] else "[red]not met[/red]"
        table.add_row(row["what"], row["here"], row["target"], met)
    Console().print(table)
