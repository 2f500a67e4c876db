"""`bci-music data check`, `prepare` and `before`: data sets of EEG with known music."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bci_music.data.study import Study
    from bci_music.data.study_check import FileRow, StudyCheck

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
) -> None:
    """Say what of a data set is there, what is missing, and where to get it.

    Exit code 0: all is there. 1: something is missing. 2: something is wrong.
    """
    from bci_music.data.study_check import check_study

    with _bar("reading", "recordings") as report:
        found = check_study(kind, directory, audio, deep=not quick, report=report)
    if as_json:
        import json

        typer.echo(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
    else:
        _show(found)
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
    montage: Annotated[str, typer.Option(help="Order of the channels: nmed, or another montage.")] = "nmed",
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one per core, at most 4.")] = 0,
) -> None:
    """Run every recording through the live signal chain once, so that training reads windows from disk."""
    import os

    from bci_music.data.studies import only
    from bci_music.eeg.chain import SignalConfig
    from bci_music.training.lab.prepare import prepare as run

    study = _open(studies, audio)
    if song:
        study = only(study, song)
    with _bar("preparing", "files") as report:
        made = run(
            study, out, signal=SignalConfig.load(signal) if signal else None, normalise=normalise.value,
            quality=quality, montage=montage, workers=workers or min(4, os.cpu_count() or 1), report=report,
        )  # fmt: skip
    said = "simulated EEG, " if made.simulated else ""
    typer.echo(
        f"{out}: {said}{len({t.recording for t in made.takes})} recordings, {made.seconds / 3600:.2f} h with music in "
        f"{len(made.takes)} takes, {len(made.before)} takes from before the music, {len(made.stimuli)} songs."
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


def _open(studies: list[str], audio: Path | None) -> Study:
    from bci_music.data.studies import join, open_study
    from bci_music.messages import UserError

    if len(studies) % 2:
        raise UserError(f"{studies[-1]!r} stands alone: give pairs of KIND and FOLDER, e.g. nmed-t data/nmed-t.")
    pairs = zip(studies[::2], studies[1::2], strict=True)
    return join([open_study(kind, Path(folder), audio) for kind, folder in pairs])


def _show(found: StudyCheck) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    said = "  [yellow]simulated EEG[/yellow]" if found.simulated else ""
    console.print(f"[bold]{escape(found.kind)}[/bold] in {escape(found.directory)}{said}\n")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("file", "song", "listeners", "each", "audio", "before", "spread"):
        table.add_column(title, overflow="fold" if title in ("file", "song") else "ellipsis")
    for row in found.rows:
        table.add_row(*(escape(cell) for cell in _cells(row)))
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


def _cells(row: FileRow) -> tuple[str, ...]:
    """Return one row of the table."""
    song = row.titles[0] if len(row.titles) == 1 else f"{len(row.songs)} songs"
    return (
        row.file, song, str(row.listeners), f"{row.seconds:.1f} s",
        f"{row.audio_s:.1f} s" if row.audio_s is not None else "none", str(row.before) if row.before else "-",
        f"{row.spread_uv:.1f} µV" if row.n_channels else "-",
    )  # fmt: skip


@contextmanager
def _bar(verb: str, things: str) -> Iterator[Callable[[int, int, str], None]]:
    """One line that tells what is done, of how much, and how long it will take."""
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn(verb), rich.BarColumn(), rich.MofNCompleteColumn(), rich.TextColumn(things),
        rich.TimeElapsedColumn(), rich.TimeRemainingColumn(), rich.TextColumn("[dim]{task.description}"),
    )  # fmt: skip
    with rich.Progress(*columns, transient=True, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, of, what: progress.update(task, completed=done, total=of, description=what)
