"""`bci-music lab`: questions put to a study before anything is trained on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

HELP = "Ask of a study what no training can better: whether its EEG carries the heard sound."

app = typer.Typer(help=HELP, no_args_is_help=True)


@app.callback(help=HELP)
def root() -> None:
    """Root of the questions; see `HELP`."""


@app.command()
def tracking(
    data: Annotated[
        Path, typer.Option("--data", help="Folder that `data prepare` made, or one with a tracking.yaml.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for tracking.json and tracking.png (default: none).")
    ] = None,
    pack: Annotated[
        str | None, typer.Option("--pack", help="Pack whose decoder goes through the same gate.  \\[default: none]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of the sentences.")] = False,
    draws: Annotated[int, typer.Option("--draws", min=200, help="Circular shifts, and draws of other pieces.")] = 499,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the draws.")] = 0,
) -> None:
    """Say whether a study's EEG carries the heard sound at all: "reads" or "does not read", with the numbers.

    A ridge reconstructs the sound's spectral flux and envelope from EEG of pieces, and of listeners, that it has not
    met. Circular shifts, other pieces and EEG from before the sound are the controls. A plain folder needs a
    tracking.yaml with lines such as

    - {eeg: s01.edf, listener: s01, piece: song1, audio: song1.wav, onset_s: 12.5}

    under `recordings:` (docs/evaluation.md). What does not read here is no ground for a decoder's figures.
    """
    from dataclasses import replace

    from bci_music.evaluation.tracking.folder import open_tracking_study
    from bci_music.evaluation.tracking.result import TrackingSettings
    from bci_music.evaluation.tracking.track import track

    settings = TrackingSettings(draws, seed)
    with _bar() as report:
        found = track(open_tracking_study(data, report("reading")), settings, report("reconstructing"))
        if pack is not None:
            from bci_music.evaluation.tracking.decoder import decoder_evidence, heard_eeg
            from bci_music.models.decoder import Decoder

            opened, show = Decoder.from_pack(pack), report("decoding")
            heard = heard_eeg(data, opened)
            one = decoder_evidence(opened, heard, settings, lambda done, of: show(done, of, "windows"))
            found = replace(found, decoder=(one,))
    if out is not None:
        from bci_music.evaluation.tracking.picture import draw_tracking
        from bci_music.evaluation.tracking.result import write_tracking

        write_tracking(found, out)
        draw_tracking(found, out / "tracking.png")
    if as_json:
        import json

        typer.echo(json.dumps(found.as_json(), indent=2))
        return
    for line in found.lines():
        typer.echo(line)
    if out is not None:
        typer.echo(f"{out}: tracking.json, tracking.png")


@app.command()
def reconstructions(
    folder: Annotated[
        Path, typer.Argument(help="Folder of rows: KEY--SPLIT.npz with sounds, KEY--SPLIT.json with the rest.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for table, records and pictures.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder that `data prepare` made, for the ridge.  \\[default: no ridge]"),
    ] = None,
    pack: Annotated[
        str | None, typer.Option("--pack", help="Pack whose embedder makes the CLAP score.  \\[default: none]")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of what is drawn.")] = 0,
) -> None:
    """Compare music reconstructed from EEG with the music heard: one table for all rows of a folder.

    Which piece it is by its mean spectrum among thirty; whether it moves with the music (onset flux and envelope at
    every lag, onsets within 50, 100 and 200 ms); pictures and vectors of the sound. Each with its interval over songs
    and listeners, music of other songs and EEG from before the music. Writes echoes.md, echoes.json, echoes-lags.png
    and echoes-pairs.png. With --data, a ridge from EEG to onset flux is added as a row to every split there is.
    """
    compare_rows(folder, out, data, pack, seed)


def compare_rows(folder: Path, out: Path, data: Path | None, pack: str | None, seed: int) -> None:
    """Evaluate a folder of rows, with a ridge if there is `data`; write table, records and pictures to `out`."""
    from bci_music.evaluation.echoes.evaluate import evaluate_rows
    from bci_music.evaluation.echoes.pictures import draw_lags, draw_row_pairs
    from bci_music.evaluation.echoes.table import sentences, write_evaluation
    from bci_music.files import try_folder

    try_folder(out, "--out")
    embedder = None
    if pack is not None:
        from bci_music.messages import UserError
        from bci_music.models.embedder import load_embedder
        from bci_music.models.pack import Pack

        opened = Pack.open(pack)
        if opened.embedder is None:
            raise UserError(f"Pack {opened.name} brings no embedder: give another --pack, or none for no CLAP score.")
        embedder = load_embedder(opened.embedder)
    with _bar() as report:
        if data is not None:
            from bci_music.evaluation.echoes.onset_ridge import add_ridge_rows

            add_ridge_rows(folder, data, report("reading onsets"))
        found = evaluate_rows(folder, embedder, seed=seed, report=report("comparing"))
    written = write_evaluation(found, out)
    drawn = [draw_lags(found, out / "echoes-lags.png"), draw_row_pairs(folder, out / "echoes-pairs.png")]
    for sentence in sentences(found):
        typer.echo(sentence)
    typer.echo(f"{out}: {', '.join(path.name for path in (*written, *drawn) if path is not None)}")


@contextmanager
def _bar() -> Iterator[Callable[[str], Callable[[int, int, str], None]]]:
    """One bar for each stage: what is done, of how much, and how long it will take."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, transient=True, console=Console(stderr=True))

    def stage(verb: str) -> Callable[[int, int, str], None]:
        tasks: list[TaskID] = []

        def show(done: int, of: int, what: str) -> None:
            progress.start()  # not before there is something to show: an error comes without an empty bar
            tasks[:] = tasks or [progress.add_task(verb)]
            progress.update(tasks[0], completed=done, total=of, description=f"{verb} {what}".strip())

        return show

    try:
        yield stage
    finally:
        if progress.tasks:
            progress.stop()
