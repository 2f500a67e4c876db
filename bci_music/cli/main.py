"""The `bci-music` command: parses, calls one function, turns a `UserError` into one sentence and exit code 2."""

from __future__ import annotations

import gc
import io
import sys
from contextlib import suppress
from typing import Annotated

import typer

from bci_music.cli import (
    bench,
    calibrate,
    data,
    doctor,
    echoes,
    generate,
    lab,
    live,
    session,
    simulate,
    tracking,
)
from bci_music.cli import (
    models as checkpoints,
)
from bci_music.cli import (
    pack as models,
)

HELP = (
    "Live EEG becomes music: a decoder listens to the brain of somebody who listens, and steers the sound.\n\n"
    "Start with [cyan]bci-music demo[/cyan] (simulated EEG, no headset needed). Then [cyan]bci-music doctor[/cyan] "
    "checks this machine and [cyan]bci-music live[/cyan] takes your amplifier's LSL stream. "
    "Each verb explains itself with --help."
)
HEAR, LOOK, MAKE, LAB = "Hear", "Look", "Make", "Lab"

app = typer.Typer(
    name="bci-music", help=HELP, no_args_is_help=True, add_completion=False, rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"bci-music {version('bci-music')}")
        raise typer.Exit()


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Root of all verbs; see `HELP`."""


app.command("demo", rich_help_panel=HEAR)(live.demo)
app.command("live", rich_help_panel=HEAR)(live.live)
app.command("replay", rich_help_panel=HEAR)(live.replay)
app.command("monitor", rich_help_panel=LOOK)(live.monitor)
app.command("doctor", rich_help_panel=LOOK)(doctor.doctor)
app.add_typer(data.app, name="data", rich_help_panel=LOOK)
app.add_typer(session.app, name="session", rich_help_panel=LOOK)
app.add_typer(bench.app, name="bench", rich_help_panel=LOOK)
app.command("stream", rich_help_panel=MAKE)(data.stream)
app.command("generate", rich_help_panel=MAKE)(generate.generate)
app.add_typer(simulate.app, name="simulate", rich_help_panel=MAKE)
app.add_typer(models.app, name="pack", rich_help_panel=MAKE)
app.add_typer(checkpoints.app, name="models", rich_help_panel=MAKE)
for verb in (lab.pretrain, lab.align, lab.adapt, lab.evaluate, lab.ablate):
    app.command(verb.__name__, rich_help_panel=LAB)(verb)
app.command("calibrate", rich_help_panel=LAB)(calibrate.calibrate)
tracking.app.command("echoes")(echoes.echoes)
app.add_typer(tracking.app, name="lab", rich_help_panel=LAB)


def main() -> None:
    """Entry point of the console script.

    Exit codes: 0 done, 1 a check failed, 2 a wrong input, 3 done but not all that was to be kept is there, 130
    interrupted.
    """
    for stream in (sys.stdout, sys.stderr):  # a terminal that lacks a character shows a question mark
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        from bci_music.messages import Incomplete, UserError  # not needed for --help, which has to be quick

        if not isinstance(error, UserError):
            raise
        with suppress(OSError):  # the terminal may be gone
            print(f"bci-music: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(3 if isinstance(error, Incomplete) else 2) from None
    finally:
        gc.freeze()  # leaving, Python looks for garbage twice among a million objects: seconds on a busy machine


if __name__ == "__main__":
    main()
