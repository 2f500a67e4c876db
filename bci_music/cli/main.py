"""The `bci-music` command: parses, calls one function, turns a `UserError` into one sentence and exit code 2."""

from __future__ import annotations

import importlib.util
import sys
from typing import Annotated

import typer

from bci_music.messages import UserError

HELP = (
    "Live EEG becomes music: a decoder listens to the brain of somebody who listens, and steers the sound.\n\n"
    "Start with [cyan]bci-music demo[/cyan] (simulated EEG, no headset needed). Then [cyan]bci-music doctor[/cyan] "
    "checks this machine and [cyan]bci-music live[/cyan] takes your amplifier's LSL stream. "
    "Each verb explains itself with --help."
)
HEAR, LOOK, MAKE = "Hear", "Look", "Make"

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


def _verb(module: str, function: str, panel: str) -> None:
    if group := _group(module):
        app.command(function, rich_help_panel=panel)(getattr(group, function))


def _verbs(module: str, name: str, panel: str) -> None:
    if group := _group(module):
        app.add_typer(group.app, name=name, rich_help_panel=panel)


def _group(module: str):
    name = f"bci_music.cli.{module}"
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


_verb("live", "demo", HEAR)
_verb("live", "live", HEAR)
_verb("live", "replay", HEAR)
_verb("live", "monitor", LOOK)
_verb("doctor", "doctor", LOOK)
_verbs("data", "data", LOOK)
_verb("data", "stream", MAKE)
_verbs("simulate", "simulate", MAKE)
_verbs("models", "pack", MAKE)
_verbs("bench", "bench", LOOK)


def main() -> None:
    """Entry point of the console script: 0 done, 1 a check failed, 2 a wrong input, 130 interrupted."""
    try:
        app()
    except UserError as error:
        print(f"bci-music: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
