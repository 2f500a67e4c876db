"""`bci-music data` and `bci-music stream`: recordings and studies on disk, and recordings as LSL streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bci_music.cli import data as study
from bci_music.cli.options import FileStream, FileUnit, ReadingOptions, shared

if TYPE_CHECKING:
    from bci_music.data.check_study import FileRow, StudyCheck
    from bci_music.data.info import FileInfo, StreamSummary
    from bci_music.data.session import Reading
    from bci_music.data.study import Study


class Normalise(StrEnum):
    """Ways to scale EEG, as the options name them."""

    CAUSAL = "causal"
    WHOLE = "whole-recording"


KIND = "nmed-t, nmed-h, musin-g, or sessions (a folder of own XDF recordings)"


def check(
    kind: Annotated[str, typer.Argument(help=f"What it is: {KIND}.")],
    directory: Annotated[Path, typer.Argument(help="Its folder.")],
    audio: Annotated[Path | None, typer.Option(help="Mapping of songs to audio (default: audio.yaml there).")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Look at headers only, not at every sample.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of the table.")] = False,
    stream: FileStream = None,
    unit: FileUnit = None,
) -> None:
    """List what of a data set is there, what is missing, and where to get it.

    Exit code 0: all is there. 1: something is missing. 2: something is wrong.
    """
    from bci_music.data.check_study import check_study
    from bci_music.data.session import Reading

    with _bar("reading", "recordings") as report:
        found = check_study(kind, directory, audio, deep=not quick, reading=Reading(stream, unit), report=report)
    if as_json:
        import json

        typer.echo(json.dumps(found.as_json(), indent=2))
    else:
        _show_study(found)
    if not found.complete:
        raise typer.Exit(1)


def prepare(
    studies: Annotated[list[str], typer.Argument(help=f"KIND FOLDER, once or more; a KIND is {KIND}.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; one that was interrupted goes on.")],
    audio: Annotated[Path | None, typer.Option(help="Mapping of songs to audio (default: audio.yaml there).")] = None,
    song: Annotated[list[str] | None, typer.Option(help="Only this song, e.g. nmed-t/21; repeatable.")] = None,
    normalise: Annotated[
        Normalise, typer.Option(help="causal: as live. whole-recording: as published, looks ahead, refused live.")
    ] = Normalise.CAUSAL,
    quality: Annotated[bool, typer.Option(help="Find bad electrodes and leave them out.")] = True,
    signal: Annotated[Path | None, typer.Option(help="Signal path (default: as in configs/signal.yaml).")] = None,
    stream: FileStream = None,
    unit: FileUnit = None,
    montage: Annotated[
        str | None,
        typer.Option(
            help="Order of the channels, and the electrodes of streams without names: egi128, ...  \\[default: nmed]"
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one per core, at most 4.")] = 0,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a dask scheduler: its workers prepare the files, not this machine.")
    ] = None,
) -> None:
    """Run every recording through the live signal chain once, so that training reads windows from disk."""
    import os

    from bci_music.data.open_study import only
    from bci_music.data.session import Reading
    from bci_music.eeg.chain import SignalConfig
    from bci_music.training.lab.prepare import prepare as run

    if scheduler is not None:  # whose workers stand in other folders
        studies = [str(Path(word).resolve()) if k % 2 else word for k, word in enumerate(studies)]
    reading = Reading(stream, unit, montage)
    study = _open(studies, audio, reading)
    if song:
        study = only(study, song)
    with _bar("preparing", "files") as report:
        made = run(
            study, out, signal=SignalConfig.load(signal) if signal else None, normalise=normalise.value,
            quality=quality, montage=montage or "nmed", reading=reading, workers=workers or min(4, os.cpu_count() or 1),
            scheduler=scheduler, report=report,
        )  # fmt: skip
    simulated = "simulated EEG, " if made.simulated else ""
    typer.echo(
        f"{out}: {simulated}{len({s.recording for s in made.segments})} recordings, {made.seconds / 3600:.2f} h with "
        f"music in {len(made.segments)} segments, {len(made.before)} segments from before the music, "
        f"{len(made.stimuli)} songs."
    )
    if silent := [key for key, stimulus in made.stimuli.items() if stimulus.audio is None]:
        typer.echo(
            f"no audio is known for {', '.join(silent)}: name it in an audio.yaml and prepare again before training"
        )


def before(
    kind: Annotated[str, typer.Argument(help="nmed-t (of NMED-H no raw reader exists).")],
    directory: Annotated[Path, typer.Argument(help="Folder with the clean files and the raw ones, PP_R_raw.mat.")],
    seconds: Annotated[float, typer.Option(min=5.0, help="How much EEG from before each song.")] = 12.0,
) -> None:
    """Cut EEG from before each song out of the raw recordings of NMED-T, for the before-song control."""
    from bci_music.data.nmed_raw import write_before
    from bci_music.messages import UserError

    if kind != "nmed-t":
        raise UserError(f"EEG from before the music can be made from raw files of nmed-t, not of {kind!r}.")
    with _bar("filtering", "raw files") as report:
        written = write_before(directory, seconds, report=report)
    for line in written:
        typer.echo(line)


def _open(studies: list[str], audio: Path | None, reading: Reading) -> Study:
    from bci_music.data.open_study import join, open_study
    from bci_music.messages import UserError

    if len(studies) % 2:
        raise UserError(f"{studies[-1]!r} stands alone: give pairs of KIND and FOLDER, e.g. nmed-t data/nmed-t.")
    if (reading.stream or reading.unit) and "sessions" not in studies[::2]:
        raise UserError("--stream and --unit are for recordings of your own: none of the studies is of kind sessions.")
    pairs = zip(studies[::2], studies[1::2], strict=True)
    return join([open_study(kind, Path(folder), audio, reading) for kind, folder in pairs])


def _show_study(found: StudyCheck) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    simulated = "  [yellow]simulated EEG[/yellow]" if found.simulated else ""
    console.print(f"[bold]{escape(found.kind)}[/bold] in {escape(found.directory)}{simulated}\n")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("file", "song", "listeners", "each", "audio", "before", "spread"):
        table.add_column(title, overflow="fold" if title in ("file", "song") else "ellipsis")
    for row in found.rows:
        table.add_row(*(escape(cell) for cell in _study_cells(row)))
    console.print(table)
    rates = sorted({f"{row.sfreq_hz:g} Hz" for row in found.rows if row.n_channels})
    channels = sorted({row.n_channels for row in found.rows if row.n_channels})
    shape = f", {' or '.join(map(str, channels))} channels at {' or '.join(rates)}" if rates else ""
    console.print(
        f"\n{_some(found.listeners, 'listener')}, {found.hours:.2f} h of EEG in {_some(len(found.rows), 'file')} of "
        f"{sum(row.megabytes for row in found.rows):.0f} MB{shape}", soft_wrap=True,
    )  # fmt: skip
    if found.missing and not found.simulated:
        console.print(f"\n[yellow]{len(found.missing)} files are missing[/yellow] (the data set: {found.page})")
        by_place: dict[str, list[str]] = {}
        for name, where in found.missing:
            by_place.setdefault(where, []).append(name)
        for where, names in by_place.items():
            console.print(f"  {escape(', '.join(names))}  [dim]{escape(where)}[/dim]", soft_wrap=True)
    if found.without_audio:
        console.print(
            f"\n[yellow]no audio is known for {escape(', '.join(found.without_audio))}[/yellow]: it is not part of the "
            "data set; name your own files in audio.yaml there (`songs:` and under it e.g. `nmed-t/21: {file: x.wav}`)",
            soft_wrap=True,
        )
    for note in found.notes:
        console.print(f"[dim]note[/dim] {escape(note)}", soft_wrap=True)


def _some(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _study_cells(row: FileRow) -> tuple[str, ...]:
    """Return one row of the table."""
    song = row.titles[0] if len(row.titles) == 1 else f"{len(row.songs)} songs"
    return (
        row.file, song, str(row.listeners), f"{row.seconds:.1f} s",
        f"{row.audio_s:.1f} s" if row.audio_s is not None else "none", str(row.before) if row.before else "-",
        f"{row.spread_uv:.1f} µV" if row.n_channels else "-",
    )  # fmt: skip


@contextmanager
def _bar(verb: str, things: str) -> Iterator[Callable[[int, int, str], None]]:
    """One line on what is done, of how much, and how long it will take."""
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn(verb), rich.BarColumn(), rich.MofNCompleteColumn(), rich.TextColumn(things),
        rich.TimeElapsedColumn(), rich.TimeRemainingColumn(), rich.TextColumn("[dim]{task.description}"),
    )  # fmt: skip
    with rich.Progress(*columns, transient=True, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, of, what: progress.update(task, completed=done, total=of, description=what)


HELP = "Look into recordings and data sets, and prepare them for training."

app = typer.Typer(help=HELP, no_args_is_help=True)
app.command("check")(study.check)
app.command("prepare")(study.prepare)
app.command("before")(study.before)


@app.callback(help=HELP)
def root() -> None:
    """Root of the verbs on data; see `HELP`."""


@app.command()
@shared
def info(
    file: Annotated[Path, typer.Argument(help="A recording: XDF, EDF, BDF, FIF, SET, BrainVision, MFF ...")],
    read: ReadingOptions,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of the tables.")] = False,
) -> None:
    """Show what a recording holds: streams or channels, rates, breaks, markers, and what could not be read."""
    from bci_music.data.info import file_info

    found = file_info(file, read.reading())
    if as_json:
        import json

        typer.echo(json.dumps(found.as_json(), indent=2))
    else:
        _show(found)


@shared
def stream(
    file: Annotated[Path, typer.Argument(help="A recording: XDF, EDF, BDF, FIF, SET, BrainVision, MFF ...")],
    read: ReadingOptions,
    name: Annotated[str | None, typer.Option(help="Name of the stream (default: that of the recording).")] = None,
    source_id: Annotated[str | None, typer.Option(help="LSL source id (default: made from the name).")] = None,
    speed: Annotated[float, typer.Option(help="Times real time; rate and stamps change with it.")] = 1.0,
    loop: Annotated[bool, typer.Option(help="Start over at the end.")] = False,
    start: Annotated[float, typer.Option(help="Seconds into the recording to begin at.")] = 0.0,
    wait: Annotated[
        bool, typer.Option("--wait-consumer/--no-wait", help="Hold sample 0 until somebody takes the stream.")
    ] = False,
    seconds: Annotated[float | None, typer.Option(help="Stop after this long.")] = None,
) -> None:
    """Stream a recording as LSL outlets in real time: EEG and its markers, for this and other programs."""
    from bci_music.streaming.session_outlet import stream_file

    stream_file(
        file, reading=read.reading(), name=name, source_id=source_id, speed=speed, loop=loop, start_s=start,
        wait=wait, seconds=seconds, log=lambda line: typer.echo(line, err=False),
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
        str(s.samples) if s.samples else "empty", f"{s.duration_s:.2f} s", breaks if s.decoded or s.nominal_hz else "-",
    )  # fmt: skip


def _show_eeg(console, s: StreamSummary) -> None:
    from rich.markup import escape

    shown = ", ".join(s.labels[:12]) + (f" ... {s.labels[-1]}" if len(s.labels) > 12 else "")
    console.print(f"\n[dim]EEG[/dim] {len(s.labels)} channels in {escape(s.unit)}: {escape(shown)}")
    if s.excluded:
        console.print(f"[dim]excluded[/dim] {escape(', '.join(s.excluded))}")
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
