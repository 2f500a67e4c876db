"""The `bci-music` command: parses, calls one function, turns a `UserError` into one sentence and exit code 2."""

from __future__ import annotations

import sys

import typer

app = typer.Typer(
    name="bci-music", no_args_is_help=True, add_completion=False, rich_markup_mode="rich",
    help="Live EEG becomes music.",
)


@app.callback()
def root() -> None:
    """Live EEG becomes music."""


def main() -> None:
    """Entry point of the console script."""
    from bci_music.messages import UserError

    try:
        app()
    except UserError as error:
        print(f"bci-music: {error}", file=sys.stderr)
        raise SystemExit(2) from None
