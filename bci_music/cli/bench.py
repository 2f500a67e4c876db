"""`bci-music bench`: what the live path costs, beside its peers, as ratios and medians of alternating runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="Measure speed on this machine, beside peers.")


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

    from bci_music.cli.bench_live import aims, measure_live

    console = Console(stderr=True)
    with console.status("measuring") as status:
        found = measure_live(runs, pack, status.update)
    if json:
        import json as json_module

        json_module.dump(found, sys.stdout, indent=2, default=float)
        sys.stdout.write("\n")
        return
    _show(aims(found))


def _show(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="bench live", title_justify="left")
    for column in ("what", "here", "aim", ""):
        table.add_column(column)
    for row in rows:
        met = "[green]met[/green]" if row["met"] else "[red]not met[/red]"
        table.add_row(row["what"], row["here"], row["aim"], met)
    Console().print(table)
