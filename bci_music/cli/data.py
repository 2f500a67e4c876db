"""`bci-music data` and `bci-music stream`: recordings on disk, and as LSL streams."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bci_music.cli import study

if TYPE_CHECKING:
    from bci_music.data.info import FileInfo, StreamSummary

HELP = "Look into recordings and data sets, and prepare them for training."

app = typer.Typer(help=HELP, no_args_is_help=True)
app.command("check")(study.check)
app.command("prepare")(study.prepare)
app.command("before")(study.before)


@app.callback(help=HELP)
def root() -> None:
    """Root of the verbs on data; see `HELP`."""


@app.command()
def info(
    file: Annotated[Path, typer.Argument(help="A recording: XDF, EDF, BDF, FIF, SET, BrainVision, MFF ...")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of the tables.")] = False,
) -> None:
    """Show what a recording holds: streams or channels, rates, breaks, markers, and what could not be read."""
    from bci_music.data.formats import file_info

    found = file_info(file)
    if as_json:
        import json

        typer.echo(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
    else:
        _show(found)


def stream(
    file: Annotated[Path, typer.Argument(help="A recording: XDF, EDF, BDF, FIF, SET, BrainVision, MFF ...")],
    name: Annotated[str | None, typer.Option(help="Name of the stream (default: that of the recording).")] = None,
    source_id: Annotated[str | None, typer.Option(help="LSL source id (default: made from the name).")] = None,
    eeg: Annotated[str | None, typer.Option("--stream", help="Which EEG stream, for XDF files with several.")] = None,
    speed: Annotated[float, typer.Option(help="Times real time; rate and stamps change with it.")] = 1.0,
    loop: Annotated[bool, typer.Option(help="Start over at the end.")] = False,
    start: Annotated[float, typer.Option(help="Seconds into the recording to begin at.")] = 0.0,
    wait: Annotated[
        bool, typer.Option("--wait-consumer/--no-wait", help="Hold sample 0 until somebody takes the stream.")
    ] = False,
    seconds: Annotated[float | None, typer.Option(help="Stop after this long.")] = None,
) -> None:
    """Stream a recording as LSL outlets in real time: EEG and its markers, for this and other programs."""
    from bci_music.streaming.stream_file import stream_file

    stream_file(
        file, eeg=eeg, name=name, source_id=source_id, speed=speed, loop=loop, start_s=start, wait=wait,
        seconds=seconds, say=lambda line: typer.echo(line, err=False),
    )  # fmt: skip


def _show(found: FileInfo) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    console.print(f"[bold]{escape(Path(found.path).name)}[/bold]  [dim]{found.bytes / 1e6:.1f} MB[/dim]\n")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("stream", "type", "channels", "rate", "measured", "samples", "duration", "breaks"):
        table.add_column(title, overflow="ellipsis", no_wrap=True)
    for summary in found.streams:
        style = "bold" if summary.decoded else ""
        table.add_row(*(escape(cell) for cell in _cells(summary)), style=style)
    console.print(table)
    for summary in found.streams:
        if summary.decoded:
            _show_eeg(console, summary)
    _show_markers(console, found)
    for note in found.notes:
        console.print(f"[yellow]! {escape(note)}[/yellow]")


def _cells(s: StreamSummary) -> tuple[str, ...]:
    """Return one row of the table."""
    rate = f"{s.nominal_hz:g} Hz" if s.nominal_hz else "irregular"
    measured = f"{s.measured_hz:.2f} Hz" if s.measured_hz else "-"
    breaks = str(max(0, len(s.segments) - 1))
    return (
        s.name + (" (simulated)" if s.simulated else ""), s.kind or "-", str(s.channel_count), rate, measured,
        str(s.samples) if s.samples else "empty", f"{s.duration_s:.2f} s", breaks if s.nominal_hz else "-",
    )  # fmt: skip


def _show_eeg(console, s: StreamSummary) -> None:
    from rich.markup import escape

    shown = ", ".join(s.labels[:12]) + (f" ... {s.labels[-1]}" if len(s.labels) > 12 else "")
    console.print(f"\n[dim]EEG[/dim] {len(s.labels)} channels in {escape(s.unit)}: {escape(shown)}")
    if s.set_aside:
        console.print(f"[dim]set aside[/dim] {escape(', '.join(s.set_aside))}")
    if s.nan_samples:
        console.print(f"[yellow]{s.nan_samples} samples hold NaN[/yellow]")
    if s.gaps:
        console.print(f"[yellow]{s.missing_samples} samples are missing in {s.gaps} gaps[/yellow]")
    if len(s.segments) > 1:
        parts = ", ".join(f"{a:.2f} to {b:.2f} s" for a, b in s.segments[:8])
        console.print(f"[dim]segments[/dim] {parts}{' ...' if len(s.segments) > 8 else ''}")


def _show_markers(console, found: FileInfo) -> None:
    from rich.markup import escape

    begin = next((s.start_s for s in found.streams if s.decoded and s.start_s is not None), 0.0)
    if not found.markers:
        console.print("[dim]markers[/dim] none")
        return
    first = ", ".join(f"{e.time_s - begin:.2f} s {e.text[:32]!r}" for e in found.first_markers[:4])
    console.print(f"[dim]markers[/dim] {found.markers}: {escape(first)}{' ...' if found.markers > 4 else ''}")
    for span in found.heard:
        when = f"{span.start_s - begin:7.2f} to {span.stop_s - begin:7.2f} s"
        console.print(f"[dim]heard[/dim] {when}  {escape(span.title or span.song)}")
